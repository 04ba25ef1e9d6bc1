//! What the functions get of the environment `mneme-local` itself was started in.

use std::collections::BTreeMap;

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
