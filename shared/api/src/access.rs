//! What a caller may do: in which namespaces, and how much there.

use std::collections::BTreeSet;

use mneme_model::config::ClaimForm;
use serde::Serialize;
use serde_json::Value;

use crate::percent::{decode, encode};
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
    /// The namespaces that a token's claim names. Without the claim, or with one of another form, there are none.
    ///
    /// - [`ClaimForm::One`]: a text that is one name, exactly as it stands. No character of it separates or encodes.
    /// - [`ClaimForm::List`]: an array of words, or a text of words separated by spaces or commas, with or without
    ///   brackets. API Gateway's HTTP APIs write an array as `[a b]`. A word is a name of which [`encode`] encoded the
    ///   characters that a list uses. If one word has another spelling, the list names nothing: its issuer did not mean
    ///   it as a list.
    pub fn from_claim(claim: Option<&Value>, form: ClaimForm) -> Self {
        let names = match (form, claim) {
            (ClaimForm::One, Some(Value::String(name))) => Some(vec![name.clone()]),
            (ClaimForm::List, Some(Value::String(text))) => words(text).into_iter().map(canonical_name).collect(),
            (ClaimForm::List, Some(Value::Array(words))) => {
                words.iter().map(|word| canonical_name(word.as_str()?)).collect()
            }
            _ => None,
        };
        let names = names.unwrap_or_default().into_iter().map(Namespace::try_from).collect::<Result<_, _>>();
        Self::Only(names.unwrap_or_default())
    }

    /// Whether the caller may use `namespace`.
    pub fn includes(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    /// Whether a claim binds the caller to namespaces.
    pub fn is_bound(&self) -> bool {
        *self != Self::All
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

    /// Errors: `NamespaceForbidden` if the caller may use no namespace at all.
    pub fn check_any(&self) -> Result<(), Error> {
        match self {
            Self::Only(names) if names.is_empty() => Err(Error::new(
                ErrorKind::NamespaceForbidden,
                "the caller's token names no namespace",
                "send a token whose claim MNEME_NAMESPACE_CLAIM has the form of MNEME_NAMESPACE_CLAIM_FORM",
            )),
            Self::All | Self::Only(_) => Ok(()),
        }
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

/// The words of a list in a text.
fn words(text: &str) -> Vec<&str> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.split([' ', ',']).filter(|word| !word.is_empty()).collect()
}

/// The name that `word` encodes. `None` if the name has another spelling.
fn canonical_name(word: &str) -> Option<String> {
    decode(word).filter(|name| encode(name) == word)
}

/// How much a caller may do. Each scope includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Get what is the same for every caller, without a token.
    Public,
    /// Look up and read entries.
    Read,
    /// Also store, touch and delete entries.
    Write,
    /// Also clear namespaces, configure and maintain the cache.
    Admin,
}

impl Scope {
    /// The widest scope that a token's claim grants. `None` if it grants none.
    ///
    /// The claim is a text of words separated by spaces (RFC 6749, section 3.3), with or without brackets, or an array of
    /// words. `mneme:read`, `mneme:write` and `mneme:admin` count, and so does `mneme/read` and so on, which is the form
    /// of Amazon Cognito.
    pub fn from_claim(claim: Option<&Value>) -> Option<Self> {
        let scope_of = |word: &str| match word.strip_prefix("mneme")? {
            ":read" | "/read" => Some(Self::Read),
            ":write" | "/write" => Some(Self::Write),
            ":admin" | "/admin" => Some(Self::Admin),
            _ => None,
        };
        match claim? {
            Value::String(text) => words(text).into_iter().filter_map(scope_of).max(),
            Value::Array(words) => words.iter().filter_map(|word| scope_of(word.as_str()?)).max(),
            _ => None,
        }
    }

    /// The word of the scope in a claim.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Read => "mneme:read",
            Self::Write => "mneme:write",
            Self::Admin => "mneme:admin",
        }
    }
}

/// What is known of a caller from its token or its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespaces that it may use.
    pub access: Access,
    /// The widest scope that it has. `None`: it may do nothing.
    pub scope: Option<Scope>,
    /// Its name: the claim `sub` of its token, or the ARN of its IAM user or role. `None` if the event does not have it.
    pub principal: Option<String>,
}

impl Identity {
    /// A caller that IAM let through: direct invocations and schedules. It may do everything.
    pub const TRUSTED: Self = Self { access: Access::All, scope: Some(Scope::Admin), principal: None };

