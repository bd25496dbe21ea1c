//! What an agent leaves in its tree and a snapshot does not take: files that programs leave behind,
//! ignored files, and files inside submodules.
//!
//! Nothing of this vanishes without a word. The worker tells the reader of the pull request which
//! files were left out, except for the output of well-known tools.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::listing::Listing;
use super::staging::{Files, Snapshot, Staging};
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
    // The worker gave the agent an index of the base, which adds nothing to the base.
    if staging.has_given_index(&index).await {
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
/// gets more of them: a tool for patches may keep `.orig` files for its tests. Returns whether it
/// took any out.
pub(super) async fn remove_leftovers(
    cache: &Cache,
    staging: &Staging,
    base: &CommitId,
) -> Result<bool, WorkspaceError> {
    let listing = staging
        .command(cache, "diff-index", Files::Read)
        .arguments(ADDED_PATHS)
        .argument(base.as_str())
        .output()
        .await?;
    let mut found: Vec<(RepoPath, &str)> =
        paths(&listing).filter_map(|path| Some((path.clone(), leftover(&path)?))).collect();
    if found.is_empty() {
        return Ok(false);
    }
    let of_base = cache.files_at(base).await?;
    let wanted: HashSet<&str> = of_base.iter().filter_map(leftover).collect();
    found.retain(|(_, kind)| !wanted.contains(kind));
    let found: Vec<RepoPath> = found.into_iter().map(|(path, _)| path).collect();
    if found.is_empty() {
        return Ok(false);
    }
    let command = staging.command(cache, "update-index", Files::Read);
    let command = command.arguments(["--force-remove", "-z", "--stdin"]);
    command.input(joined(&found)).output().await?;
    Ok(true)
}

/// Returns what a snapshot did not take, right after it.
pub(super) async fn left_out(
    cache: &Cache,
    staging: &Staging,
    snapshot: &Snapshot,
) -> Result<LeftOut, WorkspaceError> {
    let Listing { files, submodules } = cache.listing(snapshot.tree.as_str()).await?;
    let others = async |more: &[&str]| {
        let command = staging.command(cache, "ls-files", Files::Read);
        // With `--directory` a directory stands for all that is in it (git-ls-files(1)).
        let command = command.arguments(["-z", "--others", "--exclude-standard", "--directory"]);
        command.argument("--no-empty-directory").arguments(more).output().await
    };
    // git need not be asked for the ignored files of a tree all of whose files were taken, nor for
    // the others when `add --all` has taken all that are not ignored.
    let (mut ignored, mut leftovers) = (Vec::new(), Vec::new());
    if !has_only(&staging.files, files).await {
        let listing = others(&["--ignored"]).await?;
        let made = paths(&listing).filter(|path| !is_output(path, &staging.files));
        ignored = made.take(MOST_PATHS).collect();
    }
    if snapshot.is_without_leftovers {
        leftovers = paths(&others(&[]).await?).take(MOST_PATHS).collect();
    }
    let submodules = files_in_submodules(&staging.files, &submodules);
    let shown = |paths: Vec<RepoPath>| paths.iter().map(RepoPath::to_string).collect();
    Ok(LeftOut {
        leftovers: shown(leftovers),
        ignored: shown(ignored),
        submodules: shown(submodules),
    })
}

/// Returns whether each file below `root` is one of these. Directories do not count, since git
/// stores none, and what can't be read counts as another file.
async fn has_only(root: &Path, files: Arc<[RepoPath]>) -> bool {
    let root = root.to_owned();
    let look = move || {
        let files: HashSet<&[u8]> = files.iter().map(RepoPath::as_bytes).collect();
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let entry = entry?;
                let path = directory.join(entry.file_name());
                if path == Path::new(".git") {
                    continue;
                } else if entry.file_type()?.is_dir() {
                    waiting.push(path);
                } else if !files.contains(path.as_os_str().as_bytes()) {
                    return Ok(false);
                }
            }
        }
        Ok::<_, io::Error>(true)
    };
    tokio::task::spawn_blocking(look).await.is_ok_and(|only| only.unwrap_or(false))
}

/// Returns the entries of the directories that are submodules. The worker checks no submodule out,
/// so whatever is in them is the agent's. git itself ignores it.
fn files_in_submodules(tree: &Path, submodules: &[RepoPath]) -> Vec<RepoPath> {
    let mut found = Vec::new();
    for submodule in submodules {
        let Ok(entries) = fs::read_dir(tree.join(submodule.as_path())) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let end = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
            let parts = [submodule.as_bytes(), b"/", name.as_encoded_bytes(), end.as_bytes()];
            found.push(RepoPath::new(parts.concat()));
        }
    }
    found.sort();
    found.truncate(MOST_PATHS);
    found
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
    let by_name = path.parts().filter_map(known_name).min();
    let by_ending = || path.parts().next_back().and_then(known_ending);
    by_name.map(|(_, known)| known).or_else(by_ending)
}

/// Returns whether a file may be one that programs leave behind because it, or a directory that it
/// is in, has this name.
pub(super) fn is_leftover_name(name: &[u8]) -> bool {
    known_name(name).is_some() || known_ending(name).is_some()
}

/// Returns the entry of [`LEFTOVER_NAMES`] for a name, with its position.
fn known_name(name: &[u8]) -> Option<(usize, &'static str)> {
    let is_of = |known: &str| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == known.as_bytes(),
    };
    LEFTOVER_NAMES.iter().copied().enumerate().find(|(_, known)| is_of(known))
}

fn known_ending(name: &[u8]) -> Option<&'static str> {
    let is_of = |ending: &&str| name.len() > ending.len() && name.ends_with(ending.as_bytes());
    LEFTOVER_ENDINGS.iter().copied().find(is_of)
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
