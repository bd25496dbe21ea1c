//! Tests of what a snapshot takes from the agent's tree, and what it leaves out.

use std::os::unix::fs::symlink;

use super::*;
use crate::git::RepoPath;

impl World {
    /// The paths that the agent's tree changes, and what its snapshot leaves out.
    async fn taken(&self, workspace: &Workspace, base: &Base) -> (Vec<String>, LeftOut) {
        let (tree, left_out) = workspace.snapshot_of_agent().await.unwrap();
        let commit =
            workspace.commit(&tree, &base.commit, "change", &identity(), at(0)).await.unwrap();
        let changes = workspace.changes(&base.commit, &commit).await.unwrap();
        (changes.iter().map(|change| change.path.to_string()).collect(), left_out)
    }
}

fn named(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|&path| path.to_owned()).collect()
}

/// Makes a file of this many bytes that takes no space on the disk.
fn grow(path: &Path, size: u64) {
    fs::File::options().create(true).append(true).open(path).unwrap().set_len(size).unwrap();
}

#[tokio::test]
async fn only_files_that_the_agent_changed_may_not_be_large() {
    let world = World::with_files(&[(b"README.md", "x\n"), (b"model.dat", "x")]).await;
    // Random content can't be compressed, so a pack with the file would be as large as the file.
    let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(3 << 20).collect();
    fs::write(world.author().join("model.dat"), content).unwrap();
    world.author_pushes("a large file").await;
    let caches = Caches::new(world.git.clone(), &world.path().join("data")).accepting(1 << 20);
    let cache = caches.open(&"o/r".parse().unwrap()).await.unwrap();
    let base = cache.fetch(&world.remote()).await.unwrap();
    let workspace = cache.prepare(&world.path().join("run"), &base).await.unwrap();
    let tree = workspace.agent_tree();
    write(tree, b"README.md", "more\n");
    // A file whose time changed is still the same file.
    let large = fs::File::options().write(true).open(tree.join("model.dat")).unwrap();
    large.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(world.taken(&workspace, &base).await.0, ["README.md"]);

    grow(&tree.join("model.dat"), (3 << 20) + 1);
    let error = workspace.snapshot(Side::Agent).await.unwrap_err();
    assert!(error.is_about_the_files());
    let said = "model.dat has more than 1 MiB, and no larger file can be taken in: remove it";
    assert_eq!(error.to_string(), said);

    grow(&tree.join("new.dat"), (1 << 20) + 1);
    fs::remove_file(tree.join("model.dat")).unwrap();
    let error = workspace.snapshot(Side::Agent).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::LargeFile { .. }), "{error}");
    fs::remove_file(tree.join("new.dat")).unwrap();
    assert_eq!(world.taken(&workspace, &base).await.0, ["README.md", "model.dat"]);
}

#[tokio::test]
async fn a_new_ignored_file_is_named_unless_a_tool_made_it() {
    let ignored = "lib/\nbuild/\n*.pyc\n*.csv\n";
    let world = World::with_files(&[(b".gitignore", ignored), (b"README.md", "x\n")]).await;
    let (workspace, base) = world.workspace().await;
    for name in ["lib/calc.py", "build/x.o", "a.pyc", "data/d.csv", "README.md"] {
        write(workspace.agent_tree(), name.as_bytes(), "new\n");
    }
    let (taken, left_out) = world.taken(&workspace, &base).await;
    assert_eq!(taken, ["README.md"]);
    let expected = LeftOut { ignored: named(&["data/", "lib/"]), ..LeftOut::default() };
    assert_eq!(left_out, expected);
}

#[tokio::test]
async fn an_ignored_file_that_the_agent_committed_is_taken() {
    let world = World::with_files(&[(b".gitignore", "lib/\n*.csv\nbuild/\n")]).await;
    let (workspace, base) = world.workspace().await;
    let tree = workspace.agent_tree();
    let odd = ["lib/calc.py", "lib/*", ":(top)x.csv", "new\nline.csv", "日本.csv"];
    for name in odd.iter().chain(&["lib/other.py", "build/out"]) {
        write(tree, name.as_bytes(), "new\n");
    }
    for name in odd {
        run_git(tree, ["--literal-pathspecs", "add", "--force", name]).await;
    }
    run_git(tree, ["add", "--force", "build/out"]).await;
    run_git(tree, ["commit", "--quiet", "-m", "mine"]).await;
    write(tree, b"lib/calc.py", "newer\n");
    let (mut taken, left_out) = world.taken(&workspace, &base).await;
    taken.sort();
    let mut expected: Vec<String> =
        odd.iter().map(|name| RepoPath::from(*name).to_string()).collect();
    expected.sort();
    assert_eq!(taken, expected);
    assert_eq!(left_out.ignored, ["lib/other.py"]);
    // It stays a part of the change when the agent is called again.
    assert_eq!(world.taken(&workspace, &base).await.0.len(), odd.len());
}

