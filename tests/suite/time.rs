//! Lifetimes and eviction order to the second, with a clock that the test sets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_core::cache::Cache;
use mneme_core::entries::live_row;
use mneme_core::maintain::eviction::enforce_caps;
use mneme_core::write::put::{IdempotencyKey, Lifetime, NewEntry, StoredEntry, put_all};
use mneme_core::write::touch::touch;
use mneme_model::clock::Clock;
use mneme_model::config::Config;
use mneme_model::entry_id::EntryId;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::tag::Tags;
use mneme_store::table::Table;
use mneme_tests::Stack;
use mneme_tests::stack::TABLE;
use serde_json::{Map, json};

const START: i64 = 2_000_000_000;

struct Timed {
    cache: Cache,
    now: Arc<AtomicI64>,
    /// Keeps DynamoDB running.
    _stack: Stack,
}

impl Timed {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let stack = Stack::start().await;
        stack.invoke("provision", json!({})).await.unwrap();
        let variables = variables.iter().copied().chain([("MNEME_TABLE_NAME", TABLE)]);
        let config =
            Config::from_variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let now = Arc::new(AtomicI64::new(START));
        let table = Table::over(&stack.dynamodb(), TABLE);
        let cache = Cache::new(config, table, SdkConfig::builder().build(), Clock::Fixed(now.clone()));
        Self { cache, now, _stack: stack }
    }

    fn set(&self, secs: i64) {
        self.now.store(START + secs, Ordering::Relaxed);
    }

    async fn put(&self, query: &str, ttl_secs: Option<u64>, idempotency_key: Option<&str>) -> StoredEntry {
        let mut new = NewEntry {
            context_key: None,
            signature: mneme_guard::Signature::of("").into(),
            namespace: Namespace::default(),
            query_hash: QueryHash::of(query, true),
            query: Some(query.to_owned()),
            response: "A".to_owned(),
            vectors: Vec::new(),
            metadata: Map::new(),
            tags: Tags::default(),
            usage: None,
            lifetime: Lifetime { asked_secs: ttl_secs, longest_secs: None },
            confidence_score: 1.0,
            if_absent: false,
            stored_by: None,
            idempotency: None,
            lease_token: None,
        };
        new.idempotency = idempotency_key.map(|key| IdempotencyKey::new(key.to_owned(), &new));
        put_all(&self.cache, &[new]).await.pop().unwrap().unwrap()
    }

    async fn is_live(&self, id: EntryId) -> bool {
        live_row(&self.cache, id).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn entry_is_absent_from_its_second_of_expiry() {
    let timed = Timed::start(&[]).await;
    let StoredEntry { id, .. } = timed.put("q", Some(60), None).await;
    timed.set(59);
    assert!(timed.is_live(id).await);
    timed.set(60);
    assert!(!timed.is_live(id).await);
    assert!(timed.put("q", None, None).await.created, "an expired entry is absent, so nothing is replaced");
}

#[tokio::test]
async fn put_of_a_known_query_restarts_the_lifetime() {
    let timed = Timed::start(&[]).await;
    let first = timed.put("q", Some(60), None).await;
    timed.set(50);
    let second = timed.put("q", Some(60), None).await;
    assert_eq!((second.id, second.created), (first.id, false));
    timed.set(109);
    assert!(timed.is_live(first.id).await);
    timed.set(110);
    assert!(!timed.is_live(first.id).await);
}

#[tokio::test]
async fn idempotency_key_is_remembered_for_24_hours() {
    let timed = Timed::start(&[]).await;
    let first = timed.put("one", None, Some("key")).await;
    timed.set(24 * 3600 - 1);
    assert_eq!(timed.put("one", None, Some("key")).await, StoredEntry { replayed: true, max_entries: None, ..first });
    timed.set(24 * 3600);
    let second = timed.put("two", None, Some("key")).await;
    assert_eq!((second.id.get(), second.created), (2, true));
}

#[tokio::test]
async fn eviction_removes_the_least_recently_used_entry() {
    let timed = Timed::start(&[("MNEME_MAX_ENTRIES", "10")]).await;
    timed.cache.provision().await.unwrap();
    let namespace = Namespace::default();
    let mut ids = Vec::new();
    for number in 0..10 {
        timed.set(number);
        ids.push(timed.put(&number.to_string(), None, None).await.id);
        enforce_caps(&timed.cache, &namespace, None, 1).await.unwrap();
    }
    timed.set(100);
    touch(&timed.cache, ids[0], timed.cache.now_secs()).await.unwrap();
    timed.set(200);
    timed.put("one more", None, None).await;
    assert_eq!(enforce_caps(&timed.cache, &namespace, None, 1).await.unwrap().evicted, 1);
    assert!(timed.is_live(ids[0]).await && !timed.is_live(ids[1]).await && timed.is_live(ids[2]).await);
}

#[tokio::test]
async fn functions_go_by_the_clock_of_dynamodb_if_theirs_is_wrong() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let id = stack.put(json!({"query": "q", "response": "A", "ttl_seconds": 600})).await;
    let get = async || stack.invoke("get", json!({"id": id})).await.is_ok();
    let hit = async || stack.lookup(json!({"query": "q"})).await["outcome"] == "hit";
    assert!(get().await && hit().await);
    // The clock of the functions is a minute, then an hour behind DynamoDB's, and right again. Two replies tell it.
    for (ahead, is_live) in [(60, true), (3600, false), (0, true), (-3600, true), (2, true)] {
        stack.proxy.set_clock_ahead(ahead);
        for _ in 0..2 {
            let _until_told = (get().await, hit().await);
        }
        assert_eq!((get().await, hit().await), (is_live, is_live), "{ahead}");
    }
    // An entry lives from DynamoDB's time on.
    stack.proxy.set_clock_ahead(3600);
    stack.put(json!({"query": "until told", "response": "A"})).await;
    let later = stack.put(json!({"query": "later", "response": "A", "ttl_seconds": 600})).await;
    let until = |row: &HashMap<String, AttributeValue>| row["ttl"].as_n().unwrap().parse::<i64>().unwrap();
    let rows = stack.rows().await;
    let difference = until(&rows[&i128::from(later)]) - until(&rows[&i128::from(id)]);
    assert!((3590..3700).contains(&difference), "{difference}");
}
