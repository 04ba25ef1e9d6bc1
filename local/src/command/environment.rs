//! The part of this process's environment that the functions get.

use std::collections::BTreeMap;

use mneme_model::config::{Config, ConfigError};

use crate::lambda::environment::DEFAULT_TABLE;
use crate::weights::{WeightsError, fetch_weights};

/// The variable with the directory of the weights of the embedder `minilm`.
const WEIGHTS: &str = "MNEME_MINILM_PATH";

/// Returns every `MNEME_*` and `AWS_*` variable of this process, except those that select a DynamoDB. The command line
/// selects it: the demo must never write to a table that the user did not name.
///
/// # Errors
/// The functions would refuse one of the variables, and so would not start.
pub(super) fn inherited() -> Result<BTreeMap<String, String>, ConfigError> {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("MNEME_") || name.starts_with("AWS_"))
        .filter(|(name, _)| {
            !matches!(name.as_str(), "AWS_ENDPOINT_URL_DYNAMODB" | "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        })
        .collect();
    let table_name = [("MNEME_TABLE_NAME".to_owned(), DEFAULT_TABLE.to_owned())];
    Config::from_variables(table_name.into_iter().chain(env.clone()))?;
    Ok(env)
}

/// Fetches the weights of `minilm` and sets their directory in `env`, if `minilm` is one of the embedders and `env`
/// names no directory.
///
/// # Errors
/// The weights are missing and cannot be fetched.
pub(super) fn provide_weights(env: &mut BTreeMap<String, String>) -> Result<(), WeightsError> {
    let embedders = ["MNEME_EMBEDDER", "MNEME_EMBEDDER_NEXT"].map(|name| env.get(name));
    if embedders.into_iter().flatten().any(|embedder| embedder == "minilm") && !env.contains_key(WEIGHTS) {
        env.insert(WEIGHTS.to_owned(), fetch_weights()?.display().to_string());
    }
    Ok(())
}
