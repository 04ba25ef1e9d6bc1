//! Which function serves a request: API Gateway's route selection over the product's routes.

use std::collections::BTreeMap;

use mneme_api::routes::{ROUTES, Route};
use percent_encoding::percent_decode_str;

/// The route of a request, and the values in its path.
pub(super) struct Matched {
    pub(super) route: &'static Route,
    /// By name, percent-decoded.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Every route, by method first: API Gateway takes the most specific route among those of the request's method, so
/// `GET /v1/entries/delete` is an entry's id although `POST /v1/entries/delete` is a route.
pub(super) struct Routes(BTreeMap<&'static str, matchit::Router<&'static Route>>);

impl Routes {
    /// The product's routes.
    ///
    /// Panics when two of them are the same, which a test of this module rules out.
    pub(super) fn new() -> Self {
        let mut routers: BTreeMap<_, matchit::Router<_>> = BTreeMap::new();
        for route in ROUTES {
            let inserted = routers.entry(route.method).or_default().insert(route.path, route);
            inserted.expect("routes are distinct");
        }
        Self(routers)
    }

    /// The route of `method` and `path`, the path as sent. Segments are found before they are decoded, so that an
    /// encoded slash is part of a value.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Matched> {
        let found = self.0.get(method)?.at(path).ok()?;
        // A path variable stands for a segment that is there.
        if found.params.iter().any(|(_, value)| value.is_empty()) {
            return None;
        }
        let decode = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), decode(value))).collect();
        Some(Matched { route: found.value, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (&'static str, &'static str, Vec<(String, String)>);

    fn find(method: &str, path: &str) -> Option<Found> {
        let matched = Routes::new().find(method, path)?;
        Some((matched.route.function, matched.route.path, matched.parameters.into_iter().collect()))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_route_finds_its_function() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let (function, template, _) = find(route.method, &path).unwrap();
            assert_eq!((function, template), (route.function, route.path), "{} {path}", route.method);
        }
    }

    #[test]
    fn the_method_decides_before_the_path() {
        assert_eq!(find("POST", "/v1/entries/delete"), Some(("delete", "/v1/entries/delete", pairs(&[]))));
        assert_eq!(find("GET", "/v1/entries/delete"), Some(("get", "/v1/entries/{id}", pairs(&[("id", "delete")]))));
    }

    #[test]
    fn values_are_decoded_after_the_segments_are_found() {
        let found = find("GET", "/v1/namespaces/a%2Fb%20%C3%9F+/entries/ff");
        let parameters = pairs(&[("namespace", "a/b ß+"), ("query_hash", "ff")]);
        assert_eq!(found, Some(("find", "/v1/namespaces/{namespace}/entries/{query_hash}", parameters)));
    }

    #[test]
    fn what_is_no_route_is_not_found() {
        for (method, path) in [
            ("PATCH", "/v1/entries/7"),
            ("GET", "/v1/lookup"),
            ("POST", "/v1/lookup/"),
            ("POST", "/v1/entries//touch"),
            ("GET", "/"),
        ] {
            assert!(find(method, path).is_none(), "{method} {path}");
        }
    }
}