    /// Errors: `InsufficientScope` if the caller does not have `needed`.
    pub fn check_scope(&self, needed: Scope) -> Result<(), Error> {
        if self.scope.is_some_and(|scope| scope >= needed) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InsufficientScope,
            format!("this request needs the scope {}, which the caller's token does not have", needed.word()),
            "ask the token's issuer for that scope",
        ))
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
    fn from_claim_as_list_reads_arrays_and_texts() {
        let two = only(&["a", "b-1"]);
        for claim in
            [json!(["a", "b-1"]), json!("a b-1"), json!("a,b-1"), json!("a, b-1 "), json!("[a b-1]"), json!(" [a b-1]")]
        {
            assert_eq!(Access::from_claim(Some(&claim), ClaimForm::List), two, "{claim}");
        }
        let encoded = only(&["acme corp", "b,c", "50%", "é/x"]);
        for claim in [json!("[acme%20corp b%2Cc 50%25 é/x]"), json!(["acme%20corp", "b%2Cc", "50%25", "é/x"])] {
            assert_eq!(Access::from_claim(Some(&claim), ClaimForm::List), encoded, "{claim}");
        }
    }

    #[test]
    fn from_claim_as_list_with_a_word_of_another_spelling_grants_no_namespace() {
        for claim in [
            json!("%62ob"),
            json!("b%6Fb"),
            json!("a b%2cc"),
            json!("a%ff"),
            json!("100%"),
            json!("[mallory bob"),
            json!("[[bob]]"),
            json!(r#"["bob"]"#),
            json!(r#""x bob y"@evil.example"#),
            json!(["a", "b c"]),
            json!(["a", 7]),
        ] {
            assert_eq!(Access::from_claim(Some(&claim), ClaimForm::List), only(&[]), "{claim}");
        }
    }

    #[test]
    fn from_claim_as_one_name_takes_the_text_exactly() {
        for name in [
            "bob",
            "mallory,bob",
            "mallory bob",
            "%62ob",
            "[bob]",
            "[mallory bob",
            r#"["bob"]"#,
            " bob",
            r#""x bob y"@evil.example"#,
        ] {
            assert_eq!(Access::from_claim(Some(&json!(name)), ClaimForm::One), only(&[name]), "{name}");
        }
        for claim in [json!(["bob"]), json!(7), json!("")] {
            assert_eq!(Access::from_claim(Some(&claim), ClaimForm::One), only(&[]), "{claim}");
        }
    }

    #[test]
    fn from_claim_without_names_grants_no_namespace() {
        for claim in [None, Some(json!("")), Some(json!("[]")), Some(json!(7)), Some(json!([7])), Some(json!({"a": 1}))]
        {
            let access = Access::from_claim(claim.as_ref(), ClaimForm::List);
            assert_eq!(access, only(&[]), "{claim:?}");
            assert_eq!(access.check(&Namespace::default()).unwrap_err().kind, ErrorKind::NamespaceForbidden);
            assert_eq!(access.check_any().unwrap_err().kind, ErrorKind::NamespaceForbidden);
        }
        Access::All.check_all("it").unwrap();
        Access::All.check_any().unwrap();
        only(&["a"]).check_any().unwrap();
        assert!(only(&["a"]).check_all("it").is_err());
    }

    #[test]
    fn scope_from_claim_is_the_widest_of_its_words() {
        for (claim, scope) in [
            (json!("openid mneme:read"), Some(Scope::Read)),
            (json!("mneme:write mneme:read"), Some(Scope::Write)),
            (json!("[mneme/admin email]"), Some(Scope::Admin)),
            (json!(["mneme:read", "x"]), Some(Scope::Read)),
            (json!("openid"), None),
            (json!("mneme:reader xmneme:admin MNEME:admin"), None),
            (json!(7), None),
        ] {
            assert_eq!(Scope::from_claim(Some(&claim)), scope, "{claim}");
        }
        assert_eq!(Scope::from_claim(None), None);
    }

    #[test]
    fn check_scope_below_the_needed_one_is_refused() {
        let with = |scope| Identity { scope, ..Identity::TRUSTED };
        with(Some(Scope::Write)).check_scope(Scope::Read).unwrap();
        with(Some(Scope::Write)).check_scope(Scope::Write).unwrap();
        for scope in [None, Some(Scope::Read), Some(Scope::Write)] {
            let error = with(scope).check_scope(Scope::Admin).unwrap_err();
            assert!(error.kind == ErrorKind::InsufficientScope && error.detail.contains("mneme:admin"), "{error}");
        }
    }
}
