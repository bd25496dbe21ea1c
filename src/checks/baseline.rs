//! Judgment: whether the change is the reason why a check fails.
//!
//! Owns the comparison of a check with its result on the base commit. Invariant: a check that
//! passed on the base commit, or was not run there, is never excused. A check that failed there is
//! excused as long as it has no failure that is new.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{CheckEnding, Kind, Ran};

/// The results of a plan's checks on the base commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    before: Vec<Before>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    kind: Kind,
    command: String,
    ending: CheckEnding,
    failures: BTreeSet<String>,
}

/// A check that ran on the change, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub ran: Ran,
    /// Journals of version 0.1.0 call it `standing`.
    #[serde(alias = "standing")]
    pub verdict: CheckVerdict,
    /// Whether the same check did not pass on the base commit.
    pub red_before: bool,
}

/// What a check means for the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckVerdict {
    Passed,
    /// It fails, and the change is the reason. `failures` are those that are new. There are none
    /// when the output names none.
    New {
        failures: BTreeSet<String>,
    },
    /// It fails only in ways in which it failed on the base commit.
    FailedBefore,
    /// It took too long, and did not on the base commit.
    TimedOut,
    /// It can't run on this machine, neither on the change nor on the base commit.
    NotRun {
        tool: String,
    },
    /// Setup had no network. The checks after it show whether its downloads were needed.
    Offline,
}

impl CheckResult {
    /// Whether the change must not be published as it is.
    pub fn blocks(&self) -> bool {
        match self.verdict {
            CheckVerdict::New { .. } | CheckVerdict::TimedOut => true,
            CheckVerdict::Passed
            | CheckVerdict::FailedBefore
            | CheckVerdict::NotRun { .. }
            | CheckVerdict::Offline => false,
        }
    }
}

impl Baseline {
    /// Records a check that ran on the base commit. A later result of the same check replaces it.
    pub fn record(&mut self, ran: &Ran) {
        let Ran { kind, ref command, ref ending, ref failures, .. } = *ran;
        self.before.retain(|before| (before.kind, &before.command) != (kind, command));
        self.before.push(Before {
            kind,
            command: command.clone(),
            ending: ending.clone(),
            failures: failures.clone(),
        });
    }

    /// Compares a check that ran on the change with its result on the base commit.
    pub fn judge(&self, ran: Ran) -> CheckResult {
        let before = self
            .before
            .iter()
            .find(|before| (before.kind, &before.command) == (ran.kind, &ran.command));
        let red_before = before.is_some_and(|before| before.ending != CheckEnding::Passed);
        let verdict = match &ran.ending {
            CheckEnding::Passed => CheckVerdict::Passed,
            CheckEnding::Offline => CheckVerdict::Offline,
            CheckEnding::Missing { tool } => match before.map(|before| &before.ending) {
                // The change removed the tool, or made the check need another one.
                Some(CheckEnding::Passed | CheckEnding::Failed { .. } | CheckEnding::TimedOut) => {
                    CheckVerdict::New { failures: BTreeSet::new() }
                }
                Some(CheckEnding::Missing { .. } | CheckEnding::Offline) | None => {
                    CheckVerdict::NotRun { tool: tool.clone() }
                }
            },
            CheckEnding::TimedOut => match before.map(|before| &before.ending) {
                Some(CheckEnding::TimedOut) => CheckVerdict::FailedBefore,
                Some(
                    CheckEnding::Passed
                    | CheckEnding::Failed { .. }
                    | CheckEnding::Missing { .. }
                    | CheckEnding::Offline,
                )
                | None => CheckVerdict::TimedOut,
            },
            CheckEnding::Failed { .. } => failed(before, &ran.failures),
        };
        CheckResult { ran, verdict, red_before }
    }
}

