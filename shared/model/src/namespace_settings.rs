//! The settings of one namespace: what it does differently from the configuration.
//!
//! To add a setting: a field in both structs of this module, a range in [`NamespaceSettings::check`], and a line in
//! [`EffectiveSettings::new`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::confidence::Guard;
use crate::config::Config;
use crate::error::Error;
use crate::limits::MAX_TTL_SECS;

/// Which layers of a lookup may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layers {
    /// Only the exact layer. No question is embedded.
    Exact,
    /// The exact layer and the semantic layer.
    All,
}

/// What is set for one namespace. A field that is `None` is not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceSettings {
    /// The lowest similarity of a semantic hit, from -1 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// The lowest confidence of a hit, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<f64>,
    /// Whether the guard compares two questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Which layers may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Layers>,
    /// The time to live of an entry whose put names none, in seconds from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_ttl_seconds: Option<u64>,
    /// The quota: the largest number of entries, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u64>,
    /// Whether a question may get the answer to a question in another language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_language: Option<bool>,
    /// The age in seconds, from 1, above which an answer is not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_answer_age: Option<u64>,
}

impl NamespaceSettings {
    /// Reads the JSON object of a row. A field that this version does not know, or whose value it does not accept, is
    /// left out, because another version may have written it.
    pub fn from_row(json: &str) -> Self {
        let fields: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
        let is_readable = |name: &String, value: &Value| {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            serde_json::from_value::<Self>(Value::Object(one)).is_ok_and(|settings| settings.check().is_ok())
        };
        let (known, unknown): (Map<_, _>, Map<_, _>) =
            fields.into_iter().partition(|(name, value)| is_readable(name, value));
        for name in unknown.keys() {
            tracing::warn!(setting = %name, "this version does not know the setting of a namespace, or its value");
        }
        serde_json::from_value(Value::Object(known)).unwrap_or_default()
    }

    /// The JSON object of a row.
    pub fn to_row(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These settings, and those of `other` where these set nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            threshold: self.threshold.or(other.threshold),
            cutoff: self.cutoff.or(other.cutoff),
            guard: self.guard.or(other.guard),
            layers: self.layers.or(other.layers),
            default_ttl_seconds: self.default_ttl_seconds.or(other.default_ttl_seconds),
            max_entries: self.max_entries.or(other.max_entries),
            cross_language: self.cross_language.or(other.cross_language),
            max_answer_age: self.max_answer_age.or(other.max_answer_age),
        }
    }

    /// Checks the ranges. Errors: `InvalidRequest`, which names the field.
    pub fn check(&self) -> Result<(), Error> {
        let in_range = |name: &str, is_allowed: Option<bool>, form: &str| match is_allowed {
            Some(false) => Err(Error::invalid(format!("{name}: it is not {form}"), format!("send {form}"))),
            _ => Ok(()),
        };
        let is_time = |seconds: Option<u64>| seconds.map(|seconds| (1..=MAX_TTL_SECS).contains(&seconds));
        let time = "a whole number of seconds from 1 to 3153600000";
        in_range("threshold", self.threshold.map(|t| (-1.0..=1.0).contains(&t)), "a number from -1 to 1")?;
        in_range("cutoff", self.cutoff.map(|c| (0.0..=1.0).contains(&c)), "a number from 0 to 1")?;
        in_range("default_ttl_seconds", is_time(self.default_ttl_seconds), time)?;
        in_range("max_entries", self.max_entries.map(|n| n >= 1), "a whole number from 1")?;
        in_range("max_answer_age", is_time(self.max_answer_age), time)
    }
}

/// The settings that apply in a namespace: its own, or else those of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EffectiveSettings {
    /// As [`NamespaceSettings::threshold`], or else `MNEME_SIMILARITY_THRESHOLD`.
    pub threshold: f32,
    /// As [`NamespaceSettings::cutoff`], or else `MNEME_CONFIDENCE_CUTOFF`.
    pub cutoff: f64,
    /// As [`NamespaceSettings::guard`], or else `MNEME_GUARD`.
    pub guard: Guard,
    /// As [`NamespaceSettings::layers`], or else all.
    pub layers: Layers,
    /// As [`NamespaceSettings::default_ttl_seconds`], or else `MNEME_DEFAULT_TTL_SECS`. `None`: entries do not expire.
    pub default_ttl_seconds: Option<u64>,
    /// As [`NamespaceSettings::max_entries`]. `None`: only `MNEME_MAX_ENTRIES` limits the namespace.
    pub max_entries: Option<u64>,
    /// As [`NamespaceSettings::cross_language`], or else `MNEME_CROSS_LANGUAGE`.
    pub cross_language: bool,
    /// As [`NamespaceSettings::max_answer_age`]. `None`: no answer is too old.
    pub max_answer_age: Option<u64>,
}

impl EffectiveSettings {
    /// The settings of a namespace that has set `own`.
    pub fn new(own: &NamespaceSettings, config: &Config) -> Self {
        Self {
            threshold: own.threshold.unwrap_or(config.similarity_threshold),
            cutoff: own.cutoff.unwrap_or(config.confidence_cutoff),
            guard: own.guard.unwrap_or(config.guard.into()),
            layers: own.layers.unwrap_or(Layers::All),
            default_ttl_seconds: own.default_ttl_seconds.or(config.default_ttl_secs),
            max_entries: own.max_entries,
            cross_language: own.cross_language.unwrap_or(config.cross_language),
            max_answer_age: own.max_answer_age,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_written_to_a_row_are_read_back() {
        let settings = NamespaceSettings {
            threshold: Some(0.9),
            guard: Some(Guard::Off),
            layers: Some(Layers::Exact),
            cross_language: Some(false),
            ..NamespaceSettings::default()
        };
        assert_eq!(NamespaceSettings::from_row(&settings.to_row()), settings);
        assert_eq!(NamespaceSettings::default().to_row(), "{}");
    }

    #[test]
    fn row_of_another_version_keeps_the_settings_that_are_known() {
        let json = r#"{"threshold": 0.9, "cutoff": 7, "layers": "fuzzy", "from_the_future": [1]}"#;
        let known = NamespaceSettings { threshold: Some(0.9), ..NamespaceSettings::default() };
        assert_eq!(NamespaceSettings::from_row(json), known);
        assert!(NamespaceSettings::from_row("not JSON").is_empty());
    }

    #[test]
    fn effective_settings_without_own_ones_are_those_of_the_configuration() {
        let config = Config::with(&[("MNEME_SIMILARITY_THRESHOLD", "0.7"), ("MNEME_DEFAULT_TTL_SECS", "60")]);
        let effective = EffectiveSettings::new(&NamespaceSettings::default(), &config);
        assert_eq!((effective.threshold, effective.default_ttl_seconds), (0.7, Some(60)));
        let own = NamespaceSettings { threshold: Some(0.5), default_ttl_seconds: Some(5), ..Default::default() };
        let effective = EffectiveSettings::new(&own, &config);
        assert_eq!((effective.threshold, effective.default_ttl_seconds), (0.5, Some(5)));
    }
}
