//! Signatures of requests, by the default chain of credentials.

use aws_config::{BehaviorVersion, SdkConfig};
use mneme_aws::signer::SignError;

use super::error::CallError;

/// Loads the AWS configuration of the environment and of `profile`.
pub(super) async fn configuration(profile: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

impl From<SignError> for CallError {
    fn from(error: SignError) -> Self {
        let remediation = match error {
            SignError::NoRegion => "set AWS_REGION, or name a profile that has a region with --profile",
            SignError::NoCredentials(_) => {
                "configure them as for the AWS CLI; `aws sts get-caller-identity` must answer"
            }
            SignError::Unsignable(_) => "check the address and the credentials",
        };
        Self::Unsendable { detail: error.to_string(), remediation }
    }
}
