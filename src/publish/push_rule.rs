//! Which rule of GitHub refused a push, by what GitHub's server says after `remote:`.
//!
//! GitHub numbers most of its rules (`GH006`). The pages of its documentation are named at the
//! variants.

use serde::{Deserialize, Serialize};

/// The rule that a push broke. The sentences are in the macro `push_refused` of `reasons.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushRule {
    /// GH006, GH003: "About protected branches".
    ProtectedBranch,
    /// GH013: "About rulesets".
    Ruleset,
    /// GH009, or GH013 with "Push cannot contain secrets": "About push protection".
    Secret,
    /// GH001, or a pack that is too large: "About large files on GitHub".
    LargeFile,
    /// GH008: an object of Git LFS was not uploaded.
    MissingLfsObject,
    /// GH007: "Blocking command line pushes that expose your personal email address".
    PrivateEmail,
    /// The token may not change workflows: "Scopes for OAuth apps", `workflow`.
    Workflow,
    /// The repository has reached its quota, or takes no pushes while it is moved.
    Full,
    /// The repository was archived: "Archiving repositories".
    Archived,
    /// A rule that is not known here, or a hook of the server's owner.
    #[default]
    Other,
}

/// What GitHub says, in lower case, and the rule that says it. The first match counts: push
/// protection is told as a ruleset too.
const SAYINGS: &[(&str, PushRule)] = &[
    ("cannot contain secrets", PushRule::Secret),
    ("gh009", PushRule::Secret),
    ("gh013", PushRule::Ruleset),
    ("rule violations", PushRule::Ruleset),
    ("gh006", PushRule::ProtectedBranch),
    ("gh003", PushRule::ProtectedBranch),
    ("protected branch", PushRule::ProtectedBranch),
    ("gh001", PushRule::LargeFile),
    ("exceeds github's file size limit", PushRule::LargeFile),
    ("pack exceeds maximum allowed size", PushRule::LargeFile),
    ("gh008", PushRule::MissingLfsObject),
    ("gh007", PushRule::PrivateEmail),
    ("create or update workflow", PushRule::Workflow),
    ("archived", PushRule::Archived),
    ("quota", PushRule::Full),
    ("no space left", PushRule::Full),
    ("repository is full", PushRule::Full),
    ("size limit", PushRule::Full),
];

impl PushRule {
    /// Finds the rule in what the server said.
    #[must_use]
    pub fn of(told: &str) -> Self {
        let told = told.to_lowercase();
        let rule = SAYINGS.iter().find(|(saying, _)| told.contains(saying));
        rule.map_or(Self::Other, |(_, rule)| *rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn githubs_refusals_are_told_apart() {
        for (told, expected) in [
            (
                "[remote rejected] (protected branch hook declined); error: GH006: Protected \
                 branch update failed for refs/heads/x.",
                PushRule::ProtectedBranch,
            ),
            (
                "[remote rejected] (push declined due to repository rule violations); error: \
                 GH013: Repository rule violations found for refs/heads/x.; - Commits must have \
                 verified signatures.",
                PushRule::Ruleset,
            ),
            (
                "[remote rejected]; error: GH013: Repository rule violations found; - GITHUB PUSH \
                 PROTECTION; Push cannot contain secrets",
                PushRule::Secret,
            ),
            ("error: GH009: Secrets detected! This push failed.", PushRule::Secret),
            ("error: GH001: Large files detected.", PushRule::LargeFile),
            (
                "File a is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
                PushRule::LargeFile,
            ),
            (
                "error: GH008: Your push referenced at least 1 unknown Git LFS object",
                PushRule::MissingLfsObject,
            ),
            (
                "error: GH007: Your push would publish a private email address.",
                PushRule::PrivateEmail,
            ),
            (
                "refusing to allow a Personal Access Token to create or update workflow \
                 `.github/workflows/x.yml` without `workflow` scope",
                PushRule::Workflow,
            ),
            ("Repository was archived so is read-only.", PushRule::Archived),
            ("Repository has exceeded its disk quota", PushRule::Full),
            ("[remote rejected] (pre-receive hook declined)", PushRule::Other),
        ] {
            assert_eq!(PushRule::of(told), expected, "{told}");
        }
    }
}
