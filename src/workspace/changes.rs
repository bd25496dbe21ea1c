//! Reads what a commit changes from `git diff-tree`.
//!
//! Apart from its calls of git this module is pure. Paths are bytes, and NUL separates them
//! everywhere: without `-z` git quotes a path that contains unusual bytes (git-diff-tree(1)). A
//! rename is one change that names both paths, because a person who moves 100 files has made 100
//! changes and not 200.

use std::collections::HashMap;

use super::cache::Cache;
use super::error::WorkspaceError;
use super::staging::{Files, Staging};
use crate::git::{Change, ChangeStatus, CommitId, LineCount, Mode, ObjectId, RepoPath, TreeEntry};

/// Linux and macOS allow no symbolic link with a target of this many bytes or more: the limit of
/// both, `PATH_MAX`, is at most 4096 and counts the NUL at the end (`path_resolution(7)`).
const LONGEST_LINK: u64 = 4096;

/// Returns every path that differs between two commits.
pub(super) async fn changes(
    cache: &Cache,
    base: &CommitId,
    commit: &CommitId,
) -> Result<Vec<Change>, WorkspaceError> {
    let mut changes = differences(cache, base.as_str(), commit.as_str()).await?;
    measure(cache, &mut changes).await?;
    read_links(cache, &mut changes).await?;
    Ok(changes)
}

/// Returns every path that differs between two commits or trees, without the sizes of files and the
/// targets of links.
pub(super) async fn differences(
    cache: &Cache,
    before: &str,
    after: &str,
) -> Result<Vec<Change>, WorkspaceError> {
    let answer = cache
        .command("diff-tree")
        .arguments([
            "-r",
            "-z",
            "--raw",
            "--numstat",
            "--find-renames",
            // Among more files than this, git only finds renames that leave the content as it is.
            "-l1000",
            // Attributes of a repository can name a program that converts or compares files. These
            // options keep git from running one.
            "--no-ext-diff",
            "--no-textconv",
            "--no-abbrev",
        ])
        .arguments([before, after])
        .output()
        .await?;
    parse(&answer).ok_or_else(|| unexpected("diff-tree", &answer))
}

/// Returns the filter that the attributes in a side's index give to each path. The index has the
/// files of `commit`. git prints `PATH NUL ATTRIBUTE NUL VALUE NUL` for every path
/// (git-check-attr(1), OUTPUT).
///
/// With `--cached` git reads the files `.gitattributes` in the index. Without one no path has an
/// attribute, because there are no others: the cache has no `info/attributes`, its home no
/// configuration, and the system's are off (gitattributes(5), DESCRIPTION).
pub(super) async fn filters(
    cache: &Cache,
    side: &Staging,
    commit: &CommitId,
    paths: &[RepoPath],
) -> Result<Vec<Option<String>>, WorkspaceError> {
    let has_attributes = cache.files_at(commit).await?.iter().any(is_attributes_file);
    if paths.is_empty() || !has_attributes {
        return Ok(vec![None; paths.len()]);
    }
    let question: Vec<u8> =
        paths.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
    let answer = side
        .command(cache, "check-attr", Files::Read)
        .arguments(["--cached", "--stdin", "-z", "filter"])
        .input(question)
        .output()
        .await?;
    let fields: Vec<&[u8]> = answer.split(|&byte| byte == 0).collect();
    let values = fields.chunks_exact(3).map(|field| match field {
        // The attribute has no text as its value, so it names no filter.
        [_, _, b"unspecified" | b"unset" | b"set"] => None,
        [_, _, name] => Some(String::from_utf8_lossy(name).into_owned()),
        _ => None,
    });
    let values: Vec<Option<String>> = values.collect();
    if values.len() == paths.len() { Ok(values) } else { Err(unexpected("check-attr", &answer)) }
}

/// Returns whether git may read attributes from a file. Some file systems do not tell the case of a
/// name apart.
fn is_attributes_file(path: &RepoPath) -> bool {
    path.parts().next_back().is_some_and(|name| name.eq_ignore_ascii_case(b".gitattributes"))
}

/// Sets the sizes of all changes with one call of `git cat-file --batch-check`, which reads one
/// object name from each line and prints one line for each.
async fn measure(cache: &Cache, changes: &mut [Change]) -> Result<(), WorkspaceError> {
    let blobs: Vec<&ObjectId> = changes.iter().filter_map(blob_after).collect();
    if blobs.is_empty() {
        return Ok(());
    }
    let question: String = blobs.iter().map(|blob| format!("{blob}\n")).collect();
    let answer = cache
        .command("cat-file")
        .argument("--batch-check=%(objectname) %(objectsize)")
        .input(question)
        .output()
        .await?;
    let answer =
        String::from_utf8(answer).map_err(|error| unexpected("cat-file", error.as_bytes()))?;
    let sizes: HashMap<&str, u64> = answer
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(id, size)| Some((id, size.parse().ok()?)))
        .collect();
    for change in changes {
        if let Some(blob) = blob_after(change) {
            let size = sizes.get(blob.as_str()).copied();
            change.size = size.ok_or_else(|| unexpected("cat-file", answer.as_bytes()))?;
        }
    }
    Ok(())
}

