//! The figures of GitHub's primary rate limit: counted per user and hour and told in every answer,
//! never enforced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Requests an hour of an authenticated user ("Rate limits for the REST API").
const LIMIT: u64 = 5_000;
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What `x-ratelimit-*` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) remaining: u64,
    /// When the window ends, in seconds since the epoch.
    pub(crate) reset: i64,
}

#[derive(Default)]
pub(crate) struct RateWindows {
    windows: Mutex<HashMap<i64, (Timestamp, u64)>>,
}

impl RateWindows {
    /// Counts a request of the user, 0 being nobody. A limit that isn't enforced must not be said
    /// to be reached, as clients would wait for it: the last one is never used up.
    pub(crate) fn count(&self, user_id: i64, now: Timestamp) -> Rate {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, used) = windows.entry(user_id).or_insert((now + WINDOW, 0));
        if now >= *end {
            (*end, *used) = (now + WINDOW, 0);
        }
        *used = (*used + 1).min(LIMIT - 1);
        Rate { limit: LIMIT, used: *used, remaining: LIMIT - *used, reset: end.as_second() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lasts_an_hour_and_never_runs_dry() {
        let rates = RateWindows::default();
        let start = Timestamp::UNIX_EPOCH;
        let first = rates.count(1, start);
        assert_eq!((first.used, first.remaining, first.reset), (1, 4_999, 3_600));
        for _ in 0..6_000 {
            rates.count(1, start);
        }
        assert_eq!(rates.count(1, start).remaining, 1);
        assert_eq!(rates.count(2, start).used, 1);
        let next = rates.count(1, start + WINDOW);
        assert_eq!((next.used, next.reset), (1, 7_200));
    }
}
