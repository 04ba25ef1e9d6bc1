//! The Lambda function `put`.

use std::process::ExitCode;

use mneme_core::runtime;
use mneme_put::Put;
use mneme_screen::policy::Policy;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    match Policy::new(&cache.config) {
        Ok(policy) => runtime::serve(cache, Put::new(policy)).await,
        Err(error) => {
            tracing::error!(complaints = ?error.0, "the configuration is not usable");
            ExitCode::FAILURE
        }
    }
}
