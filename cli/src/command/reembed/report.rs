//! The report of a move.

use std::fmt;

use serde::Deserialize;

/// The fields of the function's reply that are shown.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    phase: Phase,
    active: Stamp,
    side: Option<MoveEnd>,
    other: Option<Stamp>,
    pub(super) complete: bool,
    pub(super) done: Option<u64>,
    pub(super) total: Option<u64>,
    entries: Option<Entries>,
    pub(super) ids_per_second: Option<f64>,
    pub(super) seconds_left: Option<f64>,
}

/// What a move does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    None,
    Adding,
    Removing,
}

/// Which embedder of a move is active: the one that the cache leaves, or the one that it moves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MoveEnd {
    Source,
    Target,
}

/// An embedder, as the table is stamped with it.
#[derive(Debug, Deserialize)]
struct Stamp {
    fingerprint: Option<String>,
    dim: Option<u32>,
}

/// Numbers of entries, by whether they have a vector of the other embedder and why not.
#[derive(Debug, Deserialize)]
struct Entries {
    ready: u64,
    without_query: u64,
    refused: u64,
    too_large: u64,
    not_embeddable: u64,
    without_vector: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fingerprint.as_deref().unwrap_or("an embedder without a name"))?;
        match self.dim {
            Some(dim) => write!(f, ", {dim} dimensions"),
            None => Ok(()),
        }
    }
}

impl State {
    /// The command to run next, and its effect; `None` without a move.
    fn next(&self) -> Option<&'static str> {
        Some(match (self.phase, self.side?, self.complete) {
            (Phase::None, ..) => return None,
            (Phase::Adding, _, false) => "run: gives the rest of the entries a vector of the other embedder",
            (Phase::Adding, MoveEnd::Source, true) => {
                "switch: lookups compare with the other embedder's vectors from then on"
            }
            (Phase::Adding, MoveEnd::Target, true) => "finish: removes the other embedder's vectors; or switch-back",
            (Phase::Removing, MoveEnd::Source, _) => "abort: continues to remove the other embedder's vectors",
            (Phase::Removing, MoveEnd::Target, _) => "finish: continues to remove the other embedder's vectors",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "active     {}", self.active)?;
        if let Some(other) = &self.other {
            write!(f, "\nother      {other}")?;
        }
        if let (Some(done), Some(total)) = (self.done, self.total) {
            write!(f, "\nids        {done} of {total} gone through")?;
        }
        if let Some(rate) = self.ids_per_second {
            write!(f, ", {rate:.0} a second")?;
        }
        if let Some(entries) = &self.entries {
            write!(f, "\nentries    {} ready", entries.ready)?;
            let others = [
                (entries.without_query, "without a stored query"),
                (entries.refused, "refused by the embedder"),
                (entries.too_large, "too large for a second vector"),
                (entries.not_embeddable, "that the embedder cannot read"),
                (entries.without_vector, "that never had a vector"),
            ];
            for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
                write!(f, ", {count} {what}")?;
            }
        }
        match self.next() {
            Some(next) => write!(f, "\nnext       mneme reembed {next}"),
            None => write!(f, "\nno move is under way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_a_move_displays_left_out_entries_and_the_next_command() {
        let reply = r#"{"phase":"adding","active":{"fingerprint":"a/1","dim":3},"side":"source",
            "other":{"fingerprint":"b/1","dim":4},"complete":true,"done":9,"total":9,
            "entries":{"ready":7,"without_query":2,"refused":0,"too_large":0,"not_embeddable":0,"without_vector":0},
            "ids_per_second":20.4,"seconds_left":0.0,"cursor":null}"#;
        let state: State = serde_json::from_str(reply).unwrap();
        assert_eq!(
            state.to_string(),
            "active     a/1, 3 dimensions\nother      b/1, 4 dimensions\nids        9 of 9 gone through, 20 a second\n\
             entries    7 ready, 2 without a stored query\n\
             next       mneme reembed switch: lookups compare with the other embedder's vectors from then on"
        );
        let none =
            r#"{"phase":"none","active":{"fingerprint":null,"dim":null},"side":null,"other":null,"complete":true}"#;
        let state: State = serde_json::from_str(none).unwrap();
        assert_eq!(state.to_string(), "active     an embedder without a name\nno move is under way");
    }
}
