//! The requests of the embedders, and their results for every kind of reply. Local servers play the services.

mod bedrock;
mod keys;
mod openai;
mod server;

use std::time::Duration;

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::key::KeySource;
use mneme_embed::provider::TextVector;
use mneme_embed::spec::Spec;
use server::Server;
use tokio::time::Instant;

/// A deadline that no test reaches.
fn far_deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The vectors alone.
fn values(vectors: Vec<TextVector>) -> Vec<Vec<f32>> {
    vectors.into_iter().map(|vector| vector.values).collect()
}

/// The embedder of `spec` with the key source `key`. `server` answers in place of every AWS service.
fn embedder(spec: &str, key: &str, server: &Server) -> Embedder<Backend> {
    let spec: Spec = spec.parse().unwrap_or_else(|error| panic!("{spec}: {error}"));
    let key = KeySource::parse(key).unwrap_or_else(|error| panic!("{error}"));
    Backend::new(&spec, spec.max_tokens().unwrap_or_default(), key, &server.aws())
        .map(Embedder::new)
        .unwrap_or_else(|| panic!("no embedder"))
}

#[tokio::test]
async fn backend_of_spec_without_service_needs_none() {
    let aws = Server::refusing().await.aws();
    assert!(Backend::new(&Spec::None, 0, KeySource::None, &aws).is_none());
    let backend = Backend::new(&Spec::MiniLm, 256, KeySource::None, &aws);
    let embedder = backend.map(Embedder::new).unwrap_or_else(|| panic!("no embedder"));
    assert_eq!((embedder.fingerprint(), embedder.dim()), ("minilm:all-MiniLM-L6-v2/1", Some(384)));
}
