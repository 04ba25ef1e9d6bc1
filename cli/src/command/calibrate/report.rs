//! The function's reply, and its report for people.

use std::{collections::BTreeMap, fmt};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Deserialize;

use super::target::Target;

/// The reply of `POST /v1/calibrate`.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    pub(super) threshold: Option<f32>,
    pub(super) fitted: Yield,
    pub(super) held_back: Yield,
    pub(super) curve: Vec<Point>,
    pairs: Labels,
    vetoed: BTreeMap<String, Labels>,
    guard: String,
    cutoff: f64,
    wrong_hits_at_most: f64,
}

/// What a threshold yields on one half of the pairs, each as a share from 0 to 1.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Yield {
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) wrong: f64,
    pub(super) f1: f64,
}

/// A point of the curve.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Point {
    pub(super) threshold: f32,
    #[serde(flatten)]
    pub(super) yields: Yield,
}

/// Numbers of pairs by label.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Labels {
    same: u64,
    different: u64,
}

/// The reply for people. Its text form has a few lines and a table.
pub(super) struct Report {
    pub(super) target: Target,
    pub(super) reply: Reply,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reply { threshold, fitted, held_back, pairs, vetoed, guard, cutoff, wrong_hits_at_most, .. } = &self.reply;
        let target = match self.target {
            Target::F1 => "the best F1".to_owned(),
            Target::MaxWrong(share) => format!("the most hits with at most {:.1} % wrong", share * 100.0),
        };
        match threshold {
            Some(threshold) => writeln!(f, "threshold  {threshold}, for {target} (guard {guard}, cutoff {cutoff})")?,
            None => writeln!(f, "threshold  none: nothing is served, for {target} (guard {guard}, cutoff {cutoff})")?,
        }
        writeln!(f, "pairs      {}: {} same, {} different", pairs.same + pairs.different, pairs.same, pairs.different)?;
        let (same, different) =
            vetoed.values().fold((0, 0), |(same, different), of| (same + of.same, different + of.different));
        let kinds: Vec<String> = vetoed.iter().map(|(kind, of)| format!("{kind} {}", of.same + of.different)).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        writeln!(f, "vetoed     {same} same, {different} different{kinds}")?;

        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["half", "precision", "good hits (recall)", "wrong hits", "F1"]);
        for number in 1..=4 {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (name, yields) in [("chosen on", fitted), ("held back", held_back)] {
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            let Yield { precision, recall, wrong, f1 } = *yields;
            table.add_row([name.to_owned(), percent(precision), percent(recall), percent(wrong), format!("{f1:.3}")]);
        }
        let bound = wrong_hits_at_most * 100.0;
        writeln!(f, "{table}\nTrust the half held back: the threshold was not chosen on it.")?;
        write!(f, "With a certainty of 95 % at most {bound:.1} % of the hits on such questions are wrong.")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn reply(threshold: Option<f32>) -> Reply {
        let yields = |recall: f64| json!({"precision": 0.9, "recall": recall, "wrong": 0.1, "f1": 0.8123});
        let point = |recall: f64, threshold: f64| {
            let mut point = yields(recall);
            point["threshold"] = json!(threshold);
            point
        };
        let reply = json!({
            "threshold": threshold, "fitted": yields(0.75), "held_back": yields(0.5),
            "curve": [point(0.25, 0.95), point(0.5, 0.8), point(1.0, 0.3)],
            "pairs": {"same": 30, "different": 28},
            "vetoed": {"date": {"same": 0, "different": 2}, "number": {"same": 1, "different": 4}},
            "guard": "on", "cutoff": 0.7, "wrong_hits_at_most": 0.234,
        });
        serde_json::from_value(reply).unwrap()
    }

    #[test]
    fn report_of_a_reply_has_every_figure() {
        let text = Report { target: Target::F1, reply: reply(Some(0.8)) }.to_string();
        for part in [
            "threshold  0.8, for the best F1 (guard on, cutoff 0.7)",
            "pairs      58: 30 same, 28 different",
            "vetoed     1 same, 6 different (date 2, number 5)",
            "chosen on",
            "75.0 %",
            "held back",
            "50.0 %",
            "90.0 %",
            "10.0 %",
            "0.812",
            "at most 23.4 % of the hits",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let none = Report { target: Target::MaxWrong(0.05), reply: reply(None) }.to_string();
        assert!(none.starts_with("threshold  none: nothing is served, for the most hits with at most 5.0 % wrong"));
    }
}
