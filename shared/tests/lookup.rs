//! Lookups over a real table: `LookupEngine` with an embedded DynamoDB and entries that `put_all` has stored.

#![allow(clippy::unwrap_used)] // The helpers are tests too.

mod support;

use mneme_core::lookup::outcome::{Layer, LookupOutcome, Miss, MissReason};
use mneme_guard::VetoKind;
use mneme_model::error::ErrorKind;
use support::{Stored, TestCache, vector};

const QUESTION: &str = "How do I reset my password?";
const PARAPHRASE: &str = "How can I reset my password?";

/// The layer and the response of a hit.
fn hit(outcome: &LookupOutcome) -> (Layer, &str) {
    match outcome {
        LookupOutcome::Hit { layer, entry, .. } => (*layer, &entry.response),
        LookupOutcome::Miss(miss) => panic!("{miss:?}"),
    }
}

fn miss(outcome: LookupOutcome) -> Miss {
    match outcome {
        LookupOutcome::Miss(miss) => miss,
        LookupOutcome::Hit { .. } => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn lookup_with_the_same_query_is_an_exact_hit() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: QUESTION, response: "R", ..Stored::default() }).await;
    assert_eq!(hit(&test.ask(" HOW do I reset my password? ").await), (Layer::Exact, "R"));
    let without_vector = test.query_with("default", QUESTION, None);
    let mut other = test.other_instance();
    let outcome = other.search(&test.cache, &[&without_vector]).await.unwrap().pop().unwrap().unwrap();
    assert_eq!(hit(&outcome), (Layer::Exact, "R"));
}

#[tokio::test]
async fn lookup_with_a_similar_query_is_a_semantic_hit() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: PARAPHRASE, response: "R", cosine: 0.98, ..Stored::default() }).await;
    let outcome = test.ask(QUESTION).await;
    assert_eq!(hit(&outcome), (Layer::Semantic, "R"));
    let LookupOutcome::Hit { similarity, confidence, .. } = outcome else { unreachable!() };
    assert!((similarity - 0.98).abs() < 1e-5);
    assert!((0.7..=1.0).contains(&confidence));
}

#[tokio::test]
async fn lookup_with_a_deleted_best_candidate_serves_the_next_one() {
    let mut test = TestCache::start(&[]).await;
    let best = test.put(Stored { query: PARAPHRASE, response: "best", cosine: 0.99, ..Stored::default() }).await;
    let next = "How do I reset the password of my account?";
    test.put(Stored { query: next, response: "next", cosine: 0.97, ..Stored::default() }).await;
    assert_eq!(hit(&test.ask(QUESTION).await), (Layer::Semantic, "best"));
    test.remove(best).await;
    assert_eq!(hit(&test.ask(QUESTION).await), (Layer::Semantic, "next"));
}

#[tokio::test]
async fn lookup_with_a_candidate_that_was_replaced_under_a_new_id_finds_it_in_the_second_round() {
    // The instance trusts its counter, so the first round does not know that there is a new id.
    let mut test = TestCache::start(&[("MNEME_STALE_CHECK_INTERVAL_MS", "60000")]).await;
    let old = test.put(Stored { query: PARAPHRASE, response: "old", cosine: 0.99, ..Stored::default() }).await;
    assert_eq!(hit(&test.ask(QUESTION).await), (Layer::Semantic, "old"));
    let new = test.put(Stored { query: PARAPHRASE, response: "new", cosine: 0.98, ..Stored::default() }).await;
    assert_ne!(old, new);
    assert_eq!(hit(&test.ask(QUESTION).await), (Layer::Semantic, "new"));
}

#[tokio::test]
async fn lookup_with_an_expired_nearest_entry_serves_the_live_one_behind_it() {
    let mut test = TestCache::start(&[]).await;
    let expired = Stored { query: PARAPHRASE, response: "expired", cosine: 0.99, ..Stored::default() };
    test.put(Stored { ttl_secs: Some(10), ..expired }).await;
    let live = "How do I reset the password of my account?";
    test.put(Stored { query: live, response: "live", cosine: 0.97, ..Stored::default() }).await;
    let mut query = test.query("default", QUESTION);
    query.now_secs += 11;
    let outcome = test.search(&[&query]).await.pop().unwrap().unwrap();
    assert_eq!(hit(&outcome), (Layer::Semantic, "live"));
}

#[tokio::test]
async fn lookup_with_another_number_in_the_nearest_entry_is_vetoed() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: "Where is order 48213?", response: "R", cosine: 0.99, ..Stored::default() }).await;
    // The first lookup knows nothing of the entry, and the second one has its number fingerprint in memory.
    for _ in 0..2 {
        let Miss { reason, best_similarity, veto, .. } = miss(test.ask("Where is order 48231?").await);
        assert_eq!((reason, veto), (MissReason::Vetoed, Some(VetoKind::Number)));
        assert!(best_similarity.is_some_and(|similarity| (similarity - 0.99).abs() < 1e-5));
    }
}

