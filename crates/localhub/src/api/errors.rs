//! GitHub's error answers: the status code, and the `message`, `errors` and `documentation_url`
//! that clients read.

use std::error::Error;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::extend;
use crate::forge::{FieldError, Refusal};

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// Why a request gets an error for an answer.
#[derive(Debug)]
pub(crate) enum ApiError {
    BadCredentials,
    /// The body is not JSON.
    Unparsable,
    /// The body or the query has another form than the route expects.
    Malformed(String),
    Refused(Refusal),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::BadCredentials => {
                let mut response = body(StatusCode::UNAUTHORIZED, "Bad credentials", None);
                let challenge = header::HeaderValue::from_static(crate::permission::CHALLENGE);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Unparsable => body(StatusCode::BAD_REQUEST, "Problems parsing JSON", None),
            Self::Malformed(reason) => body(
                StatusCode::UNPROCESSABLE_ENTITY,
                &format!("Invalid request.\n\n{reason}"),
                None,
            ),
            Self::Refused(refusal) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NotFound(message) => body(StatusCode::NOT_FOUND, message, None),
        Refusal::Gone(message) => body(StatusCode::GONE, message, None),
        Refusal::Forbidden(message) => body(StatusCode::FORBIDDEN, message, None),
        Refusal::NotMergeable(message) => body(StatusCode::METHOD_NOT_ALLOWED, message, None),
        Refusal::Conflict(message) => body(StatusCode::CONFLICT, &message, None),
        Refusal::Invalid(errors) => {
            let errors = errors.iter().map(field_error).collect();
            body(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed", Some(errors))
        }
        Refusal::Store(error) => failed(&error),
        Refusal::Git(error) => failed(&error),
    }
}

/// A failure of the forge itself. The log gets all of it, with its causes, and the caller gets
/// GitHub's words for it.
fn failed(error: &(dyn Error + 'static)) -> Response {
    tracing::error!(error, "the forge can't answer a request");
    body(StatusCode::INTERNAL_SERVER_ERROR, "Server Error", None)
}

fn field_error(error: &FieldError) -> Value {
    let mut value = json!({ "resource": error.resource, "code": error.code });
    if let Some(field) = error.field {
        extend(&mut value, json!({ "field": field }));
    }
    if let Some(message) = &error.message {
        extend(&mut value, json!({ "message": message }));
    }
    value
}

fn body(status: StatusCode, message: &str, errors: Option<Value>) -> Response {
    let mut value = json!({
        "message": message,
        "documentation_url": DOCUMENTATION,
        "status": status.as_u16().to_string(),
    });
    if let Some(errors) = errors {
        extend(&mut value, json!({ "errors": errors }));
    }
    (status, Json(value)).into_response()
}

/// GitHub answers 404 to a path that it does not know, and to a method that a path does not have.
pub(crate) async fn no_route() -> Response {
    body(StatusCode::NOT_FOUND, "Not Found", None)
}
