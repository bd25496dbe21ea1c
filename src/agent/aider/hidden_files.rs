//! Keeps the repository's own `.env` and `.aider*` out of Aider's sight during a call.
//!
//! Aider reads them from the root of the repository whatever its command line says: they could run
//! commands or send the request elsewhere. So they are moved out of the tree before a call and back
//! after it, and also when the call's future is dropped. The directory they wait in is the record
//! of a call under way: after a crash [`put_back`] finds it. What bears such a name after a call
//! and did not before is Aider's litter and removed, so that it is not snapshotted; a new `.env` is
//! the agent's work and stays.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::AgentError;

/// The directory in the scratch where the files wait.
const WAITING: &str = "aside";

/// The files of one tree that are out of sight until this is dropped.
pub(in crate::agent) struct HiddenFiles {
    tree: PathBuf,
    scratch: PathBuf,
    taken: bool,
}

impl HiddenFiles {
    pub(in crate::agent) fn take(tree: &Path, scratch: &Path) -> Result<Self, AgentError> {
        put_back(tree, scratch)?;
        let aside = Self { tree: tree.to_owned(), scratch: scratch.to_owned(), taken: true };
        aside.hide().map_err(|source| AgentError::HiddenFiles { tree: tree.to_owned(), source })?;
        Ok(aside)
    }

    pub(in crate::agent) fn put_back(mut self) -> Result<(), AgentError> {
        self.taken = false;
        put_back(&self.tree, &self.scratch)
    }

    fn hide(&self) -> io::Result<()> {
        let waiting = self.scratch.join(WAITING);
        fs::create_dir(&waiting)?;
        for name in entries(&self.tree)?.iter().filter(|name| is_hidden(name)) {
            fs::rename(self.tree.join(name), waiting.join(name))?;
        }
        Ok(())
    }
}

impl Drop for HiddenFiles {
    fn drop(&mut self) {
        if self.taken
            && let Err(error) = put_back(&self.tree, &self.scratch)
        {
            tracing::error!(%error, tree = %self.tree.display(), "files kept aside during the call are not back in the tree");
        }
    }
}

/// Puts back into the tree what a call took out of it; does nothing when no call was cut short.
///
/// To be called before a tree is snapshotted that a worker may have died over. Calling it twice
/// does no harm.
///
/// # Errors
/// When a file can't be moved or removed; what is not back yet is still aside.
pub fn put_back(tree: &Path, scratch: &Path) -> Result<(), AgentError> {
    restore(tree, &scratch.join(WAITING))
        .map_err(|source| AgentError::HiddenFiles { tree: tree.to_owned(), source })
}

fn restore(tree: &Path, waiting: &Path) -> io::Result<()> {
    if !waiting.try_exists()? {
        return Ok(());
    }
    for litter in entries(tree)?.iter().filter(|name| is_aiders(name)) {
        remove(&tree.join(litter))?;
    }
    for name in entries(waiting)? {
        remove(&tree.join(&name))?;
        fs::rename(waiting.join(&name), tree.join(&name))?;
    }
    fs::remove_dir(waiting)
}

/// Whether an entry at the root of a tree is kept from Aider.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    // A file system that does not tell letters' case apart finds `.ENV` as `.env`.
    name.eq_ignore_ascii_case(".env") || is_aiders(name)
}

fn is_aiders(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .get(..".aider".len())
        .is_some_and(|start| start.eq_ignore_ascii_case(b".aider"))
}

fn entries(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// Removes a file, a link (not what it leads to) or a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

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

    #[test]
    fn settings_are_out_of_sight_during_a_call_and_back_after_it() {
        let place = Place::new();
        let aside = HiddenFiles::take(&place.tree(), &place.scratch()).unwrap();
        assert_eq!(entries(&place.tree()).unwrap(), ["main.rs"]);
        aside.put_back().unwrap();
        place.check_whole();
    }

    #[test]
    fn they_come_back_when_the_call_is_dropped() {
        let place = Place::new();
        drop(HiddenFiles::take(&place.tree(), &place.scratch()).unwrap());
        place.check_whole();
    }

    #[test]
    fn they_come_back_after_a_crash_and_before_the_next_call() {
        let place = Place::new();
        std::mem::forget(HiddenFiles::take(&place.tree(), &place.scratch()).unwrap());
        put_back(&place.tree(), &place.scratch()).unwrap();
        place.check_whole();
        put_back(&place.tree(), &place.scratch()).unwrap();
        place.check_whole();

        std::mem::forget(HiddenFiles::take(&place.tree(), &place.scratch()).unwrap());
        HiddenFiles::take(&place.tree(), &place.scratch()).unwrap().put_back().unwrap();
        place.check_whole();
    }

    #[test]
    fn what_the_agent_put_in_their_place_gives_way_and_litter_goes() {
        let place = Place::new();
        let aside = HiddenFiles::take(&place.tree(), &place.scratch()).unwrap();
        fs::write(place.tree().join(".env"), "KEY=2").unwrap();
        fs::write(place.tree().join(".aider.chat.history.md"), "litter").unwrap();
        fs::create_dir(place.tree().join(".aider.tags.cache.v4")).unwrap();
        fs::create_dir(place.tree().join(".aiderignore")).unwrap();
        aside.put_back().unwrap();
        place.check_whole();
    }

    #[test]
    fn a_new_env_file_is_the_agents_work() {
        let place = Place::new();
        fs::remove_file(place.tree().join(".env")).unwrap();
        let aside = HiddenFiles::take(&place.tree(), &place.scratch()).unwrap();
        fs::write(place.tree().join(".env"), "NEW=1").unwrap();
        aside.put_back().unwrap();
        assert_eq!(fs::read_to_string(place.tree().join(".env")).unwrap(), "NEW=1");
    }
}
