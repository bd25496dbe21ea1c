//! The relays: the two ways out of a sandbox. Each is a socket or a port at which this program
//! listens and decides what it forwards.

mod model;
mod proxy;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::task::AbortOnDropHandle;

use super::bubblewrap::Sockets;
use super::seatbelt::Ports;

/// How often a relay logs what it refused. A confined program could otherwise fill the worker's log
/// by asking again and again.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How many characters of a refused request are logged.
const LONGEST_LOGGED: usize = 200;

/// Logs the requests that a relay refuses. Clones share the time of the last line.
#[derive(Debug, Clone, Default)]
struct RefusalLog(Arc<Mutex<Option<Instant>>>);

impl RefusalLog {
    fn refused(&self, request: &str, why: &str) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            *logged = Some(Instant::now());
            let request: String = request.chars().take(LONGEST_LOGGED).collect();
            tracing::warn!(request, "a confined program was refused: {why}");
        }
    }
}

/// Both relays. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Relays {
    _servers: [AbortOnDropHandle<()>; 2],
}

impl Relays {
    /// Listens at sockets in `directory`, which no other worker uses.
    pub(super) fn at_sockets(
        directory: &Path,
        model_endpoint: &str,
    ) -> io::Result<(Self, Sockets)> {
        let sockets =
            Sockets { model: directory.join("model.sock"), proxy: directory.join("proxy.sock") };
        let listen = |socket: &Path| {
            // A worker that was killed leaves its socket behind, and bind(2) refuses a path that
            // exists.
            if socket.exists() {
                std::fs::remove_file(socket)?;
            }
            UnixListener::bind(socket)
        };
        let relays = Self::start(listen(&sockets.model)?, listen(&sockets.proxy)?, model_endpoint)?;
        Ok((relays, sockets))
    }

    /// Listens at free ports of the loopback address.
    pub(super) async fn at_ports(model_endpoint: &str) -> io::Result<(Self, Ports)> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (model, proxy) = (listen().await?, listen().await?);
        let ports = Ports { model: model.local_addr()?.port(), proxy: proxy.local_addr()?.port() };
        Ok((Self::start(model, proxy, model_endpoint)?, ports))
    }

    fn start<L: Listener>(model: L, proxy: L, model_endpoint: &str) -> io::Result<Self> {
        let (model, proxy) = (model::serve(model, model_endpoint)?, proxy::serve(proxy));
        let servers = [
            AbortOnDropHandle::new(tokio::spawn(model)),
            AbortOnDropHandle::new(tokio::spawn(proxy)),
        ];
        Ok(Self { _servers: servers })
    }
}

/// The URL of an endpoint inside a sandbox: the relay's address in place of the origin, and the
/// endpoint's own path.
pub(super) fn endpoint_inside(endpoint: &str, port: u16) -> String {
    let path = reqwest::Url::parse(endpoint).map(|url| url.path().trim_end_matches('/').to_owned());
    format!("http://127.0.0.1:{port}{}", path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_endpoint_is_kept() {
        assert_eq!(endpoint_inside("http://127.0.0.1:4000", 11434), "http://127.0.0.1:11434");
        assert_eq!(
            endpoint_inside("https://api.openai.com/v1/", 11434),
            "http://127.0.0.1:11434/v1"
        );
    }
}
