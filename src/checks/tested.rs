//! Whether a change was tested: a test check ran on it, and it passed or is as red as it was.
//!
//! A command that `.codingworker.toml` names says with its exit code whether the tests passed. A
//! detected one has to show that at least one test ran: its script may do anything or nothing.

use super::baseline::{CheckResult, CheckVerdict};
use super::obstacle::Obstacle;
use super::plan::Plan;
use super::{Kind, Origin};

/// Why no test says that a change is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untested {
    /// The repository has no check of any kind.
    NoChecks,
    /// The repository has checks, and none of them is a test.
    NoTestCommand,
    /// `.codingworker.toml` turns the test check off.
    TurnedOff,
    /// The command passed, and its output shows no test.
    NoTestRan { command: String },
    /// The command failed as it did on the base commit, and no test is shown to pass in both.
    NothingPasses { command: String },
    /// The command could not be run.
    NotRun { command: String, obstacle: Obstacle },
    /// The setup before the tests could not be run.
    SetupNotRun { command: String, obstacle: Obstacle },
}

/// Why a change that no check blocks is not tested; nothing when a test check shows that it is, or
/// when a red check tells more than the tests could.
pub fn untested(plan: &Plan, results: &[CheckResult]) -> Vec<Untested> {
    let tests = || results.iter().filter(|result| result.ran.kind == Kind::Test);
    if results.iter().any(CheckResult::blocks) || tests().any(|result| shows_tests(plan, result)) {
        return Vec::new();
    }
    if results.is_empty() && !plan.tests_are_off {
        return vec![Untested::NoChecks];
    }
    let setups = results.iter().filter(|result| result.ran.kind == Kind::Setup);
    let mut reasons: Vec<Untested> = setups.filter_map(setup_not_run).collect();
    reasons.extend(tests().map(reason));
    if tests().next().is_none() {
        let is_off = plan.tests_are_off;
        reasons.push(if is_off { Untested::TurnedOff } else { Untested::NoTestCommand });
    }
    reasons
}

fn setup_not_run(CheckResult { ran, verdict, .. }: &CheckResult) -> Option<Untested> {
    let CheckVerdict::NotRun { obstacle } = verdict else { return None };
    let (command, obstacle) = (ran.command.clone(), obstacle.clone());
    Some(Untested::SetupNotRun { command, obstacle })
}

fn reason(CheckResult { ran, verdict, .. }: &CheckResult) -> Untested {
    let command = ran.command.clone();
    match verdict {
        CheckVerdict::NotRun { obstacle } => {
            Untested::NotRun { command, obstacle: obstacle.clone() }
        }
        CheckVerdict::FailedBefore if ran.tests().any() => Untested::NothingPasses { command },
        CheckVerdict::Passed | CheckVerdict::New { .. } | CheckVerdict::TimedOut => {
            Untested::NoTestRan { command }
        }
        CheckVerdict::FailedBefore => Untested::NothingPasses { command },
    }
}

/// Whether a result shows that tests ran on the change and say nothing against it.
fn shows_tests(plan: &Plan, result: &CheckResult) -> bool {
    let CheckResult { ran, verdict, tests_before, .. } = result;
    match verdict {
        CheckVerdict::Passed => is_named(plan, &ran.command) || ran.tests().any(),
        CheckVerdict::FailedBefore => ran.tests().passed > 0 && tests_before.passed > 0,
        CheckVerdict::New { .. } | CheckVerdict::TimedOut | CheckVerdict::NotRun { .. } => false,
    }
}

