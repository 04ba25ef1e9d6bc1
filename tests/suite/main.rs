//! The tests of the whole, one module per operation and one per promise that spans them.

#![allow(clippy::unwrap_used)]

mod access;
mod batch;
mod budget;
mod calibrate;
mod chaos;
mod clear;
mod clock;
mod configuration;
mod conversations;
mod delete;
mod embedder;
mod errors;
mod events;
mod eviction;
mod expiry;
mod find;
mod get;
mod guard;
mod health;
mod list;
mod logs;
mod lookup;
mod meta;
mod namespaces;
mod normalization;
mod packed;
mod provision;
mod proxy;
mod put;
mod python;
mod queries;
mod quota;
mod races;
mod reembed;
mod replicas;
mod requests;
mod snapshot;
mod stats;
mod steps;
mod touch;
mod vacuum;
mod writers;
mod writes;
