//! The server: a listener and its limits, who may ask, and the way from a request to an answer.
//!
//! Without a key pair it is for this machine: it refuses to listen elsewhere, and refuses what a web page could make a browser send here. With one
//! every request must be signed.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use tokio::net::TcpListener;

use crate::broker::Queues;
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::{message, sigv4, wire};

/// A batch of the largest size is below this, even with each of its characters as one of JSON's escapes, which have six.
const LARGEST_REQUEST: usize = 8 * message::LARGEST;
/// How often queues that nobody asks are rid of what they have kept for its time.
const EXPIRY: Duration = Duration::from_secs(60);

/// Serves queues until `shutdown`, and then lets the requests that are under way end.
///
/// # Errors
/// The listener is not on loopback and there is no key pair, or listening fails.
pub async fn serve(
    listener: TcpListener,
    queues: Queues,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && queues.options().credentials.is_none() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{address} can be reached by others, so a key pair is needed: configure one, or listen on 127.0.0.1"
            ),
        ));
    }
    let router =
        Router::new().fallback(handle).layer(DefaultBodyLimit::max(LARGEST_REQUEST)).with_state(queues.clone());
    let closed = queues.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        closed.close();
    });
    tokio::select! {
        served = serving.into_future() => served,
        () = expire_now_and_then(&queues) => Ok(()),
    }
}

async fn expire_now_and_then(queues: &Queues) {
    let mut turns = tokio::time::interval(EXPIRY);
    loop {
        turns.tick().await;
        queues.expire(Time::now());
    }
}

async fn handle(
    State(queues): State<Queues>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Ok(body) = body else {
        let most = message::LARGEST;
        let reason = format!("One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.");
        return wire::refuse(&Error::value(reason));
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let admitted = match &queues.options().credentials {
        Some(keys) => sigv4::verify(keys, &queues.options().region, &method, &uri, &headers, &body, Time::now()),
        None => check_local(host, &headers),
    };
    match admitted {
        Ok(()) => wire::answer(&queues, host, &headers, body).await,
        Err(error) => wire::refuse(&error),
    }
}

/// Refuses what a page in a browser could send to a port of this machine: a request with an origin, or for a name that only looks local.
fn check_local(host: &str, headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Error::new(Code::AccessDenied, "Requests from web pages are refused."));
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    if name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()) {
        Ok(())
    } else {
        Err(Error::new(
            Code::AccessDenied,
            format!("This queue is for its own machine: ask for localhost or 127.0.0.1, not {name}."),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_answered() {
        for good in ["127.0.0.1:9324", "localhost:9324", "localhost", "[::1]:9324", "127.0.0.1"] {
            assert!(check_local(good, &HeaderMap::new()).is_ok(), "{good}");
        }
        for bad in ["evil.example:9324", "127.0.0.1.evil.example", "", "192.168.0.1:9324"] {
            assert!(check_local(bad, &HeaderMap::new()).is_err(), "{bad}");
        }
        let from_a_page = HeaderMap::from_iter([(header::ORIGIN, "https://evil.example".parse().unwrap())]);
        assert!(check_local("localhost:9324", &from_a_page).is_err());
    }
}
