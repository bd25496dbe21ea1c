//! Faults on command: which call of which route fails, and how. A test makes the network fail here,
//! so that the code under test needs no hooks.
//!
//! Invariant: without rules nothing fails. A rule counts the calls of its route from the moment
//! when it was made.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Which calls of a route fail. Calls are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This one call.
    Nth(u64),
    /// A number of calls in a row.
    From {
        /// The first call that fails.
        first: u64,
        /// How many fail.
        count: u64,
    },
    /// Every call.
    Always,
}

impl When {
    fn includes(self, call: u64) -> bool {
        match self {
            Self::Nth(nth) => call == nth,
            Self::From { first, count } => call >= first && call - first < count,
            Self::Always => true,
        }
    }
}

/// An answer that is sent in place of the forge's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// An answer with this status code, and with GitHub's form of an error as the body. A code that
    /// HTTP does not allow becomes 500.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = status.canonical_reason().unwrap_or("Error");
        Self { status, headers: HeaderMap::new(), body: String::new() }.message(message)
    }

    /// Makes the body GitHub's form of an error with this message.
    #[must_use]
    pub fn message(self, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        let body = serde_json::json!({ "message": message, "documentation_url": documentation });
        self.header("content-type", "application/json; charset=utf-8").body(&body.to_string())
    }

    /// Makes this the body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Adds a header, or replaces it. One that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This answer is sent at once, and nothing is done.
    Answer(Answer),
    /// The request is carried out, and this answer is sent nevertheless.
    AnswerAfterEffect(Answer),
    /// The request is carried out after this time.
    Delay(Duration),
    /// Nothing is done, and no answer is sent until the caller gives up.
    Hang,
    /// Nothing is done, and the connection closes without an answer.
    DropBeforeEffect,
    /// The request is carried out, and the connection closes without an answer.
    DropAfterEffect,
}

/// A method, and a path with `{placeholders}`. A placeholder stands for one segment, or for the
/// part of a segment before a fixed ending, as in `{repo}.git`.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    method: String,
    segments: Vec<String>,
}

impl Route {
    /// Reads a pattern such as `/repos/{owner}/{repo}/pulls`.
    pub(crate) fn new(method: &str, pattern: &str) -> Self {
        let segments = pattern.trim_start_matches('/').split('/').map(str::to_owned).collect();
        Self { method: method.to_ascii_uppercase(), segments }
    }

    /// Whether a request with this method and path belongs to the route. The query does not matter.
    pub(crate) fn matches(&self, method: &str, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        self.method == method
            && self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(pattern, segment)| fits(pattern, segment))
    }
}

fn fits(pattern: &str, segment: &str) -> bool {
    let ending = pattern.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match ending {
        Some((_, ending)) => segment.len() > ending.len() && segment.ends_with(ending),
        None => pattern == segment,
    }
}

#[derive(Debug)]
struct Rule {
    /// Nothing for all routes.
    route: Option<Route>,
    when: When,
    fault: Fault,
    calls: u64,
}

/// The rules by which calls fail. Cheap to clone; all clones have the same rules.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// Makes calls of a route fail.
    ///
    /// The route is a method and a pattern as in GitHub's reference, for example
    /// `inject("POST", "/repos/{owner}/{repo}/pulls", …)` or `("POST", "/graphql")`, or one of
    /// git's: `("POST", "/{owner}/{repo}.git/git-receive-pack")`. If several rules apply to one
    /// call, the oldest decides.
    pub fn inject(&self, method: &str, pattern: &str, when: When, fault: Fault) {
        self.add(Some(Route::new(method, pattern)), when, fault);
    }

    /// Makes calls of all routes fail, git's among them, as in an outage.
    pub fn inject_everywhere(&self, when: When, fault: Fault) {
        self.add(None, when, fault);
    }

    fn add(&self, route: Option<Route>, when: When, fault: Fault) {
        let rule = Rule { route, when, fault, calls: 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a call in every rule whose route it belongs to. Returns how it fails.
    pub(crate) fn due(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = None;
        let applies =
            |rule: &&mut Rule| rule.route.as_ref().is_none_or(|route| route.matches(method, path));
        for rule in rules.iter_mut().filter(applies) {
            rule.calls += 1;
            if due.is_none() && rule.when.includes(rule.calls) {
                due = Some(rule.fault.clone());
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_method_and_a_pattern() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(
                Route::new("POST", pattern).matches("POST", path),
                expected,
                "{pattern} {path}"
            );
        };
        check("/repos/{owner}/{repo}/pulls", "/repos/o/r/pulls?page=2", true);
        check("/repos/{owner}/{repo}/pulls", "/repos/o/r/pulls/1", false);
        check("/{owner}/{repo}.git/git-receive-pack", "/o/r.git/git-receive-pack", true);
        check("/{owner}/{repo}.git/git-receive-pack", "/o/r/git-receive-pack", false);
        assert!(!Route::new("POST", "/user").matches("GET", "/user"));
    }

    #[test]
    fn a_rule_counts_the_calls_of_its_route() {
        let faults = Faults::default();
        faults.inject("GET", "/user", When::From { first: 2, count: 2 }, Fault::Hang);
        let due: Vec<bool> = (0..5).map(|_| faults.due("GET", "/user").is_some()).collect();
        assert_eq!(due, [false, true, true, false, false]);
        faults.inject("GET", "/user", When::Nth(1), Fault::DropBeforeEffect);
        assert_eq!(faults.due("GET", "/user"), Some(Fault::DropBeforeEffect));
        assert_eq!(faults.due("GET", "/user"), None);
        faults.inject_everywhere(When::Nth(2), Fault::Hang);
        let due = ["/user", "/o/r.git/info/refs"].map(|path| faults.due("GET", path).is_some());
        assert_eq!(due, [false, true]);
    }
}
