//! What the clients of AWS's services are made of.

mod trust;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

/// The SDK's own configuration: region, endpoints, profile and credentials come from the environment (`AWS_REGION`,
/// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_PROFILE`, …).
///
/// The SDK sets no time limit for an operation; here an attempt has 3 s and an operation with its retries 10 s.
pub async fn from_env() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(10))
        .build();
    let mut config =
        aws_config::from_env().timeout_config(timeouts).retry_config(RetryConfig::standard().with_max_attempts(3));
    if let Some(client) = trust::http_client(|name| std::env::var(name).ok()) {
        config = config.http_client(client);
    }
    config.load().await
}
