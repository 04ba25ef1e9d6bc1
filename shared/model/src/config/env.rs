//! Reads and checks environment variables. A bad variable adds a complaint, and the next one is read all the same.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use mneme_embed::key::KeySource;
use mneme_embed::spec::Spec;
use serde::Serialize;

use super::{Billing, EmbedderConfig};

/// The accepted form of `MNEME_PROVISIONED_CAPACITY`.
const CAPACITY_FORM: &str = "rcu,wcu: two whole numbers from 1";

/// The description of one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// The name, such as `MNEME_GUARD`.
    pub name: &'static str,
    /// The value that is used if the variable is not set. `None`: the feature is off, or the table or the embedder has
    /// the value.
    pub default: Option<String>,
    /// The accepted form, in words.
    pub accepted: String,
}

/// The names of the variables of one embedder.
pub(super) struct EmbedderVariables {
    spec: &'static str,
    key: &'static str,
    fingerprint: &'static str,
    dim: &'static str,
    max_tokens: &'static str,
}

/// The variables of the embedder that the cache has.
pub(super) const MAIN: EmbedderVariables = EmbedderVariables {
    spec: "MNEME_EMBEDDER",
    key: "MNEME_EMBEDDER_API_KEY",
    fingerprint: "MNEME_EMBEDDER_FINGERPRINT",
    dim: "MNEME_EMBEDDER_DIM",
    max_tokens: "MNEME_EMBEDDER_MAX_TOKENS",
};
/// The variables of the embedder that the cache moves to.
pub(super) const NEXT: EmbedderVariables = EmbedderVariables {
    spec: "MNEME_EMBEDDER_NEXT",
    key: "MNEME_EMBEDDER_NEXT_API_KEY",
    fingerprint: "MNEME_EMBEDDER_NEXT_FINGERPRINT",
    dim: "MNEME_EMBEDDER_NEXT_DIM",
    max_tokens: "MNEME_EMBEDDER_NEXT_MAX_TOKENS",
};

/// The variables that were not read yet, and the complaints about those that were.
#[derive(Default)]
pub(super) struct RawEnv {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) complaints: Vec<String>,
    /// The descriptions of the variables that were read. `None` if they are not needed.
    pub(super) described: Option<Vec<Variable>>,
}

impl RawEnv {
    /// Removes the variable and returns its text. An empty one counts as not set, because an unset parameter of the
    /// template is an empty variable.
    pub(super) fn take(
        &mut self,
        name: &'static str,
        default: Option<&dyn Display>,
        form: &dyn Display,
    ) -> Option<String> {
        if let Some(described) = &mut self.described {
            let default = default.map(ToString::to_string);
            described.push(Variable { name, default, accepted: form.to_string() });
        }
        self.variables.remove(name).filter(|value| !value.is_empty())
    }

    /// Reads the variable as a `T` for which `accept` is true. Returns `default` if it is not set or bad. `form`
    /// describes the accepted values.
    pub(super) fn parse<T: FromStr + Display>(
        &mut self,
        name: &'static str,
        default: T,
        form: &str,
        accept: impl Fn(&T) -> bool,
    ) -> T {
        let text = self.take(name, Some(&default), &form);
        self.accept(name, text, form, accept).unwrap_or(default)
    }

    /// Reads the variable as a `T` for which `accept` is true. `None` if it is not set or bad.
    pub(super) fn optional<T: FromStr>(
        &mut self,
        name: &'static str,
        form: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let text = self.take(name, None, &form);
        self.accept(name, text, form, accept)
    }

    fn accept<T: FromStr>(
        &mut self,
        name: &str,
        text: Option<String>,
        form: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let text = text?;
        match text.trim().parse::<T>() {
            Ok(value) if accept(&value) => Some(value),
            _ => {
                self.complaints.push(format!("{name}={text:?} is not {form}"));
                None
            }
        }
    }

