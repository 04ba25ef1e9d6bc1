//! What a lookup leaves behind: counts, metrics, and the result in the log line.

use mneme_guard::VetoKind;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::usage::{Prices, Usage};
use mneme_store::hour_stats::{LookupTally, Savings};
use mneme_store::namespace_stats::EventCounts;
use serde::Serialize;

use super::outcome::{Layer, LookupOutcome, Miss, MissReason};
use super::query::Query;
use crate::cache::Cache;
use crate::maintain::stats_buffer::StatsBuffer;
use crate::runtime::invocation::Invocation;
use crate::runtime::metrics::Metric;

/// The result of a lookup in the log line. Fields without a value are left out.
#[derive(Debug, Default, Serialize)]
struct LoggedResult {
    /// The layer that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<Layer>,
    /// The entry that was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<EntryId>,
    /// Why nothing was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<MissReason>,
    /// How the nearest entry contradicts the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    veto: Option<VetoKind>,
    /// The nearest entry, if nothing was served and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<EntryId>,
    /// The similarity of the entry that was served, or of the nearest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f32>,
    /// The confidence of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
}

/// Counts the outcome of `query` and what a hit saved, and records its metrics and its result.
pub fn record_outcome(
    invocation: &Invocation,
    stats: &StatsBuffer,
    prices: &Prices,
    query: &Query,
    outcome: &LookupOutcome,
) {
    stats.record(&query.namespace, query.now_secs, event_counts(outcome), &tally(outcome, prices));
    record_metrics(invocation, outcome);
    invocation.record_result(logged_result(outcome));
}

fn logged_result(outcome: &LookupOutcome) -> LoggedResult {
    match outcome {
        LookupOutcome::Hit { layer, entry, similarity, confidence, .. } => LoggedResult {
            layer: Some(*layer),
            entry: Some(entry.id),
            similarity: Some(*similarity),
            confidence: Some(*confidence as f32),
            ..LoggedResult::default()
        },
        LookupOutcome::Miss(Miss { reason, best_similarity, nearest, veto }) => LoggedResult {
            reason: Some(*reason),
            veto: *veto,
            nearest: *nearest,
            similarity: *best_similarity,
            ..LoggedResult::default()
        },
    }
}

fn event_counts(found: &LookupOutcome) -> EventCounts {
    match found {
        LookupOutcome::Hit { layer: Layer::Exact, .. } => EventCounts { hits_exact: 1, ..EventCounts::default() },
        LookupOutcome::Hit { layer: Layer::Semantic, .. } => EventCounts { hits_semantic: 1, ..EventCounts::default() },
        LookupOutcome::Miss(_) => EventCounts { misses: 1, ..EventCounts::default() },
    }
}

fn tally(found: &LookupOutcome, prices: &Prices) -> LookupTally {
    match found {
        LookupOutcome::Hit { layer, entry, .. } => LookupTally {
            hits_exact: u64::from(*layer == Layer::Exact),
            hits_semantic: u64::from(*layer == Layer::Semantic),
            savings: entry.usage.as_ref().map(|usage| savings(usage, prices)).unwrap_or_default(),
            ..LookupTally::default()
        },
        LookupOutcome::Miss(miss) => {
            LookupTally { misses: [(miss.reason.name().to_owned(), 1)].into(), ..LookupTally::default() }
        }
    }
}

fn savings(usage: &Usage, prices: &Prices) -> Savings {
    let cost = prices.cost_micros(usage);
    Savings {
        hits_with_usage: 1,
        hits_with_cost: u64::from(cost.is_some()),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        latency_ms: usage.latency_ms,
        cost_micros: cost.unwrap_or(0),
    }
}

fn record_metrics(invocation: &Invocation, found: &LookupOutcome) {
    let (metrics, similarity): (&[Metric], _) = match found {
        LookupOutcome::Hit { layer: Layer::Exact, .. } => (&[Metric::HitsExact], None),
        LookupOutcome::Hit { layer: Layer::Semantic, similarity, .. } => (&[Metric::HitsSemantic], Some(*similarity)),
        LookupOutcome::Miss(Miss { reason, best_similarity, .. }) => (
            match reason {
                MissReason::NoEntry => &[Metric::Misses, Metric::MissesNoEntry],
                MissReason::BelowThreshold => &[Metric::Misses, Metric::MissesBelowThreshold],
                MissReason::LowConfidence => &[Metric::Misses, Metric::MissesLowConfidence],
                MissReason::Rejected => &[Metric::Misses, Metric::MissesRejected],
                MissReason::Barred => &[Metric::Misses, Metric::MissesBarred],
                MissReason::MissingTag => &[Metric::Misses, Metric::MissesMissingTag],
                MissReason::Vetoed => &[Metric::Misses, Metric::MissesVetoed],
                MissReason::NoEmbedding => &[Metric::Misses, Metric::MissesNoEmbedding],
                MissReason::EmbedderFailure => &[Metric::Misses, Metric::MissesEmbedderFailure],
                MissReason::NotEmbeddable => &[Metric::Misses, Metric::MissesNotEmbeddable],
                MissReason::Personal => &[Metric::Misses, Metric::MissesPersonal],
                MissReason::ExactOnly => &[Metric::Misses, Metric::MissesExactOnly],
                MissReason::TooOld => &[Metric::Misses, Metric::MissesTooOld],
                MissReason::Bypass => &[Metric::Misses, Metric::MissesBypass],
                MissReason::NotLoaded => &[Metric::Misses, Metric::MissesNotLoaded],
                MissReason::Unavailable => &[Metric::Misses, Metric::MissesUnavailable],
            },
            *best_similarity,
        ),
    };
    metrics.iter().for_each(|metric| invocation.record(*metric, 1.0));
    if let Some(similarity) = similarity {
        invocation.record(Metric::Similarity, similarity.into());
    }
}

/// Whether the entry's last recorded access is older than `MNEME_ACCESS_RESOLUTION_SECS`.
pub fn access_is_due(cache: &Cache, entry: &Entry) -> bool {
    let since = cache.now_secs().saturating_sub(entry.last_accessed_at);
    u64::try_from(since).is_ok_and(|since| since >= cache.config.access_resolution_secs)
}
