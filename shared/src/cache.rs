//! What a function works with: its configuration, its table, its clock, and the invocation's deadline.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Config;
#[cfg(feature = "embed")]
use crate::embed::Embedders;
use crate::entry::Item;
use crate::error::Error;
use crate::key::RowKey;
use crate::namespace::Namespace;
use crate::table::Table;
use crate::table::counter::Counter;
use crate::table::tally::Tally;
use crate::write::pace::Pace;
use crate::write::turn::Turns;

/// What is kept back from an invocation's time, for the reply.
const RESERVE: Duration = Duration::from_millis(250);

/// How long before the deadline a reply is given, whatever else there is to do.
const REPLY: Duration = Duration::from_millis(100);

/// The instance's share: made once, at start.
#[derive(Debug)]
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// The table.
    pub table: Table,
    /// The time.
    pub clock: Clock,
    /// The configuration that an embedder's clients are created from.
    #[cfg(feature = "embed")]
    pub(crate) aws: SdkConfig,
    #[cfg(feature = "embed")]
    pub(crate) embedders: Embedders,
    opened: AtomicBool,
    registered: Mutex<HashSet<Namespace>>,
    pub(crate) turns: Turns,
}

/// The cache as one invocation sees it.
#[derive(Debug, Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    /// When the work must be done or given up.
    pub deadline: Instant,
}

impl Deref for Cache {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Cache {
    /// A cache over `table`, with a deadline far off. `aws`: the configuration that an embedder's clients are created from.
    #[cfg_attr(not(feature = "embed"), expect(unused_variables, reason = "only embedders use `aws`"))]
    pub fn new(config: Config, table: Table, aws: SdkConfig, clock: Clock) -> Self {
        let shared = Shared {
            config,
            table,
            clock,
            #[cfg(feature = "embed")]
            aws,
            #[cfg(feature = "embed")]
            embedders: Embedders::default(),
            opened: AtomicBool::new(false),
            registered: Mutex::default(),
            turns: Turns::default(),
        };
        Self { shared: Arc::new(shared), deadline: Instant::now() + Duration::from_secs(900) }
    }

    /// The same cache for an invocation that has `remaining` left, less a reserve for the reply.
    pub fn for_invocation(&self, remaining: Duration) -> Self {
        Self { shared: self.shared.clone(), deadline: Instant::now() + remaining.saturating_sub(RESERVE) }
    }

    /// The same cache for a piece of work that may take `limit`, and no longer than this one's deadline.
    pub fn within(&self, limit: Duration) -> Self {
        Self { shared: self.shared.clone(), deadline: self.deadline.min(Instant::now() + limit) }
    }

    /// When to reply with what is known: a little before the deadline, at which all of it would be lost.
    pub fn reply_by(&self) -> Instant {
        self.deadline.checked_sub(REPLY).unwrap_or(self.deadline)
    }

    /// Whether the table is known to be there and to belong to the configured embedder.
    pub fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    /// Makes sure, once per instance, that the table is there and belongs to the configured embedder.
    ///
    /// Reads: item 0, on the first call. Writes: see [`Cache::counter`].
    pub async fn open(&self) -> Result<(), Error> {
        if !self.is_open() {
            self.counter().await?;
        }
        Ok(())
    }

    /// Item 0, strongly, made and stamped if need be.
    ///
    /// Writes: the table, when it is missing and `MNEME_CREATE_TABLE` allows; item 0, when it is missing; the
    /// configured fingerprint and dimension, where item 0 has none.
    /// Errors: `StoreBackendError`, `EmbedderMismatchError`.
    pub async fn counter(&self) -> Result<Counter, Error> {
        let item = self.table.try_get(RowKey::COUNTER).await?;
        self.counter_from(item.as_ref()).await
    }

    /// Item 0 as a read brought it: checked, or made and stamped if need be. Writes and errors: as [`Cache::counter`].
    pub async fn counter_from(&self, item: Option<&Item>) -> Result<Counter, Error> {
        if let Some(item) = item {
            let counter = Counter::from_item(item)?;
            if !counter.lacks_stamp(&self.config) {
                counter.serving(&self.config)?;
                self.opened.store(true, Ordering::Release);
                return Ok(counter);
            }
        }
        self.provision().await.map(|provisioned| provisioned.counter)
    }

    /// Creates and stamps what is missing, and checks what is there.
    ///
    /// Reads: DescribeTable, item 0. Writes: as [`Cache::counter`]. Errors: `StoreBackendError` when the table is
    /// missing and may not be created; `EmbedderMismatchError`.
    pub async fn provision(&self) -> Result<Provisioned, Error> {
        let mut created = false;
        if !self.table.exists().await? {
            if !self.config.create_table {
                let table = &self.config.table_name;
                return Err(crate::table::table_missing().caused_by(format!("DescribeTable knows no table {table}")));
            }
            created = self.table.create(&self.config, self.deadline).await?;
        }
        let counter = self.table.stamp(&self.config).await?;
        counter.serving(&self.config)?;
        if let (1, Some(tally)) = (counter.next_id, self.table_tally()) {
            // No id was ever given out, so the count is known to be 0.
            self.table.recount(tally, Tally::default(), 0, false).await?;
        }
        self.opened.store(true, Ordering::Release);
        Ok(Provisioned { created, counter })
    }

    /// The attempts of one write.
    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace::new(&self.table.meter, self.config.txn_retries, self.deadline)
    }

    /// Epoch seconds.
    pub fn now_secs(&self) -> i64 {
        self.clock.now_secs()
    }

    /// Whether this instance has entered the namespace into the directory.
    pub(crate) fn is_registered(&self, namespace: &Namespace) -> bool {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner).contains(namespace)
    }

    /// Remembers that the namespace stands in the directory.
    pub(crate) fn set_registered(&self, namespace: &Namespace) {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.clone());
    }

    /// The tally of the whole table, which is kept where there is a cap on it.
    pub(crate) fn table_tally(&self) -> Option<RowKey> {
        self.config.max_entries.map(|_| RowKey::TABLE_TALLY)
    }
}

/// What [`Cache::provision`] found or made.
#[derive(Debug)]
pub struct Provisioned {
    /// Whether this call created the table.
    pub created: bool,
    /// Item 0, stamped.
    pub counter: Counter,
}
