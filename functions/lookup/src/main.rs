//! The Lambda function `lookup`.

use std::process::ExitCode;

use mneme_core::recorder::Recorder;
use mneme_core::runtime;
use mneme_lookup::Lookup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(cache) = runtime::start().await else { return ExitCode::FAILURE };
    let recorder = Recorder::default();
    runtime::on_shutdown({
        let (recorder, cache) = (recorder.clone(), cache.clone());
        async move { recorder.flush(&cache).await }
    })
    .await;
    tokio::spawn(recorder.clone().run(cache.clone()));
    let lookup = Lookup::new(&cache.config, recorder);
    runtime::serve(cache, lookup).await
}
