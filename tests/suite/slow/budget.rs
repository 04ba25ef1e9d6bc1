//! The budget of each request: sequential calls to DynamoDB and capacity units. Neither may grow with the table.
//!
//! The entry is that of the design: 768 dimensions and a response of 0.5 KB, which make an item of 4 KB. Capacity units
//! follow the DynamoDB Developer Guide ("Read and write operations", "DynamoDB transactions: how it works"). A strongly
//! consistent read of 4 KB costs 1, an eventually consistent one 0.5. A transactional write costs 2 for each KB. A
//! change of an index entry costs 1, or 2 if its sort key changes.

mod large_entries;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::proxy::Call;
use mneme_tests::stack::{Item, is_dynamodb_local};
use mneme_tests::upstream::Upstream;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, order, order_reworded};

const DIM: usize = 768;

fn entry(query: &str, angle: f64) -> Value {
    json!({"query": query, "response": "r".repeat(500), "embedding": vector(DIM, angle)})
}

fn entry_in(namespace: &str, query: &str) -> Value {
    let mut entry = entry(query, 3.0);
    entry["namespace"] = json!(namespace);
    entry
}

/// The cost of one piece of work.
#[derive(Debug, Clone, PartialEq)]
struct Cost {
    /// The operations that were called, in alphabetical order, because concurrent calls arrive in any order.
    operations: Vec<String>,
    /// The number of sequential calls.
    rounds: usize,
    read: f64,
    write: f64,
    /// True if a call was repeated because it was not answered in time: by the SDK, or by the function with the same
    /// transaction token. That happens on a machine that halts, and is not a cost of the request.
    has_repeats: bool,
}

/// The number of measurements with repeated calls that are discarded before the test fails.
const MAX_HALTS: u32 = 5;

const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

