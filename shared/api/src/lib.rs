//! What callers send and get: operations, routes, events in every form, replies, and what a caller may do.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the operations and their HTTP routes | [`routes`] |
//! | an event and its reply | [`event`] |
//! | which namespaces a caller may use | [`access`] |

pub mod access;
pub mod event;
pub mod percent;
pub mod routes;
