//! Tests of the snapshot of a tree that an agent could change.

use std::os::unix::fs::symlink;

use super::*;
use crate::git::{ChangeStatus, LineCount, Mode, RepoPath};

/// Returns whether an error refuses the repository at this path of a tree.
fn is_nested(error: &WorkspaceError, at: &[u8]) -> bool {
    matches!(error, WorkspaceError::NestedRepository { path } if path.as_bytes() == at)
}

/// Names that break a program which reads lines, words or text. macOS does not accept the last
/// name.
fn odd_names() -> Vec<&'static [u8]> {
    let mut names: Vec<&[u8]> = vec![
        b"with blanks/a b.txt",
        b"quote\"s 'and' \\ back",
        b"new\nline",
        b"tab\there",
        "日本語/ファイル.txt".as_bytes(),
        b"-rf",
        b":(top)magic",
        b"*",
        b"#comment",
    ];
    if cfg!(target_os = "linux") {
        names.push(b"not \xff\xfe UTF-8");
    }
    names
}

impl World {
    async fn commit(&self, workspace: &Workspace, base: &Base) -> CommitId {
        let tree = workspace.snapshot(Side::Agent).await.unwrap();
        workspace
            .commit(&tree, &base.commit, "change", &identity(), at(1_000_000_000))
            .await
            .unwrap()
    }

    async fn changes(&self, workspace: &Workspace, base: &Base) -> Vec<Change> {
        let commit = self.commit(workspace, base).await;
        workspace.changes(&base.commit, &commit).await.unwrap()
    }
}

fn paths(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| change.path.to_string()).collect()
}

#[tokio::test]
async fn a_tree_that_was_not_changed_is_the_base_s() {
    let world = World::with_files(&[(b"a", "1"), (b"d/b", "2")]).await;
    let (workspace, base) = world.workspace().await;
    for side in [Side::Agent, Side::Checks] {
        assert_eq!(
            workspace.snapshot(side).await.unwrap(),
            workspace.cache().tree_at(&base.commit).await.unwrap()
        );
    }
}

#[tokio::test]
async fn any_file_name_is_added_changed_and_deleted() {
    let names = odd_names();
    let base_files: Vec<(&[u8], &str)> = names.iter().map(|&name| (name, "old\n")).collect();
    let world = World::with_files(&base_files).await;
    let (workspace, base) = world.workspace().await;
    let mut listed = workspace.cache().files_at(&base.commit).await.unwrap().to_vec();
    listed.sort();
    let mut expected: Vec<RepoPath> =
        names.iter().map(|name| RepoPath::new(name.to_vec())).collect();
    expected.sort();
    assert_eq!(listed, expected);

    let (changed, deleted) = names.split_at(names.len() / 2);
    for name in changed {
        write(workspace.agent_tree(), name, "old\nnew\n");
    }
    for name in deleted {
        fs::remove_file(workspace.agent_tree().join(OsStr::from_bytes(name))).unwrap();
    }
    for name in &names {
        write(workspace.agent_tree(), &[b"added/", *name].concat(), "added\n");
    }
    let commit = world.commit(&workspace, &base).await;
    let changes = workspace.changes(&base.commit, &commit).await.unwrap();
    let with = |status: ChangeStatus| {
        let mut paths: Vec<Vec<u8>> = changes
            .iter()
            .filter(|change| change.status == status)
            .map(|change| change.path.as_bytes().to_vec())
            .collect();
        paths.sort();
        paths
    };
    let sorted = |names: &[&[u8]], prefix: &[u8]| {
        let mut names: Vec<Vec<u8>> = names.iter().map(|name| [prefix, *name].concat()).collect();
        names.sort();
        names
    };
    assert_eq!(with(ChangeStatus::Modified), sorted(changed, b""));
    assert_eq!(with(ChangeStatus::Deleted), sorted(deleted, b""));
    assert_eq!(with(ChangeStatus::Added), sorted(&names, b"added/"));
    let lines: Vec<LineCount> = changes.iter().filter_map(|change| change.lines).collect();
    let insertions = lines.iter().map(|lines| lines.added).sum::<u64>();
    let deletions = lines.iter().map(|lines| lines.deleted).sum::<u64>();
    assert_eq!(changes.len(), 2 * names.len());
    assert_eq!(insertions, (changed.len() + names.len()) as u64);
    assert_eq!(deletions, deleted.len() as u64);

    workspace
        .checkout(Side::Checks, &workspace.cache().tree_at(&commit).await.unwrap())
        .await
        .unwrap();
    for name in changed {
        assert_eq!(
            fs::read_to_string(workspace.check_tree().join(OsStr::from_bytes(name))).unwrap(),
            "old\nnew\n"
        );
    }
    for name in deleted {
        assert!(!workspace.check_tree().join(OsStr::from_bytes(name)).exists());
    }
}

