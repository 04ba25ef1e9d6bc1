//! Injects every fault into every DynamoDB call of every mutating operation.
//!
//! An acknowledged mutation must be stored with all its effects, a failed one must not, and the table must stay
//! consistent.

mod leases;
mod long_answers;
mod provision;
mod python_rows;
mod stats;
mod tags;
mod vacuum;

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use mneme_model::entry_id::EntryId;
use mneme_model::normalize::QueryHash;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::pair_verdicts::Pointer;
use mneme_tests::invariants::Snapshot;
use mneme_tests::proxy::Call;
use mneme_tests::stack::Item;
use mneme_tests::{Fault, Stack, vector};
use serde_json::{Value, json};

/// The effects that a failed operation may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Nothing,
    /// A part of the work, which the version counts.
    Part,
}

/// An operation whose calls meet faults.
struct Case {
    function: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// The number of mutations of a successful run.
    mutations: RangeInclusive<i128>,
    leaves: Failed,
    /// A further fault that each run meets at its first call of an operation.
    first_fault: Option<(&'static str, Fault)>,
    /// A namespace that the test also writes directly. It is consistent only after a success, without its statistics.
    inconsistent: Option<&'static str>,
    /// Operations of background work, which get no faults.
    ignored: &'static [&'static str],
    /// Whether the function writes a part after its reply.
    writes_after_reply: bool,
}

/// A function that calls nothing for this time has written everything. Its longest pause between attempts is a second.
const QUIET: Duration = Duration::from_millis(1500);

impl Case {
    fn of(function: &'static str) -> Self {
        Self {
            function,
            variables: &[],
            mutations: 1..=1,
            leaves: Failed::Nothing,
            first_fault: None,
            inconsistent: None,
            ignored: &[],
            writes_after_reply: false,
        }
    }

    fn check(&self, snapshot: &Snapshot) {
        snapshot.check_entries();
        snapshot.check_pointers();
        snapshot.check_answers();
        snapshot.check_namespace_stats(|namespace| Some(namespace) == self.inconsistent);
        snapshot.check_tag_blocks();
        snapshot.check_others();
    }

    /// Runs the operation once for each of its calls and each fault. `request` prepares the run of this number and
    /// returns its request. `effect` compares a reply with the table before and after the run.
    async fn run(
        self,
        request: impl AsyncFn(&Stack, u64) -> Value,
        effect: impl Fn(u64, &Value, &Snapshot, &Snapshot),
    ) {
        self.run_with(every_fault, request, effect).await;
    }

    /// The calls since the last ones were taken. If the function writes after its reply, waits until it has done so.
    async fn calls_until_quiet(&self, stack: &Stack) -> Vec<Call> {
        let mut calls = stack.proxy.take_calls();
        let mut is_quiet = !self.writes_after_reply;
        while !is_quiet {
            tokio::time::sleep(QUIET).await;
            stack.proxy.idle().await;
            let more = stack.proxy.take_calls();
            is_quiet = more.iter().all(|call| self.ignored.contains(&call.operation.as_str()));
            calls.extend(more);
        }
        calls
    }

