//! The two ways out of a sandbox, each a socket in the file system behind which this program decides what goes on.

mod model;
mod proxy;

use std::io;
use std::path::Path;

use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

use super::bubblewrap::Sockets;

/// Both relays, until they are dropped.
#[derive(Debug)]
pub(super) struct Relays {
    sockets: Sockets,
    _servers: [AbortOnDropHandle<()>; 2],
}

impl Relays {
    /// Listens below `directory`, which is nobody else's.
    pub(super) fn start(directory: &Path, model_endpoint: &str) -> io::Result<Self> {
        let sockets = Sockets { model: directory.join("model.sock"), proxy: directory.join("proxy.sock") };
        let listen = |socket: &Path| {
            // A worker that died left its own behind.
            if socket.exists() {
                std::fs::remove_file(socket)?;
            }
            UnixListener::bind(socket)
        };
        let model = model::serve(listen(&sockets.model)?, model_endpoint)?;
        let proxy = proxy::serve(listen(&sockets.proxy)?);
        let servers = [AbortOnDropHandle::new(tokio::spawn(model)), AbortOnDropHandle::new(tokio::spawn(proxy))];
        Ok(Self { sockets, _servers: servers })
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
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
        assert_eq!(seen_from_inside("https://api.openai.com/v1/", 11434), "http://127.0.0.1:11434/v1");
    }
}
