//! The clock. It is passed in, so that tests can set the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The current time since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The clock of the machine.
    #[default]
    System,
    /// A clock that a test sets, in epoch seconds.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Epoch seconds.
    pub fn now_secs(&self) -> i64 {
        match self {
            Self::System => self.now_ms() / 1000,
            Self::Fixed(secs) => secs.load(Ordering::Relaxed),
        }
    }

    /// Epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Fixed(_) => self.now_secs().saturating_mul(1000),
        }
    }
}
