//! The exact layer's key: a query normalised as the Python library does it, and its hash.

use std::fmt;

use icu_casemap::CaseMapper;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Whether `c` is white space to Python's `str.strip` and `\s`.
///
/// That is Unicode's `White_Space` and the four separators U+001C to U+001F, whose bidirectional class
/// is B or S (Python documentation, `str.isspace`).
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The normalised form of a query: stripped, runs of white space collapsed to one space, full Unicode
/// case folding (`Straße` and `STRASSE` meet). With `enabled` false, the query as it is.
///
/// Source: `mneme-cache` 1.0, `normalize()`; folding: Unicode's CaseFolding.txt, statuses C and F.
pub fn normalize(query: &str, enabled: bool) -> String {
    if !enabled {
        return query.to_owned();
    }
    let mut collapsed = String::with_capacity(query.len());
    for word in query.split(is_python_space).filter(|word| !word.is_empty()) {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    CaseMapper::new().fold_string(&collapsed).into_owned()
}

/// SHA-256 of a normalised query, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueryHash(String);

impl QueryHash {
    /// The hash of `query` after [`normalize`].
    pub fn of(query: &str, normalize_first: bool) -> Self {
        Self::hashed(&[normalize(query, normalize_first).as_bytes()])
    }

    /// The hash of `query` after [`normalize`] in a partition of the cache, given by its 32 bytes: that of no query without a
    /// partition.
    pub fn within(partition: &[u8; 32], query: &str, normalize_first: bool) -> Self {
        Self::hashed(&[partition, normalize(query, normalize_first).as_bytes()])
    }

    fn hashed(parts: &[&[u8]]) -> Self {
        let digest = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first 32 bits.
    pub fn prefix(&self) -> u32 {
        u32::from_str_radix(&self.0[..8], 16).unwrap_or(0)
    }
}

impl TryFrom<String> for QueryHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("a query hash is the SHA-256 of the normalised query, in 64 hexadecimal digits".to_owned())
        }
    }
}

impl From<QueryHash> for String {
    fn from(hash: QueryHash) -> Self {
        hash.0
    }
}

impl fmt::Display for QueryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_normal_stays_and_white_space_and_case_change_nothing(text in any::<String>()) {
            let normal = normalize(&text, true);
            prop_assert_eq!(normalize(&normal, true), normal.as_str());
            prop_assert_eq!(normalize(&format!("\u{2003}\n{text}\t "), true), normal.as_str());
            prop_assert!(!normal.contains("  ") && normal.trim() == normal);
        }
    }

    #[test]
    fn strips_collapses_and_folds() {
        assert_eq!(normalize("  How\t\u{1c}do\u{a0}I \n", true), "how do i");
        assert_eq!(normalize("Straße", true), normalize("STRASSE", true));
        assert_eq!(normalize("  As Is ", false), "  As Is ");
        // A zero-width space is not white space, to Python or to Unicode.
        assert_eq!(normalize("a\u{200b}b", true), "a\u{200b}b");
    }

    #[test]
    fn hashes_as_sha256() {
        // FIPS 180-2, appendix B.1: SHA-256("abc").
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(QueryHash::of(" ABC ", true).as_str(), abc);
        assert_eq!(QueryHash::try_from(abc.to_uppercase()).map(String::from).ok().as_deref(), Some(abc));
        assert!(QueryHash::try_from("abc".to_owned()).is_err());
    }
}
