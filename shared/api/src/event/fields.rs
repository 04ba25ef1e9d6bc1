//! One set of fields out of an HTTP request's path, query and body.

use serde_json::Value;

use super::{Fields, not_an_object};
use crate::percent::decode;
use crate::routes::{ROUTES, Route};
use mneme_model::error::Error;

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

/// Which route was asked for, if any, and the path's parameters: API Gateway's where it matched the route, else as they
/// stand in the path.
struct Match {
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

    /// The function's route that was asked for.
    fn route(&self, function: &str) -> Result<Match, Error> {
        let own = || ROUTES.iter().filter(|route| route.function == function && route.method == self.method);
        if let Some(template) = &self.template
            && let Some(route) = own().find(|route| route.path == *template)
        {
            return Ok(Match { route: Some(route), parameters: self.path_parameters.clone() });
        }
        let path = self.prefix.as_deref().and_then(|prefix| self.path.strip_prefix(prefix)).unwrap_or(&self.path);
        for route in own() {
            if let Some(parameters) = match_path(route.path, path) {
                return Ok(Match { route: Some(route), parameters });
            }
        }
        // A Function URL has no routes: its root takes the function's own fields.
        if matches!(path, "" | "/") && ROUTES.iter().any(|route| route.function == function) {
            return Ok(Match { route: None, parameters: Vec::new() });
        }
        Err(Error::invalid(
            format!("`{function}` does not answer {} {}", self.method, self.path),
            "use one of the operation's documented routes",
        ))
    }
}

/// The parameters of `path` under `template`, percent-decoded; `None` when it does not match.
fn match_path(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    let mut parameters = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(part), Some(text)) => match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => parameters.push((name.to_owned(), decode(text)?)),
                None if part == text => {}
                None => return None,
            },
            _ => return None,
        }
    }
}
