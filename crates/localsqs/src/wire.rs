//! How requests are read and answers are written.
//!
//! `json` holds AWS's JSON 1.0 protocol. The older Query protocol is not spoken. Nothing in this
//! module decides what a queue does.

mod json;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use self::json::{Action, Caller};
use crate::broker::Queues;
use crate::error::{Code, Error};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// X-Ray's header, which says of which trace a request is part (the X-Ray Developer Guide, "Amazon
/// SQS and AWS X-Ray").
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const SERVICE: &str = "AmazonSQS.";

/// Answers one request. `host` is the name by which the caller reached this server; queue URLs
/// repeat it.
pub(crate) async fn answer(
    queues: &Queues,
    host: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    match carry_out(queues, host, headers, body).await {
        Ok(answer) => respond(StatusCode::OK, answer),
        Err(error) => refuse(&error),
    }
}

async fn carry_out(
    queues: &Queues,
    host: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<u8>, Error> {
    let target = headers.get(&TARGET).and_then(|target| target.to_str().ok());
    let name = target.and_then(|target| target.strip_prefix(SERVICE)).ok_or_else(|| {
        Error::new(
            Code::InvalidAction,
            format!(
                "The action or operation requested is invalid: a request names it in {TARGET} as \
                 {SERVICE}ACTION."
            ),
        )
    })?;
    let action: Action = name.parse().map_err(|_| {
        Error::new(
            Code::InvalidAction,
            format!(
                "The action or operation requested is invalid. Verify that the action is typed \
                 correctly: {name}."
            ),
        )
    })?;
    let trace = headers.get(&TRACE_ID).and_then(|trace| trace.to_str().ok());
    let trace = trace.filter(|trace| !trace.is_empty()).map(str::to_owned);
    let caller = Caller { host: host.to_owned(), trace };
    if action.outlives_its_caller() {
        let own = queues.clone();
        // Boxed, because the future of all actions is large and is moved several times.
        let work = Box::pin(async move { json::act(&own, &caller, action, &body).await });
        queues.run_detached(work).await
    } else {
        json::act(queues, &caller, action, &body).await
    }
}

/// The answer to every other method than POST. The protocol has no other (Smithy's "AWS JSON 1.0
/// protocol"), and an action that came with one might be repeated by whoever takes it for harmless.
pub(crate) fn refuse_method(method: &Method) -> Response {
    let mut response = refuse(&Error::new(
        Code::InvalidAction,
        format!("A request is sent with POST, and not with {method}."),
    ));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// An error as the JSON protocol writes it. A header has the Query protocol's name for it, which
/// SDKs compare.
pub(crate) fn refuse(error: &Error) -> Response {
    let Error { code, message } = error;
    let kind = format!("{}#{}", code.namespace(), code.name());
    let body = serde_json::json!({ "__type": kind, "message": message });
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, body.to_string().into_bytes());
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    if let Ok(value) = HeaderValue::from_str(&format!("{};{fault}", code.query_name())) {
        response.headers_mut().insert(QUERY_ERROR, value);
    }
    response
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    let request_id =
        HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("0"));
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE)), (REQUEST_ID, request_id)];
    (status, headers, body).into_response()
}