/// Whether `.codingworker.toml` names a test command.
fn is_named(plan: &Plan, command: &str) -> bool {
    plan.of(Kind::Test)
        .any(|check| check.command == command && check.origin == Origin::RepositoryFile)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::checks::{Baseline, Check, CheckEnding, Ran};

    const FAILED: CheckEnding = CheckEnding::Failed { code: 1 };

    fn plan(origin: Origin) -> Plan {
        let check = |kind, command: &str| Check {
            kind,
            command: command.to_owned(),
            timeout: Duration::from_secs(9),
            origin: origin.clone(),
            network: false,
        };
        let checks = vec![check(Kind::Setup, "npm ci"), check(Kind::Test, "npm test")];
        Plan { checks, ..Plan::default() }
    }

    fn detected() -> Plan {
        plan(Origin::Detected("Node".into()))
    }

    fn ran(kind: Kind, ending: CheckEnding, output: &str) -> Ran {
        let command = if kind == Kind::Setup { "npm ci" } else { "npm test" }.to_owned();
        let duration = Duration::from_secs(1);
        Ran { kind, command, ending, duration, output: output.to_owned(), failures: [].into() }
    }

    /// The reasons when the check of `kind` ended so on the base and on the change.
    fn reasons(
        plan: &Plan,
        kind: Kind,
        before: (CheckEnding, &str),
        now: (CheckEnding, &str),
    ) -> Vec<Untested> {
        let mut baseline = Baseline::default();
        baseline.record(&ran(kind, before.0, before.1));
        untested(plan, &[baseline.judge(ran(kind, now.0, now.1))])
    }

    fn both(plan: &Plan, ending: CheckEnding, output: &str) -> Vec<Untested> {
        reasons(plan, Kind::Test, (ending.clone(), output), (ending, output))
    }

    #[test]
    fn a_detected_command_has_to_show_a_test_and_a_named_one_has_to_pass() {
        let command = "npm test".to_owned();
        assert_eq!(both(&detected(), CheckEnding::Passed, "# pass 2\n"), []);
        let silent = both(&detected(), CheckEnding::Passed, "built\n# pass 0\n");
        assert_eq!(silent, [Untested::NoTestRan { command: command.clone() }]);
        assert_eq!(both(&plan(Origin::RepositoryFile), CheckEnding::Passed, ""), []);
        let red = both(&plan(Origin::RepositoryFile), FAILED, "");
        assert_eq!(red, [Untested::NothingPasses { command }]);
    }

    #[test]
    fn a_test_that_is_as_red_as_before_counts_when_others_pass_in_both() {
        let nothing = || vec![Untested::NothingPasses { command: "npm test".to_owned() }];
        let half = "# pass 1\n# fail 1\n";
        assert_eq!(both(&detected(), FAILED, half), []);
        assert_eq!(both(&detected(), FAILED, "# fail 2\n"), nothing());
        let (before, now) = ((FAILED, "# fail 1\n"), (FAILED, half));
        assert_eq!(reasons(&detected(), Kind::Test, before, now), nothing());
    }

    #[test]
    fn what_could_not_be_run_is_the_reason_and_the_setup_comes_first() {
        let obstacle = Obstacle::Offline;
        let ending = CheckEnding::NotRun { obstacle: obstacle.clone() };
        let mut baseline = Baseline::default();
        for kind in [Kind::Setup, Kind::Test] {
            baseline.record(&ran(kind, ending.clone(), ""));
        }
        let judge = |kind, ending| baseline.judge(ran(kind, ending, ""));
        let results = [judge(Kind::Setup, ending.clone()), judge(Kind::Test, ending.clone())];
        let setup =
            Untested::SetupNotRun { command: "npm ci".to_owned(), obstacle: obstacle.clone() };
        let test = Untested::NotRun { command: "npm test".to_owned(), obstacle };
        assert_eq!(untested(&detected(), &results), [setup.clone(), test]);
        let only_setup = [judge(Kind::Setup, ending)];
        assert_eq!(untested(&detected(), &only_setup), [setup, Untested::NoTestCommand]);
    }

    #[test]
    fn without_results_nothing_was_checked_and_a_red_check_tells_more() {
        assert_eq!(untested(&Plan::default(), &[]), [Untested::NoChecks]);
        let off = Plan { tests_are_off: true, ..Plan::default() };
        assert_eq!(untested(&off, &[]), [Untested::TurnedOff]);
        let red = ran(Kind::Setup, FAILED, "");
        let blocked = Baseline::default().judge(Ran { failures: BTreeSet::new(), ..red });
        assert!(blocked.blocks());
        assert_eq!(untested(&detected(), &[blocked]), []);
    }
}
