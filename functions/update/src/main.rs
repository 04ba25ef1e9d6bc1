//! The Lambda function `update`.

use std::process::ExitCode;

use mneme_core::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match runtime::start().await {
        Some(cache) => runtime::serve(cache, mneme_update::Update).await,
        None => ExitCode::FAILURE,
    }
}
