//! Mutations: each one transaction with the counter, tried again until it is decided.

mod action;
pub(crate) mod embedder;
pub(crate) mod pace;
pub mod put;
pub(crate) mod relocate;
pub mod remove;
pub mod settings;
pub mod touch;
pub(crate) mod turn;
