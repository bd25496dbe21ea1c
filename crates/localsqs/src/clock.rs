//! Time as the queue reckons it: whole milliseconds since the Unix epoch, always an argument.

use std::time::Duration;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(i64);

impl Time {
    #[must_use]
    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// What the machine's clock says.
    #[must_use]
    pub(crate) fn now() -> Self {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[must_use]
    pub(crate) const fn millis(self) -> i64 {
        self.0
    }

    #[must_use]
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is until a later moment; nothing when that has passed.
    #[must_use]
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}
