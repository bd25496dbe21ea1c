//! What a pull request changes: the three-dot diff between its base and its head, as text and as a
//! list of files.

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
    /// The blob after the change; for a removed file the blob before it.
    pub(crate) blob: String,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    /// The hunks; `None` for a binary file, and for a file whose content did not change.
    pub(crate) patch: Option<String>,
}

/// Prints a diff in one form, whatever attributes and configuration a repository has.
const DIFF: [&str; 5] = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M"];

impl Git {
    /// The diff in the form of `application/vnd.github.diff`.
    pub(crate) fn diff(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Vec<u8>, GitError> {
        let base = self.diff_base(repository, base, head)?;
        self.run(repository, &[DIFF.as_slice(), &[&base, head]].concat())
    }

    /// The commit that a three-dot diff begins at. When a force-push replaced the head by an
    /// unrelated history, there is no common ancestor, and the diff begins at the base itself.
    fn diff_base(&self, repository: &Path, base: &str, head: &str) -> Result<String, GitError> {
        Ok(self.merge_base(repository, base, head)?.unwrap_or_else(|| base.to_owned()))
    }

    /// One mail for each commit, in the form of `application/vnd.github.patch`.
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

    /// The changed files by path. Their `patch` is filled in only `with_patches`.
    pub(crate) fn changed_files(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
        with_patches: bool,
    ) -> Result<Vec<ChangedFile>, GitError> {
        let base = self.diff_base(repository, base, head)?;
        let summary =
            [DIFF.as_slice(), &["--raw", "--numstat", "--no-abbrev", "-z", &base, head]].concat();
        let output = self.run(repository, &summary)?;
        let text = String::from_utf8_lossy(&output);
        let mut files = read_summary(&text).ok_or_else(|| GitError::Unreadable {
            command: "diff".to_owned(),
            output: text.clone().into_owned(),
        })?;
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

/// Reads the output of `--raw --numstat -z`: first come all raw records, then all counts. A renamed
/// file has two paths in both. `None` when the output has another form.
fn read_summary(text: &str) -> Option<Vec<ChangedFile>> {
    let mut fields = text.split_terminator('\0');
    let mut files = Vec::new();
    let mut counts = HashMap::new();
    while let Some(field) = fields.next() {
        if let Some(raw) = field.strip_prefix(':') {
            files.push(read_raw(raw, &mut fields)?);
        } else {
            let (added, rest) = field.split_once('\t')?;
            let (deleted, path) = rest.split_once('\t')?;
            // A renamed file leaves the path empty, and has the old and the new one after it.
            let path = if path.is_empty() { fields.nth(1)? } else { path };
            counts.insert(path, (count(added)?, count(deleted)?));
        }
    }
    for file in &mut files {
        (file.additions, file.deletions) = *counts.get(file.path.as_str())?;
    }
    Some(files)
}

/// Reads one raw record (git-diff(1), "Raw output format"), which begins with the two modes and the
/// two blobs. Its paths are the next of the `fields`.
fn read_raw<'a>(raw: &str, fields: &mut impl Iterator<Item = &'a str>) -> Option<ChangedFile> {
    let mut columns = raw.split(' ').skip(2);
    let (old, new, score) = (columns.next()?, columns.next()?, columns.next()?);
    let letter = score.chars().next()?;
    let first = fields.next()?.to_owned();
    let (path, previous_path) = match letter {
        'R' | 'C' => (fields.next()?.to_owned(), Some(first)),
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
    Some(ChangedFile { path, previous_path, status, blob, additions: 0, deletions: 0, patch: None })
}

/// Reads a count of lines. Git prints "-" for a binary file, which GitHub tells as 0.
fn count(text: &str) -> Option<u64> {
    if text == "-" { Some(0) } else { text.parse().ok() }
}

/// Cuts a diff into its files, in its order. A file without hunks is `None`.
///
/// Lines of content begin with a space, a `+`, a `-` or a `\`, so a line that begins with
/// `diff --git` is a header. A file that became a symbolic link has two sections with the same
/// header, a removal and an addition, and is one file nevertheless.
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
            ":100644 100644 {a} {b} M\0with\ttab\nand line\0\
             :000000 100644 {zero} {b} A\0日本.txt\0\
             :100644 100644 {a} {a} R100\0old name\0new name\0\
             :100644 000000 {a} {zero} D\0gone.bin\0\
             3\t1\twith\ttab\nand line\x002\t0\t日本.txt\x00\
             0\t0\t\0old name\0new name\0-\t-\tgone.bin\0"
        );
        let files = read_summary(&output).unwrap();
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
    fn a_summary_of_another_form_is_not_read() {
        assert_eq!(read_summary(""), Some(Vec::new()));
        let raw = format!(":100644 100644 {0} {0} M\0a\0", "a".repeat(40));
        for output in [raw.as_str(), &format!("{raw}1\t2\tb\0"), &format!("{raw}1\tx\ta\0"), "a\0"]
        {
            assert_eq!(read_summary(output), None, "{output:?}");
        }
    }

    #[test]
    fn hunks_belong_to_their_file() {
        let diff = "diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n\
                    @@ -1 +1 @@\n-diff --git\n+new\n\
                    diff --git a/y b/y\nBinary files differ\n";
        assert_eq!(hunks_by_file(diff), [Some("@@ -1 +1 @@\n-diff --git\n+new".to_owned()), None]);
    }
}
