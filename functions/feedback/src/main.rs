//! The Lambda function `feedback`.

use std::process::ExitCode;

use mneme_core::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match runtime::start().await {
        Some(cache) => runtime::serve(cache, mneme_feedback::Feedback).await,
        None => ExitCode::FAILURE,
    }
}
