//! Time in whole milliseconds since the Unix epoch, as SQS's own timestamps have it.
//!
//! Only the edge of the crate asks for the current time. Everything below it takes the time as an
//! argument, so that tests of visibility timeouts and retention need not wait.

use std::time::Duration;

/// A moment, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(i64);

impl Time {
    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The time of the machine's clock. A clock before 1970 counts as 1970.
    pub(crate) fn now() -> Self {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) const fn millis(self) -> i64 {
        self.0
    }

    /// The moment that is this much later.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The moment that is this much earlier.
    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long it is until `later`; zero when that has passed.
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
