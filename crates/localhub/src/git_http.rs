//! Git's smart HTTP at `/OWNER/NAME.git`: `git http-backend`, behind the forge's own
//! authentication.
//!
//! This module translates between HTTP and CGI. Both directions are streamed, so a pack may be
//! larger than memory. The protocol is git's.
//!
//! # Invariants
//!
//! - Git gets a path that was made from a parsed name, never the path of the request.
//! - The consequences of a push for pull requests are applied before the last byte of its answer
//!   is sent. So a client that has pushed sees them.

use std::error::Error;
use std::io;
use std::process::ExitStatus;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;

use crate::forge::Refusal;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::users::User;

/// In bytes. Git http-backend never sends so much before a body.
const HEADER_LIMIT: u64 = 16 * 1024;

/// The three routes of the smart protocol (gitprotocol-http(5)).
pub(crate) fn routes() -> Router<Hub> {
    Router::new()
        .route("/{owner}/{repo}/info/refs", get(advertise))
        .route("/{owner}/{repo}/git-upload-pack", post(fetch))
        .route("/{owner}/{repo}/git-receive-pack", post(push))
}

type Names = Path<(String, String)>;

async fn advertise(State(hub): State<Hub>, Path(names): Names, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let service = query.strip_prefix("service=").and_then(|name| name.parse().ok());
    // A git older than 1.6.6 asks for files. GitHub answers it with this sentence.
    let Some(service) = service else {
        return plain(StatusCode::FORBIDDEN, "Please upgrade your git client.\n");
    };
    let verb = "info/refs";
    run(hub, names, service, verb, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn fetch(State(hub): State<Hub>, Path(names): Names, request: Request) -> Response {
    call(hub, names, Service::Fetch, request).await
}

async fn push(State(hub): State<Hub>, Path(names): Names, request: Request) -> Response {
    call(hub, names, Service::Push, request).await
}

async fn call(hub: Hub, names: (String, String), service: Service, request: Request) -> Response {
    let verb = service.into();
    run(hub, names, service, verb, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// What a client wants to do, with git's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
enum Service {
    #[strum(serialize = "git-upload-pack")]
    Fetch,
    #[strum(serialize = "git-receive-pack")]
    Push,
}

/// Why a git client gets an error for an answer. Git shows the body's text after "remote:".
#[derive(Debug)]
enum GitRefusal {
    Unauthorized,
    Refused(Refusal),
    Broken(io::Error),
}

impl From<io::Error> for GitRefusal {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl IntoResponse for GitRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let mut response = plain(StatusCode::UNAUTHORIZED, "Invalid username or token.\n");
                let challenge = HeaderValue::from_static(crate::permission::CHALLENGE);
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Refused(Refusal::NotFound(_) | Refusal::Gone(_)) => {
                plain(StatusCode::NOT_FOUND, "Repository not found.\n")
            }
            Self::Refused(Refusal::Forbidden(_)) => {
                plain(StatusCode::FORBIDDEN, "Write access to repository not granted.\n")
            }
            Self::Refused(
                error @ (Refusal::Invalid(_)
                | Refusal::NotMergeable(_)
                | Refusal::Conflict(_)
                | Refusal::Store(_)
                | Refusal::Git(_)),
            ) => broken(&error),
            Self::Broken(error) => broken(&error),
        }
    }
}

fn broken(error: &(dyn Error + 'static)) -> Response {
    tracing::error!(error, "the forge can't answer a git client");
    plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error.\n")
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}

async fn run(
    hub: Hub,
    (owner, repository): (String, String),
    service: Service,
    verb: &str,
    request: Request,
) -> Result<Response, GitRefusal> {
    let user = caller(&hub, request.headers()).await?;
    let repository = repository.strip_suffix(".git").unwrap_or(&repository);
    let not_found = || GitRefusal::Refused(Refusal::NOT_FOUND);
    let name = RepositoryName::new(&owner, repository).map_err(|_| not_found())?;
    let needed = if service == Service::Push { Permission::Write } else { Permission::Read };
    let (wanted, actor) = (name.clone(), user.clone());
    hub.run(move |forge| forge.store.read(|tx| crate::forge::admit(tx, &actor, &wanted, needed)))
        .await
        .map_err(GitRefusal::Refused)?;

    let mut command = hub.forge().git.http_backend();
    command
        .env("GIT_PROJECT_ROOT", &hub.forge().repositories)
        .env("PATH_INFO", path_info(&name, verb))
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REMOTE_USER", &user.login)
        .env("REMOTE_ADDR", "127.0.0.1");
    // CONTENT_LENGTH is left out, so that git-http-backend reads to the end of its input. With a
    // length it would loop for ever when the client leaves before it has sent so much.
    let forwarded = [
        (CONTENT_TYPE, "CONTENT_TYPE"),
        (CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
        (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
    ];
    for (header, variable) in forwarded {
        if let Some(value) = request.headers().get(header).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("a pipe to git http-backend is missing").into());
    };
    let feeding = AbortOnDropHandle::new(tokio::spawn(feed(request.into_body(), stdin)));
    let complaints = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut text = Vec::new();
        // It is only logged, so it doesn't matter if it can't be read to its end.
        let _read = (&mut stderr).take(HEADER_LIMIT).read_to_end(&mut text).await;
        let _drained = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        String::from_utf8_lossy(&text).trim().to_owned()
    }));

    let mut stdout = BufReader::new(stdout);
    let (status, headers) = read_head(&mut stdout).await?;
    let after =
        (service == Service::Push && verb == "git-receive-pack").then_some((hub, name, user));
    let exchange = Exchange { child, feeding, complaints, after };
    let mut response = Response::new(Body::from_stream(answer(stdout, exchange)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The user whose token the request has. Git sends it as the password of Basic authentication. The
/// schemes of the REST API are taken, too.
async fn caller(hub: &Hub, headers: &HeaderMap) -> Result<User, GitRefusal> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(token);
    let token = token.ok_or(GitRefusal::Unauthorized)?;
    let user = hub.authenticate(&token).await.map_err(GitRefusal::Refused)?;
    user.ok_or(GitRefusal::Unauthorized)
}

fn token(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
        return pair.split_once(':').map(|(_, password)| password.to_owned());
    }
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then(|| credentials.trim().to_owned())
}

/// The path below `GIT_PROJECT_ROOT`. Directories have lower case only; see `Forge::path`.
fn path_info(name: &RepositoryName, verb: &str) -> String {
    format!("/{}.git/{verb}", name.to_string().to_ascii_lowercase())
}

/// Gives git the body of the request. When git stops reading, its answer says why.
async fn feed(body: Body, mut stdin: ChildStdin) {
    let mut body = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    if let Err(error) = tokio::io::copy(&mut body, &mut stdin).await {
        tracing::debug!(%error, "git http-backend did not take the whole request");
    }
    if let Err(error) = stdin.shutdown().await {
        tracing::debug!(%error, "git http-backend's input did not close");
    }
}

/// Reads the CGI header (RFC 3875, section 6.3): lines up to an empty one. The status code is in
/// `Status`, and is 200 without it.
async fn read_head(stdout: &mut BufReader<ChildStdout>) -> io::Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    let mut left = stdout.take(HEADER_LIMIT);
    loop {
        let mut line = String::new();
        if left.read_line(&mut line).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "git http-backend sent no header",
            ));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            status = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
}

