//! How crowded the counter is, as one instance sees it, and how long a writer should therefore hold back.
//!
//! Only commits move the counter, and an attempt is lost when another commits between reading the counter and writing
//! it: within a window w. With attempts arriving at rate λ an attempt succeeds with probability e^(−μw), where
//! μw = W(λw) (Lambert's W): 8 % at λw = 32, 79 % at λw = 0.3. So what helps is fewer attempts, and all writers must
//! hold back, those too that have just succeeded.
//!
//! Each instance learns by how much. Its spread says over how many windows it scatters its attempts. Losing a race
//! multiplies the spread by 4, winning one by 0.63, which settles where one attempt in four is lost
//! (4^q · 0.63^(1−q) = 1). The retries of one put lose far less often than that, as each is scattered four times as
//! wide as the one before: after a first loss at 8 windows, 32 writers that all begin at once meet 2, ½, ⅛, … others in
//! their window, and all five retries are lost about once in a hundred thousand puts.

use std::time::Duration;

use tokio::time::Instant;

/// What a lost race does to the spread: times this, …
const RAISE: f64 = 4.0;
/// … and at least this, or twice the commits that came first.
const FIRST: f64 = 8.0;
/// What a race that was won does to it.
const LOWER: f64 = 0.63;
/// Half of the spread is forgotten in this time.
const HALF_LIFE_SECS: f64 = 5.0;
/// The widest spread: more than a hundred writers would need.
const WIDEST: f64 = 2048.0;
/// Below this no one holds back.
const NONE: f64 = 0.2;
/// No more than this, however crowded it is.
const LONGEST: Duration = Duration::from_secs(3);

/// One instance's experience with the counter.
#[derive(Debug)]
pub(crate) struct Contention {
    /// Seconds between reading the counter and knowing the outcome, of late.
    window_secs: f64,
    /// By how many windows attempts are spread out, on average.
    spread: f64,
    as_of: Instant,
}

impl Default for Contention {
    fn default() -> Self {
        Self { window_secs: 0.01, spread: 0.0, as_of: Instant::now() }
    }
}

impl Contention {
    /// A race was lost after `window`, in which `commits` others came first.
    pub(crate) fn lost(&mut self, window: Duration, commits: u64) {
        self.learn(window);
        self.spread = (self.spread * RAISE).max(FIRST).max(2.0 * commits.min(100) as f64).min(WIDEST);
    }

    /// A race was won after `window`.
    pub(crate) fn won(&mut self, window: Duration) {
        self.learn(window);
        self.spread *= LOWER;
    }

    fn learn(&mut self, window: Duration) {
        self.spread = self.spread_now();
        self.as_of = Instant::now();
        self.window_secs += 0.2 * (window.as_secs_f64() - self.window_secs);
    }

    fn spread_now(&self) -> f64 {
        self.spread * 0.5f64.powf(self.as_of.elapsed().as_secs_f64() / HALF_LIFE_SECS)
    }

    /// How long to hold back before the next attempt: evenly distributed up to twice the spread.
    pub(crate) fn pause(&self) -> Duration {
        let spread = self.spread_now();
        if spread < NONE {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(2.0 * spread * self.window_secs * fastrand::f64()).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_back_until_a_race_is_lost_nor_long_after() {
        let window = Duration::from_millis(5);
        let mut contention = Contention::default();
        contention.won(window);
        assert_eq!(contention.pause(), Duration::ZERO);
        contention.lost(window, 1);
        assert!(contention.spread > 7.0);
        for _ in 0..30 {
            contention.won(window);
        }
        assert_eq!(contention.pause(), Duration::ZERO);
    }

    #[test]
    fn losses_add_up_to_a_bound() {
        let mut contention = Contention::default();
        for _ in 0..100 {
            contention.lost(Duration::from_millis(50), u64::MAX);
            assert!(contention.pause() <= LONGEST);
        }
    }
}
