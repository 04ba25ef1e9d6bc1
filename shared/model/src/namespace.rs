//! Namespaces: the parts of a cache that never share an answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// DynamoDB's limit for a partition key (DynamoDB Developer Guide, "Service, account, and table quotas"). A namespace
/// is the partition key of both GSIs.
const MAX_NAMESPACE_BYTES: usize = 2048;

/// A namespace: 1 to 2,048 bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

/// The first 128 bits of the SHA-256 of a name. Lists of many namespaces hold hashes, because names may be long.
pub type NamespaceHash = [u8; 16];

impl Namespace {
    /// The first 128 bits of the SHA-256 of the name.
    pub fn hash(&self) -> NamespaceHash {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        std::array::from_fn(|at| digest[at])
    }

    /// The name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace that a row names. The name is not checked: the Python library may have written it by laxer rules.
    pub fn from_row(name: String) -> Self {
        Self(name)
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl TryFrom<String> for Namespace {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let rule = "a namespace is 1 to 2,048 bytes without control characters";
        if name.is_empty() {
            return Err(format!("the namespace is empty: {rule}"));
        }
        if name.len() > MAX_NAMESPACE_BYTES {
            return Err(format!("the namespace has {} bytes: {rule}", name.len()));
        }
        match name.chars().find(|c| c.is_control()) {
            Some(c) => Err(format!("the namespace contains U+{:04X}: {rule}", u32::from(c))),
            None => Ok(Self(name)),
        }
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn try_from_with_empty_long_or_control_text_is_refused() {
        for bad in ["", "a\u{0}b", "tab\t", "\u{85}", &"x".repeat(2049)] {
            assert!(Namespace::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for good in ["default", "a/b", "équipe 7", "日本", &"x".repeat(2048)] {
            assert!(Namespace::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
    }
}
