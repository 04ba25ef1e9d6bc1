//! A move that is interrupted at any of its calls.
//!
//! Each call that the function makes to DynamoDB, in each action of a move, is made to fail in every way, and the action is
//! asked for again until it succeeds: then nothing is lost, and whatever came of it, lookups answer as they should.

use std::collections::BTreeMap;

use futures::future::join_all;
use mneme_tests::Fault;
use mneme_tests::invariants::Snapshot;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::stack::Item;
use serde_json::json;

use crate::operations::reembed::world::{End, World};

/// The actions of one move, the last of which is spoilt, and which model is active before and after it.
struct Case {
    actions: &'static [&'static str],
    active: (Model, Model),
    /// By how much it raises the version.
    mutations: i128,
}

/// Makes the table what it was. No id was given out since.
async fn put_back(world: &World, rows: &BTreeMap<i128, Item>) {
    for id in world.moving.rows().await.into_keys().filter(|id| !rows.contains_key(id)) {
        world.moving.delete_item(id).await;
    }
    join_all(rows.values().map(|row| world.moving.put_item(row.clone()))).await;
}

/// Spoils the last of the actions, after the others.
async fn run(case: Case) {
    let world = World::small().await;
    let (spoilt, before) = case.actions.split_last().unwrap();
    // The calls of a run that nothing spoils; the first warms the instance up.
    for action in before {
        world.act(action).await;
    }
    let rows = world.moving.rows().await;
    world.act(spoilt).await;
    put_back(&world, &rows).await;
    world.moving.proxy.take_calls();
    world.act(spoilt).await;
    let calls = world.moving.proxy.take_calls();
    world.check(case.active.1).await;
    let mut met = 0;
    for (at, call) in calls.iter().enumerate() {
        let others = calls[..at].iter().filter(|other| other.operation == call.operation).count();
        for fault in
            Fault::all().into_iter().chain([Fault::Overtaken]).filter(|fault| fault.applies_to(&call.operation))
        {
            put_back(&world, &rows).await;
            world.check(case.active.0).await;
            let before = Snapshot::read(&world.moving).await;
            let overtaken = world.moving.proxy.overtaken();
            world.moving.proxy.inject_nth(&call.operation, others, fault.clone());
            let told = format!("{fault:?} at call {at} ({}) of {spoilt}", call.operation);
            let mut outcome = world.moving.invoke("reembed", json!({ "action": spoilt })).await;
            assert_eq!(world.moving.proxy.pending_faults(), 0, "met no call: {told}: {outcome:?}");
            met += 1;
            world.moving.proxy.idle().await;
            if let Err(error) = &outcome {
                assert_eq!(error.name, "StoreBackendError", "{told}: {error:?}");
                // Either has taken place, and lookups are right by it.
                let status = world.act("status").await;
                let is_after = status["active"]["fingerprint"] == case.active.1.fingerprint();
                world.check(if is_after { case.active.1 } else { case.active.0 }).await;
                outcome = world.moving.invoke("reembed", json!({ "action": spoilt })).await;
            }
            assert!(outcome.is_ok(), "{told}: {outcome:?}");
            world.check(case.active.1).await;
            let after = Snapshot::read(&world.moving).await;
            after.check();
            let mutations = after.version - before.version - i128::from(world.moving.proxy.overtaken() - overtaken);
            assert_eq!((mutations, after.next_id), (case.mutations, before.next_id), "{told}");
            assert_eq!(after.entries.len(), before.entries.len(), "{told}");
            match *spoilt {
                "finish" => world.assert_ended(End::Finished).await,
                "abort" => world.assert_ended(End::Aborted).await,
                _ => {}
            }
        }
    }
    assert!(met > 20, "{met} faults are few");
}

#[tokio::test]
async fn start_with_any_fault_can_be_completed() {
    run(Case { actions: &["start"], active: (ALPHA, ALPHA), mutations: 1 }).await;
}

#[tokio::test]
async fn step_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "step"], active: (ALPHA, ALPHA), mutations: 0 }).await;
}

#[tokio::test]
async fn switch_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "step", "switch"], active: (ALPHA, BETA), mutations: 1 }).await;
}

#[tokio::test]
async fn switch_without_a_step_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "switch"], active: (ALPHA, BETA), mutations: 1 }).await;
}

#[tokio::test]
async fn switch_back_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "step", "switch", "switch_back"], active: (BETA, ALPHA), mutations: 1 }).await;
}

#[tokio::test]
async fn finish_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "step", "switch", "finish"], active: (BETA, BETA), mutations: 2 }).await;
}

#[tokio::test]
async fn abort_with_any_fault_can_be_completed() {
    run(Case { actions: &["start", "step", "abort"], active: (ALPHA, ALPHA), mutations: 2 }).await;
}
