//! `GET /health`: how the worker is, for a probe; 200 when it is well, 503 when it is not.

use std::io;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use localhttp::Bounds;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Health;

/// Probes come one at a time.
const CONNECTIONS: usize = 16;

/// Answers until it is dropped.
///
/// # Errors
/// The address can't be listened on.
pub async fn serve(address: SocketAddr, health: watch::Receiver<Health>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!("health at http://{}/health", listener.local_addr()?);
    let router = Router::new().route("/health", get(tell)).with_state(health);
    let bounds = Bounds { connections: CONNECTIONS, ..Bounds::default() };
    localhttp::serve(listener, router, bounds, std::future::pending()).await;
    Ok(())
}

/// A request with a foreign `Host` or `Origin` comes from a web page in the user's browser that
/// made its own name lead here (DNS rebinding). It must not read the state of the worker.
async fn tell(
    State(health): State<watch::Receiver<Health>>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Health>), (StatusCode, String)> {
    localhttp::check_local(&headers)
        .map_err(|foreign| (StatusCode::FORBIDDEN, format!("{foreign}\n")))?;
    // A worker that answers is alive.
    let now = Timestamp::now();
    let health = Health { updated_at: now, ..health.borrow().clone() };
    let status = if health.is_well(now) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(health)))
}
