//! Judgment: whether the change is the reason why a check fails.
//!
//! Owns the comparison of a check with its result on the base commit. Invariant: a check that
//! passed on the base commit, or was not run there, is never excused. A check that failed there is
//! excused as long as it has no failure that is new.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::obstacle::Obstacle;
use super::test_counts::TestCounts;
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
    #[serde(default)]
    tests: TestCounts,
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
    /// The tests that the same check showed to have run on the base commit.
    #[serde(default)]
    pub tests_before: TestCounts,
}

/// What a check means for the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredVerdict")]
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
        obstacle: Obstacle,
    },
}

/// A verdict as journals hold it. Version 0.1.0 knew two obstacles.
#[derive(Deserialize)]
enum StoredVerdict {
    Passed,
    New { failures: BTreeSet<String> },
    FailedBefore,
    TimedOut,
    NotRun { obstacle: Option<Obstacle>, tool: Option<String> },
    Offline,
}

impl From<StoredVerdict> for CheckVerdict {
    fn from(stored: StoredVerdict) -> Self {
        match stored {
            StoredVerdict::Passed => Self::Passed,
            StoredVerdict::New { failures } => Self::New { failures },
            StoredVerdict::FailedBefore => Self::FailedBefore,
            StoredVerdict::TimedOut => Self::TimedOut,
            StoredVerdict::NotRun { obstacle, tool } => {
                let missing = || Obstacle::Missing { tool: tool.unwrap_or_default() };
                Self::NotRun { obstacle: obstacle.unwrap_or_else(missing) }
            }
            StoredVerdict::Offline => Self::NotRun { obstacle: Obstacle::Offline },
        }
    }
}

impl CheckResult {
    /// Whether the change must not be published as it is.
    pub fn blocks(&self) -> bool {
        match self.verdict {
            CheckVerdict::New { .. } | CheckVerdict::TimedOut => true,
            CheckVerdict::Passed | CheckVerdict::FailedBefore | CheckVerdict::NotRun { .. } => {
                false
            }
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
            tests: ran.tests(),
        });
    }

    /// The commands that could not be run on the base commit, with what kept them from it.
    pub fn obstacles(&self) -> impl Iterator<Item = (&str, &Obstacle)> {
        self.before.iter().filter_map(|before| match &before.ending {
            CheckEnding::NotRun { obstacle } => Some((before.command.as_str(), obstacle)),
            CheckEnding::Passed | CheckEnding::Failed { .. } | CheckEnding::TimedOut => None,
        })
    }

    /// Whether the results are those of the commit alone. A result that the machine caused may be
    /// another one an hour later.
    pub fn is_of_the_commit_alone(&self) -> bool {
        self.before.iter().all(|before| match before.ending {
            CheckEnding::Passed | CheckEnding::Failed { .. } => true,
            CheckEnding::TimedOut | CheckEnding::NotRun { .. } => false,
        })
    }

    /// Compares a check that ran on the change with its result on the base commit.
    pub fn judge(&self, ran: Ran) -> CheckResult {
        let before = self
            .before
            .iter()
            .find(|before| (before.kind, &before.command) == (ran.kind, &ran.command));
        let red_before = before.is_some_and(|before| before.ending != CheckEnding::Passed);
        let ending_before = before.map(|before| &before.ending);
        let verdict = match &ran.ending {
            CheckEnding::Passed => CheckVerdict::Passed,
            CheckEnding::NotRun { obstacle } => {
                // The change is not to blame for a setup that does not reach a host.
                let is_outside = ran.kind == Kind::Setup && obstacle.is_of_the_network();
                match ending_before {
                    // The change removed the tool, or made the check need another one.
                    Some(
                        CheckEnding::Passed | CheckEnding::Failed { .. } | CheckEnding::TimedOut,
                    ) if !is_outside => CheckVerdict::New { failures: BTreeSet::new() },
                    _ => CheckVerdict::NotRun { obstacle: obstacle.clone() },
                }
            }
            CheckEnding::TimedOut if ending_before == Some(&CheckEnding::TimedOut) => {
                let seconds = ran.duration.as_secs();
                CheckVerdict::NotRun { obstacle: Obstacle::TimeLimit { seconds } }
            }
            CheckEnding::TimedOut => CheckVerdict::TimedOut,
            CheckEnding::Failed { .. } => failed(before, &ran),
        };
        let tests_before = before.map(|before| before.tests).unwrap_or_default();
        CheckResult { ran, verdict, red_before, tests_before }
    }
}

