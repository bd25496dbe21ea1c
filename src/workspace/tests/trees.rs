//! Tests of the two trees, the commits, and what the cache stores of them.

use std::os::unix::fs::MetadataExt as _;

use super::*;

#[tokio::test]
async fn an_agent_gets_a_repository_of_its_own_without_a_way_back() {
    let world = World::with_files(&[(b"a", "1"), (b"d/b", "2")]).await;
    world.author_pushes("second").await;
    let (workspace, base) = world.workspace().await;
    let tree = workspace.agent_tree();
    assert_eq!(run_git(tree, ["status", "--porcelain"]).await, "");
    assert_eq!(run_git(tree, ["remote"]).await, "");
    assert_eq!(
        run_git(tree, ["log", "--format=%H"]).await.trim(),
        base.commit.as_str(),
        "no history"
    );
    assert_eq!(run_git(tree, ["branch", "--show-current"]).await.trim(), "trunk");
    run_git(
        tree,
        [
            "-c",
            "user.useConfigOnly=true",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "the agent can commit",
        ],
    )
    .await;

    for file in files_below(tree) {
        let content = fs::read(&file).unwrap();
        let cache = workspace.cache().directory().as_os_str().as_bytes();
        assert!(
            !content.windows(cache.len()).any(|window| window == cache),
            "{} names the cache",
            file.display()
        );
        assert_eq!(
            fs::metadata(&file).unwrap().nlink(),
            1,
            "{} is linked elsewhere",
            file.display()
        );
    }
    assert!(!workspace.check_tree().join(".git").exists(), "it is given one later");
    assert_eq!(fs::read_to_string(workspace.check_tree().join("d/b")).unwrap(), "2");
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn showing_a_tree_touches_only_what_differs() {
    let world = World::with_files(&[
        (b".gitignore", "target/\n"),
        (b"same", "1"),
        (b"changed", "1"),
        (b"gone", "1"),
    ])
    .await;
    let (workspace, base) = world.workspace().await;
    let tree = workspace.check_tree().to_owned();
    write(&tree, b"target/built", "artifact");
    write(&tree, b"left behind/by a test", "x");
    let identity_of = |name: &str| {
        let metadata = fs::metadata(tree.join(name)).unwrap();
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    let before = (identity_of("same"), identity_of("target/built"), identity_of("changed"));

    write(workspace.agent_tree(), b"changed", "2");
    write(workspace.agent_tree(), b"new", "3");
    fs::remove_file(workspace.agent_tree().join("gone")).unwrap();
    let snapshotted = workspace.snapshot(Side::Agent).await.unwrap();
    workspace.checkout(Side::Checks, &snapshotted).await.unwrap();

    let mut files: Vec<_> = files_below(&tree)
        .iter()
        .map(|path| path.strip_prefix(&tree).unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, [".gitignore", "changed", "new", "same", "target/built"]);
    assert_eq!((identity_of("same"), identity_of("target/built")), (before.0, before.1));
    assert_ne!(identity_of("changed"), before.2);
    assert_eq!(workspace.snapshot(Side::Checks).await.unwrap(), snapshotted);

    // A checkout undoes what a check did to tracked files.
    write(&tree, b"same", "vandalized");
    fs::remove_file(tree.join("new")).unwrap();
    workspace.checkout(Side::Checks, &snapshotted).await.unwrap();
    assert_eq!(fs::read_to_string(tree.join("same")).unwrap(), "1");
    assert_eq!(workspace.snapshot(Side::Checks).await.unwrap(), snapshotted);

    workspace
        .checkout(Side::Checks, &workspace.cache().tree_at(&base.commit).await.unwrap())
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(tree.join("gone")).unwrap(), "1");
}

#[tokio::test]
async fn a_formatted_tree_goes_back_to_the_agent() {
    let world = World::with_files(&[(b"a", "1"), (b"b", "1")]).await;
    let (workspace, _) = world.workspace().await;
    write(workspace.agent_tree(), b"a", "two  words");
    workspace
        .checkout(Side::Checks, &workspace.snapshot(Side::Agent).await.unwrap())
        .await
        .unwrap();
    write(workspace.check_tree(), b"a", "two words");
    let formatted = workspace.snapshot(Side::Checks).await.unwrap();
    workspace.checkout(Side::Agent, &formatted).await.unwrap();
    assert_eq!(fs::read_to_string(workspace.agent_tree().join("a")).unwrap(), "two words");
    assert_eq!(workspace.snapshot(Side::Agent).await.unwrap(), formatted);
    assert!(workspace.agent_tree().join(".git").exists());
}

#[tokio::test]
async fn the_same_change_is_the_same_commit() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, base) = world.workspace().await;
    write(workspace.agent_tree(), b"a", "2");
    let tree = workspace.snapshot(Side::Agent).await.unwrap();
    let commit = async |message: &str, seconds| {
        workspace.commit(&tree, &base.commit, message, &identity(), at(seconds)).await.unwrap()
    };
    let first = commit("add: a\n\n日本語 \0 body", 1_700_000_000).await;
    assert_eq!(first, commit("add: a\n\n日本語 \0 body", 1_700_000_000).await);
    assert_ne!(first, commit("add: a\n\n日本語 \0 body", 1_700_000_001).await);

    let shown = run_git(
        workspace.cache().directory(),
        ["show", "--no-patch", "--format=%an <%ae>|%cn <%ce>|%aI|%cI|%P|%B", first.as_str()],
    )
    .await;
    let by = "Coding Worker <worker@example.com>";
    let date = "2023-11-14T22:13:20Z";
    let date_as_offset = date.replace('Z', "+00:00");
    let expected = |date: &str| {
        format!("{by}|{by}|{date}|{date}|{}|add: a\n\n日本語 \u{fffd} body", base.commit)
    };
    assert!(
        [expected(date), expected(&date_as_offset)].contains(&shown.trim().to_owned()),
        "{shown}"
    );
}

