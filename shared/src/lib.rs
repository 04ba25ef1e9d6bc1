//! The mechanism of mneme-lambda, a semantic cache on AWS Lambda and DynamoDB. The functions hold the policy.
//!
//! | to learn about | read |
//! | --- | --- |
//! | what a query, a vector, an entry is | [`question`], [`normalize`], [`embedding`], [`embedders`], [`namespace`], [`entry`], [`key`] |
//! | the table: reads, creation, transactions | [`table`] |
//! | single entries, pages, totals | [`entries`], [`page`], [`census`] |
//! | changes to the table | [`write`], [`eviction`], [`directory`], [`repair`], [`reembed`] |
//! | the vectors in memory and the search | [`replica`], [`packed`], `mneme_search` |
//! | vectors of texts | [`embed`], `mneme_embed` |
//! | whether an answer may be served | [`confidence`] |
//! | what a function works with | [`cache`], [`config`], [`aws`], [`clock`], [`recorder`] |
//! | what callers send and get | [`operations`], [`routes`], [`event`], [`limits`], [`error`] |
//! | what a caller may do, what the log says of it | [`access`], [`invocation`], [`report`] |
//! | a function's main loop | [`runtime`] |

pub mod access;
pub mod aws;
pub mod cache;
pub mod census;
pub mod clock;
pub mod confidence;
pub mod config;
pub mod directory;
pub mod embed;
pub mod embedders;
pub mod embedding;
pub mod entries;
pub mod entry;
pub mod error;
pub mod event;
pub mod eviction;
pub mod invocation;
pub mod key;
pub mod limits;
pub mod namespace;
pub mod normalize;
pub mod operations;
pub mod packed;
pub mod page;
pub mod question;
pub mod recorder;
pub mod reembed;
pub mod repair;
pub mod replica;
pub mod report;
pub mod routes;
pub mod runtime;
pub mod table;
pub mod write;
