//! Tests of the local server from outside: fake functions behind the emulated Lambda, and the program itself.
#![allow(clippy::unwrap_used)]

mod command;
mod fake;
mod http_api;
mod invoke_api;
mod lambda;
