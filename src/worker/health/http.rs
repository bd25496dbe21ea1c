//! `GET /health`: how the worker is, for a probe; 200 when it is well, 503 when it is not.

use std::io;
use std::net::{IpAddr, SocketAddr};

use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
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

/// Who asks by another name is a page that had its own lead here, and would read which repositories are worked on.
async fn tell(
    State(health): State<watch::Receiver<Health>>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Health>), StatusCode> {
    if !headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback) {
        return Err(StatusCode::FORBIDDEN);
    }
    // A worker that answers is alive.
    let now = Timestamp::now();
    let health = Health { updated_at: now, ..health.borrow().clone() };
    let status = if health.is_well(now) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(health)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("localhost:") || {
        let address =
            host.parse().map(|address: SocketAddr| address.ip()).or_else(|_| host.trim_matches(['[', ']']).parse());
        address.is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for host in ["127.0.0.1:9326", "127.0.0.1", "[::1]:9326", "[::1]", "localhost", "localhost:9326"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "127.0.0.1.example.com:80", "192.168.1.1:9326", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
