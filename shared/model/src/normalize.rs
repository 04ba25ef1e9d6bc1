//! The exact layer's key: the hash of a query, which is normalised as the Python library does it.

use std::fmt;

use icu_casemap::CaseMapper;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Whether Python's `str.strip` and `\s` treat `c` as white space.
///
/// They do so for Unicode's `White_Space` and for the four separators U+001C to U+001F. The bidirectional class of
/// these four is B or S (Python documentation, `str.isspace`).
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The normalised form of a query. White space at both ends is removed, each run of white space becomes one space, and
/// Unicode's full case folding is applied, so that `Straße` equals `STRASSE`. Returns the query as it is if `enabled`
/// is false.
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
    /// The hash of `query`, which is [normalised](normalize) before if `normalize_first` is true.
    pub fn of(query: &str, normalize_first: bool) -> Self {
        Self::hashed(&[normalize(query, normalize_first).as_bytes()])
    }

    /// The hash of a context key, given by its 32 bytes, and of `query`, normalised as in [`QueryHash::of`]. It differs
    /// from the hash of any query without a context key.
    pub fn in_context(context_key: &[u8; 32], query: &str, normalize_first: bool) -> Self {
        Self::hashed(&[context_key, normalize(query, normalize_first).as_bytes()])
    }

    fn hashed(parts: &[&[u8]]) -> Self {
        let digest = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hash as 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 32 bits of the hash.
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
        fn normalize_is_idempotent_and_ignores_outer_white_space(text in any::<String>()) {
            let normalized = normalize(&text, true);
            prop_assert_eq!(normalize(&normalized, true), normalized.as_str());
            prop_assert_eq!(normalize(&format!("\u{2003}\n{text}\t "), true), normalized.as_str());
            prop_assert!(!normalized.contains("  ") && normalized.trim() == normalized);
        }
    }

    #[test]
    fn normalize_text_strips_collapses_and_folds_case() {
        assert_eq!(normalize("  How\t\u{1c}do\u{a0}I \n", true), "how do i");
        assert_eq!(normalize("Straße", true), normalize("STRASSE", true));
        assert_eq!(normalize("  As Is ", false), "  As Is ");
        // Neither Python nor Unicode treats a zero-width space as white space.
        assert_eq!(normalize("a\u{200b}b", true), "a\u{200b}b");
    }

    #[test]
    fn query_hash_of_known_text_is_its_sha256() {
        // FIPS 180-2, appendix B.1: SHA-256("abc").
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(QueryHash::of(" ABC ", true).as_str(), abc);
        assert_eq!(QueryHash::try_from(abc.to_uppercase()).map(String::from).ok().as_deref(), Some(abc));
        assert!(QueryHash::try_from("abc".to_owned()).is_err());
    }
}
