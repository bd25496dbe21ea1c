//! A proxy to public addresses, for a repository's setup that is allowed to fetch.
//!
//! Names are looked up here, once, and what is connected to is the address that was judged: no
//! answer of a name server leads to this machine, its network or a cloud's metadata.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::serve::Listener;
use localhttp::Bounded;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, lookup_host};

use super::Refusals;

/// The longest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// How long a client has to send it, and a server to be connected to.
const BACKOFF: Duration = Duration::from_secs(30);
/// What package registries listen on.
const PORTS: [u16; 2] = [80, 443];

/// More than a package manager has downloads at once.
const CONNECTIONS: usize = 64;

/// Serves until it is dropped.
pub(super) async fn serve(listener: impl Listener) {
    let mut listener = Bounded::new(listener, CONNECTIONS);
    let refusals = Refusals::default();
    loop {
        let (client, place) = listener.accept().await;
        let refusals = refusals.clone();
        drop(tokio::spawn(async move {
            attend(client, refusals).await;
            drop(place);
        }));
    }
}

async fn attend(mut client: impl AsyncRead + AsyncWrite + Unpin, refusals: Refusals) {
    let refused = match serve_one(&mut client, &refusals).await {
        Ok(()) => return,
        Err(refused) => refused,
    };
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n{refused}\n"
    );
    client.write_all(answer.as_bytes()).await.ok();
}

/// What a client asks to be connected to.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    host: String,
    port: u16,
    /// What is sent on; nothing for a tunnel.
    head: Vec<u8>,
}

/// An error is one that the client is told.
async fn serve_one(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    refusals: &Refusals,
) -> io::Result<()> {
    let (head, rest) = tokio::time::timeout(BACKOFF, read_head(client)).await??;
    let asked = parse(&head).ok_or_else(|| {
        io::Error::other("this proxy serves CONNECT, and http:// URLs, on ports 80 and 443")
    })?;
    let addresses: Vec<SocketAddr> =
        lookup_host((asked.host.as_str(), asked.port)).await?.collect();
    if let Some(inner) = addresses.iter().find(|address| !is_public(address.ip())) {
        refusals.tell(&asked.host, &format!("its address is {}, which is not public", inner.ip()));
        return Err(io::Error::other(format!(
            "{} is at {}, which is not a public address",
            asked.host,
            inner.ip()
        )));
    }
    let mut server =
        tokio::time::timeout(BACKOFF, TcpStream::connect(addresses.as_slice())).await??;
    if asked.head.is_empty() {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    }
    server.write_all(&asked.head).await?;
    server.write_all(&rest).await?;
    // How a connection ends is between its two ends.
    copy_bidirectional(client, &mut server).await.ok();
    Ok(())
}

/// The head of a request with its empty line, and what came behind it.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((read, rest));
        }
        if read.len() > LARGEST_HEAD || client.read_buf(&mut read).await? == 0 {
            return Err(io::Error::other("this is no request"));
        }
    }
}

fn parse(head: &[u8]) -> Option<Asked> {
    let head = std::str::from_utf8(head).ok()?;
    let (line, headers) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method == "CONNECT" {
        let (host, port) = address(target, None)?;
        return Some(Asked { host, port, head: Vec::new() });
    }
    let target = target.strip_prefix("http://")?;
    let split = target.find(['/', '?']).unwrap_or(target.len());
    let (authority, path) = target.split_at_checked(split)?;
    let (host, port) = address(authority, Some(80))?;
    let own = |header: &&str| {
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.starts_with("proxy-") || name == "connection" || name == "keep-alive"
    };
    // One request a connection: what comes after it would go to the same server unread.
    let kept: String = headers
        .split_inclusive("\r\n")
        .filter(|header| !own(header) && *header != "\r\n")
        .collect();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let head = format!("{method} {path} {version}\r\n{kept}connection: close\r\n\r\n");
    Some(Asked { host, port, head: head.into_bytes() })
}

fn address(authority: &str, default: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default?),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':')
    };
    (PORTS.contains(&port) && !host.is_empty() && host.chars().all(plain))
        .then(|| (host.to_owned(), port))
}

/// Whether an address is reached through the internet alone: none of the special ones of IANA's two
/// registries, nor one that has such a one in it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || matches!(
            (a, b, c),
            (0 | 240..=255, _, _)
                | (100, 64..=127, _)
                | (192, 0, 0)
                | (192, 88, 99)
                | (198, 18 | 19, _)
        );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, _, _, _, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    match (a, b) {
        // Translated, and 6to4: each leads to the IPv4 address in it.
        (0x64, 0xff9b) => c == 0 && embedded(g, h),
        (0x2002, _) => embedded(b, c),
        // Teredo and its neighbors, ORCHID, documentation.
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_public() {
        for public in [
            "1.1.1.1",
            "140.82.112.3",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::8c52:7003",
            "2002:8c52:7003::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn a_tunnel_and_a_plain_request_are_understood() {
        let tunnel = Asked { host: "crates.io".to_owned(), port: 443, head: Vec::new() };
        assert_eq!(parse(b"CONNECT crates.io:443 HTTP/1.1\r\nhost: x\r\n\r\n"), Some(tunnel));
        let head =
            b"GET /a?b HTTP/1.1\r\nHost: deb.debian.org\r\nconnection: close\r\n\r\n".to_vec();
        let plain = Asked { host: "deb.debian.org".to_owned(), port: 80, head };
        let sent =
            b"GET http://deb.debian.org/a?b HTTP/1.1\r\nHost: deb.debian.org\r\nProxy-Connection: keep-alive\r\n\r\n";
        assert_eq!(parse(sent), Some(plain));
        let v6 = Asked { host: "2606:4700::1111".to_owned(), port: 443, head: Vec::new() };
        assert_eq!(parse(b"CONNECT [2606:4700::1111]:443 HTTP/1.1\r\n\r\n"), Some(v6));
    }

    #[test]
    fn what_is_not_plainly_one_host_is_refused() {
        for wrong in [
            "CONNECT crates.io:22 HTTP/1.1\r\n\r\n",
            "CONNECT crates.io HTTP/1.1\r\n\r\n",
            "CONNECT crates.io\0.evil:443 HTTP/1.1\r\n\r\n",
            "CONNECT a@b:443 HTTP/1.1\r\n\r\n",
            "CONNECT :443 HTTP/1.1\r\n\r\n",
            "GET /local HTTP/1.1\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\n\r\n",
            "GET http://user@127.0.0.1/ HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
