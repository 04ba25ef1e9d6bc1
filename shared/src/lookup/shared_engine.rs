//! The engine of an instance, shared by its lookups and by a task that loads what they could not wait for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use mneme_model::config::Config;
use mneme_model::error::Error;
use tokio::sync::{Mutex, Notify};

use super::engine::LookupEngine;
use super::explain::Explanation;
use super::outcome::LookupOutcome;
use super::query::Query;
use crate::cache::Cache;

/// How long the task works before it looks at the state of the table anew.
const WORK_TIME: Duration = Duration::from_secs(60);
/// How long the task waits after the table was overloaded for all of [`WORK_TIME`].
const PAUSE: Duration = Duration::from_secs(1);

/// The engine of an instance. Clones share it.
#[derive(Debug, Clone)]
pub struct SharedEngine {
    engine: Arc<Mutex<LookupEngine>>,
    /// A lookup left something unread.
    is_wanted: Arc<Notify>,
    /// A lookup is waiting for the engine.
    is_needed: Arc<Notify>,
}

impl SharedEngine {
    /// An engine that has read nothing yet.
    pub fn new(config: &Config) -> Self {
        let engine = Arc::new(Mutex::new(LookupEngine::new(config)));
        Self { engine, is_wanted: Arc::default(), is_needed: Arc::default() }
    }

    /// Looks up `queries` as [`LookupEngine::search`]. The task of [`SharedEngine::load_in_background`] stops for it.
    pub async fn search(&self, cache: &Cache, queries: &[&Query]) -> Result<Vec<Result<LookupOutcome, Error>>, Error> {
        self.is_needed.notify_one();
        let mut engine = self.engine.lock().await;
        let found = engine.search(cache, queries).await;
        if engine.has_work() {
            self.is_wanted.notify_one();
        }
        found
    }

    /// Explains an outcome as [`LookupEngine::explain`].
    pub async fn explain(&self, cache: &Cache, query: &Query, outcome: &LookupOutcome) -> Result<Explanation, Error> {
        self.is_needed.notify_one();
        self.engine.lock().await.explain(cache, query, outcome).await
    }

    /// The threshold of `query` as [`LookupEngine::threshold`].
    pub async fn threshold(&self, cache: &Cache, query: &Query) -> f32 {
        self.is_needed.notify_one();
        self.engine.lock().await.threshold(cache, query)
    }

    /// Reads between the lookups what they could not wait for. Never returns.
    ///
    /// Lambda freezes an idle instance, and the task with it. The task then continues during the next invocation.
    pub async fn load_in_background(self, cache: Cache) -> Infallible {
        loop {
            self.is_wanted.notified().await;
            while let Err(error) = self.work(&cache.for_invocation(WORK_TIME).patient()).await {
                if !error.is_store_overload() {
                    tracing::warn!(%error, "loading has stopped until the next lookup");
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Works until nothing is left. Errors: as [`LookupEngine::continue_work`].
    async fn work(&self, cache: &Cache) -> Result<(), Error> {
        loop {
            let mut engine = self.engine.lock().await;
            tokio::select! {
                biased;
                () = self.is_needed.notified() => {}
                done = engine.continue_work(cache) => return done,
            }
        }
    }
}
