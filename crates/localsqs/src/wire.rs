//! The wire: which protocol a request speaks, and how its answer or its error is written.
//!
//! AWS's JSON 1.0 protocol is in `json`; the older Query protocol is to stand beside it. Nothing
//! here decides what a queue does.

mod json;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::broker::Queues;
use crate::error::{Code, Error};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const SERVICE: &str = "AmazonSQS.";

/// Answers one request, and sees it to its end even when the caller goes away; `host` is what the
/// caller called us by, which queue URLs echo.
pub(crate) async fn answer(
    queues: &Queues,
    host: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get(&TARGET).and_then(|target| target.to_str().ok());
    let Some(action) = target.and_then(|target| target.strip_prefix(SERVICE)) else {
        let message = format!(
            "The action or operation requested is invalid: a request names it in {TARGET} as {SERVICE}ACTION."
        );
        return refuse(&Error::new(Code::InvalidAction, message));
    };
    let answer = if action == "ReceiveMessage" {
        // Ends with its caller: messages are not for one who has gone away.
        json::act(queues, host, action, &body).await
    } else {
        let (own, host, action) = (queues.clone(), host.to_owned(), action.to_owned());
        queues.run_detached(async move { json::act(&own, &host, &action, &body).await }).await
    };
    match answer {
        Ok(answer) => respond(StatusCode::OK, answer),
        Err(error) => refuse(&error),
    }
}

/// An error as the JSON protocol writes it, with the Query protocol's name for it beside (the AWS
/// SDKs still compare that one).
pub(crate) fn refuse(error: &Error) -> Response {
    let Error { code, message } = error;
    let body = serde_json::json!({ "__type": format!("{}#{}", code.namespace(), code.name()), "message": message });
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
