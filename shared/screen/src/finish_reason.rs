//! The reason for which a model stopped.

use mneme_model::error::Error;
use mneme_model::skip_reason::SkipReason;

/// What each reason says of the answer.
const TABLE: &str = include_str!("finish_reasons.tsv");

/// Why an answer that ended with `finish_reason` is not stored; `None` if the model finished it. Case, and `-` or a
/// space in place of `_`, do not matter.
///
/// Errors: `InvalidRequest` for a reason that is not known.
pub fn skip_reason(finish_reason: &str) -> Result<Option<SkipReason>, Error> {
    let reason = finish_reason.trim().to_lowercase().replace(['-', ' '], "_");
    let rows = TABLE.lines().filter_map(|line| line.split_once('\t'));
    let mut meanings = rows.filter(|(_, reasons)| reasons.split(' ').any(|known| known == reason)).map(|(is, _)| is);
    match meanings.next() {
        Some("finished") => Ok(None),
        Some(meaning) => Ok(meaning.parse().ok()),
        None => Err(Error::invalid(
            format!("finish_reason: there is no reason {:?}", finish_reason.chars().take(32).collect::<String>()),
            "send the model's own reason, for example stop, length, tool_calls or content_filter, or leave the field out",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_reason_of_each_clients_reason_is_what_it_says() {
        for (reason, expected) in [
            ("stop", None),
            ("STOP", None),
            ("end_turn", None),
            ("COMPLETE", None),
            ("length", Some(SkipReason::Truncated)),
            ("MAX_TOKENS", Some(SkipReason::Truncated)),
            ("tool-calls", Some(SkipReason::Truncated)),
            ("tool_use", Some(SkipReason::Truncated)),
            ("content-filter", Some(SkipReason::Refusal)),
            ("SAFETY", Some(SkipReason::Refusal)),
            ("guardrail_intervened", Some(SkipReason::Refusal)),
            ("error", Some(SkipReason::Error)),
        ] {
            assert_eq!(skip_reason(reason).unwrap(), expected, "{reason}");
        }
        let error = skip_reason("because").unwrap_err();
        assert!(error.to_string().contains("no reason \"because\"") && error.remediation.contains("content_filter"));
    }

    #[test]
    fn rows_of_the_table_have_a_known_meaning() {
        for (meaning, _) in TABLE.lines().filter_map(|line| line.split_once('\t')) {
            assert!(meaning == "finished" || meaning.parse::<SkipReason>().is_ok(), "{meaning}");
        }
    }
}
