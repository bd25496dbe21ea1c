//! A repository's own checks: which commands they are, what they said, and whether the change is to
//! blame.
//!
//! Owns the [`Plan`] (detected by project type, overridden by the `.codingworker.toml` of the base
//! branch), the running of one check ([`Checker`]) and the judgment against the [`Baseline`].
//! Leaves to `run` when checks run and what is asked of the agent when one fails. Invariant: a
//! check that fails, or that could not run, is never reported as passed; and a failure that was
//! there before the agent came never blocks.

mod baseline;
mod checker;
mod failure_names;
mod languages;
mod lock_files;
mod not_run;
mod obstacle;
mod output;
mod plan;
mod repository_file;
pub mod settings;
mod survey;
mod test_counts;
mod tested;
mod toolchains;

use std::borrow::Cow;
use std::time::Duration;

pub use baseline::{Baseline, CheckResult, CheckVerdict};
pub use checker::{CheckEnding, CheckError, Checker, Ran, Site};
pub use languages::{artifacts, skip_marks, test_files};
pub use lock_files::is_lock_file;
pub use obstacle::Obstacle;
pub use plan::Plan;
pub use repository_file::{RepositoryFile, RepositoryFileError, UnknownKey};
use serde::{Deserialize, Serialize};
use strum::VariantArray;
pub use survey::{Manifests, UnreadableManifest, UnreadableReason};
pub use tested::{Untested, untested};
pub use toolchains::Toolchains;

/// The file at a repository's root that says how it wants to be checked. Only the base branch's is
/// read.
pub const REPOSITORY_FILE: &str = ".codingworker.toml";

/// What a check is for. The order is the order in which checks run.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// Fetches dependencies.
    Setup,
    /// Runs the formatter in its writing mode: what it changes is part of the change.
    Format,
    /// Compiles, or does what comes nearest to it.
    Build,
    /// Looks for what compiles and is wrong all the same.
    Lint,
    /// Runs the tests.
    Test,
}

impl Kind {
    /// All kinds, in the order in which checks run.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The kind's name in `.codingworker.toml`, in journals and in reports.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One command to run in the repository's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub kind: Kind,
    /// A line for `/bin/sh -c`.
    pub command: String,
    pub timeout: Duration,
    pub origin: Origin,
    /// Whether it may reach public addresses: a setup of a repository that says so.
    #[serde(default)]
    pub network: bool,
}

/// Why a check is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// `.codingworker.toml` names it.
    RepositoryFile,
    /// It is the ordinary command of such a project; the name is that of the project type, such as
    /// `Rust`.
    Detected(Cow<'static, str>),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(stored: &str) -> T {
        serde_json::from_str(stored).unwrap()
    }

    /// From `runs.prepared` of `tests/data_directories/0.1.0-midrun.tar.gz`.
    #[test]
    fn what_version_0_1_0_prepared_is_read() {
        let plan: Plan = read(
            r#"{"checks":[{"kind":"test","command":"sh check.sh","timeout":{"secs":1800,
            "nanos":0},"origin":"RepositoryFile","network":false}],"tests_pass":true}"#,
        );
        let check = Check {
            kind: Kind::Test,
            command: "sh check.sh".to_owned(),
            timeout: Duration::from_secs(1800),
            origin: Origin::RepositoryFile,
            network: false,
        };
        let expected = Plan { checks: vec![check], tests_pass: true, ..Plan::default() };
        assert_eq!(plan, expected);
        let baseline: Baseline = read(
            r#"{"before":[{"kind":"test","command":"sh check.sh","ending":"Passed",
            "failures":[]}]}"#,
        );
        let failed: Ran = read(
            r#"{"kind":"test","command":"sh check.sh","ending":{"Failed":{"code":1}},
            "duration":{"secs":0,"nanos":77690821},"output":"","failures":[]}"#,
        );
        assert!(baseline.judge(failed).blocks(), "it passed on the base");
    }

    /// From `runs.checked` of `tests/data_directories/0.1.0-idle.tar.gz`.
    #[test]
    fn what_version_0_1_0_checked_is_read() {
        let results: Vec<CheckResult> = read(
            r#"[{"ran":{"kind":"test","command":"sh check.sh","ending":{"Failed":{"code":1}},
            "duration":{"secs":0,"nanos":77690821},"output":"FAILED broken is there\n",
            "failures":[]},"standing":{"New":{"failures":[]}},"red_before":false}]"#,
        );
        let [result] = &results[..] else { panic!("one result: {results:?}") };
        assert_eq!(result.ran.ending, CheckEnding::Failed { code: 1 });
        assert_eq!(result.verdict, CheckVerdict::New { failures: [].into() });
    }

    /// Version 0.1.0 stored the variants of enums for these: a name that changes loses runs.
    #[test]
    fn stored_names_stay_as_version_0_1_0_had_them() {
        for name in ["Rust", "Go", "Node", "Python", "Maven", "Gradle", "Make"] {
            let stored = json!({ "Detected": name });
            let origin: Origin = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(serde_json::to_value(&origin).unwrap(), stored);
            assert!(languages::LANGUAGES.iter().any(|language| language.name == name), "{name}");
        }
        for (kind, name) in Kind::ALL.iter().zip(["setup", "format", "build", "lint", "test"]) {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(kind.name(), name);
        }
        for (ending, stored) in [
            (CheckEnding::Passed, json!("Passed")),
            (CheckEnding::Failed { code: 2 }, json!({"Failed": {"code": 2}})),
            (CheckEnding::TimedOut, json!("TimedOut")),
        ] {
            assert_eq!(serde_json::to_value(&ending).unwrap(), stored);
            assert_eq!(read::<CheckEnding>(&stored.to_string()), ending);
        }
        for (stored, obstacle) in [
            (r#"{"Missing":{"tool":"go"}}"#, Obstacle::Missing { tool: "go".into() }),
            (r#""Offline""#, Obstacle::Offline),
        ] {
            assert_eq!(read::<CheckEnding>(stored), CheckEnding::NotRun { obstacle });
        }
        for (stored, obstacle) in [
            (r#"{"NotRun":{"tool":"go"}}"#, Obstacle::Missing { tool: "go".into() }),
            (r#""Offline""#, Obstacle::Offline),
        ] {
            let verdict = CheckVerdict::NotRun { obstacle };
            assert_eq!(read::<CheckVerdict>(stored), verdict);
            let written = serde_json::to_string(&verdict).unwrap();
            assert_eq!(read::<CheckVerdict>(&written), verdict);
        }
    }
}
