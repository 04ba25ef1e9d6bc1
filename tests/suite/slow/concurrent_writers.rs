//! Many concurrent writers, with and without readers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use mneme_store::key::RowKey;
use mneme_tests::{Fault, Stack, invariants, vector};
use serde_json::{Value, json};

use crate::questions::{order, order_reworded};

#[tokio::test(flavor = "multi_thread")]
async fn puts_of_32_concurrent_writers_are_all_stored() {
    const WRITERS: usize = 32;
    const PUTS: usize = 5;
    let stack = Stack::builder().max_instances(WRITERS).exclusive().start().await;
    let writer = async |writer: usize| {
        for put in 0..PUTS {
            let entry = json!({"query": format!("{writer}/{put}"), "response": "r", "embedding": vector(4, 0.0)});
            stack.invoke("put", entry).await.unwrap();
        }
    };
    join_all((0..WRITERS).map(writer)).await;
    let (entries, version) = invariants::check(&stack).await;
    assert_eq!((entries.len(), version), (WRITERS * PUTS, (WRITERS * PUTS) as i128));
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_of_the_same_queries_by_six_writers_create_one_row_per_query() {
    let stack = Stack::builder().max_instances(6).start().await;
    let writer = async |writer: u32| {
        for query in 0..100 {
            let entry = json!({
                "query": format!("q{query}"), "response": format!("{writer}"), "embedding": vector(4, f64::from(writer)),
            });
            stack.invoke("put", entry).await.unwrap();
        }
    };
    join_all((0..6).map(writer)).await;
    let (entries, version) = invariants::check(&stack).await;
    assert_eq!((entries.len(), version), (100, 600));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_by_tag_among_8_writers_removes_exactly_the_tagged_entries() {
    delete_among_writers(5000, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn deletion_of_10000_of_100000_entries_among_8_writers_removes_exactly_these() {
    delete_among_writers(100_000, 10).await;
}

/// Stores `stored` entries, deletes one of each `tagged_every` by a tag while 8 writers put others, and checks the table.
async fn delete_among_writers(stored: usize, tagged_every: usize) {
    const WRITERS: usize = 8;
    const PUTS: usize = 20;
    let stack = Stack::builder().max_instances(WRITERS + 1).exclusive().start().await;
    let all: Vec<usize> = (0..stored).collect();
    for some in all.chunks(1000) {
        let tags = |n: usize| if n.is_multiple_of(tagged_every) { json!(["gone", "all"]) } else { json!(["all"]) };
        let entry = |n: &usize| json!({"query": format!("stored {n}"), "response": "r", "tags": tags(*n)});
        stack.invoke("put", json!({"entries": some.iter().map(entry).collect::<Vec<_>>()})).await.unwrap();
    }
    let writer = async |writer: usize| {
        for put in 0..PUTS {
            let entry = json!({"query": format!("{writer}/{put}"), "response": "r", "tags": ["all"]});
            // The deletion writes the counter without a condition, so a put may lose every race. Callers try again.
            while let Err(error) = stack.invoke("put", entry.clone()).await {
                assert_eq!(error.name, "StoreBackendError");
            }
        }
    };
    let deletion = async {
        let (mut deleted, mut request) = (0, json!({"namespace": "default", "tag": "gone"}));
        loop {
            let reply = stack.invoke("delete", request.clone()).await.unwrap();
            deleted += reply["deleted_entries"].as_u64().unwrap();
            if reply["cursor"].is_null() {
                return deleted;
            }
            request["cursor"] = reply["cursor"].clone();
        }
    };
    let begun = Instant::now();
    let (_, deleted) = futures::join!(join_all((0..WRITERS).map(writer)), deletion);
    let tagged = stored / tagged_every;
    assert_eq!(deleted, tagged as u64);
    println!("{deleted} of {stored} entries deleted among {WRITERS} writers in {:.1} s", begun.elapsed().as_secs_f64());
    let (entries, version) = invariants::check(&stack).await;
    let written = WRITERS * PUTS;
    assert_eq!((entries.len(), version), (stored - tagged + written, (stored + tagged + written) as i128));
}

/// Puts `query` after a lost race, so that the put takes a ticket in the writer queue. Returns the duration.
async fn put_through_queue(stack: &Stack, query: &str) -> Duration {
    let lost = vec![None, None, Some("ConditionalCheckFailed"), None];
    stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(lost));
    let began = Instant::now();
    stack.put(json!({"query": query, "response": "r"})).await;
    assert_eq!(stack.proxy.pending_faults(), 0);
    began.elapsed()
}

/// Writes a queue with `issued` tickets whose writers do not exist. The last one was issued `age` ago.
async fn abandon_tickets(stack: &Stack, issued: u64, age: Duration) {
    let number = |number: u128| AttributeValue::N(number.to_string());
    let at = (SystemTime::now() - age).duration_since(UNIX_EPOCH).unwrap().as_millis();
    let issued = ("issued".to_owned(), number(issued.into()));
    let line = [("id".to_owned(), RowKey::WRITER_QUEUE.attribute()), issued, ("issued_at".to_owned(), number(at))];
    stack.put_item(line.into()).await;
}

#[tokio::test]
async fn put_behind_an_abandoned_ticket_passes_it_after_the_timeout() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    abandon_tickets(&stack, 1, Duration::ZERO).await;
    let waited = put_through_queue(&stack, "second").await;
    // The holder of the ticket counts as lost after 20 turns, and a turn takes a few milliseconds here.
    assert!(waited >= Duration::from_millis(400), "{waited:?}");
    // The queue has advanced, so the next put does not wait.
    stack.proxy.take_calls();
    stack.put(json!({"query": "third", "response": "r"})).await;
    let gets = stack.proxy.take_operations().into_iter().filter(|operation| operation == "GetItem").count();
    assert_eq!(gets, 1, "the counter, and not the queue");
    invariants::check(&stack).await;
}

#[tokio::test]
async fn put_behind_old_abandoned_tickets_does_not_wait() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    abandon_tickets(&stack, 20, Duration::from_secs(3600)).await;
    stack.proxy.take_calls();
    put_through_queue(&stack, "second").await;
    let gets = stack.proxy.take_operations().into_iter().filter(|operation| operation == "GetItem").count();
    assert_eq!(gets, 2, "the counter twice, and not the queue");
    stack.put(json!({"query": "third", "response": "r"})).await;
    let line = stack.rows().await.into_values().find(|row| row.contains_key("issued")).unwrap();
    assert_eq!((&line["issued"], &line["served"]), (&AttributeValue::N("22".into()), &AttributeValue::N("22".into())));
}

#[tokio::test]
async fn put_with_deleted_queue_row_creates_a_new_queue() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    for query in ["second", "third"] {
        put_through_queue(&stack, query).await;
        let line = stack.rows().await.into_iter().find(|(_, row)| row.contains_key("issued")).unwrap();
        assert_eq!(
            (&line.1["issued"], &line.1["served"]),
            (&AttributeValue::N("1".into()), &AttributeValue::N("1".into()))
        );
        stack.delete_item(line.0).await;
        stack.server.recycle("put").await;
    }
    invariants::check(&stack).await;
}

