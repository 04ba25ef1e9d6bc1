//! Many clients at once, every kind of mutation, faults at random and killed instances. A model of what each client was
//! told checks every answer; in the end the table is in order, what was acknowledged is there, and what failed is not.
//!
//! `MNEME_TEST_SEEDS` is how many seeds are tried; 1 if it is not set.

mod client;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use mneme_tests::invariants::{Ledger, Snapshot};
use mneme_tests::{Lag, Stack};
use serde_json::json;

use client::{Client, is_expected};

const CLIENTS: u64 = 32;
/// The quota of the namespace that all clients fill.
const SMALL: u64 = 6;
/// After how many rounds of all clients together an instance is killed.
const ROUNDS_PER_KILL: u32 = 40;

/// Runs all clients with one seed.
async fn run(seed: u64) {
    let stack = Stack::builder().max_instances(CLIENTS as usize).start().await;
    stack.provision_without_ttl().await;
    let set = json!({"action": "set", "namespace": "small", "max_entries": SMALL});
    stack.invoke("quota", set).await.unwrap();
    let ledger = Mutex::new(Ledger::default());
    ledger.lock().unwrap().count();
    stack.proxy.inject_at_random(seed, 30);
    stack.proxy.delay_indexes(Lag::Time(Duration::from_millis(500)));

    let (done, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let killer = async {
        let (mut rng, mut killed) = (Rng::with_seed(seed), 0);
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if rounds.load(Ordering::Relaxed) < (killed + 1) * ROUNDS_PER_KILL {
                continue;
            }
            let mut functions = ["put", "put", "delete", "touch", "clear", "quota", "meta", "vacuum"];
            rng.shuffle(&mut functions);
            killed += u32::from(functions.iter().any(|function| stack.server.kill_one(function)));
        }
        killed
    };
    let vacuum = async {
        while !done.load(Ordering::Relaxed) {
            if let Err(error) = stack.invoke("vacuum", json!({})).await {
                assert!(is_expected(&error), "{error:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let clients = async {
        let clients = (0..CLIENTS).map(|number| Client::new(&stack, &ledger, &rounds, seed, number).run());
        let clients = join_all(clients).await;
        done.store(true, Ordering::Relaxed);
        clients
    };
    let (clients, killed, ()) = futures::join!(clients, killer, vacuum);
    assert!(killed > 0, "no instance was killed");
    stack.proxy.clear_faults();
    stack.proxy.idle().await;

    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    let (unknown, known) = ledger.puts();
    assert!(unknown < known / 2, "of {known} and {unknown} puts most are known");
    let snapshot = Snapshot::read(&stack).await;
    snapshot.check_entries();
    // `vacuum` takes what it read of a pair amid the changes for what is, and so may have moved a pointer.
    snapshot.check_pointers();
    // The quota's tally is set right by an index that lagged.
    snapshot.check_namespace_stats(|namespace| namespace == "small");
    snapshot.check_others();
    ledger.check(&snapshot);
    clients.iter().for_each(|client| client.check(&snapshot));

    // When the indexes have caught up, `vacuum` brings the quota about and leaves nothing to be done.
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
