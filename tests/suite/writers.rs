//! Many writers at once, and readers among them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use mneme_core::key::RowKey;
use mneme_tests::{Fault, Stack, invariants, vector};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn none_of_32_writers_is_refused() {
    const WRITERS: usize = 32;
    const PUTS: usize = 5;
    let stack = Stack::crowded(WRITERS).await;
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
async fn six_writers_of_the_same_hundred_queries_make_a_hundred_rows() {
    let stack = Stack::crowded(6).await;
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

/// Puts `query` after a lost race, so that it takes a ticket.
async fn put_in_line(stack: &Stack, query: &str) -> Duration {
    let lost = vec![None, None, Some("ConditionalCheckFailed"), None];
    stack.proxy.spoil("TransactWriteItems", Fault::Cancelled(lost));
    let began = Instant::now();
    stack.put(json!({"query": query, "response": "r"})).await;
    assert_eq!(stack.proxy.faults_left(), 0);
    began.elapsed()
}

/// Tickets that nobody will serve, the last one taken `age` ago.
async fn abandon_tickets(stack: &Stack, issued: u64, age: Duration) {
    let number = |number: u128| AttributeValue::N(number.to_string());
    let at = (SystemTime::now() - age).duration_since(UNIX_EPOCH).unwrap().as_millis();
    let issued = ("issued".to_owned(), number(issued.into()));
    let line = [("id".to_owned(), RowKey::LINE.attribute()), issued, ("issued_at".to_owned(), number(at))];
    stack.put_item(line.into()).await;
}

#[tokio::test]
async fn a_writer_that_vanished_in_line_is_passed_over() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    abandon_tickets(&stack, 1, Duration::ZERO).await;
    let waited = put_in_line(&stack, "second").await;
    assert!((2..12).contains(&waited.as_secs()), "{waited:?}");
    // The line moved on, so the next ones do not wait.
    stack.proxy.take_calls();
    stack.put(json!({"query": "third", "response": "r"})).await;
    let gets = stack.proxy.take_operations().into_iter().filter(|operation| operation == "GetItem").count();
    assert_eq!(gets, 1, "the counter, and no look at the line");
    invariants::check(&stack).await;
}

#[tokio::test]
async fn nobody_waits_for_those_who_stood_in_line_long_ago() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    abandon_tickets(&stack, 20, Duration::from_secs(3600)).await;
    stack.proxy.take_calls();
    put_in_line(&stack, "second").await;
    let gets = stack.proxy.take_operations().into_iter().filter(|operation| operation == "GetItem").count();
    assert_eq!(gets, 2, "the counter twice, and no look at the line");
    stack.put(json!({"query": "third", "response": "r"})).await;
    let line = stack.rows().await.into_values().find(|row| row.contains_key("issued")).unwrap();
    assert_eq!((&line["issued"], &line["served"]), (&AttributeValue::N("22".into()), &AttributeValue::N("22".into())));
}

#[tokio::test]
async fn a_line_that_vanished_begins_anew() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    for query in ["second", "third"] {
        put_in_line(&stack, query).await;
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

/// The direction of one key, a little turned each time.
fn direction(key: usize, turn: u32) -> Vec<f64> {
    let mut vector = vec![0.0; KEYS + 1];
    vector[key] = 1.0;
    vector[KEYS] = 0.001 * f64::from(turn);
    vector
}

/// Each key is written in two namespaces, over and over, by a writer of its own.
#[tokio::test(flavor = "multi_thread")]
async fn readers_see_every_acknowledged_put_and_never_an_entry_vanish() {
    const ROUNDS: u32 = 12;
    let stack = Stack::crowded(8).await;
    let acknowledged: Vec<[AtomicU32; 2]> = (0..KEYS).map(|_| [AtomicU32::new(0), AtomicU32::new(0)]).collect();
    let namespaces = ["a", "b"];
    let put = async |key: usize, side: usize, round: u32| {
        let response = format!("{} {key} {round}", namespaces[side]);
        stack
            .put(json!({
                "query": format!("key {key}"), "namespace": namespaces[side], "response": response,
                "embedding": direction(key, round / 2),
            }))
            .await;
        acknowledged[key][side].store(round, Ordering::SeqCst);
    };
    join_all((0..KEYS * 2).map(|n| put(n / 2, n % 2, 1))).await;
    let done = AtomicBool::new(false);
    let looked_up = Mutex::new(0);
    let reader = async |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        while !done.load(Ordering::SeqCst) {
            let (key, side) = (rng.usize(..KEYS), rng.usize(..2));
            let before = acknowledged[key][side].load(Ordering::SeqCst);
            let query = if rng.bool() { format!("KEY  {key}") } else { "another".to_owned() };
            let question = json!({"query": query, "namespace": namespaces[side], "embedding": direction(key, 0)});
            let answer: Value = stack.lookup(question).await;
            let told = format!("{query} in {} after {before}: {answer}", namespaces[side]);
            let response = answer["response"].as_str().unwrap_or_else(|| panic!("{told}"));
            let words: Vec<&str> = response.split(' ').collect();
            assert_eq!((words[0], words[1]), (namespaces[side], key.to_string().as_str()), "{told}");
            assert!(words[2].parse::<u32>().unwrap() >= before, "{told}");
            *looked_up.lock().unwrap() += 1;
        }
    };
    let writers = async {
        let writer = async |n: usize| {
            for round in 2..=ROUNDS {
                put(n / 2, n % 2, round).await;
            }
        };
        join_all((0..KEYS * 2).map(writer)).await;
        done.store(true, Ordering::SeqCst);
    };
    futures::join!(writers, join_all((0..4).map(reader)));
    assert!(*looked_up.lock().unwrap() > 50, "the readers were at work");
    let (entries, version) = invariants::check(&stack).await;
    assert_eq!((entries.len(), version), (KEYS * 2, (KEYS * 2) as i128 * i128::from(ROUNDS)));
}
