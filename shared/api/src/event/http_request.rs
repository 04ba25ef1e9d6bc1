//! An HTTP request as one set of fields, from its path, query and body.

use lambda_http::http::{HeaderMap, header};
use serde_json::Value;

use super::{RequestFields, json, not_an_object, shortened};
use crate::percent::decode;
use crate::routes::{ROUTES, Route, RouteMatch, find_route};
use mneme_model::error::{Error, ErrorKind};

/// The parameters that are whole numbers. In a path or a query every value is text.
const NUMBERS: &[&str] =
    &["id", "after_id", "limit", "from", "to", "created_since", "created_before", "used_since", "used_before"];

/// The parameters that are `true` or `false`.
const SWITCHES: &[&str] = &["purge"];

/// The parts of an HTTP request that carry fields.
#[derive(Debug, Default)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// The route's path template, if API Gateway matched one.
    pub(super) template: Option<String>,
    /// The path of the request. It is percent-encoded, except in events of an HTTP API's custom domain.
    pub(super) path: String,
    /// The part of the path before the route, such as a stage's name.
    pub(super) prefix: Option<String>,
    /// Path parameters, percent-decoded.
    pub(super) path_parameters: Vec<(String, String)>,
    /// Query parameters, percent-decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The route of a request, and the path's parameters, percent-decoded.
pub(super) struct Match {
    /// `None`: the root of a Function URL.
    pub(super) route: Option<&'static Route>,
    parameters: Vec<(String, String)>,
}

impl HttpRequest {
    /// The fields of the body, the query and the path, and the route's `action`.
    ///
    /// Errors: `UnsupportedContentEncoding`; `InvalidRequest` for a path or method that is not the function's, a path that
    /// is not UTF-8, a body that is not a JSON object, and a field that is given twice with different values.
    pub(super) fn fields(self, function: &str) -> Result<RequestFields, Error> {
        let Match { route, parameters } = self.route(function)?;
        let mut fields = self.body_fields()?;
        let action = route.and_then(|route| route.action).map(|action| ("action".to_owned(), action.to_owned()));
        for (name, text) in self.query.into_iter().chain(parameters).chain(action) {
            let value = match (whole_number(&text), text.parse::<bool>()) {
                (Some(number), _) if NUMBERS.contains(&name.as_str()) => Value::from(number),
                (_, Ok(switch)) if SWITCHES.contains(&name.as_str()) => Value::from(switch),
                _ => Value::from(text),
            };
            let was = fields.insert(name.clone(), value);
            if was.is_some_and(|was| fields.get(&name) != Some(&was)) {
                return Err(Error::invalid(
                    shortened(format!("`{name}` is given twice, with different values")),
                    "give each field once: in the path, in the query or in the body",
                ));
            }
        }
        Ok(fields)
    }

    /// The fields of the body. A body that is empty has none.
    fn body_fields(&self) -> Result<RequestFields, Error> {
        if self.body.is_empty() {
            return Ok(RequestFields::new());
        }
        self.check_encoding()?;
        match json::from_text(utf8(&self.body)?, "the body")? {
            Value::Object(fields) => Ok(fields),
            other => Err(not_an_object(&other)),
        }
    }

    /// Errors: `UnsupportedContentEncoding` for a body that is compressed or otherwise encoded.
    pub(super) fn check_encoding(&self) -> Result<(), Error> {
        if let Some(encoding) = self.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok())
            && let encoding = encoding.trim()
            && !encoding.is_empty()
            && !encoding.eq_ignore_ascii_case("identity")
        {
            return Err(Error::new(
                ErrorKind::UnsupportedContentEncoding,
                shortened(format!("the body has the content encoding {encoding:?}")),
                "send the body as plain JSON, without compression and without the header `content-encoding`",
            ));
        }
        Ok(())
    }

    /// The function's route that the request names: the template that API Gateway matched, else the route of the path.
    ///
    /// Errors: `InvalidRequest` for a path or method that is not the function's, and for a path that is not UTF-8.
    pub(super) fn route(&self, function: &str) -> Result<Match, Error> {
        let own = || ROUTES.iter().filter(|route| route.function == function);
        if let Some(template) = &self.template
            && let Some(route) = own().find(|route| route.method == self.method && route.path == *template)
        {
            // The decoder of the parameters puts U+FFFD in place of bytes that are not UTF-8.
            let has_replacement = self.path_parameters.iter().any(|(_, value)| value.contains('\u{fffd}'));
            if has_replacement && decode(&self.path).is_none() {
                return Err(not_utf8());
            }
            return Ok(Match { route: Some(route), parameters: self.path_parameters.clone() });
        }
        let path = self.prefix.as_deref().and_then(|prefix| self.path.strip_prefix(prefix)).unwrap_or(&self.path);
        if let Some(RouteMatch { route, parameters }) = find_route(&self.method, path)
            && route.function == function
        {
            return Ok(Match { route: Some(route), parameters: decode_all(parameters)? });
        }
        // A Function URL has no routes. A request to its root is for this function.
        if matches!(path, "" | "/") && own().next().is_some() {
            return Ok(Match { route: None, parameters: Vec::new() });
        }
        Err(Error::invalid(
            shortened(format!("`{function}` does not answer {} {}", self.method, self.path)),
            "use one of the operation's documented routes",
        ))
    }
}

/// The number in `text` if it has no sign and no leading zeros: one number has one spelling.
fn whole_number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// A body as text, without a byte order mark. Errors: `InvalidRequest`.
fn utf8(body: &[u8]) -> Result<&str, Error> {
    let remedy = "send one JSON object, in UTF-8";
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] = body {
        return Err(Error::invalid("the body is UTF-16 or UTF-32, not UTF-8", remedy));
    }
    if let [0x1f, 0x8b, ..] = body {
        return Err(Error::invalid("the body is compressed with gzip", "send the body as plain JSON"));
    }
    let text =
        str::from_utf8(body).map_err(|error| Error::invalid(format!("the body is not UTF-8: {error}"), remedy))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The parameters with their values percent-decoded. Errors: `InvalidRequest` if one of them is not UTF-8.
pub(super) fn decode_all<N: Into<String>, V: AsRef<str>>(
    parameters: impl IntoIterator<Item = (N, V)>,
) -> Result<Vec<(String, String)>, Error> {
    let decoded = |(name, value): (N, V)| Ok((name.into(), decode(value.as_ref()).ok_or_else(not_utf8)?));
    parameters.into_iter().map(decoded).collect()
}

fn not_utf8() -> Error {
    Error::invalid(
        "a part of the path is not UTF-8 after percent-decoding",
        "encode the names in the path as UTF-8, then percent-encode them",
    )
}
