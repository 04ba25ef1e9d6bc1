//! Long answers: they are stored in items of their own, written, read, moved and removed with their entry's row.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_tests::invariants::Snapshot;
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

/// An answer of 20,000 bytes that names `text`.
fn long(text: &str) -> String {
    format!("{text:<20000}")
}

/// A text of `bytes` hexadecimal digits, which compresses to about a half.
fn digits(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(11);
    std::iter::repeat_with(|| random.digit(16)).take(bytes).collect()
}

fn entry(query: &str, response: &str, angle: f64) -> Value {
    json!({"query": query, "response": response, "embedding": vector(8, angle), "metadata": {"model": "m"}})
}

/// The number of answer items.
fn answer_items(snapshot: &Snapshot) -> usize {
    snapshot.data(DerivedKind::Answer).count()
}

/// Checks the whole table, and returns the number of answer items.
async fn checked_answer_items(stack: &Stack) -> usize {
    let snapshot = Snapshot::read(stack).await;
    snapshot.check();
    answer_items(&snapshot)
}

#[tokio::test]
async fn long_answer_is_served_by_every_operation_and_is_not_in_the_row() {
    for response in [long("A"), digits(390_000), digits(600_000)] {
        let stack = Stack::start().await;
        let id = stack.put(entry(QUESTION, &response, 0.1)).await;
        let row = &stack.rows().await[&i128::from(id)];
        assert!(!row.contains_key("response") && !row.contains_key("metadata"), "{:?}", row.keys());
        assert_eq!(checked_answer_items(&stack).await, 1);
        let metadata = json!({"model": "m"});
        let similar = json!({"query": REWORDED, "embedding": vector(8, 0.1)});
        for question in [json!({ "query": QUESTION }), similar] {
            let hit = stack.lookup(question).await;
            assert_eq!((&hit["outcome"], &hit["metadata"]), (&json!("hit"), &metadata));
            assert!(hit["response"] == response);
        }
        let hash = mneme_model::normalize::QueryHash::of(QUESTION, true);
        let found = stack.invoke("find", json!({"query_hash": hash})).await.unwrap();
        let got = stack.invoke("get", json!({"id": id})).await.unwrap();
        assert!(found == got && got["response"] == response && got["metadata"] == metadata);
        let mut listed = got.clone();
        listed.as_object_mut().unwrap().remove("embedding");
        for order in ["id", "lru"] {
            let page = stack.invoke("list", json!({"order": order, "namespace": "default"})).await.unwrap();
            assert_eq!(page["entries"], json!([listed]), "{order}");
        }
        stack.invoke("touch", json!({"id": id})).await.unwrap();
        assert_eq!(checked_answer_items(&stack).await, 1);
    }
}

#[tokio::test]
async fn put_again_with_a_long_or_a_short_answer_leaves_one_answer() {
    let stack = Stack::start().await;
    // The vector says whether the entry keeps its id.
    let puts = [
        (long("first"), 0.0, 1, 1),
        (long("second"), 0.0, 1, 1),
        ("short".to_owned(), 0.0, 1, 0),
        (long("third"), 0.0, 1, 1),
        (long("fourth"), 1.0, 2, 1),
        ("shorter".to_owned(), 2.0, 3, 0),
    ];
    for (response, angle, id, items) in puts {
        assert_eq!(stack.put(entry("q", &response, angle)).await, id);
        assert_eq!(checked_answer_items(&stack).await, items, "{response:.9}");
        assert!(stack.lookup(json!({"query": "q"})).await["response"] == response);
    }
}

