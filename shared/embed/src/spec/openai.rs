//! `openai:<model>[:<dimension>]@<base URL>`: which model, and where.

use std::fmt;
use std::str::FromStr;

use hyper::http::Uri;

use super::{SpecError, is_name, split_dim};

/// The accepted form.
const FORM: &str = "openai:<model>[:<dimension>]@<base URL>, as openai:text-embedding-3-small:512@https://api.openai.com/v1; \
                    the URL without user, query and fragment, the key in MNEME_EMBEDDER_API_KEY";

/// How this crate calls the models; another way that makes other vectors gets another number.
const VERSION: u32 = 1;

/// A model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiSpec {
    /// The model's name, as the server knows it.
    pub model: String,
    /// The length of its vectors, which is then asked for; `None`: the model's own.
    pub dim: Option<usize>,
    /// Where; `embeddings` is appended to its path.
    base_url: String,
    /// `<base URL>/embeddings`.
    pub(crate) endpoint: Uri,
}

impl OpenAiSpec {
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
        // A model's name may have an @ (`@cf/baai/bge-m3`), and so may a URL's path: the first that a URL follows counts.
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
        // What is parsed has no place for a fragment.
        let fragment = base_url.contains('#');
        let endpoint: Uri = format!("{base_url}/embeddings")
            .parse()
            .map_err(|error| refused(&format!("the base URL is none: {error}")))?;
        let Some(authority) = endpoint.authority() else { return Err(refused("the base URL is none: it has no host")) };
        if fragment || authority.as_str().contains('@') || endpoint.query().is_some() {
            return Err(refused("the base URL has a user, a query or a fragment"));
        }
        // A port is told by the colon before it.
        let port = authority.as_str().strip_prefix(authority.host()).is_some_and(|port| !port.is_empty());
        if authority.host().is_empty() || (port && endpoint.port_u16().is_none()) {
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

    fn read(text: &str) -> OpenAiSpec {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn model_dimension_and_place_are_told_apart() {
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
            let spec = read(text);
            assert_eq!((spec.model.as_str(), spec.dim, spec.endpoint.to_string().as_str()), (model, dim, endpoint));
        }
    }

    #[test]
    fn the_stamp_is_the_model_and_not_the_place() {
        assert_eq!(read("m:64@http://a/v1").fingerprint(), "openai:m:64/1");
        assert_eq!(read("m:64@http://a/v1").fingerprint(), read("m:64@https://b").fingerprint());
        assert_eq!(read("m@http://a/v1").fingerprint(), "openai:m/1");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_accepted_form_and_without_a_secret() {
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
