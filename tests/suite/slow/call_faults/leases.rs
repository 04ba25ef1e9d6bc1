//! Faults while a lease is taken, used and released.

use std::time::Duration;

use aws_config::SdkConfig;
use mneme_core::cache::Cache;
use mneme_core::lease::{self, LeaseState};
use mneme_core::lookup::query::Query;
use mneme_model::clock::Clock;
use mneme_model::config::Config;
use mneme_model::embedding::Embedding;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_model::question::Question;
use mneme_store::table::Table;
use mneme_tests::Stack;
use mneme_tests::invariants::Snapshot;
use mneme_tests::stack::TABLE;
use serde_json::{Value, json};

use super::{Case, assert_stored, entry, every_fault};

/// A cache whose calls go through the proxy. Nothing else calls DynamoDB.
async fn cache(stack: &Stack) -> Cache {
    stack.invoke("provision", json!({})).await.unwrap();
    let variables = [("MNEME_TABLE_NAME", TABLE), ("MNEME_LOOKUP_BUDGET_MS", "300000")];
    let config = Config::from_variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let table = Table::over(&stack.proxied_dynamodb(), TABLE);
    Cache::new(config, table, SdkConfig::builder().build(), Clock::System).within(Duration::from_secs(600))
}

/// The question of this number. No two have one meaning.
fn question(cache: &Cache, n: u64) -> Query {
    let asked = Question::of(Some(&format!("Track order {n}")), None, None, &cache.config).unwrap();
    let embedding = Embedding::normalized(vec![1.0, 0.0]).unwrap();
    Query::new(asked, Namespace::default(), Some(embedding), Some(0.85), None, cache.now_secs())
}

/// Runs `work` once for each of its calls and each fault, and checks each result. `work` gets the number of the run.
async fn with_every_fault<T: std::fmt::Debug>(
    stack: &Stack,
    work: impl AsyncFn(u64) -> Result<T, Error>,
    prepare: impl AsyncFn(u64),
    check: impl Fn(&T) -> bool,
) {
    prepare(0).await;
    stack.proxy.take_calls();
    work(0).await.unwrap();
    let calls = stack.proxy.take_calls();
    assert!(!calls.is_empty());
    let mut n = 0;
    for (at, call) in calls.iter().enumerate() {
        let operation = call.operation.as_str();
        let others = calls[..at].iter().filter(|other| other.operation == operation).count();
        for fault in every_fault(operation) {
            n += 1;
            prepare(n).await;
            stack.proxy.inject_nth(operation, others, fault.clone());
            let result = work(n).await;
            let context = format!("{fault:?} at call {at} ({operation}): {result:?}");
            assert_eq!(stack.proxy.pending_faults(), 0, "met no call: {context}");
            match result {
                Ok(value) => assert!(check(&value), "{context}"),
                Err(error) => assert_eq!(error.kind, ErrorKind::StoreBackendError, "{context}"),
            }
        }
    }
}

/// A caller whose own call was carried out and not answered must not wait for itself.
#[tokio::test]
async fn lease_taken_with_any_fault_is_granted_or_fails() {
    let stack = Stack::start().await;
    let cache = cache(&stack).await;
    let take = async |n: u64| lease::take(&cache, &question(&cache, n), 900).await;
    let is_granted = |state: &LeaseState| matches!(state, LeaseState::Granted { .. });
    with_every_fault(&stack, take, async |_| {}, is_granted).await;
    Snapshot::read(&stack).await.check();
}

#[tokio::test]
async fn lease_of_an_equal_question_with_any_fault_is_held_or_fails() {
    let stack = Stack::start().await;
    let cache = cache(&stack).await;
    let first = async |n: u64| assert!(lease::take(&cache, &question(&cache, n), 900).await.is_ok());
    let reworded = async |n: u64| {
        let mut query = question(&cache, n);
        query.question = Question::of(Some(&format!("Where is order {n}?")), None, None, &cache.config).unwrap();
        lease::take(&cache, &query, 900).await
    };
    with_every_fault(&stack, reworded, first, |state| matches!(state, LeaseState::Held { .. })).await;
}

#[tokio::test]
async fn lease_released_with_any_fault_is_free_or_the_release_fails() {
    let stack = Stack::start().await;
    let cache = cache(&stack).await;
    let tokens = std::sync::Mutex::new(String::new());
    let take = async |n: u64| match lease::take(&cache, &question(&cache, n), 900).await.unwrap() {
        LeaseState::Granted { token, .. } => *tokens.lock().unwrap() = token,
        held @ LeaseState::Held { .. } => panic!("{held:?}"),
    };
    let release = async |n: u64| {
        let Query { question, namespace, .. } = question(&cache, n);
        let token = tokens.lock().unwrap().clone();
        lease::release(&cache, &namespace, &question.hash, &token).await?;
        // Somebody else takes it. After a lost reply the release was sent again and found nothing to release.
        cache
            .table
            .take_lease(
                mneme_store::key::RowKey::lease(&namespace, &question.hash),
                &mneme_store::leases::Lease::new(i64::MAX),
                cache.clock.now_ms(),
            )
            .await
    };
    with_every_fault(&stack, release, take, |lease| lease.until_ms == i64::MAX).await;
}

#[tokio::test]
async fn put_with_a_lease_token_with_any_fault_ends_the_lease_with_the_answer() {
    let request = async |stack: &Stack, n: u64| {
        let asked = json!({"query": format!("q{n}"), "lease": {"seconds": 900}});
        let mut put = entry(&format!("q{n}"), 0.1);
        put["lease_token"] = stack.lookup(asked).await["lease"]["token"].clone();
        assert!(put["lease_token"].is_string(), "{put}");
        put
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_stored(after, "default", &format!("q{n}"), reply, &format!("answer to q{n}"));
        assert_eq!(after.leases() + 1, before.leases());
    };
    // The instance of `lookup` writes its counts by `UpdateItem` at any time. A put does not call it.
    Case { ignored: &["UpdateItem"], ..Case::of("put") }.run(request, effect).await;
}