fn units(call: &Call) -> f64 {
    let consumed = match &call.capacity {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    consumed.iter().filter_map(|each| each["CapacityUnits"].as_f64()).sum()
}

/// The largest number of calls of which no two overlap.
fn rounds(calls: &[Call]) -> usize {
    let mut by_end: Vec<&Call> = calls.iter().collect();
    by_end.sort_by_key(|call| call.ended);
    let mut last = None;
    by_end
        .iter()
        .filter(|call| last.is_none_or(|last| call.began >= last) && last.replace(call.ended) != Some(call.ended))
        .count()
}

/// True if the call writes counts of lookups. Instances do that in the background for many lookups together.
fn writes_lookup_counts(call: &Call) -> bool {
    call.operation == "UpdateItem"
        && call.request["UpdateExpression"].as_str().is_some_and(|text| {
            text.contains(" ADD #") && (text.starts_with("SET #name") || text.starts_with("SET #hour"))
        })
}

/// The cost of `work`. The pause makes concurrent calls overlap.
async fn cost(stack: &Stack, pause: Duration, work: impl Future<Output = ()>) -> Cost {
    stack.proxy.take_calls();
    stack.proxy.slow_down(pause);
    work.await;
    stack.proxy.slow_down(Duration::ZERO);
    let mut calls = stack.proxy.take_calls();
    calls.retain(|call| !writes_lookup_counts(call));
    let of = |is_read: bool| {
        calls.iter().filter(|call| READS.contains(&call.operation.as_str()) == is_read).map(units).sum()
    };
    let mut operations: Vec<String> = calls.iter().map(|call| call.operation.clone()).collect();
    operations.sort();
    let write = if is_dynamodb_local() { 0.0 } else { of(false) };
    let mut tokens = HashSet::new();
    let mut is_known =
        |call: &Call| call.request["ClientRequestToken"].as_str().is_some_and(|token| !tokens.insert(token.to_owned()));
    let has_repeats = calls.iter().any(|call| call.is_repeat || is_known(call));
    Cost { operations, rounds: rounds(&calls), read: of(true), write, has_repeats }
}

/// A stack with a table of some size, and the costs that were measured there.
struct Measured {
    stack: Stack,
    costs: BTreeMap<&'static str, Cost>,
    serial: u32,
}

impl Measured {
    async fn over(variables: &[(&str, &str)], entries: usize) -> Self {
        let stack = Stack::builder().variables(variables).start().await;
        let all: Vec<usize> = (0..entries).collect();
        for some in all.chunks(100) {
            let some: Vec<Value> = some.iter().map(|n| entry_in("crowd", &format!("{n}"))).collect();
            stack.invoke("put", json!({"entries": some})).await.unwrap();
        }
        Self { stack, costs: BTreeMap::new(), serial: 0 }
    }

    /// Runs `work` once to warm up, then measures it. Measures again with longer pauses if concurrent calls seem to be
    /// sequential, and discards measurements with repeated calls. `prepare` creates what the work of this number needs.
    async fn measure(
        &mut self,
        name: &'static str,
        rounds: usize,
        prepare: impl AsyncFn(&Stack, u32),
        work: impl AsyncFn(&Stack, u32),
    ) {
        let mut halts = 0;
        let mut pauses = [0, 20, 400, 1500].into_iter().peekable();
        while let Some(pause) = pauses.peek().copied() {
            self.serial += 1;
            prepare(&self.stack, self.serial).await;
            let cost = cost(&self.stack, Duration::from_millis(pause), work(&self.stack, self.serial)).await;
            if cost.has_repeats && halts < MAX_HALTS {
                halts += 1;
                continue;
            }
            let done = pause > 0 && cost.rounds <= rounds;
            self.costs.insert(name, cost);
            if done {
                break;
            }
            pauses.next();
        }
    }
}

async fn list(stack: &Stack, order: &str) {
    let page = json!({"namespace": "crowd", "order": order, "limit": 10});
    let page = stack.invoke("list", page).await.unwrap();
    assert_eq!(page["entries"].as_array().unwrap().len(), 10);
}

async fn nothing(_: &Stack, _: u32) {}

/// Name, sequential calls, read units, write units.
type Budget = (&'static str, usize, f64, f64);

/// The budgets that the design sets.
const DESIGNED: [Budget; 6] = [
    ("lookup: miss", 1, 2.0, 0.0),
    ("lookup: exact hit", 1, 6.0, 0.0),
    ("lookup: semantic hit", 1, 6.0, 0.0),
    ("lookup: cold exact hit", 2, 4.0, 0.0),
    ("put: new", 2, 2.0, 16.0),
    ("delete: by id", 2, 2.0, 16.0),
];

/// Measured budgets of requests that the design does not mention, with their composition.
const BOUNDED: [Budget; 25] = [
    // Reads the counter and the pointer, then the row. Writes the row, its change in one index, and the counter.
    ("put: in place", 3, 3.0, 12.0),
    // Reads the same. Writes the new row and deletes the old one, both with two index entries, the counter and the
    // pointer.
    ("put: new vector", 3, 3.0, 24.0),
    // Like a new entry, and reads and writes the idempotency record.
    ("put: with a key", 2, 3.0, 18.0),
    // Like a new entry, then a strongly consistent read of the statistics. The instance knows the quota.
    ("put: under a quota", 3, 3.0, 16.0),
    // The same, with 2,000 quotas of other namespaces.
    ("put: beside 2000 quotas", 3, 3.0, 16.0),
    // Then reads the keys of the namespace in `gsi_lru` and the row to evict, deletes it with its pointer, and writes
    // the counter and the statistics twice.
    ("put: over a quota", 7, 7.0, 33.0),
    // Writes ten rows with their pointers, the counter and one statistics item.
    ("put: ten at once", 2, 11.0, 124.0),
    // Like a put under a quota, and writes the statistics of the table.
    ("put: under the cap", 3, 3.0, 18.0),
    // Reads the pointer, its row, `gsi_hash` for duplicates and the rows found there. Deletes as by id.
    ("delete: by query", 5, 4.0, 16.0),
    // Reads the row for its namespace. Writes the row, its change in one index, and the counter.
    ("touch", 2, 1.0, 12.0),
    // Without a vector there is no replica. Reads the counter and the pointer, then the row. The access is written after
    // the reply, so the caller waits for two calls.
    ("lookup: hit with its access due", 3, 6.0, 12.0),
    // A miss, and one write of the lease.
    ("lookup: miss with a lease", 3, 3.0, 1.0),
    // A miss; reads the lease and its board of at most 16 slots of 1.3 KB, and writes both.
    ("lookup: miss with a lease by meaning", 4, 8.0, 22.0),
    // A miss, and a write that is refused.
    ("lookup: miss while the lease is held", 3, 3.0, 1.0),
    // A miss; reads the lease and its board.
    ("lookup: miss while it is held by meaning", 3, 8.0, 0.0),
    // Like a new entry in a table with quotas; reads the lease and writes it.
    ("put: with a lease token", 3, 5.0, 18.0),
    // A lookup's hit without a vector.
    ("chat: hit", 2, 3.0, 0.0),
    // A lookup's miss without a vector, one write of the lease, and a new entry that ends the lease.
    ("chat: miss", 5, 6.0, 19.0),
    ("get", 1, 1.0, 0.0),
    ("find", 2, 2.0, 0.0),
    // Reads the counter and a page of the index, then ten rows.
    ("list: ten by id", 2, 11.5, 0.0),
    // Reads the counter and the settings. Writes the counter, the settings and their directory.
    ("quota: set", 3, 2.0, 6.0),
    ("settings: set", 3, 2.0, 6.0),
    // Reads the row, and again after the write. Writes the row, the counter and the statistics.
    ("update", 3, 2.0, 12.0),
    // Reads the entry and the pointer of the question. Writes the pointer and the counter.
    ("feedback", 2, 2.0, 4.0),
];

async fn measure(entries: usize) -> BTreeMap<&'static str, Cost> {
    let mut on = Measured::over(&[], entries).await;
    let mine = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("mine {n}"), 0.0)).await;
    };
    on.measure("put: new", 2, nothing, mine).await;
    on.measure("put: in place", 3, mine, mine).await;
    let new_vector = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("mine {n}"), 0.1)).await;
    };
    on.measure("put: new vector", 3, mine, new_vector).await;
    let with_key = async |stack: &Stack, n: u32| {
        let mut entry = entry(&format!("mine {n}"), 0.0);
        entry["idempotency_key"] = json!(n.to_string());
        stack.put(entry).await;
    };
    on.measure("put: with a key", 2, nothing, with_key).await;
    let ten = async |stack: &Stack, n: u32| {
        let entries: Vec<Value> = (0..10).map(|at| entry(&format!("ten {n} {at}"), 0.0)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    };
    on.measure("put: ten at once", 2, nothing, ten).await;

    let set = async |stack: &Stack, namespace: &str, max_entries: u32| {
        let set = json!({"action": "set", "namespace": namespace, "max_entries": max_entries});
        stack.invoke("quota", set).await.unwrap();
    };
    on.measure("quota: set", 3, nothing, async |stack: &Stack, _: u32| set(stack, "roomy", 1000).await).await;
    let roomy = async |stack: &Stack, n: u32| {
        stack.put(entry_in("roomy", &format!("{n}"))).await;
    };
    on.measure("put: under a quota", 3, nothing, roomy).await;
    let quota = |n: u32| {
        let name = format!("customer-{n}");
        let key = mneme_store::key::RowKey::settings(&name.clone().try_into().expect("a namespace"));
        Item::from([
            ("id".to_owned(), key.attribute()),
            ("name".to_owned(), AttributeValue::S(name)),
            ("max_entries".to_owned(), AttributeValue::N("9".to_owned())),
        ])
    };
    on.stack.put_items((0..2000).map(quota)).await;
    on.measure("put: beside 2000 quotas", 3, nothing, mine).await;
    set(&on.stack, "small", 5).await;
    let small = async |stack: &Stack, n: u32| {
        stack.put(entry_in("small", &format!("{n}"))).await;
    };
    for n in 0..6 {
        small(&on.stack, n).await;
    }
    on.measure("put: over a quota", 7, nothing, small).await;

    let delete = async |stack: &Stack, n: u32| {
        // Deletes the entry that `prepare` stored last.
        let (next_id, _) = stack.counter().await;
        stack.invoke("delete", json!({"id": next_id - 1})).await.unwrap_or_else(|error| panic!("{n}: {error:?}"));
    };
    on.measure("delete: by id", 2, mine, delete).await;
    let delete = async |stack: &Stack, n: u32| {
        stack.invoke("delete", json!({"query": format!("MINE {n}")})).await.unwrap();
    };
    on.measure("delete: by query", 4, mine, delete).await;
    let touch = async |stack: &Stack, _: u32| drop(stack.invoke("touch", json!({"id": 1})).await.unwrap());
    on.measure("touch", 2, nothing, touch).await;
    let update = async |stack: &Stack, n: u32| {
        let change = json!({"id": 1, "metadata": {"n": n}, "ttl_seconds": 3600});
        stack.invoke("update", change).await.unwrap();
    };
    on.measure("update", 3, nothing, update).await;
    let feedback = async |stack: &Stack, n: u32| {
        let verdict =
            json!({"query": format!("judged {n}"), "namespace": "crowd", "id": 1, "right": n.is_multiple_of(2)});
        stack.invoke("feedback", verdict).await.unwrap();
    };
    on.measure("feedback", 2, nothing, feedback).await;
    let set = async |stack: &Stack, n: u32| {
        let set = json!({"action": "set", "namespace": "mine", "cutoff": f64::from(n) / 1000.0});
        stack.invoke("settings", set).await.unwrap();
    };
    on.measure("settings: set", 3, nothing, set).await;

    // The nearest entry of the semantic question; the others have the angles 0 and 3.
    on.stack.put(entry(QUESTION, 0.2)).await;
    let hash = mneme_model::normalize::QueryHash::of(QUESTION, true);
    let get = async |stack: &Stack, _: u32| drop(stack.invoke("get", json!({"id": 1})).await.unwrap());
    on.measure("get", 1, nothing, get).await;
    let find = async |stack: &Stack, _: u32| drop(stack.invoke("find", json!({"query_hash": hash})).await.unwrap());
    on.measure("find", 2, nothing, find).await;
    on.measure("list: ten by id", 2, nothing, async |stack: &Stack, _: u32| list(stack, "id").await).await;

    let ask = async |stack: &Stack, question: Value, layer: Value| {
        let answer = stack.lookup(question).await;
        assert_eq!(answer["layer"], layer, "{answer}");
    };
    let warm_up = async |stack: &Stack, _: u32| drop(stack.lookup(question("none", 1.5)).await);
    let miss = async |stack: &Stack, _: u32| ask(stack, question("none", 1.5), json!(null)).await;
    on.measure("lookup: miss", 1, warm_up, miss).await;
    let exact = async |stack: &Stack, _: u32| ask(stack, question(QUESTION, 1.5), json!("exact")).await;
    on.measure("lookup: exact hit", 1, warm_up, exact).await;
    let semantic = async |stack: &Stack, _: u32| ask(stack, question(REWORDED, 0.2), json!("semantic")).await;
    on.measure("lookup: semantic hit", 1, warm_up, semantic).await;
    let chill = async |stack: &Stack, _: u32| stack.server.recycle("lookup").await;
    on.measure("lookup: cold exact hit", 2, chill, exact).await;

    let leased = |mut question: Value| {
        question["lease"] = json!({"seconds": 900});
        question
    };
    let lease = async |stack: &Stack, question: Value, state: &str| {
        let miss = stack.lookup(leased(question)).await;
        assert_eq!(miss["lease"]["state"], state, "{miss}");
    };
    let put_later = std::sync::Mutex::new(json!(null));
    let numbered = |n: u32| json!({"query": format!("leased {n}")});
    let take = async |stack: &Stack, n: u32| lease(stack, numbered(n), "granted").await;
    on.measure("lookup: miss with a lease", 3, nothing, take).await;
    let wait = async |stack: &Stack, n: u32| lease(stack, numbered(n), "held").await;
    on.measure("lookup: miss while the lease is held", 3, take, wait).await;
    let take = async |stack: &Stack, n: u32| lease(stack, question(&order(n), 1.5), "granted").await;
    // The board is full.
    for n in 0..20 {
        lease(&on.stack, question(&order(10_000 + n), 1.5), "granted").await;
    }
    on.measure("lookup: miss with a lease by meaning", 4, nothing, take).await;
    let wait = async |stack: &Stack, n: u32| lease(stack, question(&order_reworded(n), 1.5), "held").await;
    on.measure("lookup: miss while it is held by meaning", 3, take, wait).await;
    let ask_first = async |stack: &Stack, n: u32| {
        let miss = stack.lookup(leased(question(&order(n), 1.5))).await;
        let mut own = entry(&order(n), 1.5);
        own["lease_token"] = miss["lease"]["token"].clone();
        *put_later.lock().unwrap() = own;
    };
    let put_leased = async |stack: &Stack, _: u32| {
        let own = put_later.lock().unwrap().clone();
        stack.put(own).await;
    };
    on.measure("put: with a lease token", 3, ask_first, put_leased).await;

    // These are measured with a limit on the table, and with every access written.
    let cap = (entries + 100).to_string();
    let variables = [("MNEME_MAX_ENTRIES", cap.as_str()), ("MNEME_ACCESS_RESOLUTION_SECS", "0")];
    let mut capped = Measured::over(&variables, entries).await;
    capped.measure("put: under the cap", 3, mine, put_numbered).await;
    capped.stack.put(entry("known", 0.0)).await;
    let exact = async |stack: &Stack, _: u32| {
        let write = stack.proxy.hold_nth("TransactWriteItems", 0);
        ask(stack, json!({"query": "known"}), json!("exact")).await;
        let release = write.arrived().await;
        release();
        stack.proxy.idle().await;
    };
    capped.measure("lookup: hit with its access due", 3, nothing, exact).await;
    on.costs.extend(capped.costs);

    let upstream = Upstream::start().await;
    let mut chat = Measured::over(&[("MNEME_UPSTREAM", upstream.base_url().as_str()), CHAT_BUDGET], entries).await;
    let hello = async |stack: &Stack, n: u32| say(stack, n).await;
    chat.measure("chat: miss", 5, nothing, hello).await;
    chat.measure("chat: hit", 2, hello, hello).await;
    on.costs.extend(chat.costs);
    on.costs
}

