//! The Lambda function `reembed`.

use std::process::ExitCode;

use mneme_core::runtime;
use mneme_reembed::{Embedders, Reembed};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    match Embedders::from_env().await {
        Ok(embedders) => runtime::serve(cache, Reembed::new(embedders)).await,
        Err(error) => {
            tracing::error!(%error, "the configuration is not usable");
            ExitCode::FAILURE
        }
    }
}
