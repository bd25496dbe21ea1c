//! Web pages, and users without a right to something, get nothing from the forge.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{OWNER_TOKEN, STRANGER_TOKEN, Server, start};

/// The status code for a path that is sent exactly as it is. A client would normalize it.
async fn raw(server: &Server, path: &str, token: &str, headers: &str) -> u16 {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: bearer {token}\r\n\
         connection: close\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_is_refused_whatever_token_it_has() {
    let server = start().await;
    assert_eq!(raw(&server, "/user", OWNER_TOKEN, "").await, 200);
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        assert_eq!(
            raw(&server, "/user", OWNER_TOKEN, &format!("origin: {origin}\r\n")).await,
            403,
            "{origin}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_does_not_lead_out_of_the_repositories() {
    let server = start().await;
    server.pushed(&[]).await;
    // A repository that such a name would lead to.
    let outside = server.directory.path().join("outside.git");
    crate::server::git_ok(
        server.directory.path(),
        None,
        &["init", "--quiet", "--bare", outside.to_str().unwrap()],
    )
    .await;
    let fetch = "info/refs?service=git-upload-pack";
    assert_eq!(raw(&server, &format!("/octo/hello.git/{fetch}"), OWNER_TOKEN, "").await, 200);
    for name in [
        "octo/../../outside.git",
        "../../outside.git",
        "..%2f../outside.git",
        "octo/..%2f..%2f..%2foutside.git",
        "octo/%2e%2e/outside.git",
        "%2fetc/passwd",
        "octo/hello.git/../hello.git",
        "octo/hello%00.git",
        "octo/-hello.git",
    ] {
        assert_eq!(raw(&server, &format!("/{name}/{fetch}"), OWNER_TOKEN, "").await, 404, "{name}");
        assert_eq!(raw(&server, &format!("/repos/{name}"), OWNER_TOKEN, "").await, 404, "{name}");
    }
    for file in ["HEAD", "config", "objects/info/packs", "../hello.git/config"] {
        assert_eq!(
            raw(&server, &format!("/octo/hello.git/{file}"), OWNER_TOKEN, "").await,
            404,
            "{file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_nearly_right_is_wrong() {
    let server = start().await;
    for token in ["", "owner", "owner-toke", "owner-token-", "OWNER-TOKEN", "owner-tokeN"] {
        assert_eq!(raw(&server, "/user", token, "").await, 401, "{token:?}");
    }
    assert_eq!(
        raw(&server, "/repos/octo/hello", STRANGER_TOKEN, "").await,
        404,
        "as if it were not there"
    );
}
