//! Carries what one program changed in a tree over to another tree.
//!
//! A formatter runs in a tree in which the setup may have rewritten tracked files before. Only what
//! the formatter itself changed belongs to the change.

use super::Workspace;
use super::error::WorkspaceError;
use crate::git::TreeId;

impl Workspace {
    /// Returns `onto` with every path that differs between `before` and `after` as it is in
    /// `after`.
    ///
    /// # Errors
    /// One of the trees is not in the cache, or the disk can't store the new one.
    pub async fn graft(
        &self,
        onto: &TreeId,
        before: &TreeId,
        after: &TreeId,
    ) -> Result<TreeId, WorkspaceError> {
        if before == onto {
            return Ok(after.clone());
        }
        let cache = self.cache();
        let differences = cache
            .command("diff-tree")
            .arguments(["-r", "-z", "--raw", "--no-renames", "--no-abbrev"])
            .arguments([before.as_str(), after.as_str()])
            .output()
            .await?;
        let entries = index_entries(&differences).ok_or_else(|| {
            let answer = String::from_utf8_lossy(&differences).chars().take(200).collect();
            WorkspaceError::UnexpectedAnswer { command: "diff-tree", answer }
        })?;
        self.with_entries(onto, entries).await
    }

    /// Returns a tree with entries put into it, in a form that `git update-index --index-info`
    /// reads (git-update-index(1), "USING --INDEX-INFO").
    pub(super) async fn with_entries(
        &self,
        onto: &TreeId,
        entries: Vec<u8>,
    ) -> Result<TreeId, WorkspaceError> {
        let index = self.directory.join("graft.index");
        let in_index = |name| self.cache().command(name).variable("GIT_INDEX_FILE", &index);
        in_index("read-tree").argument(onto.as_str()).output().await?;
        let update = in_index("update-index").arguments(["-z", "--index-info"]);
        update.input(entries).output().await?;
        let name = in_index("write-tree").word().await?;
        name.parse()
            .map_err(|_| WorkspaceError::UnexpectedAnswer { command: "write-tree", answer: name })
    }
}

/// Makes of `:MODE MODE ID ID STATUS NUL PATH NUL` (git-diff-tree(1)) the lines `MODE ID TAB PATH
/// NUL`, in which the mode 0 removes a path (git-update-index(1), "USING --INDEX-INFO").
fn index_entries(differences: &[u8]) -> Option<Vec<u8>> {
    let mut fields = differences.split(|&byte| byte == 0).filter(|field| !field.is_empty());
    let mut entries = Vec::new();
    while let Some(header) = fields.next() {
        let header = std::str::from_utf8(header).ok()?;
        let mut parts = header.strip_prefix(':')?.split(' ');
        let (mode, id) = (parts.nth(1)?, parts.nth(1)?);
        let mode = if mode == "000000" { "0" } else { mode };
        entries.extend_from_slice(format!("{mode} {id}\t").as_bytes());
        entries.extend_from_slice(fields.next()?);
        entries.push(0);
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_an_added_and_a_removed_path_become_entries() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let differences = format!(
            ":100644 100755 {a} {b} M\0x y\0:000000 100644 {none} {a} A\0:new\0:100644 000000 {b} \
             {none} D\0old\0"
        );
        let expected = format!("100755 {b}\tx y\0100644 {a}\t:new\00 {none}\told\0");
        assert_eq!(index_entries(differences.as_bytes()), Some(expected.into_bytes()));
        assert_eq!(index_entries(b""), Some(Vec::new()));
        assert_eq!(index_entries(b"nonsense\0"), None);
    }
}
