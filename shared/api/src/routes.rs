//! The operations and their HTTP routes: what API Gateway sends where.

/// One HTTP route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path template in API Gateway's form: `{name}` stands for one path segment.
    pub path: &'static str,
    /// The function that serves it: a member of [`FUNCTIONS`].
    pub function: &'static str,
    /// What the route asks of a function with several methods: the value of the request's `action` field.
    pub action: Option<&'static str>,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, function: &'static str) -> Self {
        Self { method, path, function, action: None }
    }

    const fn asking(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// Every function, by name. `provision` has no route: it is invoked directly only.
pub const FUNCTIONS: &[&str] = &[
    "calibrate",
    "clear",
    "delete",
    "find",
    "get",
    "health",
    "list",
    "lookup",
    "meta",
    "namespaces",
    "provision",
    "put",
    "quota",
    "reembed",
    "snapshot",
    "stats",
    "touch",
    "vacuum",
];

/// Every HTTP route.
pub const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/lookup", "lookup"),
    Route::new("POST", "/v1/entries", "put"),
    Route::new("GET", "/v1/entries", "list"),
    Route::new("GET", "/v1/entries/{id}", "get"),
    Route::new("DELETE", "/v1/entries/{id}", "delete"),
    Route::new("POST", "/v1/entries/delete", "delete"),
    Route::new("POST", "/v1/entries/{id}/touch", "touch"),
    Route::new("GET", "/v1/namespaces", "namespaces"),
    Route::new("DELETE", "/v1/namespaces", "clear"),
    Route::new("DELETE", "/v1/namespaces/{namespace}", "clear"),
    Route::new("GET", "/v1/namespaces/{namespace}/entries/{query_hash}", "find"),
    Route::new("GET", "/v1/namespaces/{namespace}/quota", "quota").asking("get"),
    Route::new("PUT", "/v1/namespaces/{namespace}/quota", "quota").asking("set"),
    Route::new("DELETE", "/v1/namespaces/{namespace}/quota", "quota").asking("delete"),
    Route::new("GET", "/v1/meta/{key}", "meta").asking("get"),
    Route::new("PUT", "/v1/meta/{key}", "meta").asking("set"),
    Route::new("GET", "/v1/stats", "stats"),
    Route::new("GET", "/v1/health", "health"),
    Route::new("POST", "/v1/vacuum", "vacuum"),
    Route::new("POST", "/v1/calibrate", "calibrate"),
    Route::new("POST", "/v1/reembed", "reembed"),
    Route::new("POST", "/v1/snapshot", "snapshot"),
    Route::new("POST", "/v1/restore", "snapshot"),
];