#[tokio::test]
async fn what_an_agent_does_to_its_own_repository_does_not_matter() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, _) = world.workspace().await;
    write(workspace.agent_tree(), b"a", "2");
    write(workspace.agent_tree(), b"new", "3");
    let expected = workspace.snapshot(Side::Agent).await.unwrap();

    let tree = workspace.agent_tree().to_owned();
    let git_dir = tree.join(".git");
    let fired = world.path().join("fired");
    let check = async |deed: &str| {
        // The changed content makes git read the file again for the worker's index.
        write(&tree, b"a", "2");
        assert_eq!(workspace.snapshot(Side::Agent).await.unwrap(), expected, "{deed}");
        assert!(!fired.exists(), "{deed}");
    };

    run_git(&tree, ["add", "--all"]).await;
    run_git(&tree, ["commit", "--quiet", "-m", "mine"]).await;
    run_git(&tree, ["checkout", "--quiet", "-b", "elsewhere"]).await;
    check("committed by itself").await;

    write(&git_dir, b"info/exclude", "*\n");
    check("ignored everything").await;

    let program = world.path().join("program");
    fs::write(&program, format!("#!/bin/sh\ntouch '{}'\ncat\n", fired.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for key in ["core.fsmonitor", "filter.x.clean"] {
        run_git(&tree, ["config", key, program.to_str().unwrap()]).await;
    }
    write(&git_dir, b"info/attributes", "* filter=x\n");
    check("configured programs").await;
    try_git(&tree, ["status"]).await;
    assert!(fired.exists(), "git that trusts this repository does run them");
    fs::remove_file(&fired).unwrap();

    write(&git_dir, b"index.lock", "");
    check("held the lock").await;

    fs::remove_dir_all(&git_dir).unwrap();
    fs::write(&git_dir, "gitdir: /nowhere\n").unwrap();
    check("made it a file").await;

    fs::remove_file(&git_dir).unwrap();
    symlink("/", &git_dir).unwrap();
    check("made it a link").await;

    fs::remove_file(&git_dir).unwrap();
    check("deleted it").await;
}

#[tokio::test]
async fn a_nested_repository_is_refused_before_its_filters_run() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, _) = world.workspace().await;
    let nested = workspace.agent_tree().join("sub");
    run_git(world.path(), [OsStr::new("init"), OsStr::new("--quiet"), nested.as_os_str()]).await;
    write(&nested, b"f", "1");
    write(&nested, b".gitattributes", "* filter=x\n");
    run_git(&nested, ["add", "--all"]).await;
    run_git(&nested, ["commit", "--quiet", "-m", "x"]).await;
    let fired = world.path().join("fired");
    run_git(&nested, ["config", "filter.x.clean", &format!("touch '{}'; cat", fired.display())])
        .await;
    write(&nested, b"f", "2");

    for _ in 0..2 {
        let error = workspace.snapshot(Side::Agent).await.unwrap_err();
        assert!(is_nested(&error, b"sub/.git"), "{error:?}");
    }
    assert!(!fired.exists());

    // The positive control without the refusal: the first `add` stores a gitlink, and the second
    // one runs the filter.
    let index = world.path().join("control.index");
    for content in ["3", "44"] {
        write(&nested, b"f", content);
        let command = world.git.in_repository(workspace.cache().directory(), "add");
        let command = command
            .variable("GIT_WORK_TREE", workspace.agent_tree())
            .variable("GIT_INDEX_FILE", &index);
        command.argument("--all").output().await.unwrap();
    }
    assert!(fired.exists(), "the attack works on git alone");
}

