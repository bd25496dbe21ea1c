//! What an agent leaves in its tree and a snapshot does not take: files that programs leave behind,
//! ignored files, and files inside submodules.
//!
//! Nothing of this vanishes without a word. The worker tells the reader of the pull request which
//! files were left out, except for the output of well-known tools.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::staging::{Files, Staging};
use crate::git::{CommitId, RepoPath};

/// How many paths of each kind are kept. A person reads no more.
const MOST_PATHS: usize = 1000;

/// The names of files and directories that programs leave behind and that nobody commits: of
/// desktops, of test coverage, and the histories of agents. A text that ends with `*` is the
/// beginning of a name.
const LEFTOVER_NAMES: &[&str] = &[
    ".DS_Store",
    "Thumbs.db",
    "coverage",
    "htmlcov",
    ".coverage",
    ".nyc_output",
    "npm-debug.log",
    "yarn-error.log",
    ".aider.chat.history.md",
    ".aider.input.history",
    ".aider.llm.history",
    ".aider.tags.cache.*",
];

/// The endings of files that editors, patches and merges leave behind.
const LEFTOVER_ENDINGS: &[&str] = &[".orig", ".rej", ".swp", ".swo", "~"];

/// The directories that tools fill and that repositories ignore.
const OUTPUT_DIRECTORIES: &[&str] = &[
    ".bundle",
    ".cache",
    ".eggs",
    ".gradle",
    ".mypy_cache",
    ".next",
    ".nox",
    ".nuxt",
    ".parcel-cache",
    ".pytest_cache",
    ".ruff_cache",
    ".svelte-kit",
    ".terraform",
    ".tox",
    ".turbo",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    "out",
    "target",
    "venv",
];

/// The endings of files that tools make and that repositories ignore.
const OUTPUT_ENDINGS: &[&str] = &[
    ".a",
    ".class",
    ".dll",
    ".dylib",
    ".egg-info",
    ".exe",
    ".log",
    ".o",
    ".obj",
    ".pyc",
    ".pyo",
    ".so",
    ".tmp",
    ".tsbuildinfo",
];

/// The paths that a snapshot of the agent's tree did not take, as text for people. The name of a
/// directory ends with a slash and stands for all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Files that programs leave behind.
    pub leftovers: Vec<String>,
    /// Files that the repository ignores, without the output of well-known tools.
    pub ignored: Vec<String>,
    /// Files inside a submodule of the repository.
    pub submodules: Vec<String>,
}

/// Adds the files to the side's index that the agent added to its own index, although the
/// repository ignores them: an agent that commits such a file means it. The output of tools stays
/// out.
///
/// The worker lets git read only the index of the agent's repository, in the sandbox, and uses only
/// the paths in it.
pub(super) async fn add_what_the_agent_added(
    cache: &Cache,
    staging: &Staging,
    base: &CommitId,
) -> Result<(), WorkspaceError> {
    let git_dir = staging.files.join(".git");
    let index = git_dir.join("index");
    // git would wait for a named pipe, and follow a link.
    let is_directory = fs::symlink_metadata(&git_dir).is_ok_and(|entry| entry.is_dir());
    if !is_directory || !fs::symlink_metadata(&index).is_ok_and(|entry| entry.is_file()) {
        return Ok(());
    }
    let listing = staging
        .command_with_index(cache, "diff-index", Files::Read, &index)
        .arguments(ADDED_PATHS)
        .argument(base.as_str())
        .run()
        .await?;
    if listing.code != 0 {
        let complaint = listing.complaint();
        tracing::debug!(complaint, "git can't read the index of the agent's repository");
        return Ok(());
    }
    let wanted: Vec<RepoPath> = paths(&listing.output)
        .filter(|path| !is_output(path, &staging.files) && is_file_of(&staging.files, path))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let added = staging
        .command(cache, "add", Files::Read)
        .arguments(["--force", "--pathspec-from-file=-", "--pathspec-file-nul"])
        // A name may contain the characters of patterns (git(1)).
        .variable("GIT_LITERAL_PATHSPECS", "1")
        .input(joined(&wanted))
        .run()
        .await?;
    if added.code != 0 {
        let complaint = added.complaint();
        tracing::warn!(complaint, "git can't take the ignored files that the agent added");
    }
    Ok(())
}

