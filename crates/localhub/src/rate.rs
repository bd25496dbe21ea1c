//! The figures of GitHub's primary rate limits. They are counted and reported in every answer, and
//! never enforced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use strum::IntoStaticStr;

/// Requests an hour of an authenticated user (GitHub's page "Rate limits for the REST API"), and
/// also points an hour ("Rate limits and query limits for the GraphQL API").
const LIMIT: u64 = 5_000;
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What a limit is for, with GitHub's names. Each resource has its own window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Resource {
    /// The REST API.
    Core,
    /// The GraphQL API, where every call that this forge answers costs one point.
    Graphql,
}

/// The figures of the `x-ratelimit-*` headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) resource: Resource,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) remaining: u64,
    /// When the window ends, in seconds since the Unix epoch.
    pub(crate) reset: i64,
}

/// The windows of all users, each with its end and what was used.
#[derive(Default)]
pub(crate) struct RateWindows {
    windows: Mutex<HashMap<(i64, Resource), (Timestamp, u64)>>,
}

impl RateWindows {
    /// Counts a request of a user. The id 0 stands for callers without a valid token.
    ///
    /// A client that reads that nothing remains waits for the next window. As this limit is not
    /// enforced, at least one request always remains.
    pub(crate) fn count(&self, user_id: i64, resource: Resource, now: Timestamp) -> Rate {
        self.update(user_id, resource, now, |used| (used + 1).min(LIMIT - 1))
    }

    /// The figures of a user, without counting a request.
    pub(crate) fn peek(&self, user_id: i64, resource: Resource, now: Timestamp) -> Rate {
        self.update(user_id, resource, now, |used| used)
    }

    fn update(
        &self,
        user_id: i64,
        resource: Resource,
        now: Timestamp,
        change: impl FnOnce(u64) -> u64,
    ) -> Rate {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, used) = windows.entry((user_id, resource)).or_insert((now + WINDOW, 0));
        if now >= *end {
            (*end, *used) = (now + WINDOW, 0);
        }
        *used = change(*used);
        let (used, reset) = (*used, end.as_second());
        Rate { resource, limit: LIMIT, used, remaining: LIMIT - used, reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lasts_an_hour_and_never_runs_dry() {
        let rates = RateWindows::default();
        let start = Timestamp::UNIX_EPOCH;
        let count = |user, now| rates.count(user, Resource::Core, now);
        let first = count(1, start);
        assert_eq!((first.used, first.remaining, first.reset), (1, 4_999, 3_600));
        for _ in 0..6_000 {
            count(1, start);
        }
        assert_eq!(count(1, start).remaining, 1);
        assert_eq!(count(2, start).used, 1);
        let next = count(1, start + WINDOW);
        assert_eq!((next.used, next.reset), (1, 7_200));
    }

    #[test]
    fn rest_and_graphql_are_counted_apart() {
        let rates = RateWindows::default();
        let now = Timestamp::UNIX_EPOCH;
        rates.count(1, Resource::Core, now);
        assert_eq!(rates.peek(1, Resource::Graphql, now).used, 0);
        assert_eq!(rates.count(1, Resource::Graphql, now).used, 1);
        assert_eq!(rates.peek(1, Resource::Core, now).used, 1);
    }
}
