//! The rules by which a lookup judges entries.

use std::borrow::Cow;

use mneme_guard::ConversationSignature;
use mneme_model::confidence::Guard;
use mneme_model::config::Config;
use mneme_model::entry::Entry;
use mneme_model::namespace_settings::{EffectiveSettings, Layers, NamespaceSettings};
use serde::Serialize;

use super::query::Query;

/// The rules of one question: the fields of the request, or else the settings of the namespace, or else the
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rules {
    /// The lowest similarity of a semantic hit. A request can only raise it.
    pub threshold: f32,
    /// The lowest confidence of a hit.
    pub cutoff: f64,
    /// Whether the guard compares the questions.
    pub guard: Guard,
    /// Which layers may answer.
    pub layers: Layers,
    /// Whether the languages of the questions may differ.
    pub cross_language: bool,
    /// The age in seconds above which an answer is not served.
    pub max_answer_age: Option<u64>,
    /// The age in seconds at which the confidence has halved.
    pub half_life: Option<f64>,
}

impl Rules {
    /// The rules of `query` in a namespace that has set `settings`.
    pub fn new(query: &Query, settings: &NamespaceSettings, config: &Config) -> Self {
        let EffectiveSettings { threshold, cutoff, guard, layers, cross_language, max_answer_age, .. } =
            EffectiveSettings::new(settings, config);
        Self {
            threshold: query.threshold.map_or(threshold, |asked| asked.max(threshold)),
            cutoff,
            guard: query.guard.unwrap_or(guard),
            layers,
            cross_language,
            max_answer_age,
            half_life: config.confidence_half_life_secs,
        }
    }

    /// Whether `entry` is too old to be served at `now_secs`.
    pub(super) fn forbid_age_of(&self, entry: &Entry, now_secs: i64) -> bool {
        let age = u64::try_from(now_secs.saturating_sub(entry.created_at)).unwrap_or(0);
        self.max_answer_age.is_some_and(|longest| age > longest)
    }

    /// The signature of the query, as the semantic layer compares it.
    pub(crate) fn signature<'q>(&self, query: &'q Query) -> Cow<'q, ConversationSignature> {
        let mut signature = Cow::Borrowed(&query.question.signature);
        if self.cross_language {
            signature.to_mut().allow_any_language();
        }
        signature
    }
}
