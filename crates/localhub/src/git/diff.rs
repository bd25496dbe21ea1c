//! What a pull request changes: the three-dot diff between its base and its head, as text and file
//! by file.

use std::collections::HashMap;
use std::path::Path;

use super::{Git, GitError};

/// One file of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedFile {
    pub(crate) path: String,
    pub(crate) previous_path: Option<String>,
    /// GitHub's word: added, removed, modified, renamed, copied or changed.
    pub(crate) status: &'static str,
    /// The blob after the change, or before it when the file is gone.
    pub(crate) blob: String,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    /// The hunks; `None` for a binary file or one whose content did not change.
    pub(crate) patch: Option<String>,
}

/// What a diff looks like, whatever the repository's attributes ask for.
const DIFF: [&str; 5] = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M"];

impl Git {
    /// The diff as `application/vnd.github.diff` has it.
    pub(crate) fn diff(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Vec<u8>, GitError> {
        let base = self.common(repository, base, head)?;
        self.run(repository, &[DIFF.as_slice(), &[&base, head]].concat())
    }

    /// Where a three-dot diff begins; for a head that was replaced by an unrelated history, the
    /// base itself.
    fn common(&self, repository: &Path, base: &str, head: &str) -> Result<String, GitError> {
        Ok(self.merge_base(repository, base, head)?.unwrap_or_else(|| base.to_owned()))
    }

    /// One mail a commit, as `application/vnd.github.patch` has it.
    pub(crate) fn patch(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Vec<u8>, GitError> {
        self.run(
            repository,
            &[
                "format-patch",
                "--stdout",
                "--no-ext-diff",
                "--no-textconv",
                "--no-signature",
                &format!("{base}..{head}"),
            ],
        )
    }

    /// The changed files in path order; without `patch` texts when only the counts matter.
    pub(crate) fn changed_files(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
        with_patches: bool,
    ) -> Result<Vec<ChangedFile>, GitError> {
        let base = self.common(repository, base, head)?;
        let summary =
            [DIFF.as_slice(), &["--raw", "--numstat", "--no-abbrev", "-z", &base, head]].concat();
        let mut files = read_summary(&self.run(repository, &summary)?);
        if with_patches {
            let text = self.diff(repository, &base, head)?;
            for (file, patch) in
                files.iter_mut().zip(hunks_by_file(&String::from_utf8_lossy(&text)))
            {
                file.patch = patch;
            }
        }
        Ok(files)
    }
}

/// Reads `--raw --numstat -z`: all raw records come first, then all counts; a rename has two paths
/// in both.
fn read_summary(output: &[u8]) -> Vec<ChangedFile> {
    let text = String::from_utf8_lossy(output);
    let mut fields = text.split('\0');
    let mut files = Vec::new();
    let mut counts = HashMap::new();
    while let Some(field) = fields.next() {
        if let Some(raw) = field.strip_prefix(':') {
            let mut columns = raw.split(' ').skip(2);
            let (old, new) =
                (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            let letter = columns.next().and_then(|status| status.chars().next()).unwrap_or('M');
            let first = fields.next().unwrap_or_default().to_owned();
            let (path, previous_path) = match letter {
                'R' | 'C' => (fields.next().unwrap_or_default().to_owned(), Some(first)),
                _ => (first, None),
            };
            let status = match letter {
                'A' => "added",
                'D' => "removed",
                'R' => "renamed",
                'C' => "copied",
                'T' => "changed",
                _ => "modified",
            };
            let blob = if letter == 'D' { old } else { new }.to_owned();
            files.push(ChangedFile {
                path,
                previous_path,
                status,
                blob,
                additions: 0,
                deletions: 0,
                patch: None,
            });
        } else if let Some((added, rest)) = field.split_once('\t') {
            let (deleted, path) = rest.split_once('\t').unwrap_or((rest, ""));
            let path = if path.is_empty() { fields.nth(1).unwrap_or_default() } else { path };
            // A binary file counts as "-", which GitHub shows as 0.
            counts.insert(
                path.to_owned(),
                (added.parse().unwrap_or(0), deleted.parse().unwrap_or(0)),
            );
        }
    }
    for file in &mut files {
        (file.additions, file.deletions) = counts.get(&file.path).copied().unwrap_or((0, 0));
    }
    files
}

/// Cuts a diff into files, in its order; each is `None` when it has no hunks. A line of content
/// never starts with `diff`.
///
/// A file that became a symbolic link is two sections under one header, a removal and an addition,
/// and still one file.
fn hunks_by_file(diff: &str) -> Vec<Option<String>> {
    let mut files: Vec<Option<String>> = Vec::new();
    let mut header = "";
    for line in diff.split_inclusive('\n') {
        if line.starts_with("diff --git ") {
            if line != header {
                files.push(None);
            }
            header = line;
        } else if let Some(file) = files.last_mut() {
            match file {
                Some(hunks) => hunks.push_str(line),
                None if line.starts_with("@@ ") => *file = Some(line.to_owned()),
                None => {}
            }
        }
    }
    for hunks in files.iter_mut().flatten() {
        hunks.truncate(hunks.trim_end_matches('\n').len());
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read_whatever_the_paths_hold() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let zero = "0".repeat(40);
        let output = format!(
            ":100644 100644 {a} {b} M\0with\ttab\nand line\0:000000 100644 {zero} {b} A\0日本.txt\0\
             :100644 100644 {a} {a} R100\0old name\0new name\0:100644 000000 {a} {zero} D\0gone.bin\0\
             3\t1\twith\ttab\nand line\x002\t0\t日本.txt\x000\t0\t\0old name\0new name\0-\t-\tgone.bin\0"
        );
        let files = read_summary(output.as_bytes());
        let seen: Vec<_> = files
            .iter()
            .map(|f| {
                (f.path.as_str(), f.status, f.additions, f.deletions, f.previous_path.as_deref())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("with\ttab\nand line", "modified", 3, 1, None),
                ("日本.txt", "added", 2, 0, None),
                ("new name", "renamed", 0, 0, Some("old name")),
                ("gone.bin", "removed", 0, 0, None),
            ]
        );
        assert_eq!(files[3].blob, a);
    }

    #[test]
    fn hunks_belong_to_their_file() {
        let diff = "diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-diff --git\n+new\n\
                    diff --git a/y b/y\nBinary files differ\n";
        assert_eq!(hunks_by_file(diff), [Some("@@ -1 +1 @@\n-diff --git\n+new".to_owned()), None]);
    }
}
