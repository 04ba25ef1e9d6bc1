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
    /// The clock of the machine, corrected by these milliseconds.
    Corrected(Arc<AtomicI64>),
    /// A clock that a test sets, in epoch seconds.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Epoch seconds.
    pub fn now_secs(&self) -> i64 {
        match self {
            Self::System | Self::Corrected(_) => self.now_ms() / 1000,
            Self::Fixed(secs) => secs.load(Ordering::Relaxed),
        }
    }

    /// Epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Corrected(offset) => Self::System.now_ms().saturating_add(offset.load(Ordering::Relaxed)),
            Self::Fixed(_) => self.now_secs().saturating_mul(1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_clock_differs_from_the_machines_by_its_offset() {
        let offset = Arc::new(AtomicI64::new(0));
        let clock = Clock::Corrected(offset.clone());
        for ahead in [3_600_000, 0, -3_600_000] {
            offset.store(ahead, Ordering::Relaxed);
            let before = Clock::System.now_ms();
            let now = clock.now_ms() - ahead;
            assert!((before..=Clock::System.now_ms()).contains(&now), "{ahead}");
        }
    }
}
