//! `openai:<model>[:<dimension>]@<base URL>`: the model, and the URL of its service.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

use super::{SpecError, is_name, split_dim};

/// The accepted form.
const FORM: &str = "openai:<model>[:<dimension>]@<base URL>, as openai:text-embedding-3-small:512@https://api.openai.com/v1; \
                    the URL without user, query and fragment, the key in MNEME_EMBEDDER_API_KEY";

/// The version in the fingerprint. It goes up if this crate calls the models in a way that makes other vectors.
const VERSION: u32 = 1;

/// A model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiSpec {
    /// The `model` of the requests.
    pub model: String,
    /// The length of the vectors, which the requests ask for; `None` for the model's own length.
    pub dim: Option<usize>,
    /// The configured URL without a slash at its end.
    base_url: String,
    /// `<base URL>/embeddings`, the URL of the requests.
    pub endpoint: Uri,
}

impl OpenAiSpec {
    /// Whether nobody between this machine and the service can read the requests: the URL is `https://`, or its host is
    /// this machine.
    pub fn is_confidential(&self) -> bool {
        let host = self.endpoint.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.endpoint.scheme_str() == Some("https")
            || host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn fingerprint(&self) -> String {
        match self.dim {
            Some(dim) => format!("openai:{}:{dim}/{VERSION}", self.model),
            None => format!("openai:{}/{VERSION}", self.model),
        }
    }
}

impl FromStr for OpenAiSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let refused = |fact: &str| SpecError::new(fact, FORM);
        // A model's name may contain an @ (`@cf/baai/bge-m3`), and so may the path of a URL. The first @ that a URL
        // follows is the separator.
        let at = text
            .match_indices('@')
            .map(|(at, _)| at)
            .find(|at| text[at + 1..].starts_with("http://") || text[at + 1..].starts_with("https://"))
            .ok_or_else(|| refused("there is no @http:// or @https://"))?;
        let (model, dim) = split_dim(&text[..at], FORM)?;
        if !is_name(model) {
            return Err(refused("that is no model's name"));
        }
        let base_url = text[at + 1..].trim_end_matches('/');
        // `Uri` drops a fragment when it is parsed.
        let has_fragment = base_url.contains('#');
        let endpoint: Uri = format!("{base_url}/embeddings")
            .parse()
            .map_err(|error| refused(&format!("the base URL is none: {error}")))?;
        let Some(authority) = endpoint.authority() else { return Err(refused("the base URL is none: it has no host")) };
        if has_fragment || authority.as_str().contains('@') || endpoint.query().is_some() {
            return Err(refused("the base URL has a user, a query or a fragment"));
        }
        // What follows the host is a colon and a port.
        let has_port = authority.as_str().strip_prefix(authority.host()).is_some_and(|port| !port.is_empty());
        if authority.host().is_empty() || (has_port && endpoint.port_u16().is_none()) {
            return Err(refused("the base URL is none: its host or port is not valid"));
        }
        Ok(Self { model: model.to_owned(), dim, base_url: base_url.to_owned(), endpoint })
    }
}

impl fmt::Display for OpenAiSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if let Some(dim) = self.dim {
            write!(f, ":{dim}")?;
        }
        write!(f, "@{}", self.base_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> OpenAiSpec {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parse_returns_model_dimension_and_endpoint() {
        for (text, model, dim, endpoint) in [
            (
                "text-embedding-3-small@https://api.openai.com/v1",
                "text-embedding-3-small",
                None,
                "https://api.openai.com/v1/embeddings",
            ),
            (
                "text-embedding-3-large:256@https://api.openai.com/v1/",
                "text-embedding-3-large",
                Some(256),
                "https://api.openai.com/v1/embeddings",
            ),
            (
                "nomic-embed-text:v1.5@http://localhost:11434/v1",
                "nomic-embed-text:v1.5",
                None,
                "http://localhost:11434/v1/embeddings",
            ),
            ("BAAI/bge-m3@http://10.0.0.7:8080", "BAAI/bge-m3", None, "http://10.0.0.7:8080/embeddings"),
            (
                "@cf/baai/bge-m3:1024@https://h/accounts/a@b/ai/v1",
                "@cf/baai/bge-m3",
                Some(1024),
                "https://h/accounts/a@b/ai/v1/embeddings",
            ),
        ] {
            let spec = parse(text);
            assert_eq!((spec.model.as_str(), spec.dim, spec.endpoint.to_string().as_str()), (model, dim, endpoint));
        }
    }

    #[test]
    fn is_confidential_is_true_for_https_and_for_this_machine_only() {
        for text in ["m@https://h/v1", "m@http://localhost:1/v1", "m@http://127.9.9.9/v1", "m@http://[::1]:8/v1"] {
            assert!(parse(text).is_confidential(), "{text}");
        }
        for text in ["m@http://h/v1", "m@http://10.0.0.7:8080", "m@http://localhost.example/v1"] {
            assert!(!parse(text).is_confidential(), "{text}");
        }
    }

    #[test]
    fn fingerprint_with_another_url_is_the_same() {
        assert_eq!(parse("m:64@http://a/v1").fingerprint(), "openai:m:64/1");
        assert_eq!(parse("m:64@http://a/v1").fingerprint(), parse("m:64@https://b").fingerprint());
        assert_eq!(parse("m@http://a/v1").fingerprint(), "openai:m/1");
    }

    #[test]
    fn parse_with_invalid_spec_returns_accepted_form_without_secret() {
        for (text, says) in [
            ("text-embedding-3-small", "no @http"),
            ("m@ftp://h", "no @http"),
            ("@https://h/v1", "no model's name"),
            ("a b@https://h/v1", "no model's name"),
            ("m:70000@https://h/v1", "above 65536"),
            ("m@https://", "base URL is none"),
            ("m@https:///v1", "base URL is none"),
            ("m@https://h:99999/v1", "base URL is none"),
            ("m@https://h:/v1", "base URL is none"),
            ("m@https://h:x/v1", "base URL is none"),
            ("m@https://h/a b", "base URL is none"),
            ("m@https://sk-secret@h/v1", "a user, a query or a fragment"),
            ("m@https://u:sk-secret@h/v1", "a user, a query or a fragment"),
            ("m@https://h/v1?key=sk-secret", "a user, a query or a fragment"),
            ("m@https://h/v1#sk-secret", "a user, a query or a fragment"),
        ] {
            let error = text.parse::<OpenAiSpec>().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("; accepted: openai:<model>"), "{text}: {error}");
            assert!(!error.contains("sk-secret"));
        }
    }
}
