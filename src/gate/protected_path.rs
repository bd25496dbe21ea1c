//! The rule on paths: some files act on GitHub, on the worker or on the machine of whoever checks
//! the branch out, and an agent may not change them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{ChangeLimits, ChangedFile, Finding};
use crate::git::RepoPath;

/// The paths that no agent may ever change: files on which GitHub acts, and files that control the
/// worker and git.
const ALWAYS_PROTECTED: &[&str] = &[
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
const PROTECTED: &[&str] = &[
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

    /// Builds the patterns for a repository. `unprotected` lists the patterns of `PROTECTED` that
    /// the repository allows, and `protected` lists the patterns that it adds. A repository can't
    /// allow a pattern of `ALWAYS_PROTECTED`.
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

/// A path that a pattern protects. A file may neither come to such a path nor leave it.
pub(super) fn rule(file: &ChangedFile, limits: &ChangeLimits) -> Option<Finding> {
    file.change.paths().find_map(|path| {
        let rule = limits.protected.matching(path)?.to_owned();
        Some(Finding::ProtectedPath { path: path.clone(), rule })
    })
}
