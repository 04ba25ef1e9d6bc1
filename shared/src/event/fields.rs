//! One set of fields out of an HTTP request's path, query and body.

use serde_json::Value;

use super::{Fields, not_an_object};
use crate::error::Error;
use crate::routes::{ROUTES, Route, RouteMatch, find_route};

/// The parameters that are numbers; in a path or a query everything is text.
const NUMBERS: &[&str] = &["id", "after_id", "limit"];

/// The parts of an HTTP request that carry fields.
#[derive(Debug, Default)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// The route's template, where API Gateway matched one.
    pub(super) template: Option<String>,
    /// The path as it was asked for, percent-encoded or not.
    pub(super) path: String,
    /// What stands before the route in the path, such as a stage's name.
    pub(super) prefix: Option<String>,
    /// Path parameters, decoded.
    pub(super) path_parameters: Vec<(String, String)>,
    /// Query parameters, decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The route of a request and the path's parameters, decoded.
struct Match {
    /// `None`: the root of a Function URL, which takes the function's own fields.
    route: Option<&'static Route>,
    parameters: Vec<(String, String)>,
}

impl HttpRequest {
    /// The fields: the body's, the query's, the path's, and the route's `action`.
    ///
    /// Errors: `InvalidRequest` for a path or method that is not the function's, a body that is not a JSON object, a
    /// parameter given twice with different values.
    pub(super) fn fields(self, function: &str) -> Result<Fields, Error> {
        let Match { route, parameters } = self.route(function)?;
        let mut fields = match self.body.as_slice() {
            [] => Fields::new(),
            body => match serde_json::from_slice(body) {
                Ok(Value::Object(fields)) => fields,
                Ok(other) => return Err(not_an_object(&other)),
                Err(why) => {
                    let detail = format!("the body is not JSON: {why}");
                    return Err(Error::invalid(detail, "send one JSON object, in UTF-8"));
                }
            },
        };
        let action = route.and_then(|route| route.action).map(|action| ("action".to_owned(), action.to_owned()));
        for (name, text) in self.query.into_iter().chain(parameters).chain(action) {
            let value = match text.parse::<u64>() {
                Ok(number) if NUMBERS.contains(&name.as_str()) => Value::from(number),
                _ => Value::from(text),
            };
            let was = fields.insert(name.clone(), value);
            if was.is_some_and(|was| fields.get(&name) != Some(&was)) {
                return Err(Error::invalid(
                    format!("`{name}` is given twice, with different values"),
                    "give each field once: in the path, in the query or in the body",
                ));
            }
        }
        Ok(fields)
    }

    /// The function's route that the request names: the template that API Gateway matched, else the route of the path.
    fn route(&self, function: &str) -> Result<Match, Error> {
        let own = || ROUTES.iter().filter(|route| route.function == function);
        if let Some(template) = &self.template
            && let Some(route) = own().find(|route| route.method == self.method && route.path == *template)
        {
            return Ok(Match { route: Some(route), parameters: self.path_parameters.clone() });
        }
        let path = self.prefix.as_deref().and_then(|prefix| self.path.strip_prefix(prefix)).unwrap_or(&self.path);
        if let Some(RouteMatch { route, parameters }) = find_route(&self.method, path)
            && route.function == function
            && let Some(parameters) = decode_all(&parameters)
        {
            return Ok(Match { route: Some(route), parameters });
        }
        // A Function URL has no routes: its root takes the function's own fields.
        if matches!(path, "" | "/") && own().next().is_some() {
            return Ok(Match { route: None, parameters: Vec::new() });
        }
        Err(Error::invalid(
            format!("`{function}` does not answer {} {}", self.method, self.path),
            "use one of the operation's documented routes",
        ))
    }
}

/// The parameters with their values percent-decoded; `None` when one of them is not UTF-8.
fn decode_all(parameters: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    parameters.iter().map(|(name, value)| Some(((*name).to_owned(), decode(value)?))).collect()
}

/// Percent-decoded; `None` when that is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}
