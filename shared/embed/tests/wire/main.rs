//! What the embedders send, and what they make of every kind of answer, against local servers that speak the wire forms.

mod bedrock;
mod keys;
mod openai;
mod server;

use std::time::Duration;

use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::key::KeySource;
use mneme_embed::spec::Spec;
use server::Server;
use tokio::time::Instant;

/// Longer than any test takes.
fn ample() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The embedder that `spec` names, its key in `key`, AWS's services being `server`.
fn embedder(spec: &str, key: &str, server: &Server) -> Embedder<Backend> {
    let spec: Spec = spec.parse().unwrap_or_else(|error| panic!("{spec}: {error}"));
    let key = KeySource::parse(key).unwrap_or_else(|error| panic!("{error}"));
    Backend::new(&spec, key, &server.aws()).map(Embedder::new).unwrap_or_else(|| panic!("no embedder"))
}

#[tokio::test]
async fn what_needs_no_service_is_there_without_one() {
    let aws = Server::refusing().await.aws();
    assert!(Backend::new(&Spec::None, KeySource::None, &aws).is_none());
    let backend = Backend::new(&Spec::MiniLm, KeySource::None, &aws);
    let embedder = backend.map(Embedder::new).unwrap_or_else(|| panic!("no embedder"));
    assert_eq!((embedder.fingerprint(), embedder.dim()), ("minilm:all-MiniLM-L6-v2/1", Some(384)));
}