/// Reads the targets of symbolic links. git stores the target as the content of a blob, so the size
/// of the blob is the length of the target.
async fn read_links(cache: &Cache, changes: &mut [Change]) -> Result<(), WorkspaceError> {
    for change in changes {
        if let Some(TreeEntry { mode: Mode::Link, id }) = &change.after
            && change.size < LONGEST_LINK
            && let Ok(limit) = usize::try_from(change.size)
        {
            change.link_target = cache.blob(id, limit).await?;
        }
    }
    Ok(())
}

/// Returns the object whose size git can tell. The object of a submodule is a commit of another
/// repository, which the cache does not have.
fn blob_after(change: &Change) -> Option<&ObjectId> {
    change.after.as_ref().filter(|entry| entry.mode != Mode::Submodule).map(|entry| &entry.id)
}

fn unexpected(command: &'static str, answer: &[u8]) -> WorkspaceError {
    WorkspaceError::UnexpectedAnswer {
        command,
        answer: String::from_utf8_lossy(answer).chars().take(200).collect(),
    }
}

/// Parses the output of `--raw --numstat -z`. git first prints `:MODE MODE ID ID STATUS NUL PATH
/// NUL` for every path, and then `ADDED TAB DELETED TAB PATH NUL` for every path. In place of the
/// path a rename has `PATH NUL NEW-PATH` in the first list and `NUL PATH NUL NEW-PATH` in the
/// second (git-diff-tree(1), "OTHER DIFF FORMATS").
///
/// A path may start with a colon. The loop reads a header and its paths together, so it never takes
/// a path for a header. Returns `None` when any part is not understood.
fn parse(answer: &[u8]) -> Option<Vec<Change>> {
    let mut fields = answer.split(|&byte| byte == 0).filter(|field| !field.is_empty()).peekable();
    let mut changes = Vec::new();
    while let Some(header) = fields.next_if(|field| field.starts_with(b":")) {
        let mut change = parse_raw(header, fields.next()?)?;
        if change.status == ChangeStatus::Renamed {
            let to = RepoPath::new(fields.next()?.to_vec());
            change.renamed_from = Some(std::mem::replace(&mut change.path, to));
        }
        changes.push(change);
    }
    let mut lines = HashMap::new();
    while let Some(field) = fields.next() {
        let (path, counts) = parse_numstat(field)?;
        let path = if path.is_empty() { fields.nth(1)? } else { path };
        lines.insert(path, counts);
    }
    for change in &mut changes {
        // git prints no counts for a path whose content is the same, such as a change of the mode
        // only.
        change.lines = lines
            .get(change.path.as_bytes())
            .copied()
            .unwrap_or_else(|| Some(LineCount::default()));
    }
    Some(changes)
}

fn parse_raw(header: &[u8], path: &[u8]) -> Option<Change> {
    let mut words = std::str::from_utf8(header).ok()?.strip_prefix(':')?.split(' ');
    let (before_mode, after_mode) = (words.next()?, words.next()?);
    let (before_id, after_id) = (words.next()?, words.next()?);
    let status = match words.next()? {
        "A" => ChangeStatus::Added,
        "M" => ChangeStatus::Modified,
        "D" => ChangeStatus::Deleted,
        "T" => ChangeStatus::TypeChanged,
        // The number after the letter says how similar the contents are.
        renamed if renamed.starts_with('R') => ChangeStatus::Renamed,
        _ => return None,
    };
    Some(Change {
        path: RepoPath::new(path.to_vec()),
        renamed_from: None,
        status,
        before: parse_entry(before_mode, before_id)?,
        after: parse_entry(after_mode, after_id)?,
        lines: None,
        size: 0,
        link_target: None,
    })
}

/// Parses one mode and object of a raw line. The outer `Option` is `None` when the mode or the id
/// is unknown. The inner one is `None` when that side of the diff has no entry.
///
/// Old histories contain the mode 100664, which stands for an ordinary file.
fn parse_entry(mode: &str, id: &str) -> Option<Option<TreeEntry>> {
    let mode = match mode {
        "000000" => return Some(None),
        "100644" | "100664" => Mode::File,
        "100755" => Mode::Executable,
        "120000" => Mode::Link,
        "160000" => Mode::Submodule,
        _ => return None,
    };
    Some(Some(TreeEntry { mode, id: id.parse().ok()? }))
}