    async fn run_with(
        self,
        faults: impl Fn(&str) -> Vec<Fault>,
        request: impl AsyncFn(&Stack, u64) -> Value,
        effect: impl Fn(u64, &Value, &Snapshot, &Snapshot),
    ) {
        let stack = Stack::builder().variables(self.variables).start().await;
        stack.put(json!({"query": "first", "response": "r", "embedding": vector(4, 0.0)})).await;
        let mut n = 0;
        // The calls of a run without further faults. The first run warms the instance up.
        let mut calls = Vec::new();
        for _ in 0..2 {
            n += 1;
            let ask = request(&stack, n).await;
            stack.proxy.take_calls();
            self.prepare(&stack);
            stack.invoke(self.function, ask).await.unwrap();
            calls = self.calls_until_quiet(&stack).await;
        }
        let mut injected = 0;
        for (at, call) in calls.iter().enumerate() {
            let operation = call.operation.as_str();
            if call.fault.is_some() || self.ignored.contains(&operation) {
                continue;
            }
            let others =
                calls[..at].iter().filter(|other| other.operation == operation && other.fault.is_none()).count();
            for fault in faults(operation) {
                n += 1;
                injected += 1;
                let ask = request(&stack, n).await;
                let before = Snapshot::read(&stack).await;
                let overtaken = stack.proxy.overtaken();
                self.prepare(&stack);
                // The call with the first fault is not counted here: its fault is ahead in the queue.
                stack.proxy.inject_nth(operation, others, fault.clone());
                let outcome = stack.invoke(self.function, ask).await;
                self.calls_until_quiet(&stack).await;
                let context = format!("{fault:?} at call {at} ({operation}) of {}: {outcome:?}", self.function);
                assert_eq!(stack.proxy.pending_faults(), 0, "met no call: {context}");
                stack.proxy.idle().await;
                let after = Snapshot::read(&stack).await;
                let mutations = after.version - before.version - i128::from(stack.proxy.overtaken() - overtaken);
                match outcome {
                    Ok(reply) => {
                        assert!(self.mutations.contains(&mutations), "{mutations} mutations: {context}");
                        self.check(&after);
                        effect(n, &reply, &before, &after);
                    }
                    Err(error) => {
                        assert_eq!(error.name, "StoreBackendError", "{context}");
                        if self.leaves == Failed::Nothing {
                            assert_eq!((mutations, after.next_id), (0, before.next_id), "{context}");
                            assert_eq!(after.entries, before.entries, "{context}");
                        }
                        if self.inconsistent.is_none() {
                            self.check(&after);
                        }
                    }
                }
            }
        }
        assert!(injected > 0, "{} makes calls", self.function);
    }

    fn prepare(&self, stack: &Stack) {
        if let Some((operation, fault)) = &self.first_fault {
            stack.proxy.inject_fault(operation, fault.clone());
        }
    }
}

/// All faults that a call of `operation` can meet.
fn every_fault(operation: &str) -> Vec<Fault> {
    Fault::all().into_iter().chain([Fault::Overtaken]).filter(|fault| fault.applies_to(operation)).collect()
}

fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn number(item: &Item, name: &str) -> i128 {
    item[name].as_n().unwrap().parse().unwrap()
}

fn entry(query: &str, angle: f64) -> Value {
    json!({"query": query, "response": format!("answer to {query}"), "embedding": vector(4, angle)})
}

fn entry_in(namespace: &str, query: &str, angle: f64) -> Value {
    let mut entry = entry(query, angle);
    entry["namespace"] = json!(namespace);
    entry
}

/// Checks that the query has one row, with the reply's id and this response.
fn assert_stored(snapshot: &Snapshot, namespace: &str, query: &str, reply: &Value, response: &str) {
    let rows = snapshot.rows_of(namespace, query);
    let [(id, _)] = rows.as_slice() else { panic!("{} rows for {query}", rows.len()) };
    assert_eq!((reply["id"].as_u64().map(i128::from), snapshot.response(*id)), (Some(*id), response));
}

/// Checks that the entries `ids` were removed and all others are unchanged.
fn assert_gone(before: &Snapshot, after: &Snapshot, ids: &[i128]) {
    let mut rest = before.entries.clone();
    ids.iter().for_each(|id| assert!(rest.remove(id).is_some(), "{id} was there"));
    assert_eq!(after.entries, rest);
}

async fn put_new(faults: impl Fn(&str) -> Vec<Fault>) {
    let request = async |_: &Stack, n: u64| entry(&format!("q{n}"), 0.1);
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": true}));
        assert_stored(after, "default", &format!("q{n}"), reply, &format!("answer to q{n}"));
        assert_eq!(after.entries.len(), before.entries.len() + 1);
    };
    Case::of("put").run_with(faults, request, effect).await;
}

#[tokio::test]
async fn put_of_a_new_entry_with_any_fault_keeps_the_table_consistent() {
    put_new(every_fault).await;
}