/// Takes files out of the index that programs leave behind. A repository that has such files itself
/// gets more of them: a tool for patches may keep `.orig` files for its tests.
pub(super) async fn remove_leftovers(
    cache: &Cache,
    staging: &Staging,
    base: &CommitId,
) -> Result<(), WorkspaceError> {
    let listing = staging
        .command(cache, "diff-index", Files::Read)
        .arguments(ADDED_PATHS)
        .argument(base.as_str())
        .output()
        .await?;
    let mut found: Vec<(RepoPath, &str)> =
        paths(&listing).filter_map(|path| Some((path.clone(), leftover(&path)?))).collect();
    if found.is_empty() {
        return Ok(());
    }
    let of_base = cache.files_at(base).await?;
    let wanted: HashSet<&str> = of_base.iter().filter_map(leftover).collect();
    found.retain(|(_, kind)| !wanted.contains(kind));
    let found: Vec<RepoPath> = found.into_iter().map(|(path, _)| path).collect();
    staging
        .command(cache, "update-index", Files::Read)
        .arguments(["--force-remove", "-z", "--stdin"])
        .input(joined(&found))
        .output()
        .await
        .map(drop)
}

/// Returns what the last snapshot did not take.
pub(super) async fn left_out(cache: &Cache, staging: &Staging) -> Result<LeftOut, WorkspaceError> {
    let others = async |more: &[&str]| {
        let command = staging.command(cache, "ls-files", Files::Read);
        // With `--directory` a directory stands for all that is in it (git-ls-files(1)).
        let command = command.arguments(["-z", "--others", "--exclude-standard", "--directory"]);
        command.argument("--no-empty-directory").arguments(more).output().await
    };
    let ignored = others(&["--ignored"]).await?;
    let ignored = paths(&ignored).filter(|path| !is_output(path, &staging.files));
    let ignored: Vec<RepoPath> = ignored.take(MOST_PATHS).collect();
    let leftovers: Vec<RepoPath> = paths(&others(&[]).await?).take(MOST_PATHS).collect();
    let submodules = files_in_submodules(cache, staging).await?;
    let shown = |paths: Vec<RepoPath>| paths.iter().map(RepoPath::to_string).collect();
    Ok(LeftOut {
        leftovers: shown(leftovers),
        ignored: shown(ignored),
        submodules: shown(submodules),
    })
}

/// Returns the entries of the directories that are submodules. The worker checks no submodule out,
/// so whatever is in them is the agent's. git itself ignores it.
async fn files_in_submodules(
    cache: &Cache,
    staging: &Staging,
) -> Result<Vec<RepoPath>, WorkspaceError> {
    let command = staging.command(cache, "ls-files", Files::Read);
    let listing = command.arguments(["-z", "--stage"]).output().await?;
    // Each entry is `MODE BLANK ID BLANK STAGE TAB PATH` (git-ls-files(1), OUTPUT).
    let submodules = listing
        .split(|&byte| byte == 0)
        .filter(|entry| entry.starts_with(b"160000 "))
        .filter_map(|entry| entry.splitn(2, |&byte| byte == b'\t').nth(1));
    let mut found = Vec::new();
    for submodule in submodules {
        let path = RepoPath::new(submodule.to_vec());
        let Ok(entries) = fs::read_dir(staging.files.join(path.as_path())) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let end = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
            let name = [submodule, b"/", name.as_encoded_bytes(), end.as_bytes()].concat();
            found.push(RepoPath::new(name));
        }
    }
    found.sort();
    found.truncate(MOST_PATHS);
    Ok(found)
}

/// The arguments of `git diff-index` that list the paths which an index adds to a commit.
const ADDED_PATHS: &[&str] = &["--cached", "--no-renames", "--diff-filter=A", "--name-only", "-z"];