#[tokio::test]
async fn update_of_an_entry_with_a_long_answer_is_served_whole_and_leaves_one_answer() {
    let (old, new, short) = (long("old"), long("new"), "short".to_owned());
    for (change, response, items) in [
        (json!({"response": new}), &new, 1),
        (json!({"response": short}), &short, 0),
        (json!({"response": short, "ttl_seconds": 5000}), &short, 0),
        (json!({"metadata": {"model": "n"}}), &old, 1),
        (json!({"confidence_score": 0.9}), &old, 1),
        (json!({"ttl_seconds": 5000}), &old, 1),
        (json!({"never_expires": true}), &old, 1),
    ] {
        let stack = Stack::start().await;
        let mut expiring = entry("q", &old, 0.0);
        expiring["ttl_seconds"] = json!(600);
        let path = format!("/v1/entries/{}", stack.put(expiring).await);
        let (_, mut expected) = stack.get(&path).await;
        let (status, changed) = stack.http(Method::PATCH, &path, Some(change.clone())).await;
        assert_eq!(status, 200, "{change:.99}");
        for field in ["response", "metadata", "confidence_score"] {
            if let Some(value) = change.get(field) {
                expected[field] = value.clone();
            }
        }
        if change.get("ttl_seconds").is_some() {
            let until = |entry: &Value| entry["expires_at"].as_i64().unwrap();
            assert!(until(&changed) > until(&expected) + 4000, "{change:.99}");
            expected["expires_at"] = changed["expires_at"].clone();
        } else if change.get("never_expires").is_some() {
            expected["expires_at"] = Value::Null;
        }
        assert!(changed == expected && changed["response"] == *response, "{change:.99}");
        assert!(stack.get(&path).await == (200, expected), "{change:.99}");
        let hit = stack.lookup(json!({"query": "q"})).await;
        assert!(hit["response"] == *response && hit["metadata"] == changed["metadata"], "{change:.99}");

        assert_eq!(checked_answer_items(&stack).await, items, "{change:.99}");
        let snapshot = Snapshot::read(&stack).await;
        for item in snapshot.data(DerivedKind::Answer) {
            assert_eq!(item.get("ttl"), snapshot.entries[&1].get("ttl"), "DynamoDB's TTL deletes both: {change:.99}");
        }
        assert_eq!(stack.counter().await, (2, 2), "a change is one mutation: {change:.99}");
    }
}

#[tokio::test]
async fn update_of_an_entry_that_is_put_again_meanwhile_keeps_the_new_answer() {
    for (new, items) in [(long("new"), 1), ("new".to_owned(), 0)] {
        let stack = Stack::start().await;
        stack.put(entry("q", &long("old"), 0.0)).await;
        let update = ("update", json!({"id": 1, "ttl_seconds": 600}));
        let put = ("put", entry("q", &new, 0.0));
        let changed = overtaken(&stack, update, ("TransactWriteItems", 0), put).await.unwrap();
        assert!(changed["response"] == new && changed["expires_at"].is_i64(), "{changed:.200}");
        assert!(stack.invoke("get", json!({"id": 1})).await.unwrap() == changed);
        assert_eq!(checked_answer_items(&stack).await, items);
    }
    let stack = Stack::start().await;
    stack.put(entry("q", &long("old"), 0.0)).await;
    let update = ("update", json!({"id": 1, "ttl_seconds": 600}));
    let gone = overtaken(&stack, update, ("TransactWriteItems", 0), ("delete", json!({"id": 1}))).await;
    assert_eq!(gone.unwrap_err().name, "NotFound");
    assert_eq!(checked_answer_items(&stack).await, 0);
}

