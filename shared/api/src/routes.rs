//! The HTTP routes, derived from [`OPERATIONS`], and the matcher that selects one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::operations::{Endpoint, OPERATIONS};

/// One HTTP route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path template in API Gateway's form: `{name}` matches one path segment.
    pub path: &'static str,
    /// The function that serves it: a member of [`FUNCTIONS`].
    pub function: &'static str,
    /// The value of the request's field `action`, for a function that has such a field.
    pub action: Option<&'static str>,
}

impl Route {
    /// Whether its function has a URL of its own, which streams replies: [`OperationSpec::has_url`].
    ///
    /// [`OperationSpec::has_url`]: crate::operations::OperationSpec::has_url
    pub fn has_url(&self) -> bool {
        OPERATIONS.iter().any(|operation| operation.name == self.function && operation.has_url)
    }
}

/// The name of every function, in the order of [`OPERATIONS`].
pub const FUNCTIONS: &[&str] = &{
    let mut names = [""; OPERATIONS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = OPERATIONS[at].name;
        at += 1;
    }
    names
};

/// Every HTTP route, in the order of [`OPERATIONS`].
pub const ROUTES: &[Route] = &{
    let mut routes = [Route { method: "", path: "", function: "", action: None }; count_routes()];
    let (mut at, mut operation) = (0, 0);
    while operation < OPERATIONS.len() {
        let endpoints = OPERATIONS[operation].endpoints;
        let mut endpoint = 0;
        while endpoint < endpoints.len() {
            let Endpoint { method, path, action } = endpoints[endpoint];
            routes[at] = Route { method, path, function: OPERATIONS[operation].name, action };
            at += 1;
            endpoint += 1;
        }
        operation += 1;
    }
    routes
};

const fn count_routes() -> usize {
    let (mut count, mut operation) = (0, 0);
    while operation < OPERATIONS.len() {
        count += OPERATIONS[operation].endpoints.len();
        operation += 1;
    }
    count
}

/// A route that matches a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch<'path> {
    /// The route.
    pub route: &'static Route,
    /// The path's parameters by name, in the order of the template, percent-encoded as they were sent.
    pub parameters: Vec<(&'static str, &'path str)>,
}

/// One router per method, because API Gateway selects the most specific route of the request's method: `GET
/// /v1/entries/delete` reads the entry with the id `delete`, although `POST /v1/entries/delete` is a route.
///
/// The routers are built on first use: a function behind API Gateway gets the route in its event and never needs them.
static ROUTERS: LazyLock<BTreeMap<&'static str, matchit::Router<&'static Route>>> = LazyLock::new(|| {
    let mut routers: BTreeMap<_, matchit::Router<_>> = BTreeMap::new();
    for route in ROUTES {
        let inserted = routers.entry(route.method).or_default().insert(route.path, route);
        inserted.expect("a test of this module finds two equal routes");
    }
    routers
});

/// Selects the route of `method` and `path` as API Gateway does. `path`: percent-encoded, without the query.
///
/// Segments are split before anything is decoded, so an encoded slash is part of a parameter. A parameter is never
/// empty.
pub fn find_route<'path>(method: &str, path: &'path str) -> Option<RouteMatch<'path>> {
    let found = ROUTERS.get(method)?.at(path).ok()?;
    let parameters: Vec<_> = found.params.iter().collect();
    let is_complete = parameters.iter().all(|(_, value)| !value.is_empty());
    is_complete.then_some(RouteMatch { route: found.value, parameters })
}

/// The methods that have a route for `path`, in alphabetical order. `path`: as in [`find_route`].
pub fn methods_of(path: &str) -> Vec<&'static str> {
    ROUTERS.keys().copied().filter(|method| find_route(method, path).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (&'static str, &'static str, Vec<(&'static str, &'static str)>);

    fn find(method: &str, path: &'static str) -> Option<Found> {
        let RouteMatch { route, parameters } = find_route(method, path)?;
        Some((route.function, route.path, parameters))
    }

    #[test]
    fn find_route_with_a_template_as_path_returns_its_route() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let found = find_route(route.method, &path).unwrap();
            assert_eq!(found.route, route, "{} {path}", route.method);
        }
    }

    #[test]
    fn find_route_matches_the_method_before_the_path() {
        assert_eq!(find("POST", "/v1/entries/delete"), Some(("delete", "/v1/entries/delete", vec![])));
        assert_eq!(find("GET", "/v1/entries/delete"), Some(("get", "/v1/entries/{id}", vec![("id", "delete")])));
    }

    #[test]
    fn find_route_returns_parameters_as_they_were_sent() {
        let parameters = vec![("namespace", "a%2Fb%20%C3%9F+"), ("query_hash", "ff")];
        let expected = ("find", "/v1/namespaces/{namespace}/entries/{query_hash}", parameters);
        assert_eq!(find("GET", "/v1/namespaces/a%2Fb%20%C3%9F+/entries/ff"), Some(expected));
    }

    #[test]
    fn methods_of_a_path_are_those_of_its_routes() {
        assert_eq!(methods_of("/v1/namespaces/a/quota"), ["DELETE", "GET", "PUT"]);
        assert_eq!(methods_of("/v1/lookup"), ["POST"]);
        assert!(methods_of("/v1/lookup/").is_empty() && methods_of("/").is_empty());
    }

    #[test]
    fn find_route_without_a_match_returns_none() {
        for (method, path) in [
            ("PUT", "/v1/entries/7"),
            ("GET", "/v1/lookup"),
            ("POST", "/v1/lookup/"),
            ("POST", "/v1/entries//touch"),
            ("GET", "/"),
        ] {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }
}