#[tokio::test]
async fn an_index_that_an_agent_wrote_leads_nowhere_else() {
    let world = World::with_files(&[(b".gitignore", "lib/\n")]).await;
    let (workspace, base) = world.workspace().await;
    let tree = workspace.agent_tree();
    let outside = world.path().join("outside");
    write(&outside, b"secret.txt", "secret\n");
    write(tree, b"lib/a", "new\n");
    write(tree, b"lib/nested/f", "new\n");
    write(tree, b"lib/linked/secret.txt", "new\n");
    run_git(tree, ["add", "--force", "lib"]).await;
    fs::remove_dir_all(tree.join("lib/linked")).unwrap();
    symlink(&outside, tree.join("lib/linked")).unwrap();
    run_git(tree, ["init", "--quiet", "lib/nested"]).await;
    assert!(world.workspace_refuses_or_takes(&workspace, &base, &["lib/a"]).await);

    for content in ["not an index", "DIRC\0\0\0\u{2}\0\0\0\u{1}"] {
        fs::remove_dir_all(tree.join("lib/nested")).ok();
        write(tree, b".git/index", content);
        assert!(world.taken(&workspace, &base).await.0.contains(&"lib/a".to_owned()));
    }
    fs::remove_file(tree.join(".git/index")).unwrap();
    symlink("/dev/zero", tree.join(".git/index")).unwrap();
    workspace.snapshot(Side::Agent).await.unwrap();
}

impl World {
    /// Returns whether the tree is refused for a repository inside it, or exactly these paths are
    /// taken.
    async fn workspace_refuses_or_takes(
        &self,
        workspace: &Workspace,
        base: &Base,
        expected: &[&str],
    ) -> bool {
        match workspace.snapshot(Side::Agent).await {
            Err(error) => matches!(error, WorkspaceError::NestedRepository { .. }),
            Ok(_) => self.taken(workspace, base).await.0 == expected,
        }
    }
}

#[tokio::test]
async fn what_programs_leave_behind_is_left_out_and_named() {
    let world = World::with_files(&[(b"a.rs", "1\n")]).await;
    let (workspace, base) = world.workspace().await;
    let leftovers = [
        ".DS_Store",
        ".a.rs.swp",
        ".aider.chat.history.md",
        "a.rs.orig",
        "a.rs.rej",
        "coverage/index.html",
    ];
    for name in leftovers {
        write(workspace.agent_tree(), name.as_bytes(), "left\n");
    }
    write(workspace.agent_tree(), b"a.rs", "2\n");
    let (taken, left_out) = world.taken(&workspace, &base).await;
    assert_eq!(taken, ["a.rs"]);
    let expected = [&leftovers[..5], &["coverage/"]].concat();
    assert_eq!(left_out, LeftOut { leftovers: named(&expected), ..LeftOut::default() });
}

#[tokio::test]
async fn a_repository_that_has_such_files_gets_more_of_them() {
    let files: &[(&[u8], &str)] = &[(b"tests/a.orig", "1\n"), (b"coverage/__init__.py", "")];
    let world = World::with_files(files).await;
    let (workspace, base) = world.workspace().await;
    for name in ["tests/b.orig", "coverage/report.py", "c.rej", "tests/a.orig"] {
        write(workspace.agent_tree(), name.as_bytes(), "2\n");
    }
    let (taken, left_out) = world.taken(&workspace, &base).await;
    assert_eq!(taken, ["coverage/report.py", "tests/a.orig", "tests/b.orig"]);
    assert_eq!(left_out.leftovers, ["c.rej"]);
}

#[tokio::test]
async fn files_inside_a_submodule_are_named() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let cached = format!("160000,{},vendor/lib", "1".repeat(40));
    run_git(&world.author(), ["update-index", "--add", "--cacheinfo", &cached]).await;
    run_git(&world.author(), ["commit", "--quiet", "-m", "submodule"]).await;
    let upstream = world.upstream();
    run_git(&world.author(), ["push", "--quiet", upstream.to_str().unwrap(), "HEAD:trunk"]).await;
    let (workspace, base) = world.workspace().await;
    assert_eq!(world.taken(&workspace, &base).await, (vec![], LeftOut::default()));
    write(workspace.agent_tree(), b"vendor/lib/src/fix.c", "fix\n");
    write(workspace.agent_tree(), b"vendor/lib/README", "fix\n");
    let (taken, left_out) = world.taken(&workspace, &base).await;
    assert_eq!(taken, [""; 0]);
    assert_eq!(left_out.submodules, ["vendor/lib/README", "vendor/lib/src/"]);
}

