//! A listener on the loopback address inside, whose connections are carried to a relay's socket.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Forward;

/// How long nothing is accepted when nothing can be.
const PAUSE: Duration = Duration::from_millis(20);

/// Listens before the confined program is started, so that it never finds the port closed.
pub(super) fn start(forward: Forward) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, forward.port))?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else {
                // Too many are open, and some of them will end.
                thread::sleep(PAUSE);
                continue;
            };
            let socket: PathBuf = forward.socket.clone();
            // A relay that is gone closes the connection; the program inside sees that.
            thread::spawn(move || carry(&connection, &socket).ok());
        }
    });
    Ok(())
}

/// Carries both ways until both have ended.
fn carry(inside: &TcpStream, socket: &Path) -> io::Result<()> {
    let outside = UnixStream::connect(socket)?;
    let (mut from_inside, mut to_outside) = (inside.try_clone()?, outside.try_clone()?);
    let there = thread::spawn(move || {
        let carried = io::copy(&mut from_inside, &mut to_outside);
        to_outside.shutdown(Shutdown::Write).and(carried)
    });
    let (mut from_outside, mut to_inside) = (outside, inside);
    let carried = io::copy(&mut from_outside, &mut to_inside);
    inside.shutdown(Shutdown::Write).ok();
    there.join().map_err(|_| io::Error::other("a thread panicked"))?.and(carried).map(drop)
}
