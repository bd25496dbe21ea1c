//! The policy on what a commit may change.
//!
//! The module is pure: it judges a list of changes and does no I/O. A refusal lists every finding,
//! not only the first. `workspace` reads the changes. `publish` presents the findings and may
//! translate them; the English text is here. Invariant: only a change that passed becomes an
//! [`Approved`].

pub mod attention;

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::git::{Change, Mode, RepoPath};

/// The paths that no agent may ever change: files on which GitHub acts, and files that control the
/// worker and git.
pub const ALWAYS_PROTECTED: &[&str] = &[
    ".github/**",
    ".codingworker.toml",
    "**/.gitmodules",
    "**/.gitattributes",
    "**/.gitconfig",
    "**/.lfsconfig",
];

/// The paths that no agent may change unless the repository allows it: files that control other
/// agents, and files that editors and shells run without asking on the machine of anybody who
/// checks the branch out.
pub const PROTECTED: &[&str] = &[
    "**/AGENTS.md",
    "**/CLAUDE.md",
    "**/GEMINI.md",
    "CONVENTIONS.md",
    ".aider*",
    "**/.claude/**",
    "**/.codex/**",
    "**/.cursor/**",
    "**/.cursorrules",
    "**/.gemini/**",
    "**/.windsurf/**",
    ".devcontainer/**",
    ".husky/**",
    "**/.envrc",
    "**/.vscode/**",
];

/// The limits of a change, and the paths that it must not touch.
#[derive(Debug, Clone)]
pub struct ChangeLimits {
    pub files: usize,
    /// The largest total size of all new and changed files, in bytes.
    pub size: u64,
    /// The largest size of one binary file, in bytes.
    pub binary_size: u64,
    pub protected: ProtectedPaths,
}

impl Default for ChangeLimits {
    fn default() -> Self {
        Self {
            files: 200,
            size: 5 << 20,
            binary_size: 1 << 20,
            protected: ProtectedPaths::default(),
        }
    }
}

/// Glob patterns of paths. They match without regard to case, because some file systems treat
/// `.GitHub` and `.github` as the same name.
#[derive(Debug, Clone)]
pub struct ProtectedPaths {
    patterns: Vec<String>,
    set: GlobSet,
}

impl ProtectedPaths {
    /// Builds the patterns. `*` matches within one directory, and `**` matches across directories.
    ///
    /// # Errors
    /// A text is not a glob pattern; the error names it.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(
                GlobBuilder::new(pattern.as_ref())
                    .literal_separator(true)
                    .case_insensitive(true)
                    .build()?,
            );
        }
        Ok(Self {
            patterns: patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect(),
            set: set.build()?,
        })
    }

    /// Builds the patterns for a repository. `unprotected` lists the patterns of [`PROTECTED`] that
    /// the repository allows, and `protected` lists the patterns that it adds. A repository can't
    /// allow a pattern of [`ALWAYS_PROTECTED`].
    ///
    /// # Errors
    /// A pattern of the repository is not a glob pattern.
    pub fn of_repository(
        protected: &[String],
        unprotected: &[String],
    ) -> Result<Self, globset::Error> {
        let kept =
            PROTECTED.iter().filter(|pattern| !unprotected.iter().any(|lifted| lifted == *pattern));
        let own = protected.iter().map(String::as_str);
        Self::new(&ALWAYS_PROTECTED.iter().chain(kept).copied().chain(own).collect::<Vec<_>>())
    }

    /// Returns the first pattern that protects a path.
    fn matching(&self, path: &RepoPath) -> Option<&str> {
        let first = *self.set.matches(path.as_path()).first()?;
        self.patterns.get(first).map(String::as_str)
    }
}

impl Default for ProtectedPaths {
    fn default() -> Self {
        Self::of_repository(&[], &[]).expect("the patterns are constants that a test builds")
    }
}

/// Proves that a change passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    files: usize,
    size: u64,
}

impl Approved {
    /// Returns how many files the change touches.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// Returns the total size of all new and changed files, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Why a change does not pass. It holds at least one finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    pub findings: Vec<Finding>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            write!(f, "{}{finding}", if position == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// One rule that the change breaks, with the path and the amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    #[error("{path} is protected by the rule {rule}")]
    ProtectedPath { path: RepoPath, rule: String },
    #[error("{path} adds, changes or removes a submodule, and submodules may not be changed")]
    Submodule { path: RepoPath },
    #[error("{path} is a symbolic link out of the repository")]
    EscapingLink { path: RepoPath },
    #[error("{path} is a binary file of {size} bytes, and {limit} bytes are allowed")]
    LargeBinary { path: RepoPath, size: u64, limit: u64 },
    /// The message never contains the secret itself.
    #[error("{path} adds what looks like a secret ({rule})")]
    Secret { path: RepoPath, rule: String },
    #[error("{files} files are changed, and {limit} are allowed")]
    TooManyFiles { files: usize, limit: usize },
    #[error("the changed files have {size} bytes, and {limit} bytes are allowed")]
    TooLarge { size: u64, limit: u64 },
}

