//! The git client with the forge.

use crate::server::{
    OWNER_TOKEN, READER_TOKEN, STRANGER_TOKEN, Server, commit, git, git_ok, start,
};

async fn refusal(server: &Server, token: Option<&str>, arguments: &[&str]) -> String {
    let output = git(server.directory.path(), token, arguments).await;
    assert!(!output.status.success(), "git {arguments:?} was not refused");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_can_be_cloned_and_fetched() {
    let server = start().await;
    let tree = server.pushed(&["feature/é"]).await;
    let url = server.clone_url();
    let dir = server.directory.path();

    git_ok(dir, Some(READER_TOKEN), &["clone", "--quiet", &url, "copy"]).await;
    let copy = dir.join("copy");
    assert_eq!(
        git_ok(&copy, None, &["rev-parse", "HEAD"]).await,
        git_ok(&tree, None, &["rev-parse", "main"]).await
    );
    assert_eq!(git_ok(&copy, None, &["symbolic-ref", "HEAD"]).await, "refs/heads/main");

    commit(&tree, "more.txt", "more\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main"]).await;
    git_ok(&copy, Some(READER_TOKEN), &["fetch", "--quiet", "origin"]).await;
    let fetched = git_ok(&copy, None, &["rev-parse", "origin/main"]).await;
    assert_eq!(fetched, git_ok(&tree, None, &["rev-parse", "main"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn shallow_and_partial_clones_work() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    commit(&tree, "second.txt", "2\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main"]).await;
    let (url, dir) = (server.clone_url(), server.directory.path());
    git_ok(dir, Some(OWNER_TOKEN), &["clone", "--quiet", "--depth=1", &url, "shallow"]).await;
    assert_eq!(git_ok(&dir.join("shallow"), None, &["rev-list", "--count", "HEAD"]).await, "1");
    git_ok(
        dir,
        Some(OWNER_TOKEN),
        &["clone", "--quiet", "--bare", "--filter=blob:none", &url, "partial"],
    )
    .await;
    let objects =
        git_ok(&dir.join("partial"), None, &["rev-list", "--objects", "--missing=print", "HEAD"])
            .await;
    assert!(objects.contains('?'), "blobs should be missing: {objects}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_can_be_cloned_and_has_its_default_branch() {
    let server = start().await;
    server.hub.create_repository("octo/empty", "trunk", true).unwrap();
    let url = format!("{}/octo/empty.git", server.url);
    git_ok(server.directory.path(), Some(OWNER_TOKEN), &["clone", "--quiet", &url, "empty"]).await;
    let head =
        git_ok(&server.directory.path().join("empty"), None, &["symbolic-ref", "HEAD"]).await;
    assert_eq!(head, "refs/heads/trunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_may_have_the_names_that_git_allows() {
    let server = start().await;
    let long = "x".repeat(255);
    let names = [
        "main",
        "feature/x",
        "日本語",
        "a.b",
        "a@b",
        "a@",
        "-a",
        "a-",
        "a..b",
        "a b",
        "a\tb",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[",
        "a\\b",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.lockb",
        "a.",
        "a./b",
        "@/a",
        "HEAD",
        "head",
        "a/HEAD",
        "a@{0}",
        "a{b}",
        "",
        "refs/heads/a",
        "a\u{7f}",
        "a\u{85}b",
        "--upload-pack=x",
        &long,
    ];
    for (number, name) in names.into_iter().enumerate() {
        let arguments = ["check-ref-format", "--branch", name];
        let checked = git(server.directory.path(), None, &arguments).await;
        let repository = format!("octo/r{number}");
        let created = server.hub.create_repository(&repository, name, true);
        assert_eq!(created.is_ok(), checked.status.success(), "{name:?}: {created:?}");
    }
    // Git itself has no limit. GitHub does.
    let longer = "x".repeat(256);
    assert!(server.hub.create_repository("octo/longer", &longer, true).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_is_streamed() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    // Data that can't be compressed, so that the pack is larger than every buffer, and git sends
    // it in chunks.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(5_000_000)
    .collect();
    std::fs::write(tree.join("noise.bin"), &noise).unwrap();
    git_ok(&tree, None, &["add", "noise.bin"]).await;
    git_ok(&tree, None, &["commit", "--quiet", "-m", "Add noise"]).await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main"]).await;
    let dir = server.directory.path();
    git_ok(dir, Some(OWNER_TOKEN), &["clone", "--quiet", &server.clone_url(), "copy"]).await;
    assert_eq!(std::fs::read(dir.join("copy/noise.bin")).unwrap(), noise);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_right_token_gets_nothing() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    let url = server.clone_url();
    // After a 401, git asks the user for a password.
    for token in [Some("wrong"), None] {
        server.hub.requests().clear();
        let asked = refusal(&server, token, &["ls-remote", &url]).await;
        assert!(asked.contains("could not read Username"), "{asked}");
        assert!(server.hub.requests().entries().iter().all(|entry| entry.status == Some(401)));
    }
    let stranger = refusal(&server, Some(STRANGER_TOKEN), &["ls-remote", &url]).await;
    assert!(stranger.contains("not found"), "{stranger}");
    git_ok(server.directory.path(), Some(READER_TOKEN), &["ls-remote", &url]).await;
    commit(&tree, "mine.txt", "x\n").await;
    let before = git_ok(&tree, Some(OWNER_TOKEN), &["ls-remote", &url, "main"]).await;
    let reader = git(&tree, Some(READER_TOKEN), &["push", "origin", "main"]).await;
    assert!(String::from_utf8_lossy(&reader.stderr).contains("403"), "{reader:?}");
    assert_eq!(git_ok(&tree, Some(OWNER_TOKEN), &["ls-remote", &url, "main"]).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_update_leaves_the_branch_alone() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    let lease = "--force-with-lease=main:0123456789012345678901234567890123456789";
    commit(&tree, "b.txt", "b\n").await;
    let output = git(&tree, Some(OWNER_TOKEN), &["push", lease, "origin", "main"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("stale info"), "{output:?}");
}

/// Whether git still serves a repository of this server.
#[cfg(target_os = "linux")]
fn is_git_running(server: &Server) -> bool {
    let root = server.directory.path().as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.path());
    processes
        .filter(|path| {
            std::fs::read(path.join("cmdline"))
                .is_ok_and(|line| line.windows(12).any(|word| word == b"http-backend"))
        })
        .any(|path| {
            std::fs::read(path.join("environ"))
                .is_ok_and(|all| all.windows(root.len()).any(|part| part == root))
        })
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_midst_of_a_push_leaves_no_process_behind() {
    use tokio::io::AsyncWriteExt;

    let server = start().await;
    server.pushed(&[]).await;
    let url = reqwest::Url::parse(&server.clone_url()).unwrap();
    let mut client = tokio::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap()))
        .await
        .unwrap();
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("x:{OWNER_TOKEN}"),
    );
    let request = format!(
        "POST {}/git-receive-pack HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Basic {basic}\r\n\
         content-type: application/x-git-receive-pack-request\r\n\
         content-length: 100000\r\n\r\n00a0",
        url.path()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !is_git_running(&server) {
        assert!(std::time::Instant::now() < until, "git was never started");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(client);
    while is_git_running(&server) {
        assert!(std::time::Instant::now() < until, "git goes on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