#[tokio::test]
async fn a_text_in_the_wrong_encoding_is_told_with_its_name() {
    let attributes = "*.txt working-tree-encoding=UTF-16LE\n";
    let world = World::with_files(&[(b".gitattributes", attributes)]).await;
    let (workspace, _) = world.workspace().await;
    // A UTF-16 text has an even number of bytes.
    write(workspace.agent_tree(), b"notes.txt", "odd");
    let error = workspace.snapshot(Side::Agent).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::Encoding { .. }), "{error:?}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert!(error.is_about_the_files());
}

#[tokio::test]
async fn files_that_nobody_may_read_are_taken_and_replaced() {
    let world = World::with_files(&[(b"a", "1"), (b"d/b", "1"), (b"e/c", "1")]).await;
    let (workspace, base) = world.workspace().await;
    let set = |tree: &Path, path: &str, mode| {
        fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let tree = workspace.agent_tree();
    write(tree, b"d/b", "2");
    write(tree, b"e/new", "2");
    for (path, mode) in [("a", 0o000), ("d/b", 0o200), ("d", 0o000), ("e", 0o555), ("", 0o555)] {
        set(tree, path, mode);
    }
    let (taken, _) = world.taken(&workspace, &base).await;
    assert_eq!(taken, ["d/b", "e/new"]);

    let tree = workspace.check_tree();
    write(tree, b"left/by/a/check", "1");
    for (path, mode) in [("left/by/a", 0o555), ("left", 0o500), ("d", 0o555)] {
        set(tree, path, mode);
    }
    let snapshot = workspace.snapshot(Side::Agent).await.unwrap();
    workspace.checkout(Side::Checks, &snapshot).await.unwrap();
    assert_eq!(fs::read_to_string(tree.join("d/b")).unwrap(), "2");
    assert!(!tree.join("left").exists());
}

#[tokio::test]
async fn a_renamed_file_is_one_change() {
    let text: String = (0..50).map(|line| format!("line {line}\n")).collect();
    let world = World::with_files(&[(b"old/a", &text), (b"old/b", "b\n"), (b"c", "c\n")]).await;
    let (workspace, base) = world.workspace().await;
    let tree = workspace.agent_tree();
    fs::rename(tree.join("old"), tree.join("new\nname")).unwrap();
    write(tree, b"new\nname/a", &format!("{text}one more\n"));
    write(tree, b"c", "d\n");
    let snapshot = workspace.snapshot(Side::Agent).await.unwrap();
    let commit =
        workspace.commit(&snapshot, &base.commit, "change", &identity(), at(0)).await.unwrap();
    let changes = workspace.changes(&base.commit, &commit).await.unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            let from = change.renamed_from.as_ref().map(RepoPath::to_string);
            (change.path.to_string(), from, change.lines.unwrap().added, change.changes_content())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("c".to_owned(), None, 1, true),
            ("new\\nname/a".to_owned(), Some("old/a".to_owned()), 1, true),
            ("new\\nname/b".to_owned(), Some("old/b".to_owned()), 0, false),
        ]
    );
}

#[tokio::test]
async fn the_filter_of_a_path_is_the_one_of_its_attributes() {
    let attributes = "*.bin filter=lfs -text\nplain.bin !filter\nset.bin filter\n";
    let world = World::with_files(&[(b".gitattributes", attributes)]).await;
    let (workspace, base) = world.workspace().await;
    let paths = ["logo.bin", "plain.bin", "set.bin", "d/new\nline.bin", "a.txt"];
    let paths: Vec<RepoPath> = paths.iter().map(|&path| path.into()).collect();
    let lfs = Some("lfs".to_owned());
    let filters = workspace.filters(&base.commit, &paths).await.unwrap();
    assert_eq!(filters, [lfs.clone(), None, None, lfs.clone(), None]);
    assert_eq!(workspace.filters(&base.commit, &[]).await.unwrap(), []);

    // A file of attributes may be in any directory, and the agent's tree is what counts.
    let tree = workspace.agent_tree();
    fs::remove_file(tree.join(".gitattributes")).unwrap();
    for (expected, deed) in [(None, "removed"), (lfs, "added in a directory")] {
        let (tree, _) = workspace.snapshot_of_agent().await.unwrap();
        let commit = workspace.commit(&tree, &base.commit, deed, &identity(), at(0)).await.unwrap();
        let filters = workspace.filters(&commit, &paths).await.unwrap();
        assert_eq!(filters, [None, None, None, expected, None], "{deed}");
        write(workspace.agent_tree(), b"d/.gitattributes", "*.bin filter=lfs\n");
    }
}
