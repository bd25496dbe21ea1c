//! A server on a port of its own, and requests to it that need not be well formed.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Longer than any answer that does not wait on purpose, as a receive does.
const BACKOFF: Duration = Duration::from_millis(500);

pub(crate) struct Door {
    address: SocketAddr,
    _runtime: Runtime,
    _directory: tempfile::TempDir,
}

impl Door {
    pub(crate) fn open<S, F>(serve: S) -> Self
    where
        S: FnOnce(TcpListener, PathBuf) -> F,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let runtime = Runtime::new().expect("a runtime starts");
        let directory = tempfile::tempdir().expect("a directory is made");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("the port has an address");
        let serving = serve(listener, directory.path().to_owned());
        let _served = runtime.spawn(async move { serving.await.expect("the server goes on") });
        Self { address, _runtime: runtime, _directory: directory }
    }

    /// The status of the answer; `None` when there was none in time or the connection ended.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(BACKOFF)).expect("a patience is set");
        let length = body.len();
        let rest = format!(
            "\r\nHost: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.address
        );
        // A server that has refused the head may close before it has read the rest.
        let _sent = [head.as_bytes(), rest.as_bytes(), body]
            .iter()
            .try_for_each(|part| stream.write_all(part));
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer);
        let status = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }
}
