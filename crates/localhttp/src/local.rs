//! Whether a request was sent by a program on this machine.
//!
//! Every page in this machine's browser can reach a port of the loopback address. A page may send
//! requests to it, and it may read the answers too when its own host name resolves to 127.0.0.1
//! (DNS rebinding). The browser puts that host name into `Host`, and adds an `Origin` to what a
//! page sends across origins (the Fetch Standard, "Origin header"). Programs use a loopback name
//! and send no `Origin`.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Why a request was not sent by a program on this machine. The text is an answer to the sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The request has an `Origin`, so a web page sent it.
    #[error("requests from web pages are refused")]
    Page,
    /// `Host` is not a loopback name: either DNS rebinding, or a program that was given the wrong
    /// address.
    #[error("this server is for its own machine: ask for localhost or 127.0.0.1, not {0:?}")]
    Host(String),
}

/// Refuses a request that a page in a browser could have sent.
///
/// # Errors
/// [`Foreign`] says which of the request's headers shows that.
pub fn check_local(headers: &HeaderMap) -> Result<(), Foreign> {
    if headers.contains_key(ORIGIN) {
        return Err(Foreign::Page);
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback_name(host) { Ok(()) } else { Err(Foreign::Host(host.to_owned())) }
}

/// Whether an authority, as in `Host`, names this machine in a way that no resolver can point
/// elsewhere: a loopback address, or `localhost` and the names below it (RFC 6761, section 6.3).
fn is_loopback_name(authority: &str) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        Some(_) | None => authority,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_this_machine() {
        for good in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost",
            "LOCALHOST:1",
            "[::1]:80",
            "[::1]",
            "hub.localhost:9",
            "127.1.2.3",
        ] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            "10.0.0.1",
            "192.168.0.1:9324",
            "",
            ":80",
            "evil:localhost",
            "[::1].example.com",
            "notlocalhost",
        ] {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_is_known_by_its_origin_or_its_own_name() {
        let headers = |host: &str, origin: Option<&str>| {
            let origin = origin.map(|origin| (ORIGIN, origin.parse().unwrap()));
            [(HOST, host.parse().unwrap())].into_iter().chain(origin).collect::<HeaderMap>()
        };
        assert_eq!(check_local(&headers("localhost:9324", None)), Ok(()));
        for origin in ["https://evil.example", "null", "http://localhost:3000"] {
            assert_eq!(
                check_local(&headers("localhost:9324", Some(origin))),
                Err(Foreign::Page),
                "{origin}"
            );
        }
        let rebound = check_local(&headers("evil.example:9324", None));
        assert_eq!(rebound, Err(Foreign::Host("evil.example:9324".to_owned())));
        assert!(check_local(&HeaderMap::new()).is_err());
    }
}