    /// Reads the variable as one of the `accepted` words, in upper or lower case, and returns the value of the word.
    pub(super) fn one_of<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        default: T,
        accepted: &[(&'static str, T)],
    ) -> T {
        let words = || accepted.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        let default_word = accepted.iter().find(|(_, value)| *value == default).map(|(word, _)| word as &dyn Display);
        let form = if self.described.is_some() { words() } else { String::new() };
        let Some(text) = self.take(name, default_word, &form) else { return default };
        match accepted.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim())) {
            Some((_, value)) => *value,
            None => {
                self.complaints.push(format!("{name}={text:?} is not {}", words()));
                default
            }
        }
    }

    /// Reads the variable as `true`, `false`, `1` or `0`.
    pub(super) fn switch(&mut self, name: &'static str, default: bool) -> bool {
        self.one_of(name, default, &[("true", true), ("false", false), ("1", true), ("0", false)])
    }

    /// Reads the variables of one embedder.
    pub(super) fn embedder(&mut self, names: &EmbedderVariables) -> EmbedderConfig {
        let spec =
            self.take(names.spec, Some(&Spec::None), &mneme_embed::spec::FORMS).unwrap_or_default().parse::<Spec>();
        if let Err(error) = &spec {
            self.complaints.push(format!("{}: {error}", names.spec));
        }
        // The text of this variable may be a secret even if it is not a valid key. The error does not contain it.
        let key = match KeySource::parse(&self.take(names.key, None, &mneme_embed::key::FORM).unwrap_or_default()) {
            Ok(key) => key,
            Err(error) => {
                self.complaints.push(format!("{}: {error}", names.key));
                KeySource::None
            }
        };
        if key != KeySource::None && spec.as_ref().is_ok_and(|spec| !matches!(spec, Spec::OpenAi(_))) {
            self.complaints.push(format!(
                "{} is only for {}=openai:<model>@<base URL>: drop it or set that",
                names.key, names.spec
            ));
        }
        let spec = spec.unwrap_or_default();
        if let Spec::OpenAi(service) = &spec
            && key != KeySource::None
            && !service.is_confidential()
        {
            self.complaints.push(format!(
                "{}: {} is sent in clear text over http://: use https://, or a service on this machine",
                names.spec, names.key
            ));
        }
        let fingerprint =
            self.take(names.fingerprint, None, &"a name of the embedder's vectors").or_else(|| spec.fingerprint());
        let dim = self.dim(names, &spec);
        let max_tokens = self.max_tokens(names, &spec);
        EmbedderConfig { spec, key, fingerprint, dim, max_tokens }
    }

    /// Reads how many tokens of a text the embedder reads. `minilm` knows its own number.
    fn max_tokens(&mut self, names: &EmbedderVariables, spec: &Spec) -> Option<usize> {
        let configured = self.optional(names.max_tokens, "a whole number from 16", |tokens| *tokens >= 16);
        if let (Some(_), Spec::MiniLm) = (configured, spec) {
            self.complaints.push(format!("{} is not for {}=minilm: drop it", names.max_tokens, names.spec));
        }
        configured.or(spec.max_tokens())
    }

    /// Reads the dimension. It must be the dimension of `spec`, if `spec` has one.
    fn dim(&mut self, names: &EmbedderVariables, spec: &Spec) -> Option<u32> {
        let own = spec.dim().and_then(|dim| u32::try_from(dim).ok());
        let configured = self.optional(names.dim, "a whole number from 1 to 65536", |dim| (1..=65536).contains(dim));
        if let (Some(configured), Some(own)) = (configured, own)
            && configured != own
        {
            self.complaints
                .push(format!("{}={configured} is not the {own} of {}: drop one of the two", names.dim, names.spec));
        }
        configured.or(own)
    }

    /// Reads the variables of the embedder that the cache moves to. `None` without a fingerprint.
    pub(super) fn next_embedder(&mut self) -> Option<EmbedderConfig> {
        let next = self.embedder(&NEXT);
        if next.fingerprint.is_none() && next.dim.is_some() {
            self.complaints.push(
                "MNEME_EMBEDDER_NEXT_DIM requires MNEME_EMBEDDER_NEXT, or MNEME_EMBEDDER_NEXT_FINGERPRINT if callers \
                 send the vectors"
                    .to_owned(),
            );
        }
        next.fingerprint.is_some().then_some(next)
    }

    /// Reads `MNEME_BILLING_MODE` and `MNEME_PROVISIONED_CAPACITY`, of which neither makes sense without the other.
    pub(super) fn billing(&mut self) -> Billing {
        let provisioned =
            self.one_of("MNEME_BILLING_MODE", false, &[("PAY_PER_REQUEST", false), ("PROVISIONED", true)]);
        let capacity = self.take("MNEME_PROVISIONED_CAPACITY", None, &CAPACITY_FORM);
        match (provisioned, capacity) {
            (false, None) => Billing::PayPerRequest,
            (false, Some(_)) => {
                self.complaints.push(
                    "MNEME_PROVISIONED_CAPACITY is only for MNEME_BILLING_MODE=PROVISIONED: drop it or set that"
                        .to_owned(),
                );
                Billing::PayPerRequest
            }
            (true, None) => {
                self.complaints
                    .push("MNEME_BILLING_MODE=PROVISIONED requires MNEME_PROVISIONED_CAPACITY=rcu,wcu".to_owned());
                Billing::PayPerRequest
            }
            (true, Some(text)) => {
                let units: Option<Vec<i64>> =
                    text.split(',').map(|part| part.trim().parse().ok().filter(|unit| *unit >= 1)).collect();
                if let Some(&[read_units, write_units]) = units.as_deref() {
                    return Billing::Provisioned { read_units, write_units };
                }
                self.complaints.push(format!("MNEME_PROVISIONED_CAPACITY={text:?} is not {CAPACITY_FORM}"));
                Billing::PayPerRequest
            }
        }
    }
}
