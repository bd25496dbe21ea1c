//! Hides files of the repository from an agent during a call.
//!
//! Some CLIs read settings from the root of the repository whatever their command line says, and
//! those settings could run commands or send the requests to another server. The worker moves such
//! files out of the tree before a call and moves them back after it. The directory that holds them
//! in between also records that a call is under way: when the worker dies, the next call finds the
//! directory and restores the tree first. A call that is dropped restores the tree itself.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::AgentError;
use super::profile::HiddenNames;
use crate::disk::{open_up, remove_tree_blocking};

/// The directory in the scratch directory that holds the hidden files. Version 0.1.0 gave it this
/// name.
const WAITING: &str = "aside";

/// The hidden files of one tree.
#[must_use = "the files are out of sight until they are put back"]
pub(super) struct HiddenFiles {
    tree: PathBuf,
    scratch: PathBuf,
    names: HiddenNames,
    /// The files are out of the tree, and nobody has begun to put them back.
    taken: bool,
}

impl HiddenFiles {
    /// Moves the files that `names` selects out of the tree. When an earlier call was interrupted,
    /// the function first restores the files that it had moved.
    pub(super) async fn take(
        tree: &Path,
        scratch: &Path,
        names: HiddenNames,
    ) -> Result<Self, AgentError> {
        let scratch_dir = scratch.to_owned();
        let mut hidden = Self { tree: tree.to_owned(), scratch: scratch_dir, names, taken: false };
        let (tree, waiting) = (tree.to_owned(), scratch.join(WAITING));
        hidden
            .blocking(move || {
                restore(&tree, &waiting, names)?;
                hide(&tree, &waiting, names)
            })
            .await?;
        hidden.taken = true;
        Ok(hidden)
    }

    /// Restores the tree. The function removes the agent's litter, and every entry that the agent
    /// made under the name of a hidden file.
    pub(super) async fn put_back(mut self) -> Result<(), AgentError> {
        self.taken = false;
        let (tree, waiting) = (self.tree.clone(), self.scratch.join(WAITING));
        let names = self.names;
        self.blocking(move || restore(&tree, &waiting, names)).await
    }

    /// Runs `work` on a thread that may block, because the agent may have left a tree that takes
    /// long to remove.
    async fn blocking(
        &self,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), AgentError> {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|error| Err(error.into()));
        done.map_err(|source| AgentError::HiddenFiles { tree: self.tree.clone(), source })
    }
}

/// A call that is dropped restores the tree before anything else happens to it.
impl Drop for HiddenFiles {
    fn drop(&mut self) {
        if !self.taken {
            return;
        }
        let restore = || restore(&self.tree, &self.scratch.join(WAITING), self.names);
        // A removal may take long. `block_in_place` gives the other tasks of this thread to
        // another thread; a runtime with one thread has no other.
        let restored = match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(restore),
            Ok(_) | Err(_) => restore(),
        };
        if let Err(error) = restored {
            let tree = self.tree.display();
            tracing::error!(%error, %tree, "the worker could not put hidden files back");
        }
    }
}

fn hide(tree: &Path, waiting: &Path, names: HiddenNames) -> io::Result<()> {
    // An earlier call may have left a root in which nothing can be renamed.
    open_up(tree)?;
    fs::create_dir(waiting)?;
    for name in entries(tree)?.iter().filter(|name| (names.is_hidden)(name)) {
        fs::rename(tree.join(name), waiting.join(name))?;
    }
    Ok(())
}

/// Moves the hidden files back. The function may be interrupted and repeated at any point, because
/// a file that is not back yet is still in the directory `waiting`. rename(2) moves each file in
/// one step, so a file is always in exactly one of the two places.
fn restore(tree: &Path, waiting: &Path, names: HiddenNames) -> io::Result<()> {
    if !waiting.try_exists()? {
        return Ok(());
    }
    open_up(tree)?;
    for litter in entries(tree)?.iter().filter(|name| (names.is_litter)(name)) {
        remove(&tree.join(litter))?;
    }
    for name in entries(waiting)? {
        remove(&tree.join(&name))?;
        fs::rename(waiting.join(&name), tree.join(&name))?;
    }
    fs::remove_dir(waiting)
}

