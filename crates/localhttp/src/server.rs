//! A server that takes a connection away from a peer that does not use it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::error::chain;

/// The share of a server that its peers may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many connections are open at once. Further peers wait until one ends.
    pub connections: usize,
    /// The largest head of a request, that is everything before its body, in bytes.
    pub head: usize,
    /// How long a connection may be open until the head of its next request has arrived.
    pub idle: Duration,
    /// How long a peer may pause while it sends a body, or while it should take an answer.
    pub pause: Duration,
    /// How long requests in progress may take to finish after the shutdown.
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

/// A listener that has a fixed number of connections open at once. Further peers wait in the
/// kernel's queue of the listening socket.
pub struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L: Listener> Bounded<L> {
    /// Limits `listener` to this many `connections` at once.
    #[must_use]
    pub fn new(listener: L, connections: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)) }
    }

    /// Waits for a free place and then for a connection. The place is free again when the permit
    /// is dropped.
    ///
    /// The future may be dropped at any time, as `select!` does it: no connection is lost, since
    /// it is accepted last.
    pub async fn accept(&mut self) -> (L::Io, OwnedSemaphorePermit) {
        let place =
            Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
        let (connection, _) = self.listener.accept().await;
        (connection, place)
    }
}

/// An extension of a response that must not be sent. The server ends the connection instead, so
/// the peer can't know whether its request was carried out.
#[derive(Debug, Clone, Copy)]
pub struct Unanswered;

#[derive(Debug, thiserror::Error)]
#[error("the request is not to be answered")]
struct Abandoned;

/// Serves `router` on `listener` until `shutdown` completes. Requests in progress then have
/// [`Bounds::grace`] to finish; what is left after that is dropped.
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
            // Without this the set would keep the result of every connection that has ended.
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
            // hyper closes the connection without an answer when its service returns an error.
            if response.extensions().get::<Unanswered>().is_some() {
                Err(Abandoned)
            } else {
                Ok(response)
            }
        }
    });
    let mut stream = TimeoutStream::new(stream);
    // hyper limits only the reading of a head. A peer that takes nothing of its answer is
    // noticed by the stream, and one that pauses in its body by the layer in `serve`.
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
        tracing::debug!(error = chain(&error), "a connection ended early");
    }
}
