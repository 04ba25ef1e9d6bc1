//! What is not stored, and how long an answer that depends on the time stays.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mneme_model::config::{Config, ConfigError};
use mneme_model::question::Question;
use mneme_model::skip_reason::SkipReason;
use regex::RegexSet;

use crate::{answer, personal};

/// The rules of the configuration for what is stored.
#[derive(Debug)]
pub struct Policy {
    /// `MNEME_REFUSE_RESPONSES`.
    refused: RegexSet,
    /// `MNEME_PERSONAL`.
    refuses_personal: bool,
    /// `MNEME_VOLATILE_TTL_SECS`.
    volatile_ttl_secs: u64,
    /// `MNEME_TIME_ZONE`.
    time_zone: Option<TimeZone>,
}

impl Policy {
    /// The rules in `config`. Errors: every bad variable, with its accepted form.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut complaints = Vec::new();
        let patterns = config.refuse_responses.iter().flat_map(|patterns| patterns.lines());
        let patterns: Vec<&str> = patterns.filter(|pattern| !pattern.trim().is_empty()).collect();
        let refused = RegexSet::new(&patterns).unwrap_or_else(|error| {
            complaints.push(format!("MNEME_REFUSE_RESPONSES has a line that is no regular expression: {error}"));
            RegexSet::empty()
        });
        let time_zone = config.time_zone.as_deref().and_then(|name| {
            let zone = TimeZone::get(name.trim()).ok();
            if zone.is_none() {
                let form = "the name of a time zone of the IANA, such as Europe/Vienna";
                complaints.push(format!("MNEME_TIME_ZONE={name:?} is not {form}"));
            }
            zone
        });
        let (refuses_personal, volatile_ttl_secs) = (config.refuse_personal, config.volatile_ttl_secs);
        let policy = Self { refused, refuses_personal, volatile_ttl_secs, time_zone };
        if complaints.is_empty() { Ok(policy) } else { Err(ConfigError(complaints)) }
    }

    /// Why `response` is not stored as the answer to `question`; `None` if it is.
    pub fn skip_reason(&self, question: &Question, response: &str) -> Option<SkipReason> {
        let of_response = answer::skip_reason(&question.message, response);
        of_response.or_else(|| {
            if self.refused.is_match(response) {
                Some(SkipReason::Pattern)
            } else if self.refuses_personal && personal::is_personal(&question.message) {
                Some(SkipReason::Personal)
            } else {
                None
            }
        })
    }

    /// The most seconds that an answer to `question` lives from `now_secs` on if nobody asked for a time to live. `None`:
    /// the answer does not depend on the time of asking.
    pub fn longest_secs(&self, question: &Question, now_secs: i64) -> Option<u64> {
        question.signature.is_volatile().then(|| self.volatile_ttl_secs(now_secs))
    }

    /// The longest time to live of an answer that depends on the time of asking, from `now_secs` on: at least a second.
    fn volatile_ttl_secs(&self, now_secs: i64) -> u64 {
        let until_midnight = self.time_zone.as_ref().and_then(|zone| {
            let now = Timestamp::from_second(now_secs).ok()?.to_zoned(zone.clone());
            let midnight = now.tomorrow().ok()?.start_of_day().ok()?;
            u64::try_from(midnight.timestamp().as_second() - now_secs).ok()
        });
        self.volatile_ttl_secs.min(until_midnight.unwrap_or(u64::MAX)).max(1)
    }
}
