//! What callers have said of the answers that a question got: which entries must not answer it, and which one does.

use serde::{Deserialize, Serialize};

use crate::entry_id::EntryId;
use crate::normalize::QueryHash;

/// The most entries that are barred from one question. A further verdict takes the place of the oldest one.
pub const MAX_BARS: usize = 8;
/// The most bytes that are kept of a caller's name.
const MAX_NAME_BYTES: usize = 256;

/// One caller's verdict on an entry as the answer to another question.
///
/// The entry is named by its question, because an entry that is stored again or moved to another embedder may get
/// another id. `id` is the id that it was last known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairVerdict {
    /// The hash of the entry's question.
    pub query_hash: QueryHash,
    /// The entry's id.
    pub id: EntryId,
    /// The epoch second of the verdict.
    pub at: i64,
    /// The name of the caller, or its first 256 bytes. `None` if it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl PairVerdict {
    /// A verdict of the caller `by` on the entry `id` with the question `query_hash`.
    pub fn new(query_hash: QueryHash, id: EntryId, at: i64, by: Option<&str>) -> Self {
        let by = by.map(|name| name[..name.floor_char_boundary(MAX_NAME_BYTES)].to_owned());
        Self { query_hash, id, at, by }
    }
}

/// A question that an entry of another question answers, as a caller has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The verdict on the entry that answers.
    pub verdict: PairVerdict,
    /// The signature of the question as it was confirmed, encoded by [`mneme_guard::ConversationSignature`].
    pub signature: Vec<u8>,
}

/// All verdicts on the entries that one question was compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairVerdicts {
    /// The entry that answers the question.
    pub alias: Option<Alias>,
    /// The entries that must not answer the question, the oldest verdict first: at most [`MAX_BARS`].
    pub bars: Vec<PairVerdict>,
}

impl PairVerdicts {
    /// Whether there is no verdict.
    pub fn is_empty(&self) -> bool {
        self.alias.is_none() && self.bars.is_empty()
    }

    /// Whether the entry with the question `query_hash` must not answer.
    pub fn bars(&self, query_hash: &QueryHash) -> bool {
        self.bars.iter().any(|bar| bar.query_hash == *query_hash)
    }

    /// Whether the entry with the question `query_hash` is the one that answers.
    pub fn confirms(&self, query_hash: &QueryHash) -> bool {
        self.alias.as_ref().is_some_and(|alias| alias.verdict.query_hash == *query_hash)
    }

    /// Bars an entry. If the question was an alias of it, the alias ends. If there are more than [`MAX_BARS`] bars, the
    /// oldest ones are dropped. An entry that is barred already stays barred by the first verdict.
    pub fn bar(&mut self, verdict: PairVerdict) {
        if self.confirms(&verdict.query_hash) {
            self.alias = None;
        }
        if !self.bars(&verdict.query_hash) {
            self.bars.push(verdict);
        }
        self.bars.drain(..self.bars.len().saturating_sub(MAX_BARS));
    }

    /// Lifts the bar on the entry with the question `query_hash`, if there is one.
    pub fn lift_bar(&mut self, query_hash: &QueryHash) {
        self.bars.retain(|bar| bar.query_hash != *query_hash);
    }

    /// Makes the entry of `alias` the one that answers. An alias for the same entry and the same written form of the
    /// question stays.
    pub fn confirm(&mut self, alias: Alias) {
        self.lift_bar(&alias.verdict.query_hash);
        let is_known =
            |known: &Alias| known.verdict.query_hash == alias.verdict.query_hash && known.signature == alias.signature;
        if !self.alias.as_ref().is_some_and(is_known) {
            self.alias = Some(alias);
        }
    }

    /// The verdicts, the one on the entry that answers last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PairVerdict> {
        self.bars.iter().chain(self.alias.as_ref().map(|alias| &alias.verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(number: u64) -> PairVerdict {
        let hash = QueryHash::of(&number.to_string(), true);
        PairVerdict::new(hash, EntryId::new(number).unwrap(), number as i64, Some("ann"))
    }

    fn alias(number: u64) -> Alias {
        Alias { verdict: verdict(number), signature: vec![1] }
    }

    #[test]
    fn bar_beyond_the_most_drops_the_oldest_and_a_repeated_one_changes_nothing() {
        let mut verdicts = PairVerdicts::default();
        (1..=MAX_BARS as u64).for_each(|number| verdicts.bar(verdict(number)));
        let before = verdicts.clone();
        verdicts.bar(PairVerdict { at: 99, ..verdict(1) });
        assert_eq!(verdicts, before);
        verdicts.bar(verdict(100));
        assert_eq!(verdicts.bars.len(), MAX_BARS);
        assert!(!verdicts.bars(&verdict(1).query_hash) && verdicts.bars(&verdict(100).query_hash));
    }

    #[test]
    fn last_verdict_on_an_entry_replaces_the_one_before() {
        let mut verdicts = PairVerdicts::default();
        verdicts.bar(verdict(1));
        verdicts.confirm(alias(1));
        assert!(verdicts.confirms(&verdict(1).query_hash) && verdicts.bars.is_empty());
        let known = verdicts.clone();
        verdicts.confirm(Alias { verdict: PairVerdict { at: 99, ..verdict(1) }, signature: vec![1] });
        assert_eq!(verdicts, known);
        verdicts.confirm(Alias { signature: vec![2], ..alias(1) });
        assert_ne!(verdicts, known, "the question was written in another way");
        verdicts.bar(verdict(2));
        assert!(verdicts.confirms(&verdict(1).query_hash), "a verdict on another entry changes nothing");
        verdicts.bar(verdict(1));
        assert!(verdicts.alias.is_none() && verdicts.bars(&verdict(1).query_hash));
        verdicts.lift_bar(&verdict(1).query_hash);
        verdicts.lift_bar(&verdict(2).query_hash);
        assert!(verdicts.is_empty());
    }

    #[test]
    fn long_name_of_a_caller_is_cut_at_a_character() {
        let name = "é".repeat(MAX_NAME_BYTES);
        let verdict = PairVerdict::new(verdict(1).query_hash, EntryId::new(1).unwrap(), 0, Some(&format!("a{name}")));
        assert_eq!(verdict.by.map(|by| by.len()), Some(MAX_NAME_BYTES - 1));
    }
}
