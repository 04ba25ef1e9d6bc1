//! Many clients at once, faults at random and killed instances: the table stays in order, what was acknowledged is there,
//! and what was refused is not.
//!
//! `MNEME_TEST_SEEDS` is how many seeds are tried; 2 if it is not set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use mneme_tests::{Stack, invariants, vector};
use serde_json::json;

const CLIENTS: u64 = 32;
const ROUNDS: u32 = 6;

/// What a client knows of its own entry, which no other client writes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Absent,
    Stored(String),
    /// The last change failed in a way that tells nothing.
    Unknown,
}

/// Puts and deletes an entry of its own, and puts one that all clients put; asks for its own after each success.
async fn client(stack: &Stack, seed: u64, number: u64) -> Known {
    let mut rng = fastrand::Rng::with_seed(seed * 1000 + number);
    let own = format!("own {number}");
    let mut known = Known::Absent;
    for round in 0..ROUNDS {
        let response = format!("{number}/{round}");
        let (outcome, then) = match rng.u32(..4) {
            0 => {
                let entry = json!({"query": "shared", "response": response, "embedding": vector(4, rng.f64())});
                let _ = stack.invoke("put", entry).await;
                continue;
            }
            1 if known != Known::Absent => (stack.invoke("delete", json!({"query": own})).await, Known::Absent),
            _ => {
                let entry = json!({"query": own, "response": response, "embedding": vector(4, rng.f64())});
                (stack.invoke("put", entry).await, Known::Stored(response))
            }
        };
        known = match outcome {
            Ok(_) => then,
            // Nothing was there: that it is absent is known, unless it was not known before what there was.
            Err(error) if error.name == "NotFound" => {
                assert!(!matches!(known, Known::Stored(_)), "{own} was stored and is gone: {known:?}");
                Known::Absent
            }
            Err(error) if error.name == "StoreBackendError" && !error.message.contains("did not answer") => known,
            // Killed, or no answer until the end of its time.
            Err(_) => Known::Unknown,
        };
        if let (Known::Stored(response), Ok(answer)) = (&known, stack.invoke("lookup", json!({"query": own})).await) {
            assert_eq!(&answer["response"], response, "{own} after {number}/{round}");
        }
    }
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_faults_and_killed_instances() {
    let seeds = std::env::var("MNEME_TEST_SEEDS").map_or(2, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in 0..seeds {
        let stack = Stack::crowded(CLIENTS as usize).await;
        stack.invoke("provision", json!({})).await.unwrap();
        stack.proxy.spoil_at_random(seed, 30);
        stack.proxy.delay_indexes(mneme_tests::Lag::Time(Duration::from_millis(500)));
        let done = AtomicBool::new(false);
        let killer = async {
            let mut killed = 0;
            while !done.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(700)).await;
                killed += u32::from(stack.server.kill_one("put"));
            }
            killed
        };
        let clients = async {
            let known = join_all((0..CLIENTS).map(|number| client(&stack, seed, number))).await;
            done.store(true, Ordering::Relaxed);
            known
        };
        let (known, killed) = futures::join!(clients, killer);
        assert!(killed > 0, "no instance was killed");
        stack.proxy.spoil_nothing();
        invariants::check(&stack).await;
        for (number, known) in known.into_iter().enumerate() {
            let answer = stack.lookup(json!({"query": format!("own {number}")})).await;
            match known {
                Known::Absent => assert_eq!(answer["outcome"], "miss", "seed {seed}, client {number}"),
                Known::Stored(response) => assert_eq!(answer["response"], response, "seed {seed}, client {number}"),
                Known::Unknown => {}
            }
        }
    }
}
