//! What a lookup leaves behind: counts and metrics.

use mneme_model::entry::Entry;
use mneme_model::namespace::Namespace;
use mneme_store::namespace_stats::EventCounts;

use super::outcome::{Layer, LookupOutcome, Miss, MissReason};
use crate::cache::Cache;
use crate::maintain::stats_buffer::StatsBuffer;
use crate::runtime::invocation::Invocation;
use crate::runtime::metrics::Metric;

/// Counts the outcome of a lookup in `namespace`, and records its metrics.
pub fn record_outcome(invocation: &Invocation, stats: &StatsBuffer, namespace: &Namespace, outcome: &LookupOutcome) {
    stats.record(namespace, event_counts(outcome));
    record_metrics(invocation, outcome);
}

fn event_counts(found: &LookupOutcome) -> EventCounts {
    match found {
        LookupOutcome::Hit { layer: Layer::Exact, .. } => EventCounts { hits_exact: 1, ..EventCounts::default() },
        LookupOutcome::Hit { layer: Layer::Semantic, .. } => EventCounts { hits_semantic: 1, ..EventCounts::default() },
        LookupOutcome::Miss(_) => EventCounts { misses: 1, ..EventCounts::default() },
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
                MissReason::Vetoed => &[Metric::Misses, Metric::MissesVetoed],
                MissReason::NoEmbedding => &[Metric::Misses, Metric::MissesNoEmbedding],
                MissReason::EmbedderFailure => &[Metric::Misses, Metric::MissesEmbedderFailure],
                MissReason::NotEmbeddable => &[Metric::Misses, Metric::MissesNotEmbeddable],
                MissReason::Personal => &[Metric::Misses, Metric::MissesPersonal],
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