#[tokio::test]
async fn a_kept_commit_outlives_the_run_and_any_tidying() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, base) = world.workspace().await;
    let cache = workspace.cache().clone();
    let mut commits = Vec::new();
    for content in ["kept", "dropped"] {
        write(workspace.agent_tree(), b"a", content);
        let tree = workspace.snapshot(Side::Agent).await.unwrap();
        commits.push(
            workspace.commit(&tree, &base.commit, content, &identity(), at(0)).await.unwrap(),
        );
    }
    workspace.keep(&commits[0], "runs/1/implement").await.unwrap();
    workspace.keep(&commits[0], "runs/1/implement").await.unwrap();
    remove_tree(&world.path().join("run")).await.unwrap();
    assert!(!world.path().join("run").exists());
    run_git(cache.directory(), ["gc", "--quiet", "--prune=now"]).await;
    assert_eq!(cache.file_at(&commits[0], &"a".into(), 100).await.unwrap().unwrap(), b"kept");
    cache.tree_at(&commits[1]).await.unwrap_err();
    for name in ["", "../heads/x", "a b", "-x/.y"] {
        let error = cache.keep(&commits[0], name).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::InvalidName(_)), "{error:?}");
    }
}

#[tokio::test]
async fn files_are_read_from_a_commit_within_a_limit() {
    let world = World::with_files(&[
        (b".codingworker.toml", "[checks]\n"),
        (b"d/new\nline", "a\0b\n"),
        (b"empty", ""),
    ])
    .await;
    let cache = world.cache().await;
    let commit = cache.fetch(&world.remote()).await.unwrap().commit;
    let read = async |path: &str, limit| cache.file_at(&commit, &path.into(), limit).await;
    assert_eq!(read(".codingworker.toml", 9).await.unwrap().unwrap(), b"[checks]\n");
    assert_eq!(read("d/new\nline", 100).await.unwrap().unwrap(), b"a\0b\n");
    assert_eq!(read("empty", 0).await.unwrap().unwrap(), b"");
    for absent in ["missing", "d", "missing\nline", "d/../empty"] {
        assert_eq!(read(absent, 100).await.unwrap(), None, "{absent}");
    }
    let error = read(".codingworker.toml", 8).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::TooLarge { limit: 8, .. }), "{error:?}");
}

#[tokio::test]
async fn a_large_file_is_not_read_to_its_end() {
    let world = World::with_files(&[(b"large", &"x".repeat(3 << 20))]).await;
    let cache = world.cache().await;
    let commit = cache.fetch(&world.remote()).await.unwrap().commit;
    let error = cache.file_at(&commit, &"large".into(), 1000).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_workspace_is_made_over_the_ruins_of_another() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (workspace, base) = world.workspace().await;
    write(workspace.agent_tree(), b"ruin", "x");
    write(workspace.check_tree(), b"locked/ruin", "x");
    write(&world.path().join("run"), b"agent.index.lock", "");
    fs::set_permissions(workspace.check_tree().join("locked"), fs::Permissions::from_mode(0o500))
        .unwrap();
    let again = workspace.cache().prepare(&world.path().join("run"), &base).await.unwrap();
    assert!(!again.agent_tree().join("ruin").exists());
    assert_eq!(
        again.snapshot(Side::Agent).await.unwrap(),
        again.cache().tree_at(&base.commit).await.unwrap()
    );
    write(again.check_tree(), b"locked/deep/er/ruin", "x");
    for locked in ["locked/deep/er", "locked/deep", "locked"] {
        fs::set_permissions(again.check_tree().join(locked), fs::Permissions::from_mode(0o000))
            .unwrap();
    }
    remove_tree(&world.path().join("run")).await.unwrap();
    assert!(!world.path().join("run").exists());
}

#[tokio::test]
async fn a_directory_with_an_odd_name_may_hold_it_all() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let caches = Caches::new(world.git.clone(), &world.path().join("日本語 100%25 'x':y"));
    let cache = caches.open(&"o/r".parse().unwrap()).await.unwrap();
    let base = cache.fetch(&world.remote()).await.unwrap();
    let workspace = cache.prepare(&world.path().join("run %41:b"), &base).await.unwrap();
    write(workspace.agent_tree(), b"a", "2");
    let tree = workspace.snapshot(Side::Agent).await.unwrap();
    workspace.checkout(Side::Checks, &tree).await.unwrap();
    assert_eq!(fs::read_to_string(workspace.check_tree().join("a")).unwrap(), "2");
}