#[tokio::test]
async fn update_that_makes_an_answer_long_places_it_in_an_item_of_its_own_at_once() {
    let large = json!({"source": "x".repeat(5000)});
    for change in [
        json!({"response": long("new")}),
        json!({"response": digits(600_000), "ttl_seconds": 5000}),
        json!({"metadata": large}),
        json!({"response": long("new"), "metadata": large, "never_expires": true, "confidence_score": 0.9}),
    ] {
        let stack = Stack::start().await;
        let mut short = entry("q", "short", 0.0);
        short["ttl_seconds"] = json!(600);
        let id = stack.put(short).await;
        // The Python library writes its JSON with blanks, and the conditions of the update must hold all the same.
        let mut row = stack.rows().await[&i128::from(id)].clone();
        row.insert("metadata".to_owned(), AttributeValue::S(r#"{"model": "m"}"#.to_owned()));
        stack.put_item(row).await;
        let path = format!("/v1/entries/{id}");
        let (_, before) = stack.get(&path).await;
        let (status, changed) = stack.http(Method::PATCH, &path, Some(change.clone())).await;
        assert_eq!(status, 200, "{changed:.200}");
        for field in ["response", "metadata", "confidence_score"] {
            assert!(changed[field] == *change.get(field).unwrap_or(&before[field]), "{field} of {change:.99}");
        }
        assert!(stack.get(&path).await == (200, changed.clone()), "{change:.99}");
        assert!(stack.lookup(json!({"query": "q"})).await["response"] == changed["response"]);
        assert_eq!(checked_answer_items(&stack).await, 1, "{change:.99}");
        let snapshot = Snapshot::read(&stack).await;
        let item = snapshot.data(DerivedKind::Answer).next().unwrap();
        assert_eq!(item.get("ttl"), snapshot.entries[&i128::from(id)].get("ttl"), "DynamoDB's TTL deletes both");
        assert_eq!(stack.counter().await, (2, 2), "a change is one mutation: {change:.99}");
    }
}

#[tokio::test]
async fn update_that_makes_an_answer_long_keeps_what_another_writer_changed_meanwhile() {
    let large = json!({"source": "x".repeat(5000)});
    let mut expiring = entry("q", "new", 0.0);
    expiring["ttl_seconds"] = json!(5000);
    for (update, meanwhile, expected) in [
        (
            json!({"id": 1, "metadata": large}),
            ("put", entry("q", "new", 0.0)),
            ("new".to_owned(), large.clone(), false),
        ),
        (json!({"id": 1, "metadata": large}), ("put", expiring.clone()), ("new".to_owned(), large.clone(), true)),
        (
            json!({"id": 1, "response": long("mine")}),
            ("update", json!({"id": 1, "metadata": {"model": "n"}})),
            (long("mine"), json!({"model": "n"}), false),
        ),
        (
            json!({"id": 1, "response": long("mine")}),
            ("put", entry("q", &long("other"), 0.0)),
            (long("mine"), json!({"model": "m"}), false),
        ),
    ] {
        let stack = Stack::start().await;
        stack.put(entry("q", "short", 0.0)).await;
        let changed = overtaken(&stack, ("update", update), ("TransactWriteItems", 0), meanwhile).await.unwrap();
        let is_expiring = changed["expires_at"].is_i64();
        assert!(
            (&changed["response"], &changed["metadata"], is_expiring) == (&json!(expected.0), &expected.1, expected.2)
        );
        assert!(stack.invoke("get", json!({"id": 1})).await.unwrap() == changed);
        assert_eq!(checked_answer_items(&stack).await, 1);
    }
    let update = ("update", json!({"id": 1, "response": long("mine")}));
    // The first read finds the entry, and the second one reads its row again.
    for read in [("GetItem", 1), ("TransactWriteItems", 0)] {
        let stack = Stack::start().await;
        stack.put(entry("q", "short", 0.0)).await;
        let gone = overtaken(&stack, update.clone(), read, ("delete", json!({"id": 1}))).await;
        assert_eq!(gone.unwrap_err().name, "NotFound");
        assert_eq!(checked_answer_items(&stack).await, 0);
    }
}

#[tokio::test]
async fn update_of_a_shared_table_leaves_a_long_answer_in_the_row() {
    let variables = [("MNEME_GSI_PROJECTION", "ALL"), ("MNEME_EMBEDDER_DIM", "8")];
    let stack = Stack::builder().variables(&variables).start().await;
    let id = stack.put(entry("q", "short", 0.0)).await;
    stack.invoke("update", json!({"id": id, "response": long("A")})).await.unwrap();
    assert!(stack.rows().await[&i128::from(id)]["response"].as_s().unwrap().starts_with('A'));
    assert_eq!(checked_answer_items(&stack).await, 0);
}

#[tokio::test]
async fn list_with_a_filter_of_metadata_finds_entries_with_long_answers() {
    let stack = Stack::start().await;
    for (query, source) in [("q0", "faq"), ("q1", "docs"), ("q2", "faq")] {
        stack.put(json!({"query": query, "response": long(query), "metadata": {"source": source}})).await;
    }
    let got = stack.invoke("get", json!({"id": 2})).await.unwrap();
    for (request, expected) in [
        (json!({"metadata.source": "docs"}), &[2][..]),
        (json!({"metadata.source": "docs", "limit": 1}), &[2]),
        (json!({"metadata.source": "docs", "order": "lru", "namespace": "default"}), &[2]),
        (json!({"metadata.source": "docs", "text": "q0"}), &[]),
        (json!({"metadata.source": "faq", "limit": 2}), &[1, 3]),
    ] {
        let page = stack.invoke("list", request.clone()).await.unwrap();
        let entries = page["entries"].as_array().unwrap();
        let ids: Vec<u64> = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, expected, "{request}");
        let found = entries.iter().find(|entry| entry["id"] == 2);
        assert!(found.is_none_or(|entry| entry["response"] == got["response"]), "{request}");
    }
}

#[tokio::test]
async fn entry_that_was_prolonged_and_lost_its_long_answer_is_not_removed_as_expired() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let mut expiring = entry("q", &long("old"), 0.0);
    expiring["ttl_seconds"] = json!(600);
    let id = stack.put(expiring).await;
    stack.backdate([id], 700).await;
    // `vacuum` reads the row as expired, and the row changes before its transaction, as by an update.
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    let prolong = async {
        let release = held.arrived().await;
        let mut row = stack.rows().await[&i128::from(id)].clone();
        row.retain(|name, _| !name.starts_with("answer"));
        let later = row["ttl"].as_n().unwrap().parse::<i64>().unwrap() + 5000;
        row.insert("ttl".to_owned(), AttributeValue::N(later.to_string()));
        row.insert("response".to_owned(), AttributeValue::S("short".to_owned()));
        stack.put_item(row).await;
        release();
    };
    let (vacuumed, ()) = futures::join!(stack.invoke("vacuum", json!({})), prolong);
    assert_eq!(vacuumed.unwrap()["expired"], 0);
    assert_eq!(stack.entry_ids().await, [id]);
    assert_eq!(checked_answer_items(&stack).await, 0);
}