fn paths(listing: &[u8]) -> impl Iterator<Item = RepoPath> {
    let names = listing.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| RepoPath::new(name.to_vec()))
}

fn joined(paths: &[RepoPath]) -> Vec<u8> {
    paths.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect()
}

/// Returns the kind of a file that programs leave behind, or `None` for any other file.
fn leftover(path: &RepoPath) -> Option<&'static str> {
    let names: Vec<&[u8]> = path.parts().collect();
    let by_name = LEFTOVER_NAMES.iter().find(|known| {
        names.iter().any(|name| match known.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => *name == known.as_bytes(),
        })
    });
    let by_ending = LEFTOVER_ENDINGS.iter().find(|ending| {
        names
            .last()
            .is_some_and(|name| name.len() > ending.len() && name.ends_with(ending.as_bytes()))
    });
    by_name.or(by_ending).copied()
}

/// Returns whether an ignored file or directory is the output of a well-known tool.
///
/// Packages are installed beside the file that names them. A `node_modules` without a
/// `package.json` beside it is rather a fixture of a test.
fn is_output(path: &RepoPath, tree: &Path) -> bool {
    let names: Vec<&[u8]> = path.parts().filter(|name| !name.is_empty()).collect();
    let is_directory = |(depth, name): (usize, &&[u8])| {
        let is_known = OUTPUT_DIRECTORIES.iter().any(|known| *name == known.as_bytes());
        is_known && (**name != *b"node_modules" || has_manifest(tree, names.get(..depth)))
    };
    let ends =
        |name: &&&[u8]| OUTPUT_ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()));
    names.iter().enumerate().any(is_directory) || names.last().is_some_and(|name| ends(&name))
}

fn has_manifest(tree: &Path, directory: Option<&[&[u8]]>) -> bool {
    let directory = RepoPath::new(directory.unwrap_or_default().join(&b'/'));
    tree.join(directory.as_path()).join("package.json").exists()
}

/// Returns whether a path leads to a file or a link of the tree itself, not through a symbolic link
/// and not into a repository inside the tree.
fn is_file_of(tree: &Path, path: &RepoPath) -> bool {
    let mut here = tree.to_path_buf();
    let mut parts = path.as_path().components().peekable();
    while let Some(part) = parts.next() {
        let std::path::Component::Normal(name) = part else { return false };
        here.push(name);
        let Ok(metadata) = fs::symlink_metadata(&here) else { return false };
        let is_last = parts.peek().is_none();
        if is_last == metadata.is_dir() || (!is_last && metadata.is_symlink()) {
            return false;
        }
        if !is_last && here.join(".git").symlink_metadata().is_ok() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_known_by_their_names() {
        for (path, kind) in [
            ("src/a.rs.orig", Some(".orig")),
            ("a.rej", Some(".rej")),
            (".a.rs.swp", Some(".swp")),
            ("a.rs~", Some("~")),
            ("docs/.DS_Store", Some(".DS_Store")),
            ("web/coverage/lcov.info", Some("coverage")),
            (".aider.chat.history.md", Some(".aider.chat.history.md")),
            (".aider.tags.cache.v4/x", Some(".aider.tags.cache.*")),
            (".aider.conf.yml", None),
            ("coverage.py", None),
            ("original", None),
            ("~", None),
        ] {
            assert_eq!(leftover(&path.into()), kind, "{path}");
        }
    }

    #[test]
    fn the_output_of_tools_is_known_by_its_names() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("web")).unwrap();
        fs::write(tree.path().join("web/package.json"), "{}").unwrap();
        for path in
            ["target/", "a/__pycache__/", "a.pyc", "web/node_modules/", "build/x", "x.egg-info/"]
        {
            assert!(is_output(&path.into(), tree.path()), "{path}");
        }
        for path in ["lib/", "lib/calc.py", "data.csv", "test/fixtures/node_modules/", "targets/"] {
            assert!(!is_output(&path.into(), tree.path()), "{path}");
        }
    }
}
