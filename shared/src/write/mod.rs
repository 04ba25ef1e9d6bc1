//! Mutations: each one transaction with the counter, tried again until it is decided.

mod action;
mod pace;
pub mod put;
pub mod remove;
pub mod settings;
pub mod touch;
