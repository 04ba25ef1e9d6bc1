//! Injects every fault into every DynamoDB call of every action of a move.
//!
//! A failed action is repeated until it succeeds. Then nothing may be lost, and lookups must answer correctly before
//! and after the repetition.

use std::collections::BTreeMap;

use futures::future::join_all;
use mneme_tests::Fault;
use mneme_tests::invariants::Snapshot;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::stack::Item;
use serde_json::json;

use crate::operations::reembed::world::{End, World};

/// The actions of a move, of which the last one meets faults, and the active models before and after it.
struct Case {
    actions: &'static [&'static str],
    active: (Model, Model),
    /// The number of mutations of the last action.
    mutations: i128,
}

/// Restores the rows of the table. No id may have been issued since.
async fn restore(world: &World, rows: &BTreeMap<i128, Item>) {
    for id in world.moving.rows().await.into_keys().filter(|id| !rows.contains_key(id)) {
        world.moving.delete_item(id).await;
    }
    join_all(rows.values().map(|row| world.moving.put_item(row.clone()))).await;
}

/// Injects every fault into the last action, after the others.
async fn run(case: Case) {
    let world = World::small().await;
    let (action, before) = case.actions.split_last().unwrap();
    // The calls of a run without faults. The first run warms the instance up.
    for action in before {
        world.act(action).await;
    }
    let rows = world.moving.rows().await;
    world.act(action).await;
    restore(&world, &rows).await;
    world.moving.proxy.take_calls();
    world.act(action).await;
    let calls = world.moving.proxy.take_calls();
    world.check(case.active.1).await;
    let mut met = 0;
    for (at, call) in calls.iter().enumerate() {
        let others = calls[..at].iter().filter(|other| other.operation == call.operation).count();
        for fault in
            Fault::all().into_iter().chain([Fault::Overtaken]).filter(|fault| fault.applies_to(&call.operation))
        {
            restore(&world, &rows).await;
            world.check(case.active.0).await;
            let before = Snapshot::read(&world.moving).await;
            let overtaken = world.moving.proxy.overtaken();
            world.moving.proxy.inject_nth(&call.operation, others, fault.clone());
            let context = format!("{fault:?} at call {at} ({}) of {action}", call.operation);
            let mut outcome = world.moving.invoke("reembed", json!({ "action": action })).await;
            assert_eq!(world.moving.proxy.pending_faults(), 0, "met no call: {context}: {outcome:?}");
            met += 1;
            world.moving.proxy.idle().await;
            if let Err(error) = &outcome {
                assert_eq!(error.name, "StoreBackendError", "{context}: {error:?}");
                // The action may have taken effect or not; lookups must be correct either way.
                let status = world.act("status").await;
                let is_after = status["active"]["fingerprint"] == case.active.1.fingerprint();
                world.check(if is_after { case.active.1 } else { case.active.0 }).await;
                outcome = world.moving.invoke("reembed", json!({ "action": action })).await;
            }
            assert!(outcome.is_ok(), "{context}: {outcome:?}");
            world.check(case.active.1).await;
            let after = Snapshot::read(&world.moving).await;
            after.check();
            let mutations = after.version - before.version - i128::from(world.moving.proxy.overtaken() - overtaken);
            assert_eq!((mutations, after.next_id), (case.mutations, before.next_id), "{context}");
            assert_eq!(after.entries.len(), before.entries.len(), "{context}");
            match *action {
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
