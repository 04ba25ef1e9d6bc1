//! How far the machine's clock is from a service's, as the header `Date` of the service's replies says it (RFC 9110,
//! section 6.6.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;

/// A reply that took longer says too little. An instance may also have been frozen between the call and its reply.
const MAX_WAIT_MS: i64 = 2000;

/// Up to this difference the machine's clock is believed. `Date` is in whole seconds, and a reply takes time.
const TOLERANCE_MS: i64 = 5000;

/// No clock is believed to differ by more: a day, in milliseconds. Such a `Date` is a fault of whoever sent it.
const MAX_OFFSET_MS: i64 = 86_400_000;

/// Measures the offset of a service's clock. Clones share it.
#[derive(Debug, Clone)]
pub struct ServerTime {
    /// The milliseconds that the service's clock is ahead of the machine's; 0 up to the tolerance of five seconds.
    offset_ms: Arc<AtomicI64>,
    /// The last difference beyond the tolerance, which the next reply may confirm; 0 if there is none.
    suspected_ms: Arc<AtomicI64>,
}

/// When an attempt was sent, in epoch milliseconds of the machine.
#[derive(Debug, Clone, Copy)]
struct SentAt(i64);

impl Storable for SentAt {
    type Storer = StoreReplace<Self>;
}

impl ServerTime {
    /// An interceptor that writes what it measures to `offset_ms`, in milliseconds.
    pub fn new(offset_ms: Arc<AtomicI64>) -> Self {
        Self { offset_ms, suspected_ms: Arc::default() }
    }

    /// Notes a reply with this `date` to an attempt that was sent and answered at these epoch milliseconds. Two replies in
    /// a row have to agree on a difference, because one wrong `Date` would let entries expire too early.
    fn note(&self, date: &str, sent_ms: i64, received_ms: i64) {
        let Ok(date) = DateTime::from_str(date, Format::HttpDate) else { return };
        if !(0..=MAX_WAIT_MS).contains(&(received_ms - sent_ms)) {
            return;
        }
        let measured = date.secs().saturating_mul(1000) + 500 - (sent_ms + received_ms) / 2;
        let known = self.offset_ms.load(Ordering::Relaxed);
        if measured.abs() <= TOLERANCE_MS {
            self.offset_ms.store(0, Ordering::Relaxed);
            self.suspected_ms.store(0, Ordering::Relaxed);
        } else if measured.abs() <= MAX_OFFSET_MS && differs(measured, known) {
            let suspected = self.suspected_ms.swap(measured, Ordering::Relaxed);
            if !differs(measured, suspected) {
                self.offset_ms.store(measured, Ordering::Relaxed);
            }
        }
    }
}

/// Whether two offsets differ by more than the tolerance.
fn differs(one_ms: i64, other_ms: i64) -> bool {
    one_ms.abs_diff(other_ms) > TOLERANCE_MS.unsigned_abs()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Intercept for ServerTime {
    fn name(&self) -> &'static str {
        "ServerTime"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        settings.interceptor_state().store_put(SentAt(now_ms()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(date), Some(SentAt(sent))) = (context.response().headers().get("date"), settings.load::<SentAt>())
        {
            self.note(date, *sent, now_ms());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 16 December 2019, 23:48:18 UTC.
    const DATE: &str = "Mon, 16 Dec 2019 23:48:18 GMT";
    const DATE_MS: i64 = 1_576_540_098_000;

    fn offset_after(replies: &[(&str, i64, i64)]) -> i64 {
        let time = ServerTime::new(Arc::default());
        replies.iter().for_each(|(date, sent, received)| time.note(date, *sent, *received));
        time.offset_ms.load(Ordering::Relaxed)
    }

    #[test]
    fn offset_is_zero_within_the_tolerance_and_the_difference_beyond_it() {
        for (machine_ahead, expected) in [(0, 0), (4000, 0), (-4000, 0), (3_600_000, -3_600_000), (-60_000, 60_000)] {
            let sent = DATE_MS + 500 + machine_ahead - 10;
            assert_eq!(offset_after(&[(DATE, sent, sent + 20); 2]), expected, "{machine_ahead}");
        }
    }

    #[test]
    fn one_date_alone_or_one_of_another_day_moves_nothing() {
        let at = |ahead: i64| (DATE, DATE_MS + 500 + ahead, DATE_MS + 500 + ahead);
        assert_eq!(offset_after(&[at(3_600_000)]), 0);
        assert_eq!(offset_after(&[at(3_600_000), at(0), at(3_600_000)]), 0);
        assert_eq!(offset_after(&[at(3_600_000), at(1_800_000)]), 0);
        assert_eq!(offset_after(&[at(MAX_OFFSET_MS + 1); 3]), 0);
    }

    #[test]
    fn offset_stays_for_small_changes_and_goes_when_the_machine_is_right_again() {
        let at = |ahead: i64| (DATE, DATE_MS + 500 + ahead, DATE_MS + 500 + ahead);
        assert_eq!(offset_after(&[at(60_000), at(60_000), at(61_500)]), -60_000);
        assert_eq!(offset_after(&[at(60_000), at(60_000), at(90_000), at(90_000)]), -90_000);
        assert_eq!(offset_after(&[at(60_000), at(60_000), at(200)]), 0);
    }

    #[test]
    fn reply_that_took_long_or_has_no_date_says_nothing() {
        let sent = DATE_MS + 60_000;
        assert_eq!(offset_after(&[(DATE, sent, sent + MAX_WAIT_MS + 1); 2]), 0);
        assert_eq!(offset_after(&[(DATE, sent, sent - 1); 2]), 0);
        assert_eq!(offset_after(&[("yesterday", sent, sent); 2]), 0);
    }
}