#[tokio::test]
async fn every_spelling_of_a_nested_repository_is_refused() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, _) = world.workspace().await;
    for name in [
        "sub/.git",
        "sub/.GIT",
        "sub/git~1",
        "sub/.g\u{200c}it",
        "sub/.git ",
        "deep/er/.Git",
        ".GIT",
        "GIT~1",
    ] {
        let path = workspace.agent_tree().join(name);
        for kind in ["directory", "file", "link"] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match kind {
                "directory" => fs::create_dir(&path).unwrap(),
                "file" => fs::write(&path, "gitdir: ../.git").unwrap(),
                _ => symlink("/", &path).unwrap(),
            }
            let error = workspace.snapshot(Side::Agent).await.unwrap_err();
            assert!(is_nested(&error, name.as_bytes()), "{name} {kind}: {error}");
            if kind == "directory" {
                fs::remove_dir(&path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
    }
    workspace.snapshot(Side::Agent).await.unwrap();
}

#[tokio::test]
async fn a_repository_in_an_ignored_directory_is_passed_over_unless_something_there_is_tracked() {
    let world = World::with_files(&[(b".gitignore", "deps/\n"), (b"deps/kept/f", "1")]).await;
    let (workspace, base) = world.workspace().await;
    let unchanged = workspace.cache().tree_at(&base.commit).await.unwrap();
    for side in [Side::Agent, Side::Checks] {
        let tree = workspace.side(side).files.clone();
        for odd in ["deps/other", "deps/new\nline", "deps/:(top)x"] {
            run_git(&tree, ["init", "--quiet", odd]).await;
            write(&tree, format!("{odd}/f").as_bytes(), "1");
        }
        assert_eq!(workspace.snapshot(side).await.unwrap(), unchanged);

        run_git(&tree, ["init", "--quiet", "deps/kept"]).await;
        let error = workspace.snapshot(side).await.unwrap_err();
        assert!(is_nested(&error, b"deps/kept/.git"), "{error:?}");
    }
}

#[tokio::test]
async fn a_submodule_of_the_base_stays_as_it_is_and_may_not_be_filled() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let id = run_git(&world.author(), ["rev-parse", "HEAD"]).await;
    let cached = format!("160000,{},sub", id.trim());
    run_git(&world.author(), ["update-index", "--add", "--cacheinfo", &cached]).await;
    run_git(&world.author(), ["commit", "--quiet", "-m", "submodule"]).await;
    let upstream = world.upstream();
    run_git(&world.author(), ["push", "--quiet", upstream.to_str().unwrap(), "HEAD:trunk"]).await;

    let (workspace, base) = world.workspace().await;
    write(workspace.agent_tree(), b"b", "2");
    assert_eq!(paths(&world.changes(&workspace, &base).await), ["b"]);
    run_git(workspace.agent_tree(), ["init", "--quiet", "sub"]).await;
    let error = workspace.snapshot(Side::Agent).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::NestedRepository { .. }), "{error:?}");

    fs::remove_dir_all(workspace.agent_tree().join("sub")).unwrap();
    run_git(workspace.agent_tree(), ["init", "--quiet", "sub/deep"]).await;
    let error = workspace.snapshot(Side::Agent).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::NestedRepository { .. }), "{error:?}");

    fs::remove_dir_all(workspace.agent_tree().join("sub")).unwrap();
    let changes = world.changes(&workspace, &base).await;
    assert_eq!(paths(&changes), ["b", "sub"]);
    assert_eq!(changes[1].before.as_ref().unwrap().mode, Mode::Submodule);
}

#[tokio::test]
async fn a_repository_without_a_git_directory_is_files_like_any_other() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, base) = world.workspace().await;
    run_git(workspace.agent_tree(), ["init", "--quiet", "--bare", "--template=", "fixture.git"])
        .await;
    assert_eq!(
        paths(&world.changes(&workspace, &base).await),
        ["fixture.git/HEAD", "fixture.git/config"]
    );
}