/// The verdict on a check that fails. Failures without names are excused only by failures without
/// names, and never when more tests fail than before: where the tests of the base had names, and
/// the names are suddenly missing, something else broke, such as the build of the tests.
fn failed(before: Option<&Before>, ran: &Ran) -> CheckVerdict {
    let (now, nothing) = (&ran.failures, BTreeSet::new());
    let (failed_before, old) = match before {
        Some(Before { ending: CheckEnding::Failed { .. }, failures, .. }) => (true, failures),
        // The failures that a check named before it timed out count. The timeout itself does not
        // excuse a failure.
        Some(Before { ending: CheckEnding::TimedOut, failures, .. }) => (false, failures),
        Some(Before { ending: CheckEnding::Passed | CheckEnding::NotRun { .. }, .. }) | None => {
            (false, &nothing)
        }
    };
    let new: BTreeSet<String> = now.difference(old).cloned().collect();
    let excused = new.is_empty()
        && if now.is_empty() {
            let tests_before = before.map(|before| before.tests).unwrap_or_default();
            failed_before && old.is_empty() && ran.tests().failed <= tests_before.failed
        } else {
            true
        };
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

    fn not_run(obstacle: Obstacle) -> CheckEnding {
        CheckEnding::NotRun { obstacle }
    }

    fn missing() -> CheckEnding {
        not_run(Obstacle::Missing { tool: "go".to_owned() })
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

    fn blamed_on_nobody(obstacle: Obstacle) -> CheckVerdict {
        CheckVerdict::NotRun { obstacle }
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
    fn a_time_out_on_both_sides_says_nothing_of_the_change() {
        check(
            Some((CheckEnding::TimedOut, &[])),
            (CheckEnding::TimedOut, &[]),
            blamed_on_nobody(Obstacle::TimeLimit { seconds: 1 }),
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
            blamed_on_nobody(Obstacle::Missing { tool: "go".to_owned() }),
        );
        let go = Obstacle::Missing { tool: "go".to_owned() };
        check(None, (missing(), &[]), blamed_on_nobody(go));
        check(Some((CheckEnding::Passed, &[])), (missing(), &[]), new(&[]));
        check(Some((FAILED, &["a"])), (missing(), &[]), new(&[]));
    }

    #[test]
    fn a_network_that_went_away_is_never_the_change_s_doing() {
        let offline = || not_run(Obstacle::Offline);
        let mut baseline = Baseline::default();
        let setup = |ending| Ran { kind: Kind::Setup, ..ran(ending, &[]) };
        baseline.record(&setup(CheckEnding::Passed));
        let verdict = baseline.judge(setup(offline())).verdict;
        assert_eq!(verdict, blamed_on_nobody(Obstacle::Offline));
        check(None, (offline(), &[]), blamed_on_nobody(Obstacle::Offline));
        // No other check has a network that might go away.
        check(Some((CheckEnding::Passed, &[])), (offline(), &[]), new(&[]));
        check(Some((offline(), &[])), (FAILED, &["a"]), new(&["a"]));
    }

    #[test]
    fn one_more_test_that_fails_is_new_even_where_the_output_names_none() {
        let counted = |failed: u32| Ran {
            output: format!("# pass 3\n# fail {failed}\n"),
            ..ran(FAILED, &[])
        };
        let mut baseline = Baseline::default();
        baseline.record(&counted(1));
        assert_eq!(baseline.judge(counted(1)).verdict, CheckVerdict::FailedBefore);
        assert_eq!(baseline.judge(counted(2)).verdict, new(&[]));
    }

    #[test]
    fn results_that_the_machine_caused_are_told_from_those_of_the_commit() {
        let mut baseline = Baseline::default();
        baseline.record(&ran(FAILED, &["a"]));
        assert!(baseline.is_of_the_commit_alone());
        assert_eq!(baseline.obstacles().count(), 0);
        baseline.record(&ran(not_run(Obstacle::Offline), &[]));
        assert!(!baseline.is_of_the_commit_alone());
        let obstacles: Vec<_> = baseline.obstacles().collect();
        assert_eq!(obstacles, [("make test", &Obstacle::Offline)]);
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