fn question(query: &str, angle: f64) -> Value {
    json!({"query": query, "embedding": vector(DIM, angle)})
}

/// So long that the pauses of a measurement change no outcome.
const CHAT_BUDGET: (&str, &str) = ("MNEME_CHAT_BUDGET_MS", "300000");

async fn say(stack: &Stack, n: u32) {
    let request = json!({"model": "m", "messages": [{"role": "user", "content": format!("Hello {n}?")}]});
    let (status, reply) = stack.post("/v1/chat/completions", request).await;
    assert_eq!(status, 200, "{reply}");
}

async fn put_numbered(stack: &Stack, n: u32) {
    stack.put(entry(&format!("of {n}"), 0.0)).await;
}

#[tokio::test]
async fn requests_stay_within_their_budgets_at_any_table_size() {
    let (small, large) = futures::join!(measure(30), measure(300));
    let mut failures = Vec::new();
    for (name, rounds, read, write) in DESIGNED.into_iter().chain(BOUNDED) {
        let cost = &small[name];
        if cost.rounds > rounds || cost.read > read || cost.write > write || cost.operations.is_empty() {
            failures.push(format!("{name}: {rounds} rounds, {read} read and {write} written are allowed: {cost:?}"));
        }
        // An access changes its index entry only if the second has changed since the last access.
        let (more, moved) = (&large[name], (cost.write - large[name].write).abs() <= 2.0);
        if (&cost.operations, cost.read) != (&more.operations, more.read) || !moved {
            failures.push(format!("{name} costs more in a larger table: {cost:?}, {:?}", large[name]));
        }
    }
    assert_eq!(small.len(), DESIGNED.len() + BOUNDED.len(), "{:?}", small.keys());
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Operations over the whole table cost what the table's bytes cost.
#[tokio::test]
async fn operations_over_the_whole_table_read_each_row_once() {
    for entries in [20, 200] {
        let mut on = Measured::over(&[], entries).await;
        let all = entries as f64;
        let stats = async |stack: &Stack, _: u32| drop(stack.invoke("stats", json!({})).await.unwrap());
        on.measure("stats", 2, nothing, stats).await;
        let vacuum = async |stack: &Stack, _: u32| drop(stack.invoke("vacuum", json!({})).await.unwrap());
        on.measure("vacuum", 9, nothing, vacuum).await;
        let chill = async |stack: &Stack, _: u32| stack.server.recycle("lookup").await;
        let crowded = json!({"query": "none", "embedding": vector(DIM, 0.0), "namespace": "crowd"});
        let load = async |stack: &Stack, _: u32| drop(stack.lookup(crowded.clone()).await);
        on.measure("load", 6, chill, load).await;
        on.measure("list", 2, nothing, async |stack: &Stack, _: u32| list(stack, "lru").await).await;
        // Reads ten rows, and one page of the index: up to 1 MB, which is 128 units.
        let cost = &on.costs["list"];
        assert!(cost.read <= 10.5 + all / 100.0 && cost.rounds <= 2, "{cost:?}");
        // Reads each row of 4 KB and its pointer.
        let cost = &on.costs["stats"];
        assert!((all * 0.9..all * 1.2 + 4.0).contains(&cost.read) && cost.write == 0.0, "{cost:?}");
        // Scans one page per 1 MB, and reads the pointers and their rows.
        let cost = &on.costs["vacuum"];
        let scans = cost.operations.iter().filter(|operation| *operation == "Scan").count();
        assert_eq!(scans, 1 + entries * 4 / 1000, "{cost:?}");
        assert!(cost.read <= all * 4.3 + 10.0 && cost.rounds <= 9, "{cost:?}");
        let cost = &on.costs["load"];
        // Finds out that the namespace has entries and no segments, and reads each row eventually consistent.
        assert!((all * 0.45..all * 0.6 + 10.0).contains(&cost.read) && cost.write == 0.0, "{cost:?}");
        assert!(cost.rounds <= 6 && !cost.operations.contains(&"Scan".to_owned()), "{cost:?}");
    }
}

/// Over the limit of the table a tenth is evicted at a time, so its cost is spread over as many puts.
#[tokio::test]
async fn eviction_cost_of_max_entries_is_amortized_over_puts() {
    let mut on = Measured::over(&[("MNEME_MAX_ENTRIES", "100")], 100).await;
    let put = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("{n}"), 0.0)).await;
    };
    on.serial = 1000;
    put(&on.stack, 0).await;
    let (mut read, mut write, mut rounds) = (0.0, 0.0, 0);
    for n in 1..=30 {
        let cost = cost(&on.stack, Duration::ZERO, put(&on.stack, n)).await;
        (read, write, rounds) = (read + cost.read, write + cost.write, rounds.max(cost.rounds));
        assert!(!cost.operations.contains(&"Scan".to_owned()));
    }
    // Each put costs as under the limit. Every tenth also reads 64 directory keys, the index and ten rows, and deletes
    // them.
    assert!(read / 30.0 <= 11.0 && write / 30.0 <= 34.0, "{read} read, {write} written, {rounds} rounds");
}

#[tokio::test]
async fn no_request_of_a_caller_scans() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for number in 0..3 {
        stack.put(entry(&format!("question {number}"), f64::from(number))).await;
    }
    stack.put(entry("question 1", 1.0)).await;
    stack.invoke("get", json!({"id": 1})).await.unwrap();
    let hash = mneme_model::normalize::QueryHash::of("question 1", true);
    stack.invoke("find", json!({"query_hash": hash})).await.unwrap();
    stack.invoke("touch", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"query": "question 2"})).await.unwrap();
    stack.lookup(json!({"query": "question 0"})).await;
    stack.lookup(json!({"query": "none"})).await;
    stack.put(entry("question 9", 9.0)).await;
    for angle in [1.0, 9.0] {
        stack.lookup(json!({"query": "none", "embedding": vector(DIM, angle)})).await;
    }
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()));
}