/// Parses one line of `--numstat`. git prints `-` in place of both counts for a binary file
/// (git-diff-tree(1), `--numstat`). A path may contain tabs, so only the first two separate fields.
fn parse_numstat(field: &[u8]) -> Option<(&[u8], Option<LineCount>)> {
    let mut parts = field.splitn(3, |&byte| byte == b'\t');
    let (added, deleted, path) = (parts.next()?, parts.next()?, parts.next()?);
    if added == b"-" && deleted == b"-" {
        return Some((path, None));
    }
    let count = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    Some((path, Some(LineCount { added: count(added)?, deleted: count(deleted)? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn check(raw: &[(&str, &[u8])], numstat: &[&[u8]]) -> Option<Vec<Change>> {
        let mut answer = Vec::new();
        for (header, path) in raw {
            answer.extend([header.as_bytes(), b"\0", path, b"\0"].concat());
        }
        for line in numstat {
            answer.extend([line, b"\0".as_slice()].concat());
        }
        parse(&answer)
    }

    #[test]
    fn a_path_may_be_any_bytes() {
        for path in [
            "a b".as_bytes(),
            b"new\nline",
            b"tab\there",
            b"\"quoted\"",
            "日本語".as_bytes(),
            b"\xff\xfe",
            b":colon",
            b"-\t-\tx",
        ] {
            let header = format!(":100644 100644 {ONE} {TWO} M");
            let changes = check(&[(&header, path)], &[&[b"3\t1\t", path].concat()]).unwrap();
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].path.as_bytes(), path);
            assert_eq!(changes[0].lines, Some(LineCount { added: 3, deleted: 1 }));
        }
    }

    #[test]
    fn every_kind_of_change_is_told_apart() {
        let headers = [
            format!(":000000 100755 {NONE} {ONE} A"),
            format!(":100644 000000 {ONE} {NONE} D"),
            format!(":100644 120000 {ONE} {TWO} T"),
            format!(":000000 160000 {NONE} {TWO} A"),
            format!(":100644 100755 {ONE} {ONE} M"),
        ];
        let paths = ["added", "deleted", "linked", "sub", "mode"];
        let raw: Vec<(&str, &[u8])> =
            headers.iter().map(String::as_str).zip(paths.map(str::as_bytes)).collect();
        let changes =
            check(&raw, &[b"2\t0\tadded", b"0\t7\tdeleted", b"1\t1\tlinked", b"1\t0\tsub"])
                .unwrap();
        let modes: Vec<_> =
            changes.iter().map(|change| change.after.as_ref().map(|entry| entry.mode)).collect();
        assert_eq!(
            modes,
            [
                Some(Mode::Executable),
                None,
                Some(Mode::Link),
                Some(Mode::Submodule),
                Some(Mode::Executable)
            ]
        );
        let statuses: Vec<_> = changes.iter().map(|change| change.status).collect();
        assert_eq!(
            statuses,
            [
                ChangeStatus::Added,
                ChangeStatus::Deleted,
                ChangeStatus::TypeChanged,
                ChangeStatus::Added,
                ChangeStatus::Modified
            ]
        );
        assert_eq!(changes[4].lines, Some(LineCount::default()));
        let lines = || changes.iter().filter_map(|change| change.lines);
        assert_eq!(changes.len(), 5);
        assert_eq!(lines().map(|lines| lines.added).sum::<u64>(), 4);
        assert_eq!(lines().map(|lines| lines.deleted).sum::<u64>(), 8);
    }

    #[test]
    fn a_rename_is_one_change_with_both_paths() {
        let header = format!(":100644 100644 {ONE} {TWO} R087");
        let raw = [(&*header, b"old\0new name".as_slice())];
        let changes = check(&raw, &[b"1\t2\t\0old\0new name", b"0\t0\tother"]).unwrap();
        let [change] = changes.as_slice() else { panic!("one change: {changes:?}") };
        assert_eq!(change.status, ChangeStatus::Renamed);
        assert_eq!(change.path, "new name".into());
        assert_eq!(change.renamed_from, Some("old".into()));
        assert_eq!(change.lines, Some(LineCount { added: 1, deleted: 2 }));
        assert_eq!(check(&[(&header, b"old")], &[]), None);
    }

    #[test]
    fn binary_content_has_no_lines() {
        let header = format!(":000000 100644 {NONE} {ONE} A");
        assert_eq!(check(&[(&header, b"x.png")], &[b"-\t-\tx.png"]).unwrap()[0].lines, None);
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        assert_eq!(check(&[(&format!(":100644 100644 {ONE} {TWO} U"), b"x")], &[]), None);
        assert_eq!(check(&[(&format!(":100644 040000 {ONE} {TWO} M"), b"x")], &[]), None);
        assert_eq!(check(&[(":100644 100644 abc def M", b"x")], &[]), None);
        assert_eq!(check(&[], &[b"1\tx"]), None);
        assert_eq!(check(&[], &[]), Some(Vec::new()));
    }
}
