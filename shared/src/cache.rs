//! What every operation works with: the configuration, the table, the clock and the invocation's deadline.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use mneme_model::clock::Clock;
use mneme_model::config::Config;
use mneme_model::error::Error;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_store::backend_error::table_missing;
use mneme_store::counter::Counter;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::namespace_stats::NamespaceStats;
use mneme_store::table::Table;
use tokio::time::Instant;

#[cfg(feature = "embed")]
use crate::embedders::providers::{EmbedderPool, Embedders};
use crate::retry_budget::RetryBudget;
use crate::settings::SettingsMemory;
use crate::writer_queue::{QueueMemory, WriterQueue};

/// The part of an invocation's time that is kept for the reply.
const REPLY_RESERVE: Duration = Duration::from_millis(250);

/// How long before the deadline a reply is given, even if there is more to do.
const REPLY_MARGIN: Duration = Duration::from_millis(100);

/// After this time an instance adds a namespace to the directory again, because `vacuum` takes out namespaces without
/// entries.
const REGISTRATION: Duration = Duration::from_secs(3600);

/// An instance remembers at most this many namespaces that it added to the directory.
const MAX_REGISTERED: usize = 10_000;

/// What one instance shares between its invocations. It is made once, at start.
#[derive(Debug)]
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// The clock that all timestamps come from.
    pub clock: Clock,
    #[cfg(feature = "embed")]
    aws: SdkConfig,
    #[cfg(feature = "embed")]
    embedders: EmbedderPool,
    opened: AtomicBool,
    /// Before this time the instance does not look again whether an embedder lacks its scale.
    #[cfg(feature = "embed")]
    scales_due: Mutex<Option<Instant>>,
    /// When this instance last added a namespace to the directory.
    registered: Mutex<HashMap<NamespaceHash, Instant>>,
    pub(crate) settings: SettingsMemory,
    queue: QueueMemory,
}

/// The cache as one invocation sees it. Clones are cheap and share everything but the deadline and the table's patience.
#[derive(Debug, Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    /// The table.
    pub table: Table,
    /// The time by which the work must be done or given up.
    pub deadline: Instant,
}

impl Deref for Cache {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Cache {
    /// A cache over `table` with a deadline 15 minutes away. `aws`: the configuration of the embedders' clients.
    #[cfg_attr(not(feature = "embed"), expect(unused_variables, reason = "only embedders use `aws`"))]
    pub fn new(config: Config, table: Table, aws: SdkConfig, clock: Clock) -> Self {
        let shared = Shared {
            config,
            clock,
            #[cfg(feature = "embed")]
            aws,
            #[cfg(feature = "embed")]
            embedders: EmbedderPool::default(),
            opened: AtomicBool::new(false),
            #[cfg(feature = "embed")]
            scales_due: Mutex::default(),
            registered: Mutex::default(),
            settings: SettingsMemory::default(),
            queue: QueueMemory::default(),
        };
        Self { shared: Arc::new(shared), table, deadline: Instant::now() + Duration::from_secs(900) }
    }

    /// The same cache for an invocation that has `remaining` time left, less a reserve for the reply.
    pub fn for_invocation(&self, remaining: Duration) -> Self {
        Self { deadline: Instant::now() + remaining.saturating_sub(REPLY_RESERVE), ..self.clone() }
    }

    /// The same cache for work that may take `limit`, but not longer than this deadline.
    pub fn within(&self, limit: Duration) -> Self {
        Self { deadline: self.deadline.min(Instant::now() + limit), ..self.clone() }
    }

    /// The same cache for work that ends by `until`, or by this deadline if that is earlier. Its calls wait out a lack of
    /// capacity until then.
    pub fn patient_until(&self, until: Instant) -> Self {
        let deadline = self.deadline.min(until);
        Self { table: self.table.patient_until(deadline), deadline, ..self.clone() }
    }

    /// The same cache for reads that may take `MNEME_LOOKUP_BUDGET_MS` from now on.
    pub fn within_lookup_budget(&self) -> Self {
        let until = Instant::now() + Duration::from_millis(self.config.lookup_budget_ms);
        self.patient_until(until.min(self.reply_by()))
    }

    /// The same cache for work over many items. Its calls wait out a lack of capacity, and leave time for the reply.
    pub fn patient(&self) -> Self {
        self.patient_until(self.reply_by())
    }

    /// The time to reply with the results so far: shortly before the deadline, because at the deadline they would be
    /// lost.
    pub fn reply_by(&self) -> Instant {
        self.deadline.checked_sub(REPLY_MARGIN).unwrap_or(self.deadline)
    }