fn entries(directory: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// Removes a file, a symbolic link itself, or a directory. A path that does not exist is not an
/// error.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => remove_tree_blocking(path),
        Ok(_) => fs::remove_file(path),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    use super::*;

    const NAMES: HiddenNames = HiddenNames { is_hidden, is_litter };

    fn is_hidden(name: &OsStr) -> bool {
        name == ".env" || is_litter(name)
    }

    fn is_litter(name: &OsStr) -> bool {
        name.to_string_lossy().to_ascii_lowercase().starts_with(".aider")
    }

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { directory: tempfile::tempdir().unwrap() };
            fs::create_dir(place.tree()).unwrap();
            fs::create_dir(place.scratch()).unwrap();
            for (name, content) in
                [(".env", "KEY=1"), (".aider.conf.yml", "lint-cmd: evil"), ("main.rs", "")]
            {
                fs::write(place.tree().join(name), content).unwrap();
            }
            fs::create_dir(place.tree().join(".Aider.d")).unwrap();
            fs::write(place.tree().join(".Aider.d/x"), "x").unwrap();
            symlink("main.rs", place.tree().join(".aiderignore")).unwrap();
            place
        }

        async fn hide(&self) -> HiddenFiles {
            HiddenFiles::take(&self.tree(), &self.scratch(), NAMES).await.unwrap()
        }

        fn tree(&self) -> PathBuf {
            self.directory.path().join("tree")
        }

        fn scratch(&self) -> PathBuf {
            self.directory.path().join("scratch")
        }

        fn check_whole(&self) {
            let mut names = entries(&self.tree()).unwrap();
            names.sort();
            assert_eq!(names, [".Aider.d", ".aider.conf.yml", ".aiderignore", ".env", "main.rs"]);
            assert_eq!(fs::read_to_string(self.tree().join(".env")).unwrap(), "KEY=1");
            assert_eq!(
                fs::read_link(self.tree().join(".aiderignore")).unwrap(),
                Path::new("main.rs")
            );
            assert_eq!(entries(&self.scratch()).unwrap().len(), 0);
        }
    }

    #[tokio::test]
    async fn settings_are_out_of_sight_during_a_call_and_back_after_it() {
        let place = Place::new();
        let hidden = place.hide().await;
        assert_eq!(entries(&place.tree()).unwrap(), ["main.rs"]);
        hidden.put_back().await.unwrap();
        place.check_whole();
    }

    #[tokio::test]
    async fn files_come_back_when_the_call_is_dropped() {
        let place = Place::new();
        drop(place.hide().await);
        place.check_whole();
    }

    #[tokio::test]
    async fn a_restore_may_be_repeated() {
        let place = Place::new();
        let (tree, waiting) = (place.tree(), place.scratch().join(WAITING));
        std::mem::forget(place.hide().await);
        for _ in 0..2 {
            restore(&tree, &waiting, NAMES).unwrap();
            place.check_whole();
        }
    }

    #[tokio::test]
    async fn what_the_agent_put_in_their_place_gives_way_and_litter_goes() {
        let place = Place::new();
        let hidden = place.hide().await;
        fs::write(place.tree().join(".env"), "KEY=2").unwrap();
        fs::write(place.tree().join(".aider.chat.history.md"), "litter").unwrap();
        fs::create_dir(place.tree().join(".aider.tags.cache.v4")).unwrap();
        fs::create_dir(place.tree().join(".aiderignore")).unwrap();
        hidden.put_back().await.unwrap();
        place.check_whole();
    }

    #[tokio::test]
    async fn a_new_env_file_is_the_agents_work() {
        let place = Place::new();
        fs::remove_file(place.tree().join(".env")).unwrap();
        let hidden = place.hide().await;
        fs::write(place.tree().join(".env"), "NEW=1").unwrap();
        hidden.put_back().await.unwrap();
        assert_eq!(fs::read_to_string(place.tree().join(".env")).unwrap(), "NEW=1");
    }
}
