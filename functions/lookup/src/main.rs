//! The Lambda function `lookup`.

use std::process::ExitCode;

use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime;
use mneme_lookup::Lookup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    let stats_buffer = StatsBuffer::default();
    runtime::on_shutdown({
        let (stats_buffer, cache) = (stats_buffer.clone(), cache.clone());
        async move { stats_buffer.flush(&cache).await }
    })
    .await;
    tokio::spawn(stats_buffer.clone().run(cache.clone()));
    let lookup = Lookup::new(&cache.config, stats_buffer);
    runtime::serve(cache, lookup).await
}
