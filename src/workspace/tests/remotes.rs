//! Tests of fetching and pushing.

use axum::http::StatusCode;
use tokio::net::TcpListener;

use super::forge::{Forge, Manner, Seen};
use super::*;
use crate::git::BranchName;

const TOKEN: &str = "ghp_0123456789abcdefTOKEN";
/// The text `x-access-token:` and the token, in base64.
const BASIC: &str = "eC1hY2Nlc3MtdG9rZW46Z2hwXzAxMjM0NTY3ODlhYmNkZWZUT0tFTg==";

impl World {
    async fn forge(&self) -> Forge {
        Forge::start(&self.path().join("forge")).await
    }

    async fn upstream_tip(&self, branch: &str) -> String {
        run_git(&self.upstream(), ["rev-parse", branch]).await.trim().to_owned()
    }

    /// Makes a commit in the cache that the remote does not have.
    async fn new_commit(&self, message: &str) -> CommitId {
        let (workspace, base) = self.workspace().await;
        write(workspace.agent_tree(), b"new", message);
        let tree = workspace.snapshot(Side::Agent).await.unwrap();
        workspace
            .commit(&tree, &base.commit, message, &identity(), at(1_000_000_000))
            .await
            .unwrap()
    }
}

fn branch(name: &str) -> BranchName {
    name.parse().unwrap()
}

fn objects(seen: &[Seen]) -> u32 {
    seen.iter().filter_map(|request| request.objects).sum()
}

/// Makes a commit of these headers on the tip of the upstream repository, as an old tool made it.
async fn push_raw_commit(world: &World, headers: &str) {
    let (upstream, file) = (world.upstream(), world.path().join("commit"));
    let tree = run_git(&upstream, ["rev-parse", "trunk^{tree}"]).await;
    let parent = world.upstream_tip("trunk").await;
    fs::write(&file, format!("tree {}\nparent {parent}\n{headers}\n\nold\n", tree.trim())).unwrap();
    let file = file.to_str().unwrap();
    let store = ["hash-object", "-t", "commit", "-w", "--literally", file];
    let commit = run_git(&upstream, store).await;
    run_git(&upstream, ["update-ref", "refs/heads/trunk", commit.trim()]).await;
}

#[tokio::test]
async fn flaws_of_names_and_dates_in_old_history_are_taken() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let good = "T <t@e> 1300000000 +0900";
    for author in [
        "T<t@e> 1300000000 +0900",
        "<t@e> 1300000000 +0900",
        "T <t@e 1300000000 +0900",
        "T 1300000000 +0900",
        "T <t@e> 0130000000 +0900",
        "T <t@e> 99999999999999999999999 +0900",
        "T <t@e> x +0900",
        "T <t@e>1300000000 +0900",
        "T <t@e> 1300000000 +x",
        "T <t@e> 1300000000 +0900\nauthor U <u@e> 1300000000 +0900",
    ] {
        push_raw_commit(&world, &format!("author {author}\ncommitter {good}")).await;
    }
    push_raw_commit(&world, &format!("author {good}\ncommitter {good}")).await;
    let (workspace, base) = world.workspace().await;
    assert_eq!(base.commit.as_str(), world.upstream_tip("trunk").await);
    write(workspace.agent_tree(), b"a", "2");
    let tree = workspace.snapshot(Side::Agent).await.unwrap();
    let commit = workspace.commit(&tree, &base.commit, "change", &identity(), at(0)).await.unwrap();
    workspace.cache().push(&world.remote(), &commit, &branch("new"), None).await.unwrap();
}

#[tokio::test]
async fn dangerous_history_is_refused_by_name() {
    let world = World::with_files(&[(b"a", "1")]).await;
    write(&world.author(), b".gitmodules", "[submodule \"x\"]\n\tpath = -x\n\turl = -u\n");
    world.author_pushes("evil").await;
    let error = world.cache().await.fetch(&world.remote()).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains("gitmodulesPath"), "{error}");
}

