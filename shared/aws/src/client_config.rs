//! The configuration that every AWS client is made from.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

use crate::tls_roots::{self, TlsRoots};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Loads the SDK's configuration from the environment.
///
/// Reads region, endpoints, profile and credentials (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_PROFILE`, …).
/// The SDK itself sets no time limit for an operation. Here a connection attempt has 1 s, an attempt 3 s, and an
/// operation with its retries 10 s. The SDK makes at most three attempts. `roots` is the value of `MNEME_TLS_ROOTS`.
pub async fn from_env(roots: TlsRoots) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(10))
        .build();
    let mut config =
        aws_config::from_env().timeout_config(timeouts).retry_config(RetryConfig::standard().with_max_attempts(3));
    if let Some(client) = tls_roots::pinned_client(roots, |name| std::env::var(name).ok()) {
        config = config.http_client(client);
    }
    config.load().await
}

/// The retry configuration of a client whose caller retries by itself: the SDK makes one attempt.
pub fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// The time limits of a client whose caller has a deadline for the whole call. Only connecting has a limit: 1 s.
pub fn connect_timeout_only() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build()
}
