//! The server: what is done to every request before and after its route. That is the check for
//! loopback, the request log, and the faults that a test asked for.
//!
//! Invariant: only loopback addresses are served, and only requests that name one in `Host`. So a
//! web page in a browser of this machine can't use the forge, not even by giving its own name the
//! address 127.0.0.1 (DNS rebinding).

use std::future::Future;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use localhttp::{Bounds, Unanswered};
use tokio::net::TcpListener;

use crate::faults::{Answer, Fault};
use crate::hub::Hub;
use crate::{git_http, graphql, rest};

/// Answers requests to the forge on a listener until `shutdown` is done.
///
/// # Errors
///
/// When the listener has no loopback address: the forge speaks plain HTTP, so everybody on the way
/// could read the tokens.
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
        .merge(graphql::routes(&hub))
        .merge(git_http::routes())
        .layer(axum::middleware::from_fn_with_state(hub.clone(), answer))
        .with_state(hub)
}

/// Answers one request, whatever its route.
async fn answer(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let path =
        request.uri().path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
    let sequence = hub.requests().arrive(&method, &path);
    let is_page = wants_a_page(request.headers());
    let mut response = match localhttp::check_local(request.headers()) {
        Err(foreign) => (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response(),
        Ok(()) => match hub.faults().due(&method, &path) {
            None => next.run(request).await,
            Some(fault) => show(fault, request, next).await,
        },
    };
    if is_page {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    if response.extensions().get::<Unanswered>().is_none() {
        hub.requests().answered(sequence, response.status().as_u16());
    }
    response
}

/// Whether a browser asks for a page. It answers a challenge by asking a person for a password, and
/// the forge has no pages to show for one. Git and API clients do not accept HTML by name.
fn wants_a_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"))
}

async fn show(fault: Fault, request: Request, next: Next) -> Response {
    match fault {
        Fault::Answer(answer) => response(answer),
        Fault::AnswerAfterEffect(answer) => {
            carry_out(request, next).await;
            response(answer)
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::DropBeforeEffect => unanswered(),
        Fault::DropAfterEffect => {
            carry_out(request, next).await;
            unanswered()
        }
    }
}

/// Carries out a request to its end. The answer is read, because a push takes effect only while its
/// answer is streamed.
async fn carry_out(request: Request, next: Next) {
    let mut body = next.run(request).await.into_body().into_data_stream();
    while body.next().await.is_some() {}
}

fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// Makes `localhttp` close the connection instead of answering.
fn unanswered() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unanswered);
    response
}
