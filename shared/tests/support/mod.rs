//! A cache over a DynamoDB in this process.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::thread;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use mneme_core::cache::Cache;
use mneme_core::embedders::new_vector::NewVector;
use mneme_core::entries::live_row;
use mneme_core::lookup::engine::LookupEngine;
use mneme_core::lookup::outcome::LookupOutcome;
use mneme_core::lookup::query::Query;
use mneme_core::write::put::{Lifetime, NewEntry, put_all};
use mneme_core::write::remove::{Reason, remove};
use mneme_model::clock::Clock;
use mneme_model::config::Config;
use mneme_model::embedding::Embedding;
use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::question::Question;
use mneme_model::tag::Tags;
use mneme_store::table::Table;
use serde_json::Map;
use tokio::sync::oneshot;

/// The time of the cache's clock, in epoch seconds.
pub(crate) const NOW: i64 = 2_000_000_000;

/// A cache with a table of its own, and one instance's lookups.
pub(crate) struct TestCache {
    pub(crate) cache: Cache,
    pub(crate) engine: LookupEngine,
    /// Dropping it stops the DynamoDB.
    _stop: oneshot::Sender<()>,
}

/// What is stored. The vector has this cosine similarity to [`vector`] with the cosine 1.
pub(crate) struct Stored<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) query: &'a str,
    pub(crate) response: &'a str,
    pub(crate) cosine: f32,
    pub(crate) ttl_secs: Option<u64>,
}

impl Default for Stored<'_> {
    fn default() -> Self {
        Self { namespace: "default", query: "", response: "", cosine: 1.0, ttl_secs: None }
    }
}

/// A unit vector of three components that has the similarity `cosine` to the first axis.
pub(crate) fn vector(cosine: f32) -> Embedding {
    Embedding::normalized(vec![cosine, (1.0 - cosine * cosine).sqrt(), 0.0]).unwrap()
}

impl TestCache {
    /// Starts a DynamoDB and creates the table of a cache with the configuration `variables`.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let (client, stop) = start_dynamodb();
        let variables = [&[("MNEME_CREATE_TABLE", "true")], variables].concat();
        let config = Config::with(&variables);
        let engine = LookupEngine::new(&config);
        let table = Table::over(&client, &config.table_name);
        let clock = Clock::Fixed(Arc::new(AtomicI64::new(NOW)));
        let cache = Cache::new(config, table, SdkConfig::builder().build(), clock);
        cache.provision().await.unwrap();
        Self { cache, engine, _stop: stop }
    }

    /// The lookups of another instance of this cache.
    pub(crate) fn other_instance(&self) -> LookupEngine {
        LookupEngine::new(&self.cache.config)
    }

    pub(crate) fn question(&self, text: &str) -> Question {
        Question::of(Some(text), None, None, &self.cache.config).unwrap()
    }

    /// A query whose vector is the first axis.
    pub(crate) fn query(&self, namespace: &str, text: &str) -> Query {
        self.query_with(namespace, text, Some(vector(1.0)))
    }

    pub(crate) fn query_with(&self, namespace: &str, text: &str, embedding: Option<Embedding>) -> Query {
        Query::new(self.question(text), name(namespace), embedding, None, None, NOW)
    }

    pub(crate) async fn put(&self, stored: Stored<'_>) -> EntryId {
        let Question { hash, context_key, signature, .. } = self.question(stored.query);
        let new = NewEntry {
            namespace: name(stored.namespace),
            query_hash: hash,
            context_key,
            signature,
            query: Some(stored.query.to_owned()),
            response: stored.response.to_owned(),
            vectors: vec![NewVector::of_caller(vector(stored.cosine), stored.query, &self.cache.config)],
            metadata: Map::new(),
            tags: Tags::default(),
            usage: None,
            lifetime: Lifetime { asked_secs: stored.ttl_secs, longest_secs: None },
            confidence_score: 1.0,
            if_absent: false,
            stored_by: None,
            idempotency: None,
            lease_token: None,
        };
        put_all(&self.cache, &[new]).await.pop().unwrap().unwrap().id
    }

    /// Removes the entry `id`. No instance of `lookup` is told.
    pub(crate) async fn remove(&self, id: EntryId) {
        let entry = live_row(&self.cache, id).await.unwrap().unwrap();
        let removal = remove(&self.cache, &[EntryHeader::from(&entry)], Reason::Requested).await.unwrap();
        assert_eq!(removal.removed, 1);
    }

    /// The outcomes of one call with all of `queries`.
    pub(crate) async fn search(&mut self, queries: &[&Query]) -> Vec<Result<LookupOutcome, Error>> {
        self.engine.search(&self.cache, queries).await.unwrap()
    }

    /// The outcome for a question in the namespace `default`.
    pub(crate) async fn ask(&mut self, text: &str) -> LookupOutcome {
        let query = self.query("default", text);
        self.search(&[&query]).await.pop().unwrap().unwrap()
    }
}

pub(crate) fn name(namespace: &str) -> Namespace {
    Namespace::try_from(namespace.to_owned()).unwrap()
}

/// Starts an embedded DynamoDB in memory, on its own thread and port. It ends when the sender is dropped.
fn start_dynamodb() -> (Client, oneshot::Sender<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let database = dynoxide::Database::memory().unwrap();
            let stopping = async move {
                let _ = stopped.await;
            };
            dynoxide::server::serve_with_shutdown(listener, database, stopping).await.unwrap();
        });
    });
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
        .endpoint_url(url)
        .build();
    (Client::from_conf(config), stop)
}