#[tokio::test]
async fn removal_of_an_entry_removes_its_answer() {
    let stack = Stack::start().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(stack.put(entry(&format!("q{number}"), &long("A"), f64::from(number))).await);
    }
    stack.invoke("delete", json!({"id": ids[0]})).await.unwrap();
    assert_eq!(checked_answer_items(&stack).await, 3);
    stack.invoke("delete", json!({"query": "q1"})).await.unwrap();
    assert_eq!(checked_answer_items(&stack).await, 2);
    stack.invoke("quota", json!({"action": "set", "namespace": "default", "max_entries": 1})).await.unwrap();
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(checked_answer_items(&stack).await, 1);
    stack.invoke("clear", json!({"namespace": "default"})).await.unwrap();
    assert_eq!(checked_answer_items(&stack).await, 0);
}

#[tokio::test]
async fn answer_of_an_entry_with_a_lifetime_expires_with_it() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let mut expiring = entry("q", &long("A"), 0.0);
    expiring["ttl_seconds"] = json!(60);
    let id = stack.put(expiring).await;
    let snapshot = Snapshot::read(&stack).await;
    let item = snapshot.data(DerivedKind::Answer).next().unwrap();
    assert_eq!(item["ttl"], snapshot.entries[&i128::from(id)]["ttl"], "DynamoDB's TTL deletes both");
    stack.backdate([id], 100).await;
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "miss");
    assert_eq!(stack.invoke("get", json!({"id": id})).await.unwrap_err().name, "NotFound");
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["expired"], 1);
    assert_eq!(checked_answer_items(&stack).await, 0);
}

