//! Bodies as GitHub takes them: JSON whatever the content type says, and `{}` for an empty body.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::errors::ApiError;

/// The body of a request, read as a `T`.
pub(crate) struct Input<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| {
            ApiError::Malformed("The request body is too large or was cut off.".to_owned())
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ApiError::Malformed(error.to_string()),
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => ApiError::Unparsable,
        })
    }
}

/// Tells an explicit `null` from a field that is not there. For
/// `#[serde(default, deserialize_with = "given")]`.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}
