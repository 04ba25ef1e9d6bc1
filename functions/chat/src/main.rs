//! The Lambda function `chat`.

use std::process::ExitCode;

use mneme_chat::Chat;
use mneme_core::maintain::access_buffer::AccessBuffer;
use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    let (stats, accesses) = (StatsBuffer::default(), AccessBuffer::default());
    let chat = match Chat::new(&cache, stats.clone(), accesses.clone()) {
        Ok(chat) => chat,
        Err(error) => {
            tracing::error!(complaints = ?error.0, "the configuration is not usable");
            return ExitCode::FAILURE;
        }
    };
    runtime::on_shutdown({
        let (stats, accesses, cache) = (stats.clone(), accesses.clone(), cache.clone());
        async move {
            stats.flush(&cache).await;
            accesses.flush(&cache).await;
        }
    })
    .await;
    tokio::spawn(stats.run(cache.clone()));
    tokio::spawn(accesses.run(cache.clone()));
    tokio::spawn(chat.engine().load_in_background(cache.clone()));
    runtime::http::serve_http(cache, chat).await
}
