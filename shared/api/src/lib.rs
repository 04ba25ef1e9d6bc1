//! What callers send and get: operations, routes, events in every form, replies, and what a caller may do.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the operations: routes, errors, permissions, variables | [`operations`] |
//! | which operation serves a path | [`routes`] |
//! | an event and its reply | [`event`] |
//! | which namespaces a caller may use | [`access`] |

pub mod access;
pub mod event;
pub mod operations;
pub mod percent;
pub mod routes;
