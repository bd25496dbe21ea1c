//! Reads trees, lists of files and contents from the cache.

use std::sync::Arc;

use super::cache::Cache;
use super::error::WorkspaceError;
use super::listing::Listing;
use crate::git::{CommitId, ObjectId, RepoPath, TreeId};
use crate::language::Phrase;

impl Cache {
    /// Returns whether the cache has an object.
    pub(super) async fn has(&self, tree: &TreeId) -> Result<bool, WorkspaceError> {
        Ok(self.command("cat-file").arguments(["-e", tree.as_str()]).run().await?.code == 0)
    }

    /// Returns the tree of a commit. A commit whose tree equals the tree of its parent changes
    /// nothing.
    ///
    /// # Errors
    /// The commit is not in the cache.
    pub async fn tree_at(&self, commit: &CommitId) -> Result<TreeId, WorkspaceError> {
        let tree = self
            .command("rev-parse")
            .arguments(["--verify", "--quiet"])
            .argument(format!("{commit}^{{tree}}"))
            .word()
            .await?;
        tree.parse()
            .map_err(|_| WorkspaceError::UnexpectedAnswer { command: "rev-parse", answer: tree })
    }

    /// Returns the names of all files of a commit.
    ///
    /// # Errors
    /// The commit is not in the cache.
    pub async fn files_at(&self, commit: &CommitId) -> Result<Arc<[RepoPath]>, WorkspaceError> {
        Ok(self.listing(commit.as_str()).await?.files)
    }

    /// Returns the names of all files of a commit or tree.
    pub(super) async fn listing(&self, name: &str) -> Result<Listing, WorkspaceError> {
        if let Some(known) = self.listings().find(name) {
            return Ok(known);
        }
        let command = self.command("ls-tree").arguments(["-r", "-z", "--full-tree", name]);
        let listing = Listing::parse(&command.output().await?);
        self.listings().keep(name.to_owned(), listing.clone());
        Ok(listing)
    }

    /// Returns the content of a file of a commit, or `None` when the commit has no file at that
    /// path.
    ///
    /// # Errors
    /// [`WorkspaceError::TooLarge`] when the file has more than `limit` bytes.
    pub async fn file_at(
        &self,
        commit: &CommitId,
        path: &RepoPath,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, WorkspaceError> {
        let name = [commit.as_str().as_bytes(), b":", path.as_bytes()].concat();
        self.read_blob(name, path.to_string(), limit).await
    }

    /// Returns the content of a blob, or `None` when the cache has no such blob.
    ///
    /// # Errors
    /// [`WorkspaceError::TooLarge`] when the blob has more than `limit` bytes.
    pub async fn blob(
        &self,
        object: &ObjectId,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, WorkspaceError> {
        self.read_blob(object.as_str().as_bytes().to_vec(), object.to_string(), limit).await
    }

    /// Reads one blob through `git cat-file --batch`.
    ///
    /// The name goes in through standard input and ends with NUL because of `-z`: a path may
    /// contain a newline, which would otherwise end the name, or start with a dash. For a name that
    /// does not exist git prints `NAME missing` and still exits with 0 (git-cat-file(1), BATCH
    /// OUTPUT).
    async fn read_blob(
        &self,
        name: Vec<u8>,
        what: String,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, WorkspaceError> {
        // The limit also covers the header line, which may repeat the name, and the newline that
        // git adds after the content.
        let (before, after) =
            ("an object's header and its name".len() + 64 + name.len(), "\n".len());
        let answer = self
            .command("cat-file")
            .arguments(["--batch", "-z"])
            .input([name.as_slice(), b"\0"].concat())
            .output_limit(limit.saturating_add(before + after))
            .run()
            .await?;
        if answer.code != 0 {
            return Err(answer.into_error());
        }
        let Some(object) = parse_object(&answer.output) else {
            return Ok(None);
        };
        if answer.truncated || object.size > limit {
            return Err(WorkspaceError::TooLarge { what: Phrase::same(what), limit });
        }
        object.content.map(|content| Some(content.to_vec())).ok_or_else(|| {
            WorkspaceError::UnexpectedAnswer {
                command: "cat-file",
                answer: String::from_utf8_lossy(&answer.output).chars().take(200).collect(),
            }
        })
    }
}

/// One object as `git cat-file --batch` prints it: a line with its name, type and size, and then
/// its content (git-cat-file(1), BATCH OUTPUT).
struct BatchObject<'a> {
    size: usize,
    /// `None` when the output ended before the content did.
    content: Option<&'a [u8]>,
}

/// Parses the answer of `git cat-file --batch`. Returns `None` for a missing object and for an
/// object that is not a blob, such as a directory.
fn parse_object(answer: &[u8]) -> Option<BatchObject<'_>> {
    let end = answer.iter().position(|&byte| byte == b'\n')?;
    let (header, rest) = answer.split_at_checked(end)?;
    let mut words = std::str::from_utf8(header).ok()?.split(' ');
    let (Some(_), Some("blob"), Some(size), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let size = size.parse().ok()?;
    Some(BatchObject { size, content: rest.get(1..)?.get(..size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_from_a_batch() {
        let content = |answer: &'static [u8]| {
            parse_object(answer).map(|object| (object.size, object.content))
        };
        assert_eq!(content(b"0123abcd blob 5\na\nb\0c\n"), Some((5, Some(b"a\nb\0c".as_slice()))));
        assert_eq!(content(b"0123abcd blob 0\n\n"), Some((0, Some(b"".as_slice()))));
        assert_eq!(content(b"0123abcd blob 900\nhead"), Some((900, None)));
        assert_eq!(content(b"0123abcd tree 5\nabcde\n"), None);
        assert_eq!(content(b"abc:a file missing\n"), None);
        assert_eq!(content(b""), None);
    }
}