#[tokio::test]
async fn a_second_fetch_transfers_only_what_is_new() {
    let world = World::with_files(&[(b"a", "1"), (b"b", "2"), (b"dir/c", "3")]).await;
    let forge = world.forge().await;
    let cache = world.cache().await;

    let first = cache.fetch(&forge.remote(None)).await.unwrap();
    assert_eq!(objects(&forge.seen()), 6, "a commit, two trees, three files");

    write(&world.author(), b"a", "changed");
    world.author_pushes("second").await;
    let second = cache.fetch(&forge.remote(None)).await.unwrap();
    assert_eq!(objects(&forge.seen()), 3, "a commit, a tree, a file");
    assert_ne!(first.commit, second.commit);
    assert_eq!(second.commit.as_str(), world.upstream_tip("trunk").await);

    assert_eq!(cache.fetch(&forge.remote(None)).await.unwrap(), second);
    assert_eq!(objects(&forge.seen()), 0, "nothing is new");
}

#[tokio::test]
async fn preparing_and_harvesting_ask_the_forge_nothing() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let forge = world.forge().await;
    let cache = world.cache().await;
    let base = cache.fetch(&forge.remote(None)).await.unwrap();
    assert!(!forge.seen().is_empty());
    let workspace = cache.prepare(&world.path().join("run"), &base).await.unwrap();
    workspace.snapshot(Side::Agent).await.unwrap();
    assert!(forge.seen().is_empty());
}

#[tokio::test]
async fn only_the_default_branch_is_fetched_and_no_tags() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let upstream = world.upstream();
    run_git(&world.author(), ["tag", "v1"]).await;
    for reference in ["HEAD:refs/heads/other", "v1"] {
        run_git(&world.author(), ["push", "--quiet", upstream.to_str().unwrap(), reference]).await;
    }
    let cache = world.cache().await;
    cache.fetch(&world.remote()).await.unwrap();
    let references = run_git(cache.directory(), ["for-each-ref", "--format=%(refname)"]).await;
    assert_eq!(references, "refs/fetched/default\n");
}

#[tokio::test]
async fn the_default_branch_may_have_any_name_and_change_it() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let cache = world.cache().await;
    assert_eq!(cache.fetch(&world.remote()).await.unwrap().onto, branch("trunk"));
    for name in ["trunk/日本語", "main"] {
        // One repository can't have a branch `trunk` and a branch below `trunk/`.
        run_git(&world.upstream(), ["branch", "-m", "tmp"]).await;
        run_git(&world.upstream(), ["branch", "-m", name]).await;
        let base = cache.fetch(&world.remote()).await.unwrap();
        assert_eq!(base.onto, branch(name));
        let workspace = cache.prepare(&world.path().join("run"), &base).await.unwrap();
        assert_eq!(
            run_git(workspace.agent_tree(), ["branch", "--show-current"]).await.trim(),
            name
        );
    }
}

#[tokio::test]
async fn history_that_was_rewritten_upstream_is_followed() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let cache = world.cache().await;
    cache.fetch(&world.remote()).await.unwrap();
    run_git(&world.author(), ["commit", "--quiet", "--amend", "-m", "rewritten"]).await;
    let upstream = world.upstream();
    run_git(
        &world.author(),
        ["push", "--quiet", "--force", upstream.to_str().unwrap(), "HEAD:trunk"],
    )
    .await;
    let base = cache.fetch(&world.remote()).await.unwrap();
    assert_eq!(base.commit.as_str(), world.upstream_tip("trunk").await);
}

#[tokio::test]
async fn a_repository_without_commits_is_told_apart() {
    let world = World::new().await;
    let forge = world.forge().await;
    for remote in [world.remote(), forge.remote(None)] {
        let error = world.cache().await.fetch(&remote).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::NoCommits { .. }), "{error}");
    }
    // A commit on another branch than the default one makes no difference.
    let upstream = world.upstream();
    run_git(&world.author(), ["commit", "--quiet", "--allow-empty", "-m", "x"]).await;
    run_git(&world.author(), ["push", "--quiet", upstream.to_str().unwrap(), "HEAD:elsewhere"])
        .await;
    let error = world.cache().await.fetch(&forge.remote(None)).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::NoCommits { .. }), "{error}");
}