#[tokio::test]
async fn long_answer_of_a_shared_table_stays_in_the_row() {
    let variables = [("MNEME_GSI_PROJECTION", "ALL"), ("MNEME_EMBEDDER_DIM", "8")];
    let stack = Stack::builder().variables(&variables).start().await;
    let id = stack.put(entry("q", &long("A"), 0.0)).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["answers_moved"], 0);
    assert!(stack.rows().await[&i128::from(id)]["response"].as_s().unwrap().starts_with('A'));
    assert_eq!(checked_answer_items(&stack).await, 0);
    assert!(stack.lookup(json!({"query": "q"})).await["response"] == long("A"));
}

/// Writes the entry `id` as an older version did: with its answer in its row.
async fn store_in_row(stack: &Stack, id: u64, response: &str) {
    let mut row = stack.rows().await[&i128::from(id)].clone();
    row.insert("response".to_owned(), AttributeValue::S(response.to_owned()));
    stack.put_item(row).await;
}

#[tokio::test]
async fn vacuum_moves_long_answers_of_an_older_version_and_they_stay_served() {
    let stack = Stack::start().await;
    let responses = [long("A"), digits(390_000)];
    for (number, response) in responses.iter().enumerate() {
        let id = stack.put(entry(&format!("q{number}"), "short", number as f64)).await;
        store_in_row(&stack, id, response).await;
    }
    let served = async || {
        for (number, response) in responses.iter().enumerate() {
            let hit = stack.lookup(json!({"query": format!("q{number}")})).await;
            assert!(hit["response"] == *response && hit["metadata"] == json!({"model": "m"}));
        }
    };
    served().await;
    let counter = stack.counter().await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["answers_moved"], &reply["derived_removed"]), (&json!(2), &json!(0)), "{reply}");
    assert_eq!(stack.counter().await, counter, "no answer changed");
    assert_eq!(checked_answer_items(&stack).await, 2);
    served().await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["answers_moved"], &reply["derived_removed"]), (&json!(0), &json!(0)), "{reply}");
}

#[tokio::test]
async fn write_to_an_entry_whose_answer_vacuum_moves_meanwhile_leaves_one_state() {
    for (function, request, items) in [
        ("put", entry("q", "short", 0.0), 0),
        ("put", entry("q", &long("B"), 0.0), 1),
        ("put", entry("q", &long("B"), 1.0), 1),
        ("delete", json!({"id": 1}), 0),
        ("delete", json!({"query": "q"}), 0),
        ("clear", json!({"namespace": "default"}), 0),
        ("update", json!({"id": 1, "response": "short"}), 0),
        ("update", json!({"id": 1, "ttl_seconds": 600}), 1),
        ("update", json!({"id": 1, "confidence_score": 0.9}), 1),
    ] {
        let stack = Stack::start().await;
        stack.put(entry("q", "short", 0.0)).await;
        store_in_row(&stack, 1, &long("A")).await;
        let held = stack.proxy.hold_nth("TransactWriteItems", 0);
        let vacuum = async {
            let release = held.arrived().await;
            assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["answers_moved"], 1);
            release();
        };
        let (reply, ()) = futures::join!(stack.invoke(function, request), vacuum);
        reply.unwrap();
        assert_eq!(checked_answer_items(&stack).await, items, "{function}");
    }
}

#[tokio::test]
async fn vacuum_removes_answers_that_no_entry_has() {
    let stack = Stack::start().await;
    let [gone, rewritten] = ["gone", "rewritten"].map(|query| entry(query, &long("A"), 0.0));
    let (gone, rewritten) = (stack.put(gone).await, stack.put(rewritten).await);
    let kept = stack.put(entry("kept", &long("A"), 0.0)).await;
    stack.delete_item(gone.into()).await;
    // The Python library writes whole rows.
    let mut row = stack.rows().await[&i128::from(rewritten)].clone();
    row.retain(|name, _| !name.starts_with("answer"));
    row.insert("response".to_owned(), AttributeValue::S("short".to_owned()));
    stack.put_item(row).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["derived_removed"], &reply["answers_moved"]), (&json!(3), &json!(0)), "a pointer, too: {reply}");
    assert_eq!(answer_items(&Snapshot::read(&stack).await), 1);
    assert!(stack.invoke("get", json!({"id": kept})).await.unwrap()["response"] == long("A"));
    assert_eq!(stack.invoke("get", json!({"id": rewritten})).await.unwrap()["response"], "short");
}

