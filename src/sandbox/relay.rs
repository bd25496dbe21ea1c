//! The two ways out of a sandbox, each a socket or a port behind which this program decides what
//! goes on.

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

/// How often a relay tells of what it refused: a confined program may ask as often as it likes, and
/// would fill the worker's log.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How much is told of what was asked for, in characters.
const LONGEST_TOLD: usize = 200;

/// What confined programs ask for and do not get, for the worker's log.
#[derive(Debug, Clone, Default)]
struct Refusals(Arc<Mutex<Option<Instant>>>);

impl Refusals {
    fn tell(&self, asked: &str, why: &str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let asked: String = asked.chars().take(LONGEST_TOLD).collect();
            tracing::warn!(asked, "a confined program was refused: {why}");
        }
    }
}

/// Both relays, until they are dropped.
#[derive(Debug)]
pub(super) struct Relays {
    _servers: [AbortOnDropHandle<()>; 2],
}

impl Relays {
    /// Listens at sockets below `directory`, which is nobody else's.
    pub(super) fn at_sockets(
        directory: &Path,
        model_endpoint: &str,
    ) -> io::Result<(Self, Sockets)> {
        let sockets =
            Sockets { model: directory.join("model.sock"), proxy: directory.join("proxy.sock") };
        let listen = |socket: &Path| {
            // A worker that died left its own behind.
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

/// An endpoint's address with the relay's port in place of its origin; its path stays.
pub(super) fn seen_from_inside(endpoint: &str, port: u16) -> String {
    let path = reqwest::Url::parse(endpoint).map(|url| url.path().trim_end_matches('/').to_owned());
    format!("http://127.0.0.1:{port}{}", path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_endpoint_is_kept() {
        assert_eq!(seen_from_inside("http://127.0.0.1:4000", 11434), "http://127.0.0.1:11434");
        assert_eq!(
            seen_from_inside("https://api.openai.com/v1/", 11434),
            "http://127.0.0.1:11434/v1"
        );
    }
}