#[tokio::test]
async fn put_with_another_vector_with_any_fault_keeps_the_table_consistent() {
    let request = async |_: &Stack, n: u64| entry("first", 0.1 * n as f64);
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": false}));
        assert_stored(after, "default", "first", reply, "answer to first");
        assert_eq!(after.entries.len(), before.entries.len());
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn put_in_place_with_idempotency_key_with_any_fault_keeps_the_table_consistent() {
    let request = async |_: &Stack, n: u64| {
        let mut entry = entry("first", 0.0);
        entry["response"] = json!(n.to_string());
        entry["idempotency_key"] = json!(n.to_string());
        entry
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": 1, "created": false}));
        assert_stored(after, "default", "first", reply, &n.to_string());
        assert_eq!(after.next_id, before.next_id);
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn put_with_used_idempotency_key_with_any_fault_stores_nothing() {
    let request = async |stack: &Stack, n: u64| {
        let mut first = entry(&format!("q{n}"), 0.1);
        first["idempotency_key"] = json!(n.to_string());
        stack.put(first.clone()).await;
        first
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64 - 1, "created": true}));
        assert_eq!(after.entries, before.entries);
    };
    Case { mutations: 0..=0, ..Case::of("put") }.run(request, effect).await;
}

#[tokio::test]
async fn put_of_a_batch_with_any_fault_keeps_the_table_consistent() {
    let request = async |_: &Stack, n: u64| {
        let again = entry("first", 0.1 * n as f64);
        json!({"entries": [again, entry(&format!("a{n}"), 0.1), entry(&format!("b{n}"), 0.2)]})
    };
    // The batch is one transaction, so all entries have the same outcome.
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        for (at, query) in ["first", &format!("a{n}"), &format!("b{n}")].into_iter().enumerate() {
            let result = &reply["results"][at];
            if result["error"].is_null() {
                assert_eq!(result, &json!({"id": before.next_id as u64 + at as u64, "created": at > 0}));
                assert_stored(after, "default", query, result, &format!("answer to {query}"));
            } else {
                assert_eq!(result["error"]["type"], "urn:mneme:error:StoreBackendError", "{reply}");
                assert_eq!(after.entries, before.entries);
            }
        }
    };
    Case { mutations: 0..=3, ..Case::of("put") }.run(request, effect).await;
}

#[tokio::test]
async fn touch_with_any_fault_keeps_the_table_consistent() {
    let request = async |_: &Stack, _: u64| json!({"id": 1});
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": 1, "touched": true}));
        let accesses = |snapshot: &Snapshot| number(&snapshot.entries[&1], "access_count");
        assert_eq!(accesses(after), accesses(before) + 1);
    };
    Case::of("touch").run(request, effect).await;
}

#[tokio::test]
async fn lookup_that_records_an_access_with_any_fault_keeps_the_table_consistent() {
    let request = async |_: &Stack, _: u64| json!({"query": "first"});
    // The write of the access may fail, but the lookup must be answered.
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!((&reply["outcome"], &reply["id"]), (&json!("hit"), &json!(1)));
        let accesses = |snapshot: &Snapshot| number(&snapshot.entries[&1], "access_count");
        let others = after.version - before.version - (accesses(after) - accesses(before));
        assert!((0..=1).contains(&others), "{others} mutations that are not accesses");
    };
    let case = Case {
        variables: &[("MNEME_ACCESS_RESOLUTION_SECS", "0")],
        mutations: 0..=1,
        ignored: &["UpdateItem"],
        writes_after_reply: true,
        ..Case::of("lookup")
    };
    case.run(request, effect).await;
}

#[tokio::test]
async fn delete_by_id_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| json!({"id": stack.put(entry(&format!("q{n}"), 0.1)).await});
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64 - 1, "deleted": true}));
        assert_gone(before, after, &[before.next_id - 1]);
    };
    Case::of("delete").run(request, effect).await;
}

#[tokio::test]
async fn delete_by_query_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        stack.put(entry(&format!("q{n}"), 0.1)).await;
        json!({"query": format!("Q{n}")})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64 - 1, "deleted": true}));
        assert_gone(before, after, &[before.next_id - 1]);
    };
    Case::of("delete").run(request, effect).await;
}

