//! The file of pairs. It translates the function's refusals into the file's lines.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Why a file cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PairsError {
    #[error("cannot read {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}, line {line}: {source}; write one JSON object per line", file.display())]
    NotJson { file: PathBuf, line: usize, source: serde_json::Error },
}

/// Why the function refused the pairs, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{place}{detail}; {remediation}")]
pub(super) struct Refusal {
    place: String,
    detail: String,
    remediation: String,
}

/// The pairs of a file, each with its line number.
#[derive(Debug)]
pub(super) struct Pairs {
    file: PathBuf,
    pairs: Vec<Value>,
    lines: Vec<usize>,
}

impl Pairs {
    /// Reads a file of one pair per line. Empty lines are skipped.
    pub(super) fn read(file: &Path) -> Result<Self, PairsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| PairsError::Unreadable { file: file.to_path_buf(), source })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, PairsError> {
        let file = file.to_path_buf();
        let (mut pairs, mut lines) = (Vec::new(), Vec::new());
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let pair = serde_json::from_str(text).map_err(|source| PairsError::NotJson {
                file: file.clone(),
                line,
                source,
            })?;
            pairs.push(pair);
            lines.push(line);
        }
        Ok(Self { file, pairs, lines })
    }

    /// The value of the request's field `pairs`.
    pub(super) fn as_request(&self) -> &[Value] {
        &self.pairs
    }

    /// A refusal of the function in terms of the file, with the line of its pair if `detail` names one.
    pub(super) fn refusal(&self, detail: &str, remediation: String) -> Refusal {
        let file = self.file.display();
        match self.line_of(detail) {
            Some((line, rest)) => {
                Refusal { place: format!("{file}, line {line}: "), detail: rest.to_owned(), remediation }
            }
            None => Refusal { place: format!("{file}: "), detail: detail.to_owned(), remediation },
        }
    }

    /// The refusal of a file that no request can carry.
    pub(super) fn too_large(&self) -> Refusal {
        let remedy =
            "send each pair's `similarity` in place of its embeddings, or embeddings as base64, or fewer pairs";
        self.refusal("the pairs are larger than the 6 MB that Lambda takes", remedy.to_owned())
    }

    /// If `detail` names a pair, returns the pair's line and the rest of the detail.
    fn line_of<'a>(&self, detail: &'a str) -> Option<(usize, &'a str)> {
        let (at, rest) = detail.strip_prefix("pairs[")?.split_once(']')?;
        let line = self.lines.get(at.parse::<usize>().ok()?)?;
        Some((*line, rest.trim_start_matches(['.', ':', ' '])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parse_with_a_line_that_is_not_json_names_the_line() {
        let file = Path::new("pairs.jsonl");
        let pairs = Pairs::parse(file, "{\"a\": 1}\n\n  \r\n{\"a\": 2}\r\n").unwrap();
        assert_eq!(pairs.as_request(), [json!({"a": 1}), json!({"a": 2})]);
        let error = Pairs::parse(file, "{}\n\n{\"a\": }\n").unwrap_err().to_string();
        assert!(error.starts_with("pairs.jsonl, line 3: expected value"), "{error}");
        assert!(error.ends_with("write one JSON object per line"), "{error}");
        let error = Pairs::read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /no/such/file: "), "{error}");
    }

    #[test]
    fn refusal_of_a_pair_names_its_line() {
        let pairs = Pairs::parse(Path::new("pairs.jsonl"), "{}\n\n{}\n").unwrap();
        let refused = |detail: &str| pairs.refusal(detail, "correct it".to_owned()).to_string();
        assert_eq!(refused("pairs[1].a.query: too long"), "pairs.jsonl, line 3: a.query: too long; correct it");
        assert_eq!(refused("pairs[0]: missing field `a`"), "pairs.jsonl, line 1: missing field `a`; correct it");
        for other in ["pairs: 2 pairs are too few", "pairs[2]: beyond", "pairs[x]: odd", "cutoff: 7"] {
            assert_eq!(refused(other), format!("pairs.jsonl: {other}; correct it"));
        }
        let too_large = pairs.too_large().to_string();
        assert!(too_large.contains("6 MB") && too_large.contains("`similarity`"), "{too_large}");
    }
}
