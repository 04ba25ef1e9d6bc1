//! The demo's report: a table with a row per lookup, and a summary.

use std::{fmt, time::Duration};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use strum::IntoStaticStr;

use super::{
    client::{Answer, Layer},
    texts::Lookup,
};

/// The maximum number of characters of a question in the table.
const SHOWN_CHARS: usize = 46;

/// One lookup and its result.
#[derive(Debug)]
pub(super) struct LookupResult {
    pub(super) lookup: Lookup,
    pub(super) answer: Answer,
    /// The stored question that was hit.
    pub(super) matched: Option<String>,
    pub(super) latency: Duration,
}

/// How a lookup's result compares with the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
enum Correctness {
    /// The expected question was hit.
    #[strum(serialize = "right")]
    Right,
    /// Another question was hit.
    #[strum(serialize = "WRONG")]
    Wrong,
    /// A stored question answers it, and none was hit.
    #[strum(serialize = "missed")]
    Missed,
    /// No stored question answers it, and none was hit.
    #[strum(serialize = "right (no answer)")]
    RightlyMissed,
}

impl LookupResult {
    fn correctness(&self) -> Correctness {
        match (&self.matched, &self.lookup.expected) {
            (Some(matched), Some(expected)) if matched == expected => Correctness::Right,
            (Some(_), _) => Correctness::Wrong,
            (None, Some(_)) => Correctness::Missed,
            (None, None) => Correctness::RightlyMissed,
        }
    }

    fn layer(&self) -> Option<Layer> {
        match self.answer {
            Answer::Hit { layer, .. } => Some(layer),
            Answer::Miss { .. } => None,
        }
    }

    fn row(&self) -> [String; 6] {
        let (outcome, similarity) = match &self.answer {
            Answer::Hit { layer, similarity, .. } => (<&str>::from(layer).to_owned(), Some(*similarity)),
            Answer::Miss { reason, best_similarity } => (format!("miss: {reason}"), *best_similarity),
        };
        [
            shorten(&self.lookup.query),
            outcome,
            self.matched.as_deref().map(shorten).unwrap_or_default(),
            similarity.map(|similarity| format!("{similarity:.3}")).unwrap_or_default(),
            format!("{:.1}", self.latency.as_secs_f64() * 1000.0),
            <&str>::from(self.correctness()).to_owned(),
        ]
    }
}

/// The results of the demo. Its text form has the table and the summary.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) stored: usize,
    pub(super) store_time: Duration,
    pub(super) results: Vec<LookupResult>,
    /// Whether the demo embedded the texts itself, by their wording alone.
    pub(super) by_wording: bool,
}

impl Report {
    fn count(&self, correctness: Correctness) -> usize {
        self.results.iter().filter(|result| result.correctness() == correctness).count()
    }

    /// Returns the sorted latencies of the lookups that `layer` answered; of the misses for `None`. The first lookup is
    /// left out, because it starts an instance.
    fn latencies(&self, layer: Option<Layer>) -> Vec<Duration> {
        let warm = self.results.iter().skip(1).filter(|result| result.layer() == layer);
        let mut latencies: Vec<_> = warm.map(|result| result.latency).collect();
        latencies.sort_unstable();
        latencies
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        // In a terminal, long cells wrap to its width.
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["question asked", "outcome", "matched question", "similarity", "ms", "verdict"]);
        for number in [3, 4] {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.add_rows(self.results.iter().map(LookupResult::row));
        writeln!(f, "{table}")?;

        let lookups = self.results.len();
        let exact = self.results.iter().filter(|result| result.layer() == Some(Layer::Exact)).count();
        let semantic = self.results.iter().filter(|result| result.layer() == Some(Layer::Semantic)).count();
        let rate = (exact + semantic) as f64 / lookups.max(1) as f64 * 100.0;
        writeln!(f, "stored    {} questions with answers in {:.2} s", self.stored, self.store_time.as_secs_f64())?;
        writeln!(
            f,
            "lookups   {lookups}: {exact} exact hits, {semantic} semantic hits, {} misses",
            lookups - exact - semantic
        )?;
        writeln!(f, "hit rate  {rate:.0} %")?;
        writeln!(
            f,
            "answers   {} right, {} wrong, {} missed, {} rightly without",
            self.count(Correctness::Right),
            self.count(Correctness::Wrong),
            self.count(Correctness::Missed),
            self.count(Correctness::RightlyMissed),
        )?;
        if let Some(first) = self.results.first() {
            writeln!(f, "latency   first lookup (cold start) {:.1} ms", first.latency.as_secs_f64() * 1000.0)?;
        }
        for (name, layer) in [("exact", Some(Layer::Exact)), ("semantic", Some(Layer::Semantic)), ("miss", None)] {
            let latencies = self.latencies(layer);
            if let (Some(p50), Some(p95)) = (percentile(&latencies, 50), percentile(&latencies, 95)) {
                writeln!(f, "          {name:<8} p50 {p50:.1} ms, p95 {p95:.1} ms")?;
            }
        }
        match self.by_wording {
            true => write!(f, "The demo's embedder compares wording. Try `--embedder minilm`, which compares meaning."),
            false => {
                write!(f, "Latencies are from the request to the reply and include the embedding of the question.")
            }
        }
    }
}

/// Returns the nearest-rank percentile in milliseconds; `None` of an empty list.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).map(|latency| latency.as_secs_f64() * 1000.0)
}

/// Returns the text as one line of at most [`SHOWN_CHARS`] characters.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN_CHARS {
        return line;
    }
    let start: String = line.chars().take(SHOWN_CHARS - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(expected: Option<&str>, matched: Option<&str>, answer: Answer, ms: u64) -> LookupResult {
        LookupResult {
            lookup: Lookup { query: "asked".to_owned(), expected: expected.map(str::to_owned) },
            answer,
            matched: matched.map(str::to_owned),
            latency: Duration::from_millis(ms),
        }
    }

    #[test]
    fn report_of_every_kind_of_result_counts_each() {
        let hit = |layer| Answer::Hit { layer, id: 1, similarity: 0.9 };
        let miss = || Answer::Miss { reason: "below_threshold".to_owned(), best_similarity: Some(0.1234) };
        let report = Report {
            stored: 2,
            store_time: Duration::from_millis(1500),
            results: vec![
                result(Some("a"), Some("a"), hit(Layer::Exact), 90),
                result(Some("a"), Some("a"), hit(Layer::Exact), 2),
                result(Some("a"), Some("b"), hit(Layer::Semantic), 3),
                result(Some("a"), None, miss(), 4),
                result(None, None, miss(), 5),
            ],
            by_wording: true,
        };
        let text = report.to_string();
        for part in [
            "stored    2 questions with answers in 1.50 s",
            "lookups   5: 2 exact hits, 1 semantic hits, 2 misses",
            "hit rate  60 %",
            "answers   2 right, 1 wrong, 1 missed, 1 rightly without",
            "first lookup (cold start) 90.0 ms",
            "exact    p50 2.0 ms, p95 2.0 ms",
            "miss     p50 4.0 ms, p95 5.0 ms",
            "miss: below_threshold",
            "0.123",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn shorten_of_a_long_question_cuts_it() {
        assert_eq!(shorten("  a  b\t"), "a b");
        assert_eq!(shorten(&"ß".repeat(100)).chars().count(), SHOWN_CHARS);
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let sorted: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Some(10.0));
        assert_eq!(percentile(&sorted, 95), Some(19.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
