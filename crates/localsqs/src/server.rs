//! The server: a listener with its limits, the check of who may ask, and the way from a request to
//! an answer.
//!
//! Without a key pair the server is for this machine alone: it refuses to listen on an address that
//! others can reach, and refuses requests that a web page could make a browser send. With a key
//! pair every request must be signed.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use localhttp::Bounds;
use tokio::net::TcpListener;

use crate::broker::Queues;
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::{message, sigv4, wire};

/// The largest body of a request, in bytes. A batch of the largest size fits even when each of its
/// characters is written as an escape of JSON, which has six characters.
const LARGEST_REQUEST: usize = 8 * message::LARGEST;
/// More connections than a team of workers has, each of which keeps one open for its long poll.
const CONNECTIONS: usize = 512;
/// How often the server deletes messages at the end of their retention from queues that nobody
/// uses.
const EXPIRY: Duration = Duration::from_secs(60);

/// Serves queues until `shutdown` completes, and then lets requests that are under way finish.
///
/// # Errors
/// The listener can be reached by others and there is no key pair, or listening fails.
pub async fn serve(
    listener: TcpListener,
    queues: Queues,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && queues.options().credentials.is_none() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{address} can be reached by others, so a key pair is needed: configure one, or \
                 listen on 127.0.0.1"
            ),
        ));
    }
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(queues.clone());
    let bounds = Bounds { connections: CONNECTIONS, ..Bounds::default() };
    let closed = queues.clone();
    let ended = async move {
        shutdown.await;
        // Long polls are answered now with what there is, and not in up to 20 seconds.
        closed.close();
    };
    tokio::select! {
        () = localhttp::serve(listener, router, bounds, ended) => {}
        () = expire_periodically(&queues) => {}
    }
    queues.close();
    queues.closed().await;
    Ok(())
}

async fn expire_periodically(queues: &Queues) {
    let mut ticks = tokio::time::interval(EXPIRY);
    loop {
        ticks.tick().await;
        queues.expire(Time::now());
    }
}

/// Why a body was not read to its end, as the caller is told.
fn unread(rejection: &BytesRejection) -> Error {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let most = message::LARGEST;
        Error::value(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        ))
    } else {
        Error::value("The request did not come to its end.")
    }
}

async fn handle(
    State(queues): State<Queues>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return wire::refuse(&unread(&rejection)),
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let admitted = match &queues.options().credentials {
        Some(keys) => sigv4::verify(
            keys,
            &queues.options().region,
            &method,
            &uri,
            &headers,
            &body,
            Time::now(),
        ),
        None => localhttp::check_local(&headers)
            .map_err(|foreign| Error::new(Code::AccessDenied, foreign.to_string())),
    };
    match admitted {
        Ok(()) if method != Method::POST => wire::refuse_method(&method),
        Ok(()) => wire::answer(&queues, host, &headers, body).await,
        Err(error) => wire::refuse(&error),
    }
}
