//! An HTTP proxy to public addresses, for the setup check of a repository that may download.
//!
//! The proxy looks a name up once and connects to the address that it checked. A name server whose
//! answers change can therefore not lead a program to this machine, its local network or the
//! metadata service of a cloud.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::serve::Listener;
use localhttp::Bounded;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, lookup_host};

use super::RefusalLog;

/// The longest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;

/// How long a client may take to send the head, and how long connecting to the server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The ports that the proxy connects to, which are those of package registries.
const PORTS: [u16; 2] = [80, 443];

/// How many connections the proxy serves at once. Package managers make fewer downloads at once.
const CONNECTIONS: usize = 64;

/// Serves until the future is dropped.
pub(super) async fn serve(listener: impl Listener) {
    let mut listener = Bounded::new(listener, CONNECTIONS);
    let refusals = RefusalLog::default();
    loop {
        let (client, place) = listener.accept().await;
        let refusals = refusals.clone();
        drop(tokio::spawn(async move {
            serve_client(client, refusals).await;
            drop(place);
        }));
    }
}

/// Serves one connection. The client gets the reason when the proxy refuses.
async fn serve_client(mut client: impl AsyncRead + AsyncWrite + Unpin, refusals: RefusalLog) {
    let Err(refused) = connect(&mut client, &refusals).await else { return };
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\
         content-type: text/plain\r\n\r\n{refused}\n"
    );
    client.write_all(answer.as_bytes()).await.ok();
}

/// A request to the proxy.
#[derive(Debug, PartialEq, Eq)]
struct ProxyRequest {
    host: String,
    port: u16,
    /// The head that the proxy sends to the server. It is empty for `CONNECT`.
    head: Vec<u8>,
}

/// Connects a client to the server that it asks for, until one of them closes the connection.
///
/// # Errors
/// The proxy refuses the request or can't reach the server.
async fn connect(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    refusals: &RefusalLog,
) -> io::Result<()> {
    let (head, rest) = tokio::time::timeout(TIMEOUT, read_head(client)).await??;
    let request = parse(&head).ok_or_else(|| {
        io::Error::other("this proxy serves CONNECT, and http:// URLs, on ports 80 and 443")
    })?;
    let addresses: Vec<SocketAddr> =
        lookup_host((request.host.as_str(), request.port)).await?.collect();
    if let Some(inner) = addresses.iter().find(|address| !is_public(address.ip())) {
        let why = format!("its address is {}, which is not public", inner.ip());
        refusals.refused(&request.host, &why);
        return Err(io::Error::other(format!(
            "{} is at {}, which is not a public address",
            request.host,
            inner.ip()
        )));
    }
    let mut server =
        tokio::time::timeout(TIMEOUT, TcpStream::connect(addresses.as_slice())).await??;
    if request.head.is_empty() {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    }
    server.write_all(&request.head).await?;
    server.write_all(&rest).await?;
    // A connection that breaks is the concern of the client and the server.
    copy_bidirectional(client, &mut server).await.ok();
    Ok(())
}

/// Reads the head of a request with its empty line, and returns also the bytes after it.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((read, rest));
        }
        if read.len() > LARGEST_HEAD || client.read_buf(&mut read).await? == 0 {
            return Err(io::Error::other("this is not a request"));
        }
    }
}

/// Reads the head of a request. `None` means that the proxy does not serve it.
fn parse(head: &[u8]) -> Option<ProxyRequest> {
    let head = std::str::from_utf8(head).ok()?;
    let (line, headers) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method == "CONNECT" {
        let (host, port) = address(target, None)?;
        return Some(ProxyRequest { host, port, head: Vec::new() });
    }
    let target = target.strip_prefix("http://")?;
    let split = target.find(['/', '?']).unwrap_or(target.len());
    let (authority, path) = target.split_at_checked(split)?;
    let (host, port) = address(authority, Some(80))?;
    // Headers for the proxy itself and for this connection are not forwarded (RFC 9110, section
    // 7.6.1).
    let is_hop_by_hop = |header: &&str| {
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.starts_with("proxy-") || name == "connection" || name == "keep-alive"
    };
    // The proxy does not read a second request on a connection, which may name another host. So it
    // asks the server to close the connection after the first answer.
    let kept: String = headers
        .split_inclusive("\r\n")
        .filter(|header| !is_hop_by_hop(header) && *header != "\r\n")
        .collect();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let head = format!("{method} {path} {version}\r\n{kept}connection: close\r\n\r\n");
    Some(ProxyRequest { host, port, head: head.into_bytes() })
}

/// The host and port of an authority, when the port is allowed and the host is a plain name or
/// address.
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

/// Whether an address is globally reachable: it is not in IANA's registries of special-purpose
/// addresses for IPv4 and IPv6, and embeds no IPv4 address that is.
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
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) lead to the IPv4 address that they embed.
        (0x64, 0xff9b) => c == 0 && embedded(g, h),
        (0x2002, _) => embedded(b, c),
        // The IETF protocol assignments, such as Teredo and ORCHID, and documentation.
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        // 2000::/3 is the only block for global unicast (RFC 4291).
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_globally_reachable_addresses_are_public() {
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
    fn a_tunnel_and_a_plain_request_are_parsed() {
        let tunnel = ProxyRequest { host: "crates.io".to_owned(), port: 443, head: Vec::new() };
        assert_eq!(parse(b"CONNECT crates.io:443 HTTP/1.1\r\nhost: x\r\n\r\n"), Some(tunnel));
        let head =
            b"GET /a?b HTTP/1.1\r\nHost: deb.debian.org\r\nconnection: close\r\n\r\n".to_vec();
        let plain = ProxyRequest { host: "deb.debian.org".to_owned(), port: 80, head };
        let sent = b"GET http://deb.debian.org/a?b HTTP/1.1\r\nHost: deb.debian.org\r\n\
            Proxy-Connection: keep-alive\r\n\r\n";
        assert_eq!(parse(sent), Some(plain));
        let v6 = ProxyRequest { host: "2606:4700::1111".to_owned(), port: 443, head: Vec::new() };
        assert_eq!(parse(b"CONNECT [2606:4700::1111]:443 HTTP/1.1\r\n\r\n"), Some(v6));
    }

    #[test]
    fn a_request_without_one_plain_host_and_port_is_refused() {
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
