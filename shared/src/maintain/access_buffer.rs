//! Accesses to entries, written after the lookups that made them have replied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mneme_model::entry_id::EntryId;
use tokio::sync::Notify;

use crate::cache::Cache;
use crate::error_causes::causes;
use crate::write::touch::touch;

/// How long the write of one access may take.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// How long the buffer waits after the table was overloaded.
const PAUSE: Duration = Duration::from_secs(1);

/// The accesses of an instance that are not written yet. Clones share them.
///
/// A lookup does not wait for its accesses. They are written at once, while the reply is on its way. Lambda freezes an
/// idle instance, which then writes when it is next invoked or shut down. An instance that is killed loses the accesses
/// that it has not written. They decide which entry is the least recently used, and no answer.
#[derive(Debug, Clone, Default)]
pub struct AccessBuffer {
    /// The time of the last access, in epoch seconds.
    pending: Arc<Mutex<BTreeMap<EntryId, i64>>>,
    recorded: Arc<Notify>,
}

impl AccessBuffer {
    /// Adds an access to the entry `id` at the epoch second `at_secs`. Several accesses before the next write are one.
    pub fn record(&self, id: EntryId, at_secs: i64) {
        self.lock().insert(id, at_secs);
        self.recorded.notify_one();
    }

    /// Writes the pending accesses, one after the other, because each is a transaction with the counter. Returns false
    /// if the table was overloaded and accesses are left.
    pub async fn flush(&self, cache: &Cache) -> bool {
        loop {
            // An access stays pending while it is written, so that it is not lost if this is broken off.
            let Some((id, at_secs)) = self.lock().first_key_value().map(|(id, at)| (*id, *at)) else { return true };
            let written = touch(&cache.for_invocation(WRITE_TIME), id, at_secs).await;
            if let Err(error) = &written {
                tracing::warn!(%error, causes = causes(error), "an access could not be written");
                if error.is_store_overload() {
                    return false;
                }
            }
            let mut pending = self.lock();
            if pending.get(&id) == Some(&at_secs) {
                pending.remove(&id);
            }
        }
    }

    /// Writes accesses as they are recorded. Never returns.
    pub async fn run(self, cache: Cache) {
        loop {
            self.recorded.notified().await;
            while !self.flush(&cache).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EntryId, i64>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
