//! The rest between two transactions, found by what commits take.

use std::time::Duration;

/// librdkafka's fixed back-off after `CONCURRENT_TRANSACTIONS`: a small transaction whose end takes this long has
/// most likely met it.
const BACK_OFF: Duration = Duration::from_millis(20);
/// A transaction with more records than this takes its time for other reasons.
const SMALL_RECORDS: usize = 1000;
/// The shortest rest, and its first value.
const REST_MIN: Duration = Duration::from_millis(1);

/// Doubles the rest after a suspected back-off and lets it shrink slowly, by a 64th per transaction.
#[derive(Debug)]
pub(super) struct Pace {
    rest: Duration,
    rest_max: Duration,
}

impl Pace {
    pub(super) fn new(rest_max: Duration) -> Self {
        Self { rest: REST_MIN.min(rest_max), rest_max }
    }

    /// The rest after a transaction of so many records, whose end took so long.
    pub(super) fn after(&mut self, records: usize, took: Duration) -> Duration {
        let suspected = records <= SMALL_RECORDS && took >= BACK_OFF;
        self.rest = if suspected { self.rest * 2 } else { (self.rest * 63 / 64).max(REST_MIN) };
        self.rest = self.rest.min(self.rest_max);
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_grows_on_back_offs_only_and_stays_within_its_bounds() {
        let max = Duration::from_millis(5);
        let mut pace = Pace::new(max);
        assert_eq!(pace.after(10, Duration::from_millis(3)), REST_MIN);
        assert_eq!(pace.after(50_000, Duration::from_millis(300)), REST_MIN);
        assert_eq!(pace.after(10, Duration::from_millis(21)), Duration::from_millis(2));
        assert_eq!((0..9).map(|_| pace.after(10, BACK_OFF)).last(), Some(max));
        assert_eq!((0..500).map(|_| pace.after(10, Duration::ZERO)).last(), Some(REST_MIN));
        assert_eq!(Pace::new(Duration::ZERO).after(10, BACK_OFF), Duration::ZERO);
    }
}
