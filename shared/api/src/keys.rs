//! The API keys of callers that reach a function at its own URL. Only hashes of keys are known here.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use thiserror::Error;

use crate::access::{Access, Identity, Scope};

/// The start of every key that [`KeyRing::make`] makes. Scanners for leaked secrets can look for it.
const PREFIX: &str = "mneme-";
/// The number of random bytes in a key.
const RANDOM_BYTES: usize = 32;
/// The word for a ring that lets every key in.
const ANY: &str = "any";

/// The keys that are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRing {
    /// Every key, and no key at all. For development.
    Any,
    /// These keys. Without one, nobody is let in.
    Only(Vec<KeyRecord>),
}

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The name of its holder. It is the principal of the holder's requests.
    pub name: String,
    /// SHA-256 of the key, in 64 hexadecimal digits.
    pub sha256: KeyHash,
    /// The namespaces that its holder may use. `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<BTreeSet<Namespace>>,
}

/// SHA-256 of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

/// Why a text is no list of keys, or why a list cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyRingError {
    /// The text is not a list of keys.
    #[error("it is not a list of keys: {0}")]
    Malformed(String),
    /// Two keys have one name.
    #[error("there are two keys with the name {0:?}")]
    NameTaken(String),
    /// No key has the name.
    #[error("there is no key with the name {0:?}")]
    UnknownName(String),
}

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl From<KeyHash> for String {
    fn from(KeyHash(bytes): KeyHash) -> Self {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for KeyHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits: Option<Vec<u8>> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
        let (pairs, _) = digits.as_deref().unwrap_or_default().as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high * 16 + low).collect();
        let bytes = <[u8; 32]>::try_from(bytes).ok().filter(|_| text.len() == 64);
        bytes.map(Self).ok_or("64 hexadecimal digits are expected")
    }
}

impl KeyRing {
    /// Reads `any` or a JSON list of [`KeyRecord`]s. An empty text is an empty list. Errors: [`KeyRingError`].
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        match text.trim() {
            ANY => Ok(Self::Any),
            "" => Ok(Self::Only(Vec::new())),
            list => {
                let records: Vec<KeyRecord> =
                    serde_json::from_str(list).map_err(|error| KeyRingError::Malformed(error.to_string()))?;
                let mut names = BTreeSet::new();
                match records.iter().find(|record| !names.insert(&record.name)) {
                    Some(twice) => Err(KeyRingError::NameTaken(twice.name.clone())),
                    None => Ok(Self::Only(records)),
                }
            }
        }
    }

    /// Makes a key for `name`, and adds its hash to `records`. Returns the key, which is stored nowhere.
    ///
    /// `random`: bytes of the system's source of randomness. `namespaces`: as in [`KeyRecord`].
    ///
    /// Errors: [`KeyRingError::NameTaken`].
    pub fn make(
        records: &mut Vec<KeyRecord>,
        name: &str,
        namespaces: Option<BTreeSet<Namespace>>,
        random: [u8; RANDOM_BYTES],
    ) -> Result<String, KeyRingError> {
        if records.iter().any(|record| record.name == name) {
            return Err(KeyRingError::NameTaken(name.to_owned()));
        }
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        records.push(KeyRecord { name: name.to_owned(), sha256: KeyHash::of(&key), namespaces });
        Ok(key)
    }

    /// Removes the key of `name` from `records`. Errors: [`KeyRingError::UnknownName`].
    pub fn revoke(records: &mut Vec<KeyRecord>, name: &str) -> Result<(), KeyRingError> {
        let before = records.len();
        records.retain(|record| record.name != name);
        if records.len() == before { Err(KeyRingError::UnknownName(name.to_owned())) } else { Ok(()) }
    }

    /// The identity of a caller that sent this `authorization` header. It may read and write entries in the key's
    /// namespaces.
    ///
    /// The time that this takes depends on the number of keys, and not on which of them fits.
    ///
    /// Errors: `Unauthorized`.
    pub fn identify(&self, authorization: Option<&str>) -> Result<Identity, Error> {
        let records = match self {
            Self::Any => return Ok(identity(Access::All, None)),
            Self::Only(records) => records,
        };
        let key = authorization.and_then(bearer).ok_or_else(|| {
            unauthorized("the request has no API key", "send the key in the header `authorization: Bearer <key>`")
        })?;
        let KeyHash(hash) = KeyHash::of(key);
        let mut found = u64::MAX;
        for (at, record) in (0u64..).zip(records) {
            let fits: Choice = record.sha256.0.ct_eq(&hash);
            found.conditional_assign(&at, fits);
        }
        let record = usize::try_from(found).ok().and_then(|at| records.get(at));
        let record = record.ok_or_else(|| {
            unauthorized("the API key is not known", "send a key that the operator made and did not revoke")
        })?;
        let access = record.namespaces.clone().map_or(Access::All, Access::Only);
        Ok(identity(access, Some(record.name.clone())))
    }
}