const KEYS: usize = 8;

/// The vector of one key, turned a little for each `turn`.
fn direction(key: usize, turn: u32) -> Vec<f64> {
    let mut vector = vec![0.0; KEYS + 1];
    vector[key] = 1.0;
    vector[KEYS] = 0.001 * f64::from(turn);
    vector
}

/// One change that a writer made to its key.
#[derive(Debug, Clone, Copy)]
struct State {
    /// True for a put, false for a delete.
    stored: bool,
    ttl: Option<u64>,
    /// The seconds when the change began and ended; the end is `u64::MAX` until it is acknowledged.
    done: (u64, u64),
}

/// The changes of one key, which has one writer.
#[derive(Debug, Default)]
struct History {
    states: Mutex<Vec<State>>,
    /// The number of acknowledged states.
    acknowledged: AtomicUsize,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl History {
    fn begin(&self, stored: bool, ttl: Option<u64>) -> usize {
        let mut states = self.states.lock().unwrap();
        states.push(State { stored, ttl, done: (now(), u64::MAX) });
        states.len() - 1
    }

    fn end(&self, at: usize) {
        self.states.lock().unwrap()[at].done.1 = now();
        self.acknowledged.store(at + 1, Ordering::SeqCst);
    }

    /// True if `answer` is allowed for a lookup that began at second `asked`, when `acknowledged` states were
    /// acknowledged. Allowed are the last acknowledged state and each later one.
    fn allows(&self, acknowledged: usize, asked: u64, answer: Option<usize>) -> bool {
        let states = self.states.lock().unwrap();
        let mut possible = states.iter().enumerate().skip(acknowledged.saturating_sub(1));
        possible.any(|(at, state)| match answer {
            Some(answer) => {
                answer == at && state.stored && state.ttl.is_none_or(|ttl| asked < state.done.1.saturating_add(ttl))
            }
            None => !state.stored || state.ttl.is_some_and(|ttl| now() >= state.done.0 + ttl),
        })
    }
}

/// Each key of two namespaces has one writer. Some writers only put, some delete every second time, and some put
/// entries that expire after a second.
#[tokio::test(flavor = "multi_thread")]
async fn lookups_among_writers_see_every_acknowledged_change() {
    const ROUNDS: u32 = 12;
    let stack = Stack::builder().max_instances(8).start().await;
    stack.provision_without_ttl().await;
    let histories: Vec<[History; 2]> = (0..KEYS).map(|_| Default::default()).collect();
    let namespaces = ["a", "b"];
    let write = async |key: usize, side: usize, round: u32| {
        let deletes = key % 4 == 1 && round % 2 == 1;
        let ttl = (key % 4 == 2).then_some(1);
        let history = &histories[key][side];
        let at = history.begin(!deletes, ttl.filter(|_| !deletes));
        let (query, namespace) = (order(key), namespaces[side]);
        if deletes {
            stack.invoke("delete", json!({"query": query, "namespace": namespace})).await.unwrap();
        } else {
            let response = format!("{namespace} {key} {at}");
            let entry = json!({
                "query": query, "namespace": namespace, "response": response, "ttl_seconds": ttl,
                "embedding": direction(key, round / 2),
            });
            stack.put(entry).await;
        }
        history.end(at);
    };
    join_all((0..KEYS * 2).map(|n| write(n / 2, n % 2, 0))).await;
    let done = AtomicBool::new(false);
    let (hits, misses) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reader = async |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        while !done.load(Ordering::SeqCst) {
            let (key, side) = (rng.usize(..KEYS), rng.usize(..2));
            let history = &histories[key][side];
            let (before, asked) = (history.acknowledged.load(Ordering::SeqCst), now());
            let query = if rng.bool() { format!("TRACK  order {key}") } else { order_reworded(key) };
            let question = json!({"query": query, "namespace": namespaces[side], "embedding": direction(key, 0)});
            let answer: Value = stack.lookup(question).await;
            let context = format!("{query} in {} after {before} at {asked}: {answer}", namespaces[side]);
            let at = answer["response"].as_str().map(|response| {
                let words: Vec<&str> = response.split(' ').collect();
                assert_eq!((words[0], words[1]), (namespaces[side], key.to_string().as_str()), "{context}");
                words[2].parse().unwrap()
            });
            assert!(history.allows(before, asked, at), "{context}: {:?}", history.states.lock().unwrap());
            if at.is_some() { &hits } else { &misses }.fetch_add(1, Ordering::SeqCst);
        }
    };
    let writers = async {
        let writer = async |n: usize| {
            for round in 1..=ROUNDS {
                write(n / 2, n % 2, round).await;
            }
        };
        join_all((0..KEYS * 2).map(writer)).await;
        done.store(true, Ordering::SeqCst);
    };
    futures::join!(writers, join_all((0..4).map(reader)));
    let (hits, misses) = (hits.into_inner(), misses.into_inner());
    assert!(hits > 30 && misses > 0, "the readers had {hits} hits and {misses} misses");
    let (entries, version) = invariants::check(&stack).await;
    // Each change is one mutation, and the last change of each key is a put.
    assert_eq!((entries.len(), version), (KEYS * 2, (KEYS * 2) as i128 * i128::from(ROUNDS + 1)));
}