/// Judges everything that a commit changes.
///
/// # Errors
/// Every rule that the change breaks. Findings about single files come first, in the order of the
/// changes.
pub fn judge(changes: &[Change], limits: &ChangeLimits) -> Result<Approved, Refusal> {
    let mut findings: Vec<Finding> =
        changes.iter().flat_map(|change| judge_one(change, limits)).collect();
    let files = changes.len();
    if files > limits.files {
        findings.push(Finding::TooManyFiles { files, limit: limits.files });
    }
    let size = changes.iter().fold(0_u64, |sum, change| sum.saturating_add(change.size));
    if size > limits.size {
        findings.push(Finding::TooLarge { size, limit: limits.size });
    }
    if findings.is_empty() { Ok(Approved { files, size }) } else { Err(Refusal { findings }) }
}

fn judge_one(change: &Change, limits: &ChangeLimits) -> impl Iterator<Item = Finding> {
    let path = || change.path.clone();
    let is = |mode: Mode| move |entry: &&crate::git::TreeEntry| entry.mode == mode;
    let protected = limits
        .protected
        .matching(&change.path)
        .map(|rule| Finding::ProtectedPath { path: path(), rule: rule.to_owned() });
    let submodule = [&change.before, &change.after]
        .into_iter()
        .flatten()
        .find(is(Mode::Submodule))
        .map(|_| Finding::Submodule { path: path() });
    let link = change.after.as_ref().filter(is(Mode::Link));
    let escaping = link.filter(|_| escapes(change)).map(|_| Finding::EscapingLink { path: path() });
    let binary = (change.lines.is_none() && change.size > limits.binary_size).then(|| {
        Finding::LargeBinary { path: path(), size: change.size, limit: limits.binary_size }
    });
    [protected, submodule, escaping, binary].into_iter().flatten()
}

