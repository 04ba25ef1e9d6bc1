//! What callers send and get: operations, routes, events, replies, and a caller's access to namespaces.
//!
//! | to learn about | read |
//! | --- | --- |
//! | each operation: its routes, errors, permissions and variables | [`operations`] |
//! | which operation serves a path | [`routes`] |
//! | how an event becomes a request, and an outcome a reply | [`event`] |
//! | which namespaces a caller may use | [`access`] |
//! | who the caller is that sends an API key | [`keys`] |

pub use lambda_http::http;

pub mod access;
pub mod event;
pub mod keys;
pub mod operations;
pub mod percent;
pub mod routes;