    /// The result of `check` for each of `items`, as long as this takes at most half of the time that is left. Each later
    /// item gets an error, so that there is time to work on those before it.
    ///
    /// Errors: those of `check`; `StoreBackendError` for an item without time.
    pub fn check_each<I, T>(
        &self,
        items: Vec<I>,
        mut check: impl FnMut(I) -> Result<T, Error>,
    ) -> Vec<Result<T, Error>> {
        let until = Instant::now() + self.reply_by().saturating_duration_since(Instant::now()) / 2;
        let checked = |item| if Instant::now() < until { check(item) } else { Err(out_of_time()) };
        items.into_iter().map(checked).collect()
    }

    /// The current time in epoch seconds.
    pub fn now_secs(&self) -> i64 {
        self.clock.now_secs()
    }

    /// The configuration of clients of AWS.
    #[cfg(feature = "embed")]
    pub fn aws(&self) -> &SdkConfig {
        &self.shared.aws
    }

    /// The configured embedders.
    #[cfg(feature = "embed")]
    pub fn embedders(&self) -> Embedders<'_> {
        Embedders::new(&self.shared.embedders, &self.config, &self.shared.aws, self.deadline)
    }

    /// The queue of writers.
    pub(crate) fn writer_queue(&self) -> WriterQueue<'_> {
        WriterQueue::new(&self.shared.queue, &self.table, &self.clock, self.deadline)
    }

    /// A fresh budget for the attempts of one write.
    pub(crate) fn retry_budget(&self) -> RetryBudget<'_> {
        RetryBudget::new(self.table.capacity(), self.config.txn_retries, self.deadline)
    }

    /// The key of the whole table's statistics; `None` unless `MNEME_MAX_ENTRIES` is set, because only then they are
    /// kept.
    pub(crate) fn table_stats_key(&self) -> Option<RowKey> {
        self.config.max_entries.map(|_| RowKey::TABLE_STATS)
    }

    /// Whether the table is known to exist.
    pub fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    /// Checks, once per instance, that the table exists, whatever embedder it is stamped with.
    ///
    /// Reads: as [`Cache::read_counter`], on the first call. Writes: the table, stamped, if it is missing and
    /// `MNEME_CREATE_TABLE` allows it. Errors: `StoreBackendError`.
    pub async fn open(&self) -> Result<(), Error> {
        if !self.is_open() {
            self.read_counter().await?;
        }
        Ok(())
    }

    /// Item 0, strongly consistent, for operations that only read and that use no vector. It may have the stamp of any
    /// embedder. If the table has no item 0, this is the counter of an empty table.
    ///
    /// Reads: item 0; DescribeTable, if there is none. Writes and errors: as [`Cache::open`].
    pub async fn read_counter(&self) -> Result<Counter, Error> {
        match self.table.read_counter().await? {
            Some(counter) => {
                self.opened.store(true, Ordering::Release);
                Ok(counter)
            }
            None if self.table.exists().await? => {
                self.opened.store(true, Ordering::Release);
                Ok(Counter::empty())
            }
            None => self.provision().await.map(|provisioned| provisioned.counter),
        }
    }

    /// Item 0, strongly consistent, for operations that write and that use no vector. It may have the stamp of any
    /// embedder. It is created if it is missing.
    ///
    /// Writes: the table and item 0, as [`Cache::counter`]. Errors: `StoreBackendError`.
    pub async fn counter_of_any_embedder(&self) -> Result<Counter, Error> {
        match self.table.read_counter().await? {
            Some(counter) => {
                self.opened.store(true, Ordering::Release);
                Ok(counter)
            }
            None => self.provision().await.map(|provisioned| provisioned.counter),
        }
    }

    /// Item 0, strongly consistent, for operations that use vectors. It is created and stamped if necessary.
    ///
    /// Writes: the table, if it is missing and `MNEME_CREATE_TABLE` allows it; item 0, if it is missing; the configured
    /// fingerprint and dimension, if item 0 has none and does not contradict them.
    /// Errors: `StoreBackendError`, `EmbedderMismatchError`.
    pub async fn counter(&self) -> Result<Counter, Error> {
        let item = self.table.try_get(RowKey::COUNTER).await?;
        self.counter_from(item.as_ref()).await
    }

    /// Checks item 0 as the caller has read it. It is created and stamped if necessary. Writes and errors: as
    /// [`Cache::counter`].
    pub async fn counter_from(&self, item: Option<&Item>) -> Result<Counter, Error> {
        if let Some(item) = item {
            let counter = Counter::from_item(item)?;
            // A configuration that does not fit the cache must not stamp anything into it.
            counter.served_embedder(&self.config)?;
            if !counter.lacks_stamp(&self.config) {
                self.opened.store(true, Ordering::Release);
                return Ok(counter);
            }
        }
        self.provision().await.map(|provisioned| provisioned.counter)
    }

    /// Creates and stamps what is missing, and checks what exists.
    ///
    /// Reads: DescribeTable, item 0. Writes: as [`Cache::counter`]. Errors: `StoreBackendError` when the table is
    /// missing and may not be created; `EmbedderMismatchError`.
    pub async fn provision(&self) -> Result<Provisioned, Error> {
        let mut created = false;
        if !self.table.exists().await? {
            if !self.config.create_table {
                let table = &self.config.table_name;
                return Err(table_missing().caused_by(format!("DescribeTable knows no table {table}")));
            }
            created = self.table.create(&self.config, self.deadline).await?;
        }
        let counter = self.table.stamp(&self.config).await?;
        counter.served_embedder(&self.config)?;
        if let (1, Some(key)) = (counter.next_id, self.table_stats_key()) {
            // No id was ever given out, so the count is known to be 0.
            self.table.recount(key, NamespaceStats::default(), 0, false).await?;
        }
        self.opened.store(true, Ordering::Release);
        Ok(Provisioned { created, counter })
    }

    /// Whether it is time to look whether an embedder lacks its scale. If so, the next look is due after `pause`.
    #[cfg(feature = "embed")]
    pub(crate) fn take_scales_due(&self, pause: Duration) -> bool {
        let now = Instant::now();
        let mut due = self.scales_due.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = due.is_none_or(|due| now >= due);
        if is_due {
            *due = Some(now + pause);
        }
        is_due
    }

    /// Whether this instance has added the namespace to the directory less than an hour ago.
    pub(crate) fn is_registered(&self, namespace: &Namespace) -> bool {
        let registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.get(&namespace.hash()).is_some_and(|at| at.elapsed() < REGISTRATION)
    }

    /// Remembers that the namespace is in the directory.
    pub(crate) fn set_registered(&self, namespace: &Namespace) {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if registered.len() >= MAX_REGISTERED {
            registered.clear();
        }
        registered.insert(namespace.hash(), Instant::now());
    }
}

