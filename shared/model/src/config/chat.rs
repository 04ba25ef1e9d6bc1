//! The variables that only `chat` reads.

use mneme_embed::key::KeySource;

use super::env::RawEnv;

/// The accepted form of `MNEME_UPSTREAM`.
const UPSTREAM_FORM: &str =
    "the base URL of an OpenAI-compatible service, such as https://api.openai.com/v1, or bedrock";
/// The accepted form of `MNEME_CHAT_KEYS`.
const KEYS_FORM: &str =
    "`any`, or a JSON list of {\"name\", \"sha256\", \"namespaces\"}, as `mneme keys make` prints it";

/// The configuration of `chat`. The function parses the texts when it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatConfig {
    /// `MNEME_UPSTREAM`: the service that answers what the cache cannot. `None`: `chat` refuses every request.
    pub upstream: Option<String>,
    /// `MNEME_UPSTREAM_API_KEY`.
    pub upstream_key: KeySource,
    /// `MNEME_UPSTREAM_TIMEOUT_MS`: how long the upstream may take until its reply begins.
    pub upstream_timeout_ms: u64,
    /// `MNEME_CHAT_BUDGET_MS`: how long the cache may take before the upstream is called.
    pub budget_ms: u64,
    /// `MNEME_CHAT_WAIT_MS`: how long a request waits for the answer that another one has under way. 0: it does not wait.
    pub wait_ms: u64,
    /// `MNEME_CHAT_KEYS`: the keys of callers that reach the function at its own URL. `None`: nobody gets in there.
    pub keys: Option<String>,
    /// `MNEME_CHAT_TOOL_CALLS`: whether calls of tools are stored, for the exact layer alone.
    pub stores_tool_calls: bool,
}

impl RawEnv {
    /// Reads the variables of `chat`.
    pub(super) fn chat(&mut self) -> ChatConfig {
        let positive = "a whole number from 1";
        let key = self.take("MNEME_UPSTREAM_API_KEY", None, &mneme_embed::key::FORM).unwrap_or_default();
        // The text of this variable may be a secret even if it is not a valid key. The error does not contain it.
        let upstream_key = KeySource::parse(&key).unwrap_or_else(|error| {
            self.complaints.push(format!("MNEME_UPSTREAM_API_KEY: {error}"));
            KeySource::None
        });
        ChatConfig {
            upstream: self.take("MNEME_UPSTREAM", None, &UPSTREAM_FORM),
            upstream_key,
            upstream_timeout_ms: self.parse("MNEME_UPSTREAM_TIMEOUT_MS", 120_000, positive, |ms| *ms >= 1),
            budget_ms: self.parse("MNEME_CHAT_BUDGET_MS", 300, positive, |ms| *ms >= 1),
            wait_ms: self.parse("MNEME_CHAT_WAIT_MS", 10_000, "a whole number from 0 to 900000", |ms| *ms <= 900_000),
            keys: self.take("MNEME_CHAT_KEYS", None, &KEYS_FORM),
            stores_tool_calls: self.one_of("MNEME_CHAT_TOOL_CALLS", false, &[("off", false), ("exact", true)]),
        }
    }
}
