//! What a caller says to the cache in its headers.

use std::str::FromStr;

use http::{HeaderMap, header};
use mneme_model::error::Error;
use mneme_model::limits::MAX_TTL_SECS;
use mneme_model::namespace::Namespace;

/// The header that names the namespace.
const NAMESPACE: &str = "x-mneme-namespace";
/// The header with the time to live of what is stored, in seconds.
const TTL: &str = "x-mneme-ttl";
/// The header with the lowest similarity of a semantic hit. It may only raise that of the namespace.
const THRESHOLD: &str = "x-mneme-threshold";

/// What a caller says to the cache.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directives {
    /// `None`: the caller names no namespace.
    pub(crate) namespace: Option<Namespace>,
    pub(crate) ttl_secs: Option<u64>,
    /// `None`: the caller names none.
    pub(crate) threshold: Option<f32>,
    pub(crate) control: CacheControl,
}

/// The directives of the header `cache-control` that mean something here (RFC 9111, section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// No stored answer is wanted.
    pub(crate) no_cache: bool,
    /// The answer is not to be stored.
    pub(crate) no_store: bool,
    /// A stored answer may be that many seconds old.
    pub(crate) max_age: Option<u64>,
    /// The upstream is not to be called.
    pub(crate) only_if_cached: bool,
}

impl Directives {
    /// Reads the headers. Errors: `InvalidRequest` for a header of this cache with a wrong value.
    ///
    /// A `cache-control` that cannot be read has no effect, since clients and proxies send what they like.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let namespace = text(headers, NAMESPACE)?.map(|name| Namespace::try_from(name.to_owned())).transpose();
        let namespace = namespace
            .map_err(|reason| Error::invalid(format!("{NAMESPACE}: {reason}"), "send the name of a namespace"))?;
        let ttl_secs = number(headers, TTL, "a whole number of seconds from 1 to 3153600000", |secs| {
            (1..=MAX_TTL_SECS).contains(secs)
        })?;
        let threshold = number(headers, THRESHOLD, "a number from -1 to 1", |t: &f32| (-1.0..=1.0).contains(t))?;
        let control = CacheControl::read(headers);
        Ok(Self { namespace, ttl_secs, threshold, control })
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Error> {
    let value = headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()));
    value.transpose().map_err(|_| Error::invalid(format!("{name}: it is not UTF-8"), "send the header in UTF-8"))
}

fn number<T: FromStr>(
    headers: &HeaderMap,
    name: &str,
    form: &str,
    accept: impl Fn(&T) -> bool,
) -> Result<Option<T>, Error> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    match text.trim().parse::<T>() {
        Ok(value) if accept(&value) => Ok(Some(value)),
        _ => Err(Error::invalid(format!("{name}: it is not {form}"), format!("send {form}, or leave the header out"))),
    }
}

impl CacheControl {
    fn read(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => control.no_cache = true,
                "no-store" => control.no_store = true,
                "only-if-cached" => control.only_if_cached = true,
                "max-age" => {
                    let secs = value.trim().trim_matches('"').parse().ok();
                    control.max_age = control.max_age.into_iter().chain(secs).min();
                }
                _ => {}
            }
        }
        control
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use mneme_model::error::ErrorKind;

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Directives, Error> {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Directives::read(&HeaderMap::from_iter(pairs))
    }

    #[test]
    fn read_of_all_headers_knows_each() {
        let read = read(&[
            ("x-mneme-namespace", "a b"),
            ("x-mneme-ttl", " 60"),
            ("x-mneme-threshold", "0.9"),
            ("cache-control", "No-Cache, max-age=\"30\", no-transform"),
        ])
        .unwrap();
        assert_eq!(read.namespace.unwrap().as_str(), "a b");
        assert_eq!((read.ttl_secs, read.threshold), (Some(60), Some(0.9)));
        assert_eq!(read.control, CacheControl { no_cache: true, max_age: Some(30), ..CacheControl::default() });
    }

    #[test]
    fn read_without_headers_says_nothing() {
        let read = read(&[]).unwrap();
        assert_eq!((read.namespace, read.ttl_secs, read.threshold), (None, None, None));
        assert_eq!(read.control, CacheControl::default());
    }

    #[test]
    fn read_of_other_directives_is_without_effect() {
        let control = |value| read(&[("cache-control", value)]).unwrap().control;
        assert_eq!(control("max-age=soon, x, =, no-cachex"), CacheControl::default());
        assert!(control("no-store").no_store && control("only-if-cached").only_if_cached);
        assert_eq!(control("max-age=9, max-age=5").max_age, Some(5));
    }

    #[test]
    fn read_of_a_wrong_value_names_the_header() {
        for (name, value) in [
            ("x-mneme-namespace", ""),
            ("x-mneme-ttl", "0"),
            ("x-mneme-ttl", "1.5"),
            ("x-mneme-threshold", "2"),
            ("x-mneme-threshold", "NaN"),
            ("x-mneme-threshold", "high"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.kind == ErrorKind::InvalidRequest && error.detail.starts_with(name), "{error}");
        }
    }
}