/// Calls `function` and does `meanwhile` before it reads the answer item, which is the read number `read` of `operation`.
async fn overtaken(
    stack: &Stack,
    (function, request): (&str, Value),
    (operation, read): (&str, usize),
    (other, meanwhile): (&str, Value),
) -> Result<Value, mneme_tests::FunctionError> {
    let held = stack.proxy.hold_nth(operation, read);
    let others = async {
        let release = held.arrived().await;
        stack.invoke(other, meanwhile).await.unwrap();
        release();
    };
    futures::join!(stack.invoke(function, request), others).0
}

#[tokio::test]
async fn answer_that_is_replaced_after_its_row_was_read_is_read_with_its_own_row() {
    let lookup = || ("lookup", json!({"query": "q"}));
    let get = || ("get", json!({"id": 1}));
    let find = || ("find", json!({"query_hash": mneme_model::normalize::QueryHash::of("q", true)}));
    let list = || ("list", json!({"namespace": "default"}));
    for new in [long("new"), "new".to_owned()] {
        for (ask, read) in [
            (lookup(), ("BatchGetItem", 2)),
            (get(), ("GetItem", 1)),
            (find(), ("GetItem", 2)),
            (list(), ("BatchGetItem", 1)),
        ] {
            let stack = Stack::start().await;
            stack.put(entry("q", &long("old"), 0.0)).await;
            let warm = stack.invoke(ask.0, ask.1.clone()).await.unwrap();
            assert!(warm.to_string().contains("old"), "{}", ask.0);
            // A lookup without a vector reads the counter and the pointer, then the row, then the answer.
            let reply = overtaken(&stack, ask.clone(), read, ("put", entry("q", &new, 0.0))).await.unwrap();
            let reply = reply["entries"].get(0).cloned().unwrap_or(reply);
            assert!(reply["response"] == new, "{}: {reply:.200}", ask.0);
        }
    }
}

#[tokio::test]
async fn answer_that_is_deleted_after_its_row_was_read_is_absent() {
    let cases = [
        (("lookup", json!({"query": "q"})), ("BatchGetItem", 2)),
        (("get", json!({"id": 1})), ("GetItem", 1)),
        (("find", json!({"query_hash": mneme_model::normalize::QueryHash::of("q", true)})), ("GetItem", 2)),
        (("list", json!({"namespace": "default"})), ("BatchGetItem", 1)),
    ];
    for (ask, read) in cases {
        let stack = Stack::start().await;
        stack.put(entry("q", &long("old"), 0.0)).await;
        stack.invoke(ask.0, ask.1.clone()).await.unwrap();
        match overtaken(&stack, ask.clone(), read, ("delete", json!({"id": 1}))).await {
            Ok(reply) if ask.0 == "lookup" => assert_eq!(reply["outcome"], "miss", "{reply}"),
            Ok(reply) => assert_eq!(reply["entries"], json!([]), "{}", ask.0),
            Err(error) => assert_eq!(error.name, "NotFound", "{}", ask.0),
        }
    }
}

#[tokio::test]
async fn entry_whose_answer_was_lost_is_a_miss() {
    let stack = Stack::start().await;
    let id = stack.put(entry("q", &long("A"), 0.0)).await;
    let item = Snapshot::read(&stack).await.data(DerivedKind::Answer).next().unwrap()["id"].clone();
    stack.delete_item(item.as_n().unwrap().parse().unwrap()).await;
    assert_eq!(stack.lookup(json!({"query": "q"})).await["reason"], "no_entry");
    assert_eq!(stack.invoke("get", json!({"id": id})).await.unwrap_err().name, "NotFound");
    // The next put stores it again.
    assert_eq!(stack.put(entry("q", &long("B"), 0.0)).await, id);
    assert!(stack.lookup(json!({"query": "q"})).await["response"] == long("B"));
}