/// Returns whether a symbolic link may lead out of the repository or into its `.git`.
///
/// All `..` parts of the target must come before the first name. The kernel resolves a path part by
/// part and replaces a link by its target at once (`path_resolution(7)`). When a directory in the
/// target is a link too, a `..` after its name starts from the place to which that link leads, and
/// this function can't know that place.
fn escapes(change: &Change) -> bool {
    // A target that was too long to read counts as a link out of the repository.
    let Some(target) = change.link_target.as_deref() else {
        return true;
    };
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    // The kernel resolves a relative target from the directory that contains the link (symlink(7)).
    // `depth` counts how many directories that directory is below the root.
    let mut depth = change.path.parts().count() - 1;
    let mut descended = false;
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if descended || depth == 0 => return true,
            b".." => depth -= 1,
            _ if part.eq_ignore_ascii_case(b".git") => return true,
            _ => descended = true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{ChangeStatus, LineCount, TreeEntry};

    const ID: &str = "1111111111111111111111111111111111111111";

    fn entry(mode: Mode) -> Option<TreeEntry> {
        Some(TreeEntry { mode, id: ID.parse().unwrap() })
    }

    fn file(path: &str, size: u64) -> Change {
        Change {
            path: path.into(),
            status: ChangeStatus::Added,
            before: None,
            after: entry(Mode::File),
            lines: Some(LineCount { added: 1, deleted: 0 }),
            size,
            link_target: None,
        }
    }

    fn link(path: &str, target: &str) -> Change {
        Change {
            after: entry(Mode::Link),
            link_target: Some(target.as_bytes().to_vec()),
            ..file(path, 1)
        }
    }

    fn findings(changes: &[Change]) -> Vec<String> {
        judge(changes, &ChangeLimits::default()).map_or_else(
            |refusal| refusal.findings.iter().map(Finding::to_string).collect(),
            |_| Vec::new(),
        )
    }

    #[test]
    fn an_ordinary_change_passes() {
        let changes = [
            file("src/main.rs", 100),
            file(".gitignore", 10),
            file("docs/日本語 \"x\".md", 20),
            link("docs/latest", "v1"),
        ];
        let approved = judge(&changes, &ChangeLimits::default()).unwrap();
        assert_eq!((approved.files(), approved.size()), (4, 131));
    }

    #[test]
    fn protected_paths_are_named_with_their_rule() {
        let check = |path: &str, rule: &str| {
            assert_eq!(
                findings(&[file(path, 1)]),
                [format!("{path} is protected by the rule {rule}")]
            );
        };
        check(".github/workflows/ci.yml", ".github/**");
        check(".GitHub/CODEOWNERS", ".github/**");
        check(".codingworker.toml", ".codingworker.toml");
        check(".gitmodules", "**/.gitmodules");
        check("sub/.gitattributes", "**/.gitattributes");
        for free in ["github/x", "docs/.github", "a/.codingworker.toml", ".gitignore", "gitmodules"]
        {
            assert!(findings(&[file(free, 1)]).is_empty(), "{free}");
        }
    }

    #[test]
    fn a_deleted_workflow_is_a_change_too() {
        let deleted = Change {
            status: ChangeStatus::Deleted,
            before: entry(Mode::File),
            after: None,
            ..file(".github/workflows/ci.yml", 0)
        };
        assert_eq!(findings(&[deleted]).len(), 1);
    }

    #[test]
    fn a_submodule_may_not_come_go_or_change() {
        let text = ["lib adds, changes or removes a submodule, and submodules may not be changed"];
        assert_eq!(findings(&[Change { after: entry(Mode::Submodule), ..file("lib", 0) }]), text);
        assert_eq!(
            findings(&[Change { before: entry(Mode::Submodule), after: None, ..file("lib", 0) }]),
            text
        );
        assert_eq!(findings(&[Change { before: entry(Mode::Submodule), ..file("lib", 9) }]), text);
    }

    #[test]
    fn a_link_may_not_lead_out_of_the_repository() {
        for (path, target) in [
            ("a", "b"),
            ("a", "b/c"),
            ("d/a", "../b"),
            ("d/e/a", "../../b/c"),
            ("a", "./b"),
            ("a", "..b"),
            ("d/a", ".."),
        ] {
            assert!(findings(&[link(path, target)]).is_empty(), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../b"),
            ("d/a", "../../b"),
            ("a", "b/../.."),
            ("d/a", "b/../c"),
            ("a", ".git/config"),
            ("d/a", "../.GIT"),
            ("a", ""),
        ] {
            assert_eq!(
                findings(&[link(path, target)]),
                [format!("{path} is a symbolic link out of the repository")],
                "{target}"
            );
        }
        let unread = Change { link_target: None, ..link("a", "") };
        assert_eq!(findings(&[unread]).len(), 1);
    }

    #[test]
    fn a_file_may_hold_what_would_be_a_bad_link() {
        assert!(findings(&[Change { link_target: None, ..file("a", 3) }]).is_empty());
    }

    #[test]
    fn limits_are_inclusive_and_told() {
        let many: Vec<Change> = (0..201).map(|number| file(&format!("f{number}"), 1)).collect();
        assert!(findings(&many[..200]).is_empty());
        assert_eq!(findings(&many), ["201 files are changed, and 200 are allowed"]);

        assert!(findings(&[file("a", 5 << 20)]).is_empty());
        assert_eq!(
            findings(&[file("a", 5 << 20), file("b", 1)]),
            ["the changed files have 5242881 bytes, and 5242880 bytes are allowed"]
        );
        assert_eq!(findings(&[file("a", u64::MAX), file("b", 1)]).len(), 1);

        let binary = |size| Change { lines: None, ..file("x.bin", size) };
        assert!(findings(&[binary(1 << 20)]).is_empty());
        assert_eq!(
            findings(&[binary((1 << 20) + 1)]),
            ["x.bin is a binary file of 1048577 bytes, and 1048576 bytes are allowed"]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let changes = [link(".github/a", "/etc"), file("b", 6 << 20)];
        let refusal = judge(&changes, &ChangeLimits::default()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            ".github/a is protected by the rule .github/**; .github/a is a symbolic link out of \
             the repository; \
             the changed files have 6291457 bytes, and 5242880 bytes are allowed"
        );
    }

    #[test]
    fn a_repository_adds_and_lifts_but_not_what_is_always_protected() {
        let own = |patterns: &[&str]| {
            patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()
        };
        let protected = ProtectedPaths::of_repository(
            &own(&["infra/**"]),
            &own(&["**/AGENTS.md", ".github/**"]),
        )
        .unwrap();
        let limits = ChangeLimits { protected, ..ChangeLimits::default() };
        let passes = |path: &str| judge(&[file(path, 1)], &limits).is_ok();
        assert!(passes("AGENTS.md") && passes("src/infra.rs"));
        assert!(
            !passes("infra/main.tf") && !passes(".github/workflows/ci.yml") && !passes("CLAUDE.md")
        );
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        assert!(ProtectedPaths::new(&["a[", "b"]).unwrap_err().to_string().contains("a["));
    }
}
