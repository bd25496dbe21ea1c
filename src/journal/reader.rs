//! A journal that is only read: by a command beside a worker, or where none runs any more.
//!
//! Reading makes no directory and brings nothing up to date. A journal that an older version left
//! is read as it is. SQLite itself may make its shared-memory file (`-shm`) and an empty log
//! (`-wal`) beside the database (<https://www.sqlite.org/wal.html>, "Read-Only Databases").

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::runs::{self, Selection};
use super::{BUSY_TIMEOUT, Database, Event, FILE_NAME, JournalError, RunId, RunRecord, schema};
use crate::task::{IssueNumber, RepoName, TaskKey};

/// The journal of a worker, for whoever only looks at it.
#[derive(Debug)]
pub struct JournalReader {
    database: Database,
    schema: usize,
}

impl JournalReader {
    /// Opens the journal below `data_dir` for reading; nothing when no worker ever ran there.
    ///
    /// # Errors
    /// This user may not read it, it is no journal, or a newer version of the program wrote it.
    pub async fn open(data_dir: &Path) -> Result<Option<Self>, JournalError> {
        let path = data_dir.join(FILE_NAME);
        match tokio::fs::metadata(&path).await {
            Ok(_) => {}
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::Inaccessible { path, source }),
        }
        let file = path.clone();
        let database = Database::start(move || open(file), |_| {}).await?;
        let schema = database.run(move |connection| schema::check(connection, &path)).await?;
        // A worker that starts for the first time has made the file, and nothing in it yet.
        Ok((schema > 0).then_some(Self { database, schema }))
    }

    /// One run; nothing when there is none of this number.
    ///
    /// # Errors
    /// The database can't be read; so for every function here.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRecord>, JournalError> {
        Ok(self.runs(Selection::Run(run)).await?.pop())
    }

    /// What the runs of a task ended with, oldest first.
    pub async fn attempts(&self, task: &TaskKey) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(Selection::Attempts(task.clone())).await
    }

    /// The runs whose message is the worker's, oldest first.
    pub async fn current(&self) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(Selection::Current).await
    }

    /// So many of the newest runs at the most, newest first.
    pub async fn newest(&self, most: u32) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(Selection::Newest(most)).await
    }

    /// All runs of an issue, oldest first.
    pub async fn of_issue(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<RunRecord>, JournalError> {
        let (repository, number) = (repository.to_string(), number.value());
        self.runs(Selection::Issue { repository, number }).await
    }

    /// The runs that began at this time or later, oldest first.
    pub async fn since(&self, then: Timestamp) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(Selection::Since(then)).await
    }

    /// What happened in a run, oldest first.
    pub async fn events(&self, run: RunId) -> Result<Vec<Event>, JournalError> {
        self.database.run(move |connection| Ok(runs::events(connection, run)?)).await
    }

    async fn runs(&self, selection: Selection) -> Result<Vec<RunRecord>, JournalError> {
        let schema = self.schema;
        self.database.run(move |connection| Ok(runs::select(connection, schema, &selection)?)).await
    }
}

fn open(path: PathBuf) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // SQLite opens its files with the first read.
        connection.query_one("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.map_err(|source| {
        if is_denied(&source) {
            JournalError::NotOurs { path, source }
        } else {
            JournalError::Open { path, source }
        }
    })
}

/// Whether this user may not read the database, or may not make the files that SQLite needs beside
/// it.
fn is_denied(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rusqlite::ffi;

    use super::*;
    use crate::errors;
    use crate::journal::Journal;

    #[test]
    fn only_what_another_user_could_do_is_told_as_denied() {
        let error = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for denied in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_READONLY_DIRECTORY, ffi::SQLITE_PERM] {
            assert!(is_denied(&error(denied)), "{denied}");
        }
        for other in [ffi::SQLITE_NOTADB, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR] {
            assert!(!is_denied(&error(other)), "{other}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_this_user_may_only_read_is_told_with_what_to_do() {
        if rustix::process::geteuid().is_root() {
            println!("passed over: root may write everywhere");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        drop(Journal::open(directory.path()).await.unwrap());
        let allow = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(directory.path(), permissions).unwrap();
        };
        allow(0o500);
        let denied = JournalReader::open(directory.path()).await.map(drop).unwrap_err();
        allow(0o000);
        let hidden = JournalReader::open(directory.path()).await.map(drop).unwrap_err();
        allow(0o700);
        assert!(JournalReader::open(directory.path()).await.unwrap().is_some());
        for error in [denied, hidden] {
            let told = errors::chain(&error);
            assert!(told.contains("as the user that runs the worker"), "{told}");
        }
    }
}
