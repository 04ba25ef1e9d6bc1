//! The Lambda function `lookup`.

use std::process::ExitCode;

use mneme_core::lookup::shared_engine::SharedEngine;
use mneme_core::maintain::access_buffer::AccessBuffer;
use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime;
use mneme_lookup::Lookup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    let (engine, stats, accesses) = (SharedEngine::new(&cache.config), StatsBuffer::default(), AccessBuffer::default());
    runtime::on_shutdown({
        let (stats, accesses, cache) = (stats.clone(), accesses.clone(), cache.clone());
        async move {
            stats.flush(&cache).await;
            accesses.flush(&cache).await;
        }
    })
    .await;
    tokio::spawn(stats.clone().run(cache.clone()));
    tokio::spawn(accesses.clone().run(cache.clone()));
    tokio::spawn(engine.clone().load_in_background(cache.clone()));
    runtime::serve(cache, Lookup::new(engine, stats, accesses)).await
}