/// A running git. It is killed when the stream of its answer is dropped, because the caller left.
struct Exchange {
    child: Child,
    feeding: AbortOnDropHandle<()>,
    complaints: AbortOnDropHandle<String>,
    /// The repository and the user, if this is a push.
    after: Option<(Hub, RepositoryName, User)>,
}

impl Exchange {
    async fn finish(mut self) -> io::Result<()> {
        let status: ExitStatus = self.child.wait().await?;
        drop(self.feeding);
        let complaints = self.complaints.await.unwrap_or_default();
        if !status.success() {
            tracing::warn!(%status, complaints, "git http-backend failed");
        }
        let Some((hub, name, user)) = self.after else { return Ok(()) };
        let pushed = hub.run(move |forge| forge.after_push(&user, &name, Timestamp::now())).await;
        pushed.map_err(io::Error::other)
    }
}

/// Git's output. The stream ends once git has ended and the consequences of a push are applied.
fn answer(
    stdout: BufReader<ChildStdout>,
    exchange: Exchange,
) -> impl stream::Stream<Item = io::Result<Bytes>> {
    let end = stream::once(exchange.finish()).filter_map(|ended| async { ended.err().map(Err) });
    ReaderStream::with_capacity(stdout, 64 * 1024).chain(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_password() {
        let basic = format!("Basic {}", STANDARD.encode("x-access-token:s3:cret"));
        assert_eq!(token(&basic).as_deref(), Some("s3:cret"));
        assert_eq!(token("bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("token abc").as_deref(), Some("abc"));
        assert_eq!(token("Digest abc"), None);
        assert_eq!(token("Basic !!"), None);
    }
}