#[tokio::test]
async fn quota_set_and_delete_with_any_fault_keep_the_table_consistent() {
    let quota =
        |snapshot: &Snapshot| snapshot.data(DerivedKind::Settings).next().map(|item| item["max_entries"].clone());
    let request = async |_: &Stack, n: u64| json!({"action": "set", "namespace": "other", "max_entries": n + 5});
    let effect = |at: u64, _: &Value, _: &Snapshot, after: &Snapshot| assert_eq!(quota(after), Some(n(at + 5)));
    Case::of("quota").run(request, effect).await;
    let request = async |stack: &Stack, _: u64| {
        let set = json!({"action": "set", "namespace": "other", "max_entries": 5});
        stack.invoke("quota", set).await.unwrap();
        json!({"action": "delete", "namespace": "other"})
    };
    let effect = |_: u64, _: &Value, _: &Snapshot, after: &Snapshot| assert_eq!(quota(after), None);
    Case::of("quota").run(request, effect).await;
}

#[tokio::test]
async fn meta_set_with_any_fault_keeps_the_table_consistent() {
    let value = |n: u64| if n.is_multiple_of(2) { "on" } else { "off" };
    let request = async |_: &Stack, n: u64| json!({"action": "set", "key": "guard:other", "value": value(n)});
    let effect = |n: u64, _: &Value, _: &Snapshot, after: &Snapshot| {
        assert_eq!(own_settings(after), Some(json!({"guard": value(n)})));
    };
    Case::of("meta").run(request, effect).await;
}

/// What the only item of settings holds.
fn own_settings(snapshot: &Snapshot) -> Option<Value> {
    let item = snapshot.data(DerivedKind::Settings).next()?;
    Some(serde_json::from_str(item["settings"].as_s().unwrap()).unwrap())
}

#[tokio::test]
async fn settings_set_and_delete_with_any_fault_keep_the_table_consistent() {
    let age = |n: u64| n + 5;
    let request = async |_: &Stack, n: u64| json!({"action": "set", "namespace": "other", "max_answer_age": age(n)});
    let effect = |n: u64, _: &Value, _: &Snapshot, after: &Snapshot| {
        assert_eq!(own_settings(after), Some(json!({"max_answer_age": age(n)})));
    };
    Case::of("settings").run(request, effect).await;
    let request = async |stack: &Stack, _: u64| {
        let set = json!({"action": "set", "namespace": "other", "layers": "exact"});
        stack.invoke("settings", set).await.unwrap();
        json!({"action": "delete", "namespace": "other"})
    };
    let effect = |_: u64, _: &Value, _: &Snapshot, after: &Snapshot| assert_eq!(own_settings(after), None);
    Case::of("settings").run(request, effect).await;
}

#[tokio::test]
async fn update_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        let id = stack.put(entry_in("other", "q", 0.1)).await;
        json!({"id": id, "response": format!("changed {n}"), "ttl_seconds": 1000})
    };
    let effect = |n: u64, reply: &Value, _: &Snapshot, after: &Snapshot| {
        let id = reply["id"].as_u64().unwrap();
        assert_eq!(after.entries[&i128::from(id)]["response"].as_s().unwrap(), &format!("changed {n}"));
    };
    Case::of("update").run(request, effect).await;
}

/// The verdicts on the answers to `query` in the namespace `other`.
fn verdicts_on(after: &Snapshot, query: &str) -> Pointer {
    let namespace = "other".to_owned().try_into().expect("a namespace");
    let key = RowKey::pointer(&namespace, &QueryHash::of(query, true)).attribute();
    after.data(DerivedKind::Pointer).find(|item| item["id"] == key).map(Pointer::from_item).unwrap_or_default()
}

