//! The environment variables of a child process: Lambda's own, the emulator's defaults, and those of the user.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use mneme_api::routes::FUNCTIONS;
use reqwest::Url;

use super::settings::Settings;
use crate::start_error::StartError;

/// The variables that a child inherits: it needs them to find a profile, a certificate store and a scratch directory.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// The name of the table if the user gives none.
pub(crate) const DEFAULT_TABLE: &str = "mneme";

/// Whether the directory has the executable of at least one function.
pub(crate) fn has_binaries(directory: &Path) -> bool {
    FUNCTIONS.iter().any(|function| directory.join(format!("mneme-{function}")).is_file())
}

/// The AWS region in `env`; us-east-1 without one.
pub(crate) fn region(env: &BTreeMap<String, String>) -> String {
    env.get("AWS_REGION").map_or_else(|| "us-east-1".to_owned(), Clone::clone)
}

/// Returns `env` with defaults for the variables that it lacks: a table that is created when missing, in the DynamoDB
/// at `dynamodb_url`, five seconds for a lookup, and a `chat` that takes any key.
///
/// Errors: `dynamodb_url` is not an HTTP URL.
pub(crate) fn with_defaults(
    mut env: BTreeMap<String, String>,
    dynamodb_url: &str,
) -> Result<BTreeMap<String, String>, StartError> {
    let local = is_loopback(dynamodb_url)?;
    let mut default = |name: &str, value: &str| {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    default("MNEME_TABLE_NAME", DEFAULT_TABLE);
    default("MNEME_CREATE_TABLE", "true");
    // The embedded DynamoDB is slower than AWS's, and binaries are often not optimised.
    default("MNEME_LOOKUP_BUDGET_MS", "5000");
    default("MNEME_CHAT_BUDGET_MS", "5000");
    // Only this machine reaches the server.
    default("MNEME_CHAT_KEYS", "any");
    default("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url);
    // Without this, the SDK waits seconds for EC2's metadata service when credentials are missing.
    default("AWS_EC2_METADATA_DISABLED", "true");
    if !env.contains_key("AWS_REGION") {
        // With a profile and a remote table, the profile's region counts. Lambda itself always sets the variable.
        if let Some(region) = env.get("AWS_DEFAULT_REGION").cloned() {
            env.insert("AWS_REGION".to_owned(), region);
        } else if local || !env.contains_key("AWS_PROFILE") {
            env.insert("AWS_REGION".to_owned(), "us-east-1".to_owned());
        }
    }
    // A local DynamoDB requires a signature but does not check it. DynamoDB Local keeps the tables of each access key
    // apart, so real keys are not replaced.
    if local && !env.contains_key("AWS_ACCESS_KEY_ID") && !env.contains_key("AWS_SECRET_ACCESS_KEY") {
        env.insert("AWS_ACCESS_KEY_ID".to_owned(), "local".to_owned());
        env.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "local".to_owned());
    }
    Ok(env)
}

fn is_loopback(url: &str) -> Result<bool, StartError> {
    let invalid = |detail: &str| StartError::Endpoint { url: url.to_owned(), detail: detail.to_owned() };
    let parsed = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("neither http:// nor https://"));
    }
    let host = parsed.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    Ok(host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

/// The whole environment of instance `number` of `function`, whose Runtime API is at `runtime_api`.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
pub(super) fn of_instance(
    settings: &Settings,
    function: &str,
    number: u64,
    runtime_api: SocketAddr,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = INHERITED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?.into_string().ok()?)))
        .chain(settings.env.clone())
        .collect();
    let mut set = |name: &str, value: String| {
        env.insert(name.to_owned(), value);
    };
    set("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string());
    set("AWS_LAMBDA_FUNCTION_NAME", function.to_owned());
    set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned());
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory_mib.to_string());
    set("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{function}"));
    set("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{number}"));
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned());
    set("_HANDLER", "bootstrap".to_owned());
    set("LAMBDA_TASK_ROOT", settings.binaries.display().to_string());
    set("TZ", ":UTC".to_owned());
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn with_defaults_for_a_local_dynamodb_sets_endpoint_region_and_dummy_keys() {
        let env = with_defaults(env(&[]), "http://127.0.0.1:8000").unwrap();
        assert_eq!(env["AWS_ENDPOINT_URL_DYNAMODB"], "http://127.0.0.1:8000");
        assert_eq!(env["AWS_REGION"], "us-east-1");
        assert_eq!(env["AWS_ACCESS_KEY_ID"], "local");
        assert_eq!(env["MNEME_TABLE_NAME"], "mneme");
        assert_eq!(env["MNEME_CREATE_TABLE"], "true");
    }

    #[test]
    fn with_defaults_keeps_given_variables() {
        let given = [
            ("MNEME_CREATE_TABLE", "false"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
        ];
        let env = with_defaults(env(&given), "http://localhost:8000").unwrap();
        assert_eq!(env["MNEME_CREATE_TABLE"], "false");
        assert_eq!(env["AWS_ACCESS_KEY_ID"], "AKIA");
        assert!(!env.contains_key("AWS_SECRET_ACCESS_KEY"));
        assert_eq!(env["AWS_REGION"], "eu-west-1");
        assert_eq!(env["AWS_ENDPOINT_URL_DYNAMODB"], "http://127.0.0.1:9");
    }

    #[test]
    fn with_defaults_for_a_remote_dynamodb_sets_no_keys_and_no_region_with_a_profile() {
        let env = with_defaults(env(&[("AWS_PROFILE", "dev")]), "https://dynamodb.eu-west-1.amazonaws.com").unwrap();
        assert!(!env.contains_key("AWS_ACCESS_KEY_ID"));
        assert!(!env.contains_key("AWS_REGION"));
    }

    #[test]
    fn is_loopback_depends_on_the_host_alone() {
        for url in ["http://localhost:8000", "http://127.0.0.2:1", "http://[::1]:8000"] {
            assert!(is_loopback(url).unwrap(), "{url}");
        }
        assert!(!is_loopback("https://dynamodb.us-east-1.amazonaws.com").unwrap());
        assert!(is_loopback("localhost:8000").is_err());
        assert!(is_loopback("nonsense").is_err());
    }
}
