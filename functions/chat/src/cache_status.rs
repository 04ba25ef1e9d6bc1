//! What a caller learns of the cache, in the headers of the reply.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use mneme_core::lookup::outcome::Layer;
use mneme_model::entry_id::EntryId;

use crate::stored::Hit;

/// The header of RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const ENTRY_ID: HeaderName = HeaderName::from_static("x-mneme-entry-id");
const LAYER: HeaderName = HeaderName::from_static("x-mneme-layer");
const SIMILARITY: HeaderName = HeaderName::from_static("x-mneme-similarity");
const CONFIDENCE: HeaderName = HeaderName::from_static("x-mneme-confidence");
const SAVED_TOKENS: HeaderName = HeaderName::from_static("x-mneme-saved-tokens");

/// Why the upstream was called (RFC 9211, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// The cache has no answer.
    Miss,
    /// The caller wanted no stored answer.
    Request,
    /// The stored answer is older than the caller allows.
    Stale,
    /// The cache does not handle the request, or could not in time.
    Bypass,
}

impl Forwarded {
    fn word(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
        }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CacheStatus {
    /// A stored answer was served.
    Hit {
        /// For how long it will be served.
        ttl_secs: Option<i64>,
        /// Whether another request's call made it while this request waited.
        is_collapsed: bool,
    },
    /// The upstream was called.
    Forwarded(Forwarding),
}

/// A call of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarding {
    pub(crate) why: Forwarded,
    /// The id of the entry that stores the answer.
    pub(crate) stored: Option<EntryId>,
    /// A word that says more, such as the reason of a miss.
    pub(crate) detail: Option<String>,
    /// Whether the request waited for another's answer, which did not come.
    pub(crate) has_waited: bool,
}

impl Forwarding {
    /// A call for the reason `why`, whose answer is not stored and which waited for nobody.
    pub(crate) fn new(why: Forwarded, detail: Option<&str>) -> Self {
        Self { why, stored: None, detail: detail.map(str::to_owned), has_waited: false }
    }
}

impl CacheStatus {
    /// The upstream is called, for the reason `why`.
    pub(crate) fn forwarded(why: Forwarded, detail: Option<&str>) -> Self {
        Self::Forwarded(Forwarding::new(why, detail))
    }

    /// Adds the status to `headers`.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let text = match self {
            Self::Hit { ttl_secs, is_collapsed } => {
                // RFC 9211, section 2.6: the answer is that of another request that was forwarded.
                let how = if *is_collapsed { "fwd=miss; collapsed" } else { "hit" };
                let ttl = ttl_secs.map(|secs| format!("; ttl={secs}")).unwrap_or_default();
                format!("mneme; {how}{ttl}")
            }
            Self::Forwarded(Forwarding { why, stored, detail, has_waited }) => {
                let waited_word = if *has_waited { "; collapsed=?0" } else { "" };
                let stored_word = if stored.is_some() { "; stored" } else { "" };
                let detail = detail.as_deref().map(|detail| format!("; detail={detail}")).unwrap_or_default();
                if let Some(id) = stored {
                    headers.insert(ENTRY_ID, id.get().into());
                }
                format!("mneme; fwd={}{stored_word}{waited_word}{detail}", why.word())
            }
        };
        if let Ok(value) = HeaderValue::try_from(text) {
            // Another cache may have answered the upstream's side. Each cache adds a member to the list.
            headers.append(CACHE_STATUS, value);
        }
    }
}

/// Adds what a hit says: its age in seconds (RFC 9111, section 5.1), the entry, how it was found, and the tokens that
/// were not spent.
pub(crate) fn write_hit(headers: &mut HeaderMap, hit: &Hit) {
    headers.insert(header::AGE, hit.age_secs.into());
    headers.insert(ENTRY_ID, hit.id.get().into());
    let layer = match hit.layer {
        Layer::Exact => "exact",
        Layer::Semantic => "semantic",
    };
    headers.insert(LAYER, HeaderValue::from_static(layer));
    for (name, number) in [(SIMILARITY, f64::from(hit.similarity)), (CONFIDENCE, hit.confidence)] {
        if let Ok(value) = HeaderValue::try_from(format!("{number:.4}")) {
            headers.insert(name, value);
        }
    }
    if let Some(tokens) = hit.completion.total_tokens() {
        headers.insert(SAVED_TOKENS, tokens.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: &CacheStatus) -> String {
        let mut headers = HeaderMap::new();
        status.write(&mut headers);
        headers[CACHE_STATUS].to_str().unwrap().to_owned()
    }

    #[test]
    fn write_has_the_form_of_the_standard() {
        let stored = EntryId::new(7);
        for (status, expected) in [
            (CacheStatus::Hit { ttl_secs: None, is_collapsed: false }, "mneme; hit"),
            (CacheStatus::Hit { ttl_secs: Some(60), is_collapsed: false }, "mneme; hit; ttl=60"),
            (CacheStatus::Hit { ttl_secs: None, is_collapsed: true }, "mneme; fwd=miss; collapsed"),
            (CacheStatus::forwarded(Forwarded::Miss, Some("no_entry")), "mneme; fwd=miss; detail=no_entry"),
            (
                CacheStatus::Forwarded(Forwarding { stored, ..Forwarding::new(Forwarded::Stale, None) }),
                "mneme; fwd=stale; stored",
            ),
            (
                CacheStatus::Forwarded(Forwarding {
                    stored,
                    has_waited: true,
                    ..Forwarding::new(Forwarded::Miss, Some("no_entry"))
                }),
                "mneme; fwd=miss; stored; collapsed=?0; detail=no_entry",
            ),
            (CacheStatus::forwarded(Forwarded::Bypass, Some("audio")), "mneme; fwd=bypass; detail=audio"),
        ] {
            assert_eq!(written(&status), expected);
        }
    }
}
