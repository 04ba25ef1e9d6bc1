//! Concurrent clients with every kind of mutation, random faults and killed instances.
//!
//! Each client checks every answer against a model of the replies it received. In the end the table must be consistent,
//! acknowledged writes must be stored, and failed ones must not. `MNEME_TEST_SEEDS` is the number of seeds, 1 by
//! default.

mod client;

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use mneme_tests::invariants::{Ledger, Snapshot};
use mneme_tests::{Lag, Stack};
use serde_json::json;
use tokio::sync::watch;

use client::{Client, is_expected};

const CLIENTS: u64 = 32;
/// The quota of the namespace `small`, which all clients fill.
const SMALL: u64 = 6;
/// An instance is killed each time all clients together have done this many rounds.
const ROUNDS_PER_KILL: u32 = 40;

/// The progress of all clients together.
#[derive(Debug, Default)]
struct Progress {
    rounds: u32,
    is_done: bool,
}

/// Runs all clients with one seed, and checks the table.
async fn run(seed: u64) {
    let stack = Stack::builder().max_instances(CLIENTS as usize).exclusive().start().await;
    stack.provision_without_ttl().await;
    let set = json!({"action": "set", "namespace": "small", "max_entries": SMALL});
    stack.invoke("quota", set).await.unwrap();
    let ledger = Mutex::new(Ledger::default());
    ledger.lock().unwrap().count();
    stack.proxy.inject_at_random(seed, 30);
    stack.proxy.delay_indexes(Lag::Time(Duration::from_millis(500)));

    let progress = watch::Sender::new(Progress::default());
    let killer = async {
        let (mut rng, mut killed, mut watching) = (Rng::with_seed(seed), 0, progress.subscribe());
        loop {
            let is_due = |progress: &Progress| progress.is_done || progress.rounds >= (killed + 1) * ROUNDS_PER_KILL;
            if watching.wait_for(is_due).await.unwrap().is_done {
                return killed;
            }
            let mut functions = ["put", "put", "delete", "touch", "clear", "quota", "meta", "vacuum"];
            rng.shuffle(&mut functions);
            if functions.iter().any(|function| stack.server.kill_one(function)) {
                killed += 1;
            } else {
                // No instance is running now; there may be one after the next round.
                watching.changed().await.unwrap();
            }
        }
    };
    let vacuum = async {
        let mut watching = progress.subscribe();
        while !watching.borrow_and_update().is_done {
            if let Err(error) = stack.invoke("vacuum", json!({})).await {
                assert!(is_expected(&error), "{error:?}");
            }
            watching.changed().await.unwrap();
        }
    };
    let clients = async {
        let clients = (0..CLIENTS).map(|number| Client::new(&stack, &ledger, &progress, seed, number).run());
        let clients = join_all(clients).await;
        progress.send_modify(|progress| progress.is_done = true);
        clients
    };
    let (clients, killed, ()) = futures::join!(clients, killer, vacuum);
    assert!(killed > 0, "no instance was killed");
    stack.proxy.clear_faults();
    stack.proxy.idle().await;

    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    let (unknown, known) = ledger.puts();
    assert!(unknown < known / 2, "{known} puts have a known outcome, {unknown} have not");
    let snapshot = Snapshot::read(&stack).await;
    snapshot.check_entries();
    // `vacuum` may have read a query hash's rows during changes and written a pointer from them.
    snapshot.check_pointers();
    snapshot.check_answers();
    // The statistics of a namespace with a quota are corrected from an index, which lagged here.
    snapshot.check_namespace_stats(|namespace| namespace == "small");
    snapshot.check_others();
    ledger.check(&snapshot);
    clients.iter().for_each(|client| client.check(&snapshot));

    // Without index lag, one `vacuum` enforces the quota, and the next one finds nothing to do.
    stack.proxy.delay_indexes(Lag::Time(Duration::ZERO));
    stack.invoke("vacuum", json!({})).await.unwrap();
    let snapshot = Snapshot::read(&stack).await;
    snapshot.check();
    ledger.check(&snapshot);
    clients.iter().for_each(|client| client.check(&snapshot));
    assert!(snapshot.counts().get("small").is_none_or(|count| *count <= i128::from(SMALL)), "{:?}", snapshot.counts());
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    for nothing in ["evicted", "pointers_set", "derived_removed", "duplicates"] {
        assert_eq!(reply[nothing], 0, "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_clients_with_faults_and_killed_instances_keep_the_table_consistent() {
    let seeds = std::env::var("MNEME_TEST_SEEDS").map_or(1, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in 0..seeds {
        run(seed).await;
    }
}
