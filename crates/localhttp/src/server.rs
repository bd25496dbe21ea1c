//! Connections and their ends: a peer that keeps one without doing anything with it loses it.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::Bounded;

/// How much of a server its peers may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// At once; more wait.
    pub connections: usize,
    /// Of a request, in bytes, without its body.
    pub head: usize,
    /// How long a connection may be open until its next request has arrived, without its body.
    pub idle: Duration,
    /// How long a peer may pause in what it sends of a body, or take nothing of an answer.
    pub pause: Duration,
    /// How long requests in progress may go on after the shutdown.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            head: 64 << 10,
            idle: Duration::from_secs(30),
            pause: Duration::from_secs(60),
            grace: Duration::from_secs(3),
        }
    }
}

/// An extension of a response that must not be sent: the connection ends instead.
#[derive(Debug, Clone, Copy)]
pub struct Unanswered;

#[derive(Debug, thiserror::Error)]
#[error("the request is not to be answered")]
struct Abandoned;

/// Serves until `shutdown` is done.
pub async fn serve(
    listener: impl Listener,
    router: Router,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) {
    let router = router.layer(RequestBodyTimeoutLayer::new(bounds.pause));
    let mut listener = Bounded::new(listener, bounds.connections);
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => {}
            (stream, place) = listener.accept() => {
                let served = connection(stream, router.clone(), bounds, closing.clone());
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
        }
    }
    closing.cancel();
    let _in_time = tokio::time::timeout(bounds.grace, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn connection<S>(stream: S, router: Router, bounds: Bounds, closing: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = service.call(request);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            let Ok(response) = answer;
            if response.extensions().get::<Unanswered>().is_some() {
                Err(Abandoned)
            } else {
                Ok(response)
            }
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(bounds.pause));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.idle).max_header_size(bounds.head);
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
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
