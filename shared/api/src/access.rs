//! Which namespaces a caller may use.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::percent::decode;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;

/// The namespaces of one caller, or of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Every namespace, and everything that concerns the whole cache.
    All,
    /// Only these. The set may be empty.
    Only(BTreeSet<Namespace>),
}

impl Access {
    /// The namespaces that a token's claim lists. Without the claim there are none.
    ///
    /// The claim is an array of names, or a text of names separated by spaces or commas, with or without brackets. API
    /// Gateway's HTTP APIs write an array as `[a b]`. In that form one name with a space looks like two names, so each
    /// word grants a namespace. A name that contains a space or a comma must be percent-encoded.
    pub fn from_claim(claim: Option<&Value>) -> Self {
        let names: Vec<String> = match claim {
            Some(Value::Array(names)) => names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| {
                let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
                inner.split([' ', ',']).filter_map(decode).collect()
            }),
            _ => Vec::new(),
        };
        Self::Only(names.into_iter().filter_map(|name| Namespace::try_from(name).ok()).collect())
    }

    /// Whether the caller may use `namespace`.
    pub fn includes(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    /// Errors: `NamespaceForbidden` if the caller may not use `namespace`.
    ///
    /// The error does not name it, because a caller who asked by an id does not know the entry's namespace.
    pub fn check(&self, namespace: &Namespace) -> Result<(), Error> {
        if self.includes(namespace) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NamespaceForbidden,
            "the caller's token does not list this namespace",
            "use a namespace that the token lists, or ask the token's issuer to list this one",
        ))
    }

    /// Errors: `NamespaceForbidden` if the caller may not use every namespace. `what`: the subject of the sentence.
    pub fn check_all(&self, what: &str) -> Result<(), Error> {
        match self {
            Self::All => Ok(()),
            Self::Only(_) => Err(Error::new(
                ErrorKind::NamespaceForbidden,
                format!("{what} concerns every namespace, and the caller's token lists only some"),
                "name a namespace that the token lists, or invoke the function directly with IAM permissions",
            )),
        }
    }
}

impl From<&Namespace> for Access {
    fn from(namespace: &Namespace) -> Self {
        Self::Only(BTreeSet::from([namespace.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn only(names: &[&str]) -> Access {
        Access::Only(names.iter().map(|name| Namespace::try_from((*name).to_owned()).unwrap()).collect())
    }

    #[test]
    fn from_claim_reads_arrays_and_texts() {
        let two = only(&["a", "b-1"]);
        for claim in [
            json!(["a", "b-1"]),
            json!("a b-1"),
            json!("a,b-1"),
            json!("a, b-1 "),
            json!("[a b-1]"),
            json!(" [a b-1]"),
            json!(r#"["a","b-1"]"#),
        ] {
            assert_eq!(Access::from_claim(Some(&claim)), two, "{claim}");
        }
        assert_eq!(Access::from_claim(Some(&json!("a"))), only(&["a"]));
        assert_eq!(Access::from_claim(Some(&json!("[acme%20corp b%2Cc]"))), only(&["acme corp", "b,c"]));
        assert_eq!(Access::from_claim(Some(&json!("a%ff"))), only(&[]));
    }

    #[test]
    fn from_claim_without_a_valid_list_grants_no_namespace() {
        for claim in [None, Some(json!("")), Some(json!("[]")), Some(json!(7)), Some(json!([7])), Some(json!({"a": 1}))]
        {
            let access = Access::from_claim(claim.as_ref());
            assert_eq!(access, only(&[]), "{claim:?}");
            assert_eq!(access.check(&Namespace::default()).unwrap_err().kind, ErrorKind::NamespaceForbidden);
        }
        Access::All.check_all("it").unwrap();
        assert!(only(&["a"]).check_all("it").is_err());
    }
}
