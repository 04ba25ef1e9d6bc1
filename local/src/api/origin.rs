//! Refuses requests that a web page of another origin makes a browser send to this machine.
//!
//! The API has no authentication. A page could otherwise store entries by a form (cross-site request forgery), with
//! which browsers send `Origin`. It could also read entries under a name of its own that resolves to 127.0.0.1 (DNS
//! rebinding), with which browsers send that name as `Host`.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};

use super::http::message;

/// Answers the request, or refuses it.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match refusal(request.headers()) {
        Some(reason) => message(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::HOST).is_some_and(|host| !is_loopback(host)) {
        return Some("The Host of the request is not this machine");
    }
    let origin_host = |origin: &str| origin.parse::<Uri>().ok()?.authority().map(ToString::to_string);
    if text(header::ORIGIN).is_some_and(|origin| !origin_host(origin).is_some_and(|host| is_loopback(&host))) {
        return Some("The Origin of the request is not this machine");
    }
    None
}

/// Whether `authority`, a host with or without a port, is this machine.
fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<axum::http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(pairs: &[(header::HeaderName, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value)));
        refusal(&headers.collect()).is_some()
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
