//! What the functions get of the environment `mneme-local` itself was started in.

use std::collections::BTreeMap;

use crate::weights::{WeightsError, fetch_weights};

/// Where the functions find the weights of the embedder `minilm`.
const WEIGHTS: &str = "MNEME_MINILM_PATH";

/// Every `MNEME_*` and `AWS_*` variable of this process, but for those that would name another DynamoDB than the one
/// the command line asks for: a demo must never write to a table it was not pointed at.
pub(super) fn passed_on() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("MNEME_") || name.starts_with("AWS_"))
        .filter(|(name, _)| {
            !matches!(name.as_str(), "AWS_ENDPOINT_URL_DYNAMODB" | "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        })
        .collect()
}

/// Sees to it that the functions find the weights, where `minilm` is an embedder of theirs and nothing says where they are.
///
/// # Errors
/// They are not there and cannot be fetched.
pub(super) fn provide_weights(env: &mut BTreeMap<String, String>) -> Result<(), WeightsError> {
    let embedders = ["MNEME_EMBEDDER", "MNEME_EMBEDDER_NEXT"].map(|name| env.get(name));
    if embedders.into_iter().flatten().any(|embedder| embedder == "minilm") && !env.contains_key(WEIGHTS) {
        env.insert(WEIGHTS.to_owned(), fetch_weights()?.display().to_string());
    }
    Ok(())
}