#[tokio::test]
async fn many_fetches_of_one_repository_at_once_all_succeed() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (caches, remote, tip) = (&world.caches, world.remote(), world.upstream_tip("trunk").await);
    let name = "o/r".parse().unwrap();
    let fetches = (0..8).map(|_| async { caches.open(&name).await?.fetch(&remote).await });
    for base in futures_util::future::join_all(fetches).await {
        assert_eq!(base.unwrap().commit.as_str(), tip);
    }
}

#[tokio::test]
async fn names_that_differ_by_case_are_one_cache() {
    let world = World::new().await;
    let other = world.caches.open(&"O/R".parse().unwrap()).await.unwrap();
    assert_eq!(other.directory(), world.cache().await.directory());
}

#[tokio::test]
async fn the_forge_s_refusals_are_told_apart() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let forge = world.forge().await;
    let commit = world.new_commit("x").await;
    let cache = world.cache().await;
    for (status, expected) in [
        (StatusCode::UNAUTHORIZED, "Unauthorized"),
        (StatusCode::FORBIDDEN, "Unauthorized"),
        (StatusCode::NOT_FOUND, "RepositoryNotFound"),
        (StatusCode::TOO_MANY_REQUESTS, "Unreachable"),
        (StatusCode::INTERNAL_SERVER_ERROR, "Unreachable"),
        (StatusCode::BAD_GATEWAY, "Unreachable"),
        (StatusCode::SERVICE_UNAVAILABLE, "Unreachable"),
    ] {
        forge.answers(Manner::Fail(status));
        for token in [None, Some(TOKEN)] {
            let remote = forge.remote(token);
            let check = |error: WorkspaceError| {
                assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
            };
            check(cache.fetch(&remote).await.unwrap_err());
            check(cache.remote_branch(&remote, &branch("b")).await.unwrap_err());
            check(cache.push(&remote, &commit, &branch("b"), None).await.unwrap_err());
        }
    }
    let nowhere =
        Remote { url: world.path().join("nowhere.git").to_str().unwrap().to_owned(), token: None };
    let error = cache.fetch(&nowhere).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::RepositoryNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_forge_that_is_gone_or_hangs_is_unreachable() {
    let world = World::with_deadlines(Deadlines {
        remote: Duration::from_millis(500),
        ..Deadlines::default()
    })
    .await;
    let forge = world.forge().await;
    forge.answers(Manner::Hang);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cache = world.cache().await;
    for remote in
        [forge.remote(None), Remote { url: format!("http://{closed}/o/r.git"), token: None }]
    {
        let error = cache.fetch(&remote).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_token_away() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (forge, thief) = (world.forge().await, world.forge().await);
    forge.answers(Manner::Redirect(thief.remote(None).url.trim_end_matches("/o/r.git").to_owned()));
    let commit = world.new_commit("x").await;
    let cache = world.cache().await;
    let remote = forge.remote(Some(TOKEN));
    let fetched = cache.fetch(&remote).await.unwrap_err();
    assert!(matches!(fetched, WorkspaceError::Moved { .. }), "{fetched:?}");
    let pushed = cache.push(&remote, &commit, &branch("b"), None).await.unwrap_err();
    assert!(matches!(pushed, WorkspaceError::Moved { .. }), "{pushed:?}");
    assert_eq!(forge.seen().len(), 2);
    assert!(thief.seen().is_empty());
    // The positive control: a git that follows redirects does reach the other server.
    run_git(world.path(), ["-c", "http.followRedirects=true", "ls-remote", &remote.url]).await;
    assert!(!thief.seen().is_empty());
}

#[tokio::test]
async fn the_token_is_in_the_environment_of_one_command_and_nowhere_else() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let forge = world.forge().await;
    forge.answers(Manner::Ask(TOKEN.to_owned()));
    let remote = forge.remote(Some(TOKEN));
    let cache = world.cache().await;

    let base = cache.fetch(&remote).await.unwrap();
    let workspace = cache.prepare(&world.path().join("run"), &base).await.unwrap();
    write(workspace.agent_tree(), b"a", "2");
    let tree = workspace.snapshot(Side::Agent).await.unwrap();
    let commit = workspace.commit(&tree, &base.commit, "x", &identity(), at(0)).await.unwrap();
    cache.push(&remote, &commit, &branch("b"), None).await.unwrap();

    let seen = forge.seen();
    assert!(seen.iter().any(|request| request.path.contains("git-receive-pack")));
    for request in &seen {
        assert_eq!(request.authorization.as_deref(), Some(format!("Basic {BASIC}").as_str()));
        for command_line in &request.command_lines {
            assert!(
                !command_line.contains(TOKEN) && !command_line.contains(BASIC),
                "{command_line}"
            );
        }
        if cfg!(target_os = "linux") {
            assert!(
                request
                    .command_lines
                    .iter()
                    .any(|command_line| command_line.contains("remote-http")),
                "git was seen at work"
            );
            assert!(
                request.environments.iter().any(|environment| environment.contains(BASIC)),
                "and the token where it belongs"
            );
        }
    }
    for leak in [TOKEN, BASIC] {
        assert_eq!(files_with(world.path(), leak), Vec::<PathBuf>::new());
    }
    assert!(
        files_with(world.path(), "Coding agent")
            .contains(&workspace.agent_tree().join(".git/config")),
        "files are looked into"
    );

    let refused = cache.fetch(&forge.remote(Some("wrong"))).await.unwrap_err();
    assert!(matches!(refused, WorkspaceError::Unauthorized { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("wrong"));
    let refused =
        cache.push(&forge.remote(Some("wrong")), &commit, &branch("c"), None).await.unwrap_err();
    assert!(matches!(refused, WorkspaceError::Unauthorized { .. }), "{refused:?}");
}

/// Returns all files below a directory whose bytes contain a text.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_push_that_was_done_before_does_nothing() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let commit = world.new_commit("x").await;
    let (cache, target) = (world.cache().await, branch("codingworker/issue-7"));
    assert_eq!(cache.remote_branch(&world.remote(), &target).await.unwrap(), None);
    for _ in 0..2 {
        cache.push(&world.remote(), &commit, &target, None).await.unwrap();
        assert_eq!(
            cache.remote_branch(&world.remote(), &target).await.unwrap(),
            Some(commit.clone())
        );
    }
    let (next, forge) = (world.new_commit("y").await, world.forge().await);
    cache.push(&forge.remote(None), &next, &target, Some(&commit)).await.unwrap();
    assert_eq!(cache.remote_branch(&forge.remote(None), &target).await.unwrap(), Some(next));
}

#[tokio::test]
async fn a_branch_that_somebody_else_pushed_to_is_left_alone() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let (ours, theirs) = (world.new_commit("ours").await, world.new_commit("theirs").await);
    let (cache, target) = (world.cache().await, branch("b"));
    cache.push(&world.remote(), &theirs, &target, None).await.unwrap();
    let forge = world.forge().await;
    for remote in [world.remote(), forge.remote(None)] {
        for expected in [None, Some(&ours)] {
            let error = cache.push(&remote, &ours, &target, expected).await.unwrap_err();
            assert!(matches!(error, WorkspaceError::StaleRemote { .. }), "{error:?}");
        }
    }
    assert_eq!(cache.remote_branch(&world.remote(), &target).await.unwrap(), Some(theirs));
}

#[tokio::test]
async fn a_push_that_the_forge_s_rules_refuse_says_why() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let hook = world.upstream().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'workflow scope is missing' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let (cache, commit) = (world.cache().await, world.new_commit("x").await);
    let error = cache.push(&world.remote(), &commit, &branch("b"), None).await.unwrap_err();
    assert!(matches!(&error, WorkspaceError::PushRefused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("pre-receive hook declined")
            && error.to_string().contains("workflow scope is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_branch_is_asked_for_by_its_whole_name() {
    let world = World::with_files(&[(b"a", "1")]).await;
    let upstream = world.upstream();
    let other = "HEAD:refs/heads/x/refs/heads/b";
    run_git(&world.author(), ["push", "--quiet", upstream.to_str().unwrap(), other]).await;
    assert_eq!(
        world.cache().await.remote_branch(&world.remote(), &branch("b")).await.unwrap(),
        None
    );
}