#[tokio::test]
async fn feedback_with_any_fault_keeps_the_table_consistent() {
    for right in [false, true] {
        let request = async |stack: &Stack, n: u64| {
            let id = stack.put(entry_in("other", "q", 0.1)).await;
            json!({"query": format!("asked {n}"), "namespace": "other", "id": id, "right": right})
        };
        let effect = |n: u64, reply: &Value, _: &Snapshot, after: &Snapshot| {
            assert_eq!(reply["effect"], if right { "aliased" } else { "barred" });
            let Pointer { named, verdicts, .. } = verdicts_on(after, &format!("asked {n}"));
            let judged = verdicts.iter().map(|verdict| verdict.id.get()).collect::<Vec<_>>();
            assert_eq!((named.map(EntryId::get), judged), (reply["id"].as_u64(), vec![reply["id"].as_u64().unwrap()]));
        };
        Case::of("feedback").run(request, effect).await;
    }
}

#[tokio::test]
async fn delete_of_a_judged_question_with_any_fault_keeps_its_bars() {
    // The pointer is found to have verdicts by the refusal of the first transaction.
    let request = async |stack: &Stack, n: u64| {
        let barred = stack.put(entry_in("other", "q", 0.1)).await;
        let query = format!("asked {n}");
        let id = stack.put(entry_in("other", &query, 0.2)).await;
        let verdict = json!({"query": query, "namespace": "other", "id": barred, "right": false});
        stack.invoke("feedback", verdict).await.unwrap();
        json!({"id": id})
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_gone(before, after, &[i128::from(reply["id"].as_u64().unwrap())]);
        let pointer = verdicts_on(after, &format!("asked {n}"));
        assert_eq!((pointer.own(), pointer.verdicts.bars.len()), (None, 1));
    };
    Case::of("delete").run(request, effect).await;
}

async fn put_two(stack: &Stack, namespace: &str, n: u64) {
    let entries: Vec<Value> = ["a", "b"].map(|query| entry_in(namespace, &format!("{query}{n}"), 0.1)).into();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
}

#[tokio::test]
async fn clear_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "cleared"})).await.unwrap();
        put_two(stack, "cleared", n).await;
        json!({"namespace": "cleared"})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"deleted": 2}));
        assert_gone(before, after, &[before.next_id - 2, before.next_id - 1]);
    };
    Case { mutations: 2..=2, leaves: Failed::Part, ..Case::of("clear") }.run(request, effect).await;
}

#[tokio::test]
async fn put_through_the_writer_queue_with_any_fault_keeps_the_table_consistent() {
    // The put loses a race and takes a ticket. It takes one at once if its instance lost the race before.
    let request = async |stack: &Stack, n: u64| {
        stack.delete_item(RowKey::WRITER_QUEUE.attribute().as_n().unwrap().parse().unwrap()).await;
        entry(&format!("q{n}"), 0.1)
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": true}));
        assert_stored(after, "default", &format!("q{n}"), reply, &format!("answer to q{n}"));
    };
    let first_fault = Some(("TransactWriteItems", Fault::Overtaken));
    Case { first_fault, ..Case::of("put") }.run(request, effect).await;
}

/// Each call is executed after the client's timeout of 3 seconds for one attempt, so the client repeats it while the
/// first attempt is still to be executed.
#[tokio::test]
async fn put_with_replies_after_the_client_timeout_stores_once() {
    fn late(_: &str) -> Vec<Fault> {
        vec![Fault::Late(Duration::from_millis(3300))]
    }
    let delete = async {
        let request = async |stack: &Stack, n: u64| json!({"id": stack.put(entry(&format!("q{n}"), 0.1)).await});
        let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
            assert_eq!(reply["deleted"], true);
            assert_gone(before, after, &[before.next_id - 1]);
        };
        Case::of("delete").run_with(late, request, effect).await;
    };
    let touch = async {
        let effect = |_: u64, _: &Value, before: &Snapshot, after: &Snapshot| {
            assert_eq!(number(&after.entries[&1], "access_count"), number(&before.entries[&1], "access_count") + 1);
        };
        Case::of("touch").run_with(late, async |_: &Stack, _: u64| json!({"id": 1}), effect).await;
    };
    let cases: Vec<BoxFuture<'_, ()>> = vec![put_new(late).boxed(), delete.boxed(), touch.boxed()];
    join_all(cases).await;
}