/// The error of an operation that did not end within the invocation's time.
pub(crate) fn out_of_time() -> Error {
    Error::backend(
        "the work was not done within the function's time",
        "try again; if it persists, raise the function's timeout, and look for throttling of the table",
    )
    .retry_after(1)
}

/// The result of [`Cache::provision`].
#[derive(Debug)]
pub struct Provisioned {
    /// Whether this call created the table.
    pub created: bool,
    /// Item 0, stamped.
    pub counter: Counter,
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::BehaviorVersion;
    use mneme_model::error::ErrorKind;

    use super::*;

    /// A cache that never sends anything.
    fn cache() -> Cache {
        let client =
            Client::from_conf(aws_sdk_dynamodb::Config::builder().behavior_version(BehaviorVersion::latest()).build());
        Cache::new(Config::with(&[]), Table::over(&client, "cache"), SdkConfig::builder().build(), Clock::System)
    }

    #[test]
    fn check_each_without_time_checks_nothing_and_gives_each_item_an_error() {
        let mut checked = Vec::new();
        let mut check = |item: u8| {
            checked.push(item);
            Ok(item)
        };
        let cache = cache();
        let results = cache.for_invocation(Duration::ZERO).check_each(vec![1, 2], &mut check);
        assert!(
            results.iter().all(|result| result.as_ref().is_err_and(|error| error.kind == ErrorKind::StoreBackendError))
        );
        let results = cache.check_each(vec![3, 4], &mut check);
        assert_eq!(results.into_iter().flatten().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(checked, [3, 4]);
    }

    #[test]
    fn registrations_are_forgotten_when_there_are_too_many() {
        let cache = cache();
        let name = |number: usize| Namespace::try_from(format!("n{number}")).unwrap();
        (0..MAX_REGISTERED).for_each(|number| cache.set_registered(&name(number)));
        assert!(cache.is_registered(&name(0)) && !cache.is_registered(&name(MAX_REGISTERED)));
        cache.set_registered(&name(MAX_REGISTERED));
        assert!(!cache.is_registered(&name(0)) && cache.is_registered(&name(MAX_REGISTERED)));
    }
}
