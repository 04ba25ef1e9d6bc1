//! Refuses requests that a web page of another origin makes a browser send to this machine.
//!
//! The API has no authentication. A page could otherwise store entries by a form (cross-site request forgery), with
//! which browsers send `Origin`. It could also read entries under a name of its own that resolves to 127.0.0.1 (DNS
//! rebinding), with which browsers send that name as `Host`.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::http::message;

/// The names under which this server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of this machine.
    ThisMachine,
    /// Also addresses, and names without a dot, such as those of containers. Nobody else can make such a name lead here,
    /// because the public DNS has none.
    Local,
}

impl Names {
    /// The names of a server that listens on the loopback interface only, or on others, too.
    pub(super) fn of(only_this_machine: bool) -> Self {
        if only_this_machine { Self::ThisMachine } else { Self::Local }
    }

    /// Whether `authority`, a host with or without a port, is such a name.
    fn include(self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>().ok();
        match self {
            Self::ThisMachine => {
                host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
            }
            Self::Local => address.is_some() || !host.contains('.'),
        }
    }
}

/// Answers the request, or refuses it.
pub(super) async fn check(State(names): State<Names>, request: Request, next: Next) -> Response {
    match refusal(names, request.headers()) {
        Some(reason) => message(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    }
}

fn refusal(names: Names, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::HOST).is_some_and(|host| !names.include(host)) {
        return Some("The Host of the request is not this machine");
    }
    let origin_host = |origin: &str| origin.parse::<Uri>().ok()?.authority().map(ToString::to_string);
    if text(header::ORIGIN).is_some_and(|origin| !origin_host(origin).is_some_and(|host| names.include(&host))) {
        return Some("The Origin of the request is not this machine");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused_by(names: Names, pairs: &[(header::HeaderName, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value)));
        refusal(names, &headers.collect()).is_some()
    }

    fn is_refused(pairs: &[(header::HeaderName, &'static str)]) -> bool {
        is_refused_by(Names::ThisMachine, pairs)
    }

    #[test]
    fn refusal_by_a_server_for_other_machines_is_for_names_of_the_public_dns() {
        for accepted in ["mneme:3000", "192.0.2.7:3000", "[2001:db8::1]:3000", "localhost"] {
            assert!(!is_refused_by(Names::Local, &[(header::HOST, accepted)]), "{accepted}");
            assert_eq!(is_refused(&[(header::HOST, accepted)]), accepted != "localhost", "{accepted}");
        }
        for (host, origin) in [("evil.example:3000", "http://mneme:3000"), ("mneme:3000", "https://evil.example")] {
            assert!(is_refused_by(Names::Local, &[(header::HOST, host), (header::ORIGIN, origin)]), "{host} {origin}");
        }
    }

    #[test]
    fn refusal_is_for_foreign_hosts_and_foreign_origins() {
        let host = (header::HOST, "localhost:3000");
        for accepted in
            [vec![host.clone()], vec![(header::HOST, "[::1]:3000"), (header::ORIGIN, "http://127.0.0.1:5173")]]
        {
            assert!(!is_refused(&accepted), "{accepted:?}");
        }
        for refused in [
            vec![(header::HOST, "evil.example:3000")],
            vec![(header::HOST, "localhost.evil.example")],
            vec![host.clone(), (header::ORIGIN, "https://evil.example")],
            vec![host.clone(), (header::ORIGIN, "null")],
        ] {
            assert!(is_refused(&refused), "{refused:?}");
        }
    }
}
