//! A minimal forge: git's own `http-backend` behind a server that records every request and that a
//! test can tell how to answer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{git_executable, search_path};
use crate::process::{self, Invocation, Streams};
use crate::workspace::Remote;

/// The way in which the forge answers a request.
#[derive(Clone, Default)]
pub(super) enum Manner {
    #[default]
    Serve,
    /// Serves requests that carry this token.
    Ask(String),
    Fail(StatusCode),
    Redirect(String),
    Hang,
}

/// One request, and what was visible on the machine while the request waited for its answer.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    /// The argument vectors of all processes that name this forge. The list is empty on a system
    /// without `/proc`.
    pub(super) command_lines: Vec<String>,
    /// The environments of the same processes.
    pub(super) environments: Vec<String>,
    /// The number of objects in the pack that the server sent, or `None` when it sent no pack.
    pub(super) objects: Option<u32>,
}

pub(super) struct Forge {
    url: String,
    state: Arc<State>,
    _stop: DropGuard,
}

struct State {
    root: PathBuf,
    address: String,
    manner: Mutex<Manner>,
    seen: Mutex<Vec<Seen>>,
}

impl Forge {
    /// Serves the bare repositories under `root` on a free port.
    pub(super) async fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            root: root.to_owned(),
            address: address.clone(),
            manner: Mutex::default(),
            seen: Mutex::default(),
        });
        let answering = Arc::clone(&state);
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let state = Arc::clone(&answering);
                async move { state.answer(method, uri, headers, body).await }
            },
        );
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled(axum::serve(listener, app).into_future()).await
        });
        Self { url: format!("http://{address}"), state, _stop: stop.drop_guard() }
    }

    pub(super) fn remote(&self, token: Option<&str>) -> Remote {
        Remote { url: format!("{}/o/r.git", self.url), token: token.map(Into::into) }
    }

    pub(super) fn answers(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// Returns the requests since the last call of this function.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

impl State {
    async fn answer(&self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let text = |name: header::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let authorization =
            headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let mut seen =
            Seen { path: uri.to_string(), authorization: authorization.clone(), ..Seen::default() };
        let address = self.address.clone();
        (seen.command_lines, seen.environments) =
            tokio::task::spawn_blocking(move || processes_that_name(&address)).await.unwrap();
        let manner = self.manner.lock().unwrap().clone();
        let response = match manner {
            Manner::Fail(status) => status.into_response(),
            Manner::Redirect(to) => {
                (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{to}{uri}"))])
                    .into_response()
            }
            Manner::Hang => std::future::pending().await,
            Manner::Ask(token)
                if authorization
                    != Remote { url: String::new(), token: Some(token.clone().into()) }
                        .authorization()
                        .map(|header| header.trim_start_matches("Authorization: ").to_owned()) =>
            {
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"forge\"")])
                    .into_response()
            }
            Manner::Ask(_) | Manner::Serve => {
                let protocol = headers
                    .get("git-protocol")
                    .map(|value| value.to_str().unwrap().to_owned())
                    .unwrap_or_default();
                let output = self
                    .http_backend(
                        &method,
                        &uri,
                        [text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING), protocol],
                        body,
                    )
                    .await;
                seen.objects = objects_in_pack(&output);
                from_cgi(&output)
            }
        };
        self.seen.lock().unwrap().push(seen);
        response
    }

    async fn http_backend(
        &self,
        method: &Method,
        uri: &Uri,
        [content_type, content_encoding, protocol]: [String; 3],
        body: Bytes,
    ) -> Vec<u8> {
        let pairs: [(&str, OsString); 11] = [
            ("PATH", search_path()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_HTTP_EXPORT_ALL", "1".into()),
            ("GIT_PROJECT_ROOT", self.root.clone().into()),
            ("REQUEST_METHOD", method.as_str().into()),
            ("PATH_INFO", uri.path().into()),
            ("QUERY_STRING", uri.query().unwrap_or_default().into()),
            ("CONTENT_TYPE", content_type.into()),
            ("HTTP_CONTENT_ENCODING", content_encoding.into()),
            ("GIT_PROTOCOL", protocol.into()),
        ];
        let mut environment: Vec<(OsString, OsString)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value)).collect();
        environment.push(("CONTENT_LENGTH".into(), body.len().to_string().into()));
        let invocation = Invocation {
            program: git_executable(),
            arguments: vec!["http-backend".into()],
            directory: self.root.clone(),
            environment,
            input: body.into(),
            deadline: Duration::from_secs(60),
            output_limit: 1 << 26,
            streams: Streams::Apart,
            log: None,
        };
        process::run(invocation, &CancellationToken::new()).await.unwrap().output
    }
}

fn from_cgi(output: &[u8]) -> Response {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("http-backend answers with headers");
    let (head, body) = output.split_at(end);
    let mut response = axum::http::Response::builder();
    for line in std::str::from_utf8(head).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(body[4..].to_vec().into()).unwrap()
}

/// Reads the number of objects in a pack. A pack starts with its signature, its version and the
/// number of its objects (gitformat-pack(5)).
fn objects_in_pack(output: &[u8]) -> Option<u32> {
    let start = output.windows(8).position(|window| window == b"PACK\0\0\0\x02")?;
    Some(u32::from_be_bytes(output[start + 8..start + 12].try_into().unwrap()))
}

fn processes_that_name(address: &str) -> (Vec<String>, Vec<String>) {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Default::default();
    };
    let read = |path: PathBuf| {
        std::fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
            .unwrap_or_default()
    };
    processes
        .filter_map(|process| Some(process.ok()?.path()))
        .map(|process| (read(process.join("cmdline")), process))
        .filter(|(command_line, _)| command_line.contains(address))
        .map(|(command_line, process)| (command_line, read(process.join("environ"))))
        .unzip()
}