#[tokio::test]
async fn links_are_taken_in_as_links_and_never_followed() {
    let world = World::with_files(&[(b"dir/a", "1"), (b"b", "2")]).await;
    let (workspace, base) = world.workspace().await;
    let outside = world.path().join("outside");
    write(&outside, b"a", "secret");
    write(&outside, b".git/config", "");
    let tree = workspace.agent_tree();
    symlink(&outside, tree.join("out")).unwrap();
    symlink("b", tree.join("in")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    fs::remove_dir_all(tree.join("dir")).unwrap();
    symlink(&outside, tree.join("dir")).unwrap();

    let changes = world.changes(&workspace, &base).await;
    assert_eq!(paths(&changes), ["dangling", "dir", "dir/a", "in", "out"]);
    let target = |path: &str| {
        changes
            .iter()
            .find(|change| change.path == path.into())
            .unwrap()
            .link_target
            .clone()
            .unwrap()
    };
    let mode = |change: &Change| change.after.as_ref().map(|entry| entry.mode);
    assert_eq!(
        changes.iter().map(mode).collect::<Vec<_>>(),
        [Some(Mode::Link), Some(Mode::Link), None, Some(Mode::Link), Some(Mode::Link)]
    );
    assert_eq!(target("in"), b"b");
    assert_eq!(target("out"), outside.as_os_str().as_bytes());
    assert_eq!(target("dir"), outside.as_os_str().as_bytes());

    // The checkout replaces the link and does not write through it.
    workspace
        .checkout(Side::Agent, &workspace.cache().tree_at(&base.commit).await.unwrap())
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(tree.join("dir/a")).unwrap(), "1");
    assert!(!fs::symlink_metadata(tree.join("dir")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "secret");
}

#[tokio::test]
async fn ignored_files_are_left_out_unless_they_are_tracked() {
    let world = World::with_files(&[
        (b".gitignore", "*.log\nbuild/\n"),
        (b"kept.log", "1"),
        (b"build/kept", "1"),
    ])
    .await;
    let (workspace, base) = world.workspace().await;
    for name in ["kept.log", "build/kept", "new.log", "build/new", "plain"] {
        write(workspace.agent_tree(), name.as_bytes(), "22");
    }
    assert_eq!(paths(&world.changes(&workspace, &base).await), ["build/kept", "kept.log", "plain"]);
}

#[tokio::test]
async fn checks_hand_in_what_they_rewrote_and_not_what_they_built() {
    let world = World::with_files(&[(b"a", "1"), (b"b", "1")]).await;
    let (workspace, base) = world.workspace().await;
    write(workspace.check_tree(), b"a", "formatted");
    write(workspace.check_tree(), b"__pycache__/a.pyc", "built");
    let tree = workspace.snapshot(Side::Checks).await.unwrap();
    let commit = workspace.commit(&tree, &base.commit, "format", &identity(), at(0)).await.unwrap();
    assert_eq!(paths(&workspace.changes(&base.commit, &commit).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn modes_sizes_and_binary_content_are_told() {
    let world = World::with_files(&[(b"script", "#!/bin/sh\n"), (b"image", "a\0b")]).await;
    let (workspace, base) = world.workspace().await;
    fs::set_permissions(workspace.agent_tree().join("script"), fs::Permissions::from_mode(0o755))
        .unwrap();
    write(workspace.agent_tree(), b"image", "a\0bcd");
    write(workspace.agent_tree(), b"empty", "");
    let changes = world.changes(&workspace, &base).await;
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.path.to_string(),
                change.after.as_ref().unwrap().mode,
                change.size,
                change.lines,
            )
        })
        .collect();
    let lines = Some(LineCount::default());
    assert_eq!(
        told,
        [
            ("empty".to_owned(), Mode::File, 0, lines),
            ("image".to_owned(), Mode::File, 5, None),
            ("script".to_owned(), Mode::Executable, 10, lines),
        ]
    );
}

#[tokio::test]
async fn a_file_that_became_a_link_is_one_change() {
    let world = World::with_files(&[(b"a", "1\n2\n"), (b"b", "3\n")]).await;
    let (workspace, base) = world.workspace().await;
    fs::remove_file(workspace.agent_tree().join("a")).unwrap();
    symlink("b", workspace.agent_tree().join("a")).unwrap();
    let changes = world.changes(&workspace, &base).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].status, ChangeStatus::TypeChanged);
    assert_eq!(changes[0].lines, Some(LineCount { added: 1, deleted: 2 }));
}
