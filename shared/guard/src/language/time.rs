//! Spans of time relative to the moment of asking (`times.tsv`).

use fnv::FnvHashMap as HashMap;

use super::lists::{columns, phrases, rows, spellings};
use super::phrase::Phrases;

/// The spans of time of one language.
pub(crate) struct Times {
    phrases: Phrases<&'static str>,
    /// Words after which a span is not the span of the question.
    not_after: Vec<&'static str>,
    /// By the word: which of the periods.
    positions: HashMap<&'static str, &'static str>,
    /// By the word: the period's first spelling.
    periods: HashMap<&'static str, &'static str>,
}

/// The groups of `calendar.tsv` whose words are periods after a position: "next Monday".
const CALENDAR_PERIODS: [&str; 4] = ["weekday", "month", "season", "holiday"];
/// The value of a phrase that is no span although its words are.
const NO_SPAN: &str = "none";

impl Times {
    pub(super) fn parse(times: &'static str, calendar: &'static str) -> Self {
        let mut this = Self {
            phrases: Phrases::default(),
            not_after: Vec::new(),
            positions: HashMap::default(),
            periods: HashMap::default(),
        };
        let calendar = rows(calendar).filter(|(group, _)| CALENDAR_PERIODS.contains(group));
        this.periods.extend(calendar.flat_map(|(_, words)| spellings(words)));
        for (kind, rest) in rows(times) {
            let (value, words) = columns(rest);
            match kind {
                "phrase" => this.phrases.extend(phrases(words).map(|phrase| (phrase, value))),
                "not-after" => this.not_after.extend(words.split(' ')),
                "position" => this.positions.extend(words.split(' ').map(|word| (word, value))),
                "period" => this.periods.extend(words.split(' ').map(|word| (word, value))),
                _ => {}
            }
        }
        this
    }

    /// True if a span after `word` is the span of the question.
    pub(crate) fn may_follow(&self, word: &str) -> bool {
        !self.not_after.contains(&word)
    }

    /// The span of time that `words` begin with: its number of words and its name, such as "week" and "+1". The name is
    /// `None` for a phrase that is no span.
    pub(crate) fn span<'w>(
        &self,
        words: impl Iterator<Item = &'w str> + Clone,
    ) -> Option<(usize, Option<(&'static str, &'static str)>)> {
        let phrase = self.phrases.longest(words.clone());
        let mut pair = words;
        let position = pair.next().and_then(|word| self.positions.get(word));
        let period = pair.next().and_then(|word| self.periods.get(word));
        match (phrase, position.zip(period)) {
            (Some((length, NO_SPAN)), _) => Some((length, None)),
            (Some((length, value)), None) => Some((length, Some((value, "")))),
            (Some((length, value)), _) if length > 2 => Some((length, Some((value, "")))),
            (Some((2, value)), _) => Some((2, Some((value, "")))),
            (_, Some((position, period))) => Some((2, Some((period, position)))),
            (None, None) => None,
        }
    }
}
