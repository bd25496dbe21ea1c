//! The door: connections on loopback, the request log, and the faults that a test asked for.
//!
//! Owns what is done to every request before and after its route. Invariant: nothing but a loopback
//! address is served, to nobody but one who calls it by a loopback name (a web page that rebinds
//! its own name to 127.0.0.1 does not).

use std::future::Future;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use jiff::Timestamp;
use localhttp::{Bounds, Unanswered};
use tokio::net::TcpListener;

use crate::faults::{Answer, Fault};
use crate::hub::Hub;
use crate::{git_http, rest};

/// Serves the forge on a bound listener until `shutdown` is done.
///
/// An address that is not loopback is refused: the forge speaks plain HTTP and its tokens would
/// travel in the open.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let message =
            format!("localhub serves loopback addresses only, not {address}: listen on 127.0.0.1");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    localhttp::serve(listener, router(hub), Bounds::default(), shutdown).await;
    Ok(())
}

fn router(hub: Hub) -> Router {
    rest::routes(&hub)
        .merge(git_http::routes())
        .layer(axum::middleware::from_fn_with_state(hub.clone(), answer))
        .with_state(hub)
}

/// What every request goes through, whatever its route.
async fn answer(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let path =
        request.uri().path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
    let sequence = hub.requests().arrive(&method, &path, Timestamp::now());
    let response = match localhttp::check_local(request.headers()) {
        Err(foreign) => (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response(),
        Ok(()) => match hub.faults().due(&method, &path) {
            None => next.run(request).await,
            Some(fault) => fail(fault, request, next).await,
        },
    };
    if response.extensions().get::<Unanswered>().is_none() {
        hub.requests().answered(sequence, response.status().as_u16());
    }
    response
}

async fn fail(fault: Fault, request: Request, next: Next) -> Response {
    match fault {
        Fault::Answer(answer) => given(answer),
        Fault::AnswerAfterEffect(answer) => {
            carry_out(request, next).await;
            given(answer)
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::DropBeforeEffect => dropped(),
        Fault::DropAfterEffect => {
            carry_out(request, next).await;
            dropped()
        }
    }
}

/// Runs the request to its end: a git push takes effect while its answer streams.
async fn carry_out(request: Request, next: Next) {
    let mut body = next.run(request).await.into_body().into_data_stream();
    while body.next().await.is_some() {}
}

fn given(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn dropped() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unanswered);
    response
}