/// Failures that the base commit has are excused, name by name. An output that names no failure is
/// excused only if the output on the base commit named none either: when the names are suddenly
/// missing, something else broke, such as the build of the tests.
fn failed(before: Option<&Before>, now: &BTreeSet<String>) -> CheckVerdict {
    let nothing = BTreeSet::new();
    let (failed_before, old) = match before {
        Some(Before { ending: CheckEnding::Failed { .. }, failures, .. }) => (true, failures),
        // The failures that a check named before it timed out count. The timeout itself does not
        // excuse a failure.
        Some(Before { ending: CheckEnding::TimedOut, failures, .. }) => (false, failures),
        Some(Before {
            ending: CheckEnding::Passed | CheckEnding::Missing { .. } | CheckEnding::Offline,
            ..
        })
        | None => (false, &nothing),
    };
    let new: BTreeSet<String> = now.difference(old).cloned().collect();
    let excused =
        new.is_empty() && if now.is_empty() { failed_before && old.is_empty() } else { true };
    if excused { CheckVerdict::FailedBefore } else { CheckVerdict::New { failures: new } }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAILED: CheckEnding = CheckEnding::Failed { code: 1 };

    fn ran(ending: CheckEnding, failures: &[&str]) -> Ran {
        Ran {
            kind: Kind::Test,
            command: "make test".to_owned(),
            ending,
            duration: Duration::from_secs(1),
            output: String::new(),
            failures: failures.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn missing() -> CheckEnding {
        CheckEnding::Missing { tool: "go".to_owned() }
    }

    #[track_caller]
    fn check(
        before: Option<(CheckEnding, &[&str])>,
        now: (CheckEnding, &[&str]),
        expected: CheckVerdict,
    ) {
        let mut baseline = Baseline::default();
        if let Some((ending, failures)) = before {
            baseline.record(&ran(ending, failures));
        }
        let result = baseline.judge(ran(now.0, now.1));
        let blocks = matches!(expected, CheckVerdict::New { .. } | CheckVerdict::TimedOut);
        assert_eq!((result.blocks(), result.verdict), (blocks, expected));
    }

    fn new(failures: &[&str]) -> CheckVerdict {
        CheckVerdict::New { failures: failures.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn what_passes_is_passed_whatever_was_before() {
        check(None, (CheckEnding::Passed, &[]), CheckVerdict::Passed);
        check(Some((FAILED, &["a"])), (CheckEnding::Passed, &[]), CheckVerdict::Passed);
    }

    #[test]
    fn what_was_green_or_not_run_before_is_not_excused() {
        check(Some((CheckEnding::Passed, &[])), (FAILED, &["a"]), new(&["a"]));
        check(Some((CheckEnding::Passed, &[])), (FAILED, &[]), new(&[]));
        check(None, (FAILED, &["a"]), new(&["a"]));
        check(Some((missing(), &[])), (FAILED, &[]), new(&[]));
    }

    #[test]
    fn only_failures_that_were_not_there_before_are_new() {
        check(Some((FAILED, &["a", "b"])), (FAILED, &["a", "b", "c"]), new(&["c"]));
        check(Some((FAILED, &["a", "b"])), (FAILED, &["b"]), CheckVerdict::FailedBefore);
    }

    #[test]
    fn failures_without_names_are_excused_only_by_failures_without_names() {
        check(Some((FAILED, &[])), (FAILED, &[]), CheckVerdict::FailedBefore);
        check(Some((FAILED, &["a"])), (FAILED, &[]), new(&[]));
        check(Some((FAILED, &[])), (FAILED, &["a"]), new(&["a"]));
    }

    #[test]
    fn a_time_out_is_excused_only_by_a_time_out() {
        check(
            Some((CheckEnding::TimedOut, &[])),
            (CheckEnding::TimedOut, &[]),
            CheckVerdict::FailedBefore,
        );
        check(
            Some((CheckEnding::Passed, &[])),
            (CheckEnding::TimedOut, &[]),
            CheckVerdict::TimedOut,
        );
        check(Some((FAILED, &["a"])), (CheckEnding::TimedOut, &["a"]), CheckVerdict::TimedOut);
        check(None, (CheckEnding::TimedOut, &[]), CheckVerdict::TimedOut);
        check(Some((CheckEnding::TimedOut, &["a"])), (FAILED, &["a"]), CheckVerdict::FailedBefore);
        check(Some((CheckEnding::TimedOut, &[])), (FAILED, &[]), new(&[]));
    }

    #[test]
    fn a_tool_that_was_never_there_is_said_and_one_that_went_away_blocks() {
        check(
            Some((missing(), &[])),
            (missing(), &[]),
            CheckVerdict::NotRun { tool: "go".to_owned() },
        );
        check(None, (missing(), &[]), CheckVerdict::NotRun { tool: "go".to_owned() });
        check(Some((CheckEnding::Passed, &[])), (missing(), &[]), new(&[]));
        check(Some((FAILED, &["a"])), (missing(), &[]), new(&[]));
    }

    #[test]
    fn a_network_that_went_away_is_never_the_change_s_doing() {
        check(Some((CheckEnding::Passed, &[])), (CheckEnding::Offline, &[]), CheckVerdict::Offline);
        check(None, (CheckEnding::Offline, &[]), CheckVerdict::Offline);
        check(Some((CheckEnding::Offline, &[])), (FAILED, &["a"]), new(&["a"]));
    }

    #[test]
    fn checks_of_one_kind_are_told_apart_by_their_command() {
        let mut baseline = Baseline::default();
        baseline.record(&ran(FAILED, &["a"]));
        let mut other = ran(FAILED, &["a"]);
        other.command = "npm test".to_owned();
        assert!(baseline.judge(other).blocks());
    }
}
