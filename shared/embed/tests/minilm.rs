//! The embedder `minilm` with its model. `tests/minilm/run` fetches the model and runs this test.

use std::cell::Cell;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::key::KeySource;
use mneme_embed::spec::Spec;
use tokio::time::Instant;

/// The runtime has one thread. A computation that blocked it would stop the counting.
#[tokio::test]
#[ignore = "needs the model in MNEME_MINILM_PATH"]
async fn embed_with_minilm_returns_vectors_without_blocking_the_runtime() {
    let aws = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let backend = Backend::new(&Spec::MiniLm, 256, KeySource::None, &aws);
    let embedder = backend.map(Embedder::new).unwrap_or_else(|| panic!("no embedder"));
    let long = "what is kept of a long text ".repeat(100);
    let texts = ["How do I reset my password?", "I forgot my password, what now?", "The weather is nice.", "", &long];
    let counted = Cell::new(0u64);
    let count = async {
        loop {
            counted.set(counted.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let vectors = tokio::select! {
        vectors = embedder.embed(&texts, Instant::now() + Duration::from_secs(600)) => vectors.unwrap_or_else(|error| panic!("{error}")),
        () = count => panic!("the counting does not end"),
    };
    assert!(counted.get() > 1, "nothing else ran");
    let is_cut: Vec<bool> = vectors.iter().map(|vector| vector.is_cut).collect();
    assert_eq!(is_cut, [false, false, false, false, true]);
    let vectors: Vec<Vec<f32>> = vectors.into_iter().map(|vector| vector.values).collect();
    assert!(vectors.iter().all(|vector| vector.len() == 384));
    let dot = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f32>();
    assert!((0..texts.len()).all(|at| (dot(at, at) - 1.0).abs() < 1e-5));
    assert!(dot(0, 1) > dot(0, 2) + 0.3, "a rewording is closer than another topic");
}