#[tokio::test]
async fn lookup_with_another_number_in_the_nearest_entry_serves_the_one_behind_it() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: "Where is order 48213?", response: "other", cosine: 0.99, ..Stored::default() }).await;
    test.put(Stored { query: "Where is my order 48231?", response: "own", cosine: 0.97, ..Stored::default() }).await;
    for _ in 0..2 {
        assert_eq!(hit(&test.ask("Where is order 48231?").await), (Layer::Semantic, "own"));
    }
}

#[tokio::test]
async fn lookup_in_an_empty_cache_misses_without_a_comparison() {
    let mut test = TestCache::start(&[]).await;
    assert_eq!(miss(test.ask(QUESTION).await), Miss::without_comparison(MissReason::NoEntry));
    let without_vector = test.query_with("default", QUESTION, None);
    let outcome = test.search(&[&without_vector]).await.pop().unwrap().unwrap();
    assert_eq!(miss(outcome), Miss::without_comparison(MissReason::NoEmbedding));
}

#[tokio::test]
async fn lookup_below_the_threshold_reports_the_nearest_similarity() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: PARAPHRASE, response: "R", cosine: 0.5, ..Stored::default() }).await;
    let Miss { reason, best_similarity, .. } = miss(test.ask(QUESTION).await);
    assert_eq!(reason, MissReason::BelowThreshold);
    assert!(best_similarity.is_some_and(|similarity| (similarity - 0.5).abs() < 1e-5));
}

#[tokio::test]
async fn lookup_with_a_stored_failure_is_rejected() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: QUESTION, response: "[ERROR] 500", ..Stored::default() }).await;
    assert_eq!(miss(test.ask(QUESTION).await).reason, MissReason::Rejected);
    assert_eq!(miss(test.ask(PARAPHRASE).await).reason, MissReason::Rejected);
}

#[tokio::test]
async fn batch_with_a_wrong_dimension_fails_for_that_query_alone() {
    let mut test = TestCache::start(&[]).await;
    test.put(Stored { query: PARAPHRASE, response: "R", cosine: 0.98, ..Stored::default() }).await;
    let right = test.query("default", QUESTION);
    let wrong_vector = mneme_model::embedding::Embedding::normalized(vec![1.0, 0.0]).unwrap();
    let wrong = test.query_with("default", QUESTION, Some(wrong_vector));
    let outcomes = test.search(&[&right, &wrong, &right]).await;
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind, ErrorKind::EmbedderDimensionError);
    for at in [0, 2] {
        assert_eq!(hit(outcomes[at].as_ref().unwrap()), (Layer::Semantic, "R"));
    }
}

#[tokio::test]
async fn batch_over_two_namespaces_keeps_its_order() {
    let mut test = TestCache::start(&[]).await;
    for namespace in ["a", "b"] {
        test.put(Stored { namespace, query: PARAPHRASE, response: namespace, cosine: 0.98, ..Stored::default() }).await;
    }
    let far = vector(-1.0);
    let queries = [
        test.query("b", QUESTION),
        test.query("a", PARAPHRASE),
        test.query_with("b", "Hello", Some(far)),
        test.query("a", QUESTION),
    ];
    for _ in 0..2 {
        let outcomes = test.search(&queries.each_ref()).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!(hit(&outcomes[0]), (Layer::Semantic, "b"));
        assert_eq!(hit(&outcomes[1]), (Layer::Exact, "a"));
        assert!(matches!(&outcomes[2], LookupOutcome::Miss(miss) if miss.reason == MissReason::BelowThreshold));
        assert_eq!(hit(&outcomes[3]), (Layer::Semantic, "a"));
    }
}

#[tokio::test]
async fn lookup_within_the_stale_check_interval_trusts_the_counter() {
    for (interval_ms, expected) in [("0", None), ("60000", Some(MissReason::NoEntry))] {
        let mut test = TestCache::start(&[("MNEME_STALE_CHECK_INTERVAL_MS", interval_ms)]).await;
        assert_eq!(miss(test.ask(QUESTION).await).reason, MissReason::NoEntry);
        test.put(Stored { query: PARAPHRASE, response: "R", cosine: 0.98, ..Stored::default() }).await;
        match (test.ask(QUESTION).await, expected) {
            (outcome, None) => assert_eq!(hit(&outcome), (Layer::Semantic, "R")),
            (outcome, Some(reason)) => assert_eq!(miss(outcome).reason, reason),
        }
        let mut other = test.other_instance();
        let query = test.query("default", QUESTION);
        let outcome = other.search(&test.cache, &[&query]).await.unwrap().pop().unwrap().unwrap();
        assert_eq!(hit(&outcome), (Layer::Semantic, "R"), "an instance without a counter reads it");
    }
}
