//! `GET /health`: how the worker is, for a probe; 200 when it is well, 503 when it is not.

use std::io;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Health;

/// Answers until it is dropped.
///
/// # Errors
/// The address can't be listened on.
pub async fn serve(address: SocketAddr, health: watch::Receiver<Health>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!("health at http://{}/health", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/health", get(tell)).with_state(health)).await
}

async fn tell(State(health): State<watch::Receiver<Health>>) -> (StatusCode, Json<Health>) {
    // A worker that answers is alive.
    let now = Timestamp::now();
    let health = Health { updated_at: now, ..health.borrow().clone() };
    (if health.is_well(now) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}
