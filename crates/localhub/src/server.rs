//! The door: connections on loopback, the request log, and the faults that a test asked for.
//!
//! Owns what is done to every request before and after its route. Invariant: nothing but a loopback address is served, to
//! nobody but one who calls it by a loopback name (a web page that rebinds its own name to 127.0.0.1 does not).

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::faults::{Answer, Fault};
use crate::hub::Hub;
use crate::{git_http, rest};

/// How long requests in progress may go on after the shutdown.
const GRACE: Duration = Duration::from_secs(3);

/// Serves the forge on a bound listener until `shutdown` is done.
///
/// An address that is not loopback is refused: the forge speaks plain HTTP and its tokens would travel in the open.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let message = format!("localhub serves loopback addresses only, not {address}: listen on 127.0.0.1");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let router = router(hub);
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), closing.clone()));
                }
                // Out of file descriptors, most likely: those who are connected will give some back.
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    closing.cancel();
    let _in_time = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Marks a response that must not be sent: the connection ends instead.
#[derive(Clone)]
struct Dropped;

#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped on request of a fault")]
struct ConnectionDropped;

async fn connection(stream: TcpStream, router: Router, closing: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = service.call(request);
        async move {
            let Ok(response) = answer.await;
            if response.extensions().get::<Dropped>().is_some() { Err(ConnectionDropped) } else { Ok(response) }
        }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn router(hub: Hub) -> Router {
    rest::routes(&hub)
        .merge(git_http::routes())
        .layer(axum::middleware::from_fn_with_state(hub.clone(), answer))
        .with_state(hub)
}

/// What every request goes through, whatever its route.
async fn answer(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
    let sequence = hub.requests().arrive(&method, &path, Timestamp::now());
    let response = if called_by_loopback_name(request.headers()) {
        match hub.faults().due(&method, &path) {
            None => next.run(request).await,
            Some(fault) => fail(fault, request, next).await,
        }
    } else {
        (StatusCode::FORBIDDEN, "localhub answers to loopback names only\n").into_response()
    };
    if response.extensions().get::<Dropped>().is_none() {
        hub.requests().answered(sequence, response.status().as_u16());
    }
    response
}

async fn fail(fault: Fault, request: Request, next: Next) -> Response {
    match fault {
        Fault::Answer(answer) => given(answer),
        Fault::AnswerAfterEffect(answer) => {
            carry_out(request, next).await;
            given(answer)
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::DropBeforeEffect => dropped(),
        Fault::DropAfterEffect => {
            carry_out(request, next).await;
            dropped()
        }
    }
}

/// Runs the request to its end: a git push takes effect while its answer streams.
async fn carry_out(request: Request, next: Next) {
    let mut body = next.run(request).await.into_body().into_data_stream();
    while body.next().await.is_some() {}
}

fn given(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn dropped() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Dropped);
    response
}

fn called_by_loopback_name(headers: &HeaderMap) -> bool {
    headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback_name)
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_answered_to() {
        for good in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "hub.localhost:9", "127.1.2.3"] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in
            ["example.com", "127.0.0.1.example.com", "localhost.example.com:80", "10.0.0.1", "", "evil:localhost"]
        {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }
}