#[tokio::test]
async fn batch_with_more_long_answers_than_a_reply_holds_reads_no_more_than_the_reply_holds() {
    let stack = Stack::start().await;
    let response = digits(340_000);
    for number in 0..14 {
        stack.put(entry(&format!("q{number}"), &response, f64::from(number))).await;
    }
    stack.proxy.take_calls();
    let queries: Vec<Value> = (0..14).map(|number| json!({"query": format!("q{number}")})).collect();
    let reply = stack.invoke("lookup", json!({"queries": queries})).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    let served = results.iter().filter(|result| result["outcome"] == "hit").count();
    assert!(results[..served].iter().all(|result| result["response"] == response), "{served}");
    assert!(results[served..].iter().all(|result| result["error"]["type"] == "urn:mneme:error:EntryTooLarge"));
    let requested = |call: &mneme_tests::proxy::Call| {
        let keys = call.request["RequestItems"][mneme_tests::stack::TABLE]["Keys"].as_array();
        let key = |key: &Value| RowKey::from_attribute(&AttributeValue::N(key["id"]["N"].as_str()?.to_owned()));
        let is_answer = |of: &&Value| key(of).and_then(RowKey::derived_kind) == Some(DerivedKind::Answer);
        keys.map_or(0, |keys| keys.iter().filter(is_answer).count())
    };
    let read: usize = stack.proxy.take_calls().iter().map(requested).sum();
    assert!((served..=served + 1).contains(&read), "{read} answers were read for {served}");
}

#[tokio::test]
async fn hit_whose_answer_was_not_read_is_never_served_without_it() {
    let stack = Stack::start().await;
    let response = digits(340_000);
    for number in 0..14 {
        stack.put(entry(&format!("q{number}"), &response, f64::from(number))).await;
    }
    let queries: Vec<Value> = (0..14).map(|number| json!({"query": format!("q{number}")})).collect();
    let ask = ("lookup", json!({ "queries": queries }));
    // Without the first answer, the answers that were read do not fill the reply.
    let reply = overtaken(&stack, ask, ("BatchGetItem", 2), ("delete", json!({"id": 1}))).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results[0]["outcome"], "miss", "{:.200}", results[0].to_string());
    let served = results.iter().filter(|result| result["response"] == response).count();
    let refused = results.iter().filter(|result| result["error"]["type"] == "urn:mneme:error:EntryTooLarge").count();
    assert!(served >= 8 && served + refused == 13, "{served} served, {refused} refused");
}

#[tokio::test]
async fn long_answer_that_is_put_with_a_lease_is_served_and_explained() {
    let stack = Stack::start().await;
    let miss = stack.lookup(json!({"query": "q", "lease": {"seconds": 300}})).await;
    let mut put = entry("q", &long("A"), 0.0);
    put["lease_token"] = miss["lease"]["token"].clone();
    let id = stack.put(put).await;
    assert_eq!(checked_answer_items(&stack).await, 1);
    let hit = stack.lookup(json!({"query": "q", "lease": {"seconds": 300}, "explain": true})).await;
    assert!(hit["response"] == long("A"));
    assert_eq!(hit["explanation"]["candidates"][0]["id"], id);
}

#[tokio::test]
async fn answer_too_large_for_any_item_is_refused_with_a_remedy() {
    let stack = Stack::start().await;
    for response in [digits(1_000_000), "x".repeat(2_200_000)] {
        let error = stack.invoke("put", entry("q", &response, 0.0)).await.unwrap_err();
        assert!(error.name == "EntryTooLarge", "{error:?}");
    }
    assert_eq!(stack.rows().await.keys().filter(|id| **id != 0).count(), 0);
}