fn identity(access: Access, principal: Option<String>) -> Identity {
    Identity { access, scope: Some(Scope::Write), principal }
}

fn unauthorized(detail: &str, remediation: &str) -> Error {
    Error::new(ErrorKind::Unauthorized, detail, remediation)
}

/// The credentials of the scheme `Bearer`, whose name may be in upper or lower case (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim()).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> BTreeSet<Namespace> {
        names.iter().map(|name| Namespace::try_from((*name).to_owned()).unwrap()).collect()
    }

    #[test]
    fn key_that_was_made_is_let_in_until_it_is_revoked() {
        let mut records = Vec::new();
        let web = KeyRing::make(&mut records, "web", Some(only(&["a", "b"])), [1; 32]).unwrap();
        let all = KeyRing::make(&mut records, "all", None, [2; 32]).unwrap();
        assert!(web.starts_with("mneme-") && web != all);
        let text = serde_json::to_string(&records).unwrap();
        assert!(!text.contains(&web));
        let ring = KeyRing::parse(&text).unwrap();
        let identity = ring.identify(Some(&format!("Bearer {web}"))).unwrap();
        assert_eq!(identity.access, Access::Only(only(&["a", "b"])));
        assert_eq!((identity.scope, identity.principal.as_deref()), (Some(Scope::Write), Some("web")));
        assert_eq!(ring.identify(Some(&format!("bearer  {all} "))).unwrap().access, Access::All);
        KeyRing::revoke(&mut records, "web").unwrap();
        let error = KeyRing::Only(records).identify(Some(&format!("Bearer {web}"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthorized);
    }

    #[test]
    fn identify_without_a_known_key_is_unauthorized() {
        let mut records = Vec::new();
        let key = KeyRing::make(&mut records, "web", None, [1; 32]).unwrap();
        let ring = KeyRing::Only(records);
        let wrong = format!("Bearer {key}x");
        let basic = format!("Basic {key}");
        for header in [None, Some(""), Some("Bearer "), Some(key.as_str()), Some(&wrong), Some(&basic)] {
            assert_eq!(ring.identify(header).unwrap_err().kind, ErrorKind::Unauthorized, "{header:?}");
        }
        assert!(KeyRing::parse("").unwrap().identify(Some(&format!("Bearer {key}"))).is_err());
    }

    #[test]
    fn any_key_is_let_in_only_by_the_word_any() {
        assert_eq!(KeyRing::parse(" any ").unwrap().identify(None).unwrap().access, Access::All);
        assert_eq!(KeyRing::parse("").unwrap(), KeyRing::Only(Vec::new()));
    }

    #[test]
    fn list_that_cannot_be_read_is_refused() {
        let hash = "0".repeat(64);
        for text in [
            "all".to_owned(),
            "{}".to_owned(),
            r#"[{"name": "a", "sha256": "00"}]"#.to_owned(),
            format!(r#"[{{"name": "a", "sha256": "é{}"}}]"#, &hash[2..]),
            format!(r#"[{{"name": "a", "sha256": "{hash}", "namespace": "b"}}]"#),
        ] {
            assert!(matches!(KeyRing::parse(&text), Err(KeyRingError::Malformed(_))), "{text}");
        }
        let twice = format!(r#"[{{"name": "a", "sha256": "{hash}"}}, {{"name": "a", "sha256": "{hash}"}}]"#);
        assert_eq!(KeyRing::parse(&twice), Err(KeyRingError::NameTaken("a".to_owned())));
        assert_eq!(KeyRing::revoke(&mut Vec::new(), "a"), Err(KeyRingError::UnknownName("a".to_owned())));
        let mut records = vec![KeyRecord { name: "a".to_owned(), sha256: KeyHash::of("k"), namespaces: None }];
        let taken = KeyRing::make(&mut records, "a", None, [0; 32]);
        assert_eq!(taken, Err(KeyRingError::NameTaken("a".to_owned())));
    }
}
