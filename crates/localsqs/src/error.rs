//! The errors that a caller of the queue gets: AWS's own codes with their HTTP statuses, and a
//! sentence that says what was wrong.
//!
//! The codes are those of the SQS API Reference ("Common Errors" and the errors of each action).
//! The older Query protocol has other names for some of them. The JSON protocol tells those names
//! too, in the header `x-amzn-query-error`, because SDKs written for the Query protocol compare
//! them (the SQS Developer Guide, "Making Query API requests using AWS JSON protocol").

use strum::EnumProperty as _;

/// An error as a caller gets it: one of AWS's codes and a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Error {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// A code of AWS's. Its text is the name of the error's shape in the JSON protocol; the property
/// `query` is the name in the Query protocol where that one differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumProperty, strum::IntoStaticStr)]
pub(crate) enum Code {
    #[strum(props(query = "AWS.SimpleQueueService.NonExistentQueue"))]
    QueueDoesNotExist,
    InvalidAddress,
    #[strum(props(query = "QueueAlreadyExists"))]
    QueueNameExists,
    #[strum(props(query = "AWS.SimpleQueueService.QueueDeletedRecently"))]
    QueueDeletedRecently,
    #[strum(props(query = "AWS.SimpleQueueService.PurgeQueueInProgress"))]
    PurgeQueueInProgress,
    InvalidAttributeName,
    InvalidAttributeValue,
    #[strum(serialize = "InvalidParameterValueException", props(query = "InvalidParameterValue"))]
    InvalidParameterValue,
    #[strum(serialize = "MissingRequiredParameterException", props(query = "MissingParameter"))]
    MissingParameter,
    InvalidMessageContents,
    ReceiptHandleIsInvalid,
    OverLimit,
    #[strum(props(query = "AWS.SimpleQueueService.EmptyBatchRequest"))]
    EmptyBatchRequest,
    #[strum(props(query = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"))]
    TooManyEntriesInBatchRequest,
    #[strum(props(query = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"))]
    BatchEntryIdsNotDistinct,
    #[strum(props(query = "AWS.SimpleQueueService.InvalidBatchEntryId"))]
    InvalidBatchEntryId,
    #[strum(props(query = "AWS.SimpleQueueService.BatchRequestTooLong"))]
    BatchRequestTooLong,
    #[strum(props(query = "AWS.SimpleQueueService.UnsupportedOperation"))]
    UnsupportedOperation,
    #[strum(serialize = "ResourceNotFoundException")]
    ResourceNotFound,
    #[strum(serialize = "UnknownOperationException", props(query = "InvalidAction"))]
    InvalidAction,
    #[strum(serialize = "SerializationException", props(query = "MalformedInput"))]
    Serialization,
    #[strum(serialize = "AccessDeniedException", props(query = "AccessDenied"))]
    AccessDenied,
    #[strum(serialize = "IncompleteSignatureException", props(query = "IncompleteSignature"))]
    IncompleteSignature,
    #[strum(serialize = "UnrecognizedClientException", props(query = "InvalidClientTokenId"))]
    InvalidClientTokenId,
    /// Also the code of a request whose date is too far from the clock.
    #[strum(serialize = "InvalidSignatureException", props(query = "SignatureDoesNotMatch"))]
    SignatureDoesNotMatch,
    InternalFailure,
}

impl Code {
    /// The name of the error's shape in the JSON protocol.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// The name in the Query protocol.
    pub(crate) fn query_name(self) -> &'static str {
        self.get_str("query").unwrap_or_else(|| self.name())
    }

    /// The HTTP status of the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::PurgeQueueInProgress
            | Self::OverLimit
            | Self::AccessDenied
            | Self::InvalidClientTokenId
            | Self::SignatureDoesNotMatch => 403,
            Self::InvalidAddress | Self::ReceiptHandleIsInvalid | Self::ResourceNotFound => 404,
            Self::InternalFailure => 500,
            Self::QueueDoesNotExist
            | Self::QueueNameExists
            | Self::QueueDeletedRecently
            | Self::InvalidAttributeName
            | Self::InvalidAttributeValue
            | Self::InvalidParameterValue
            | Self::MissingParameter
            | Self::InvalidMessageContents
            | Self::EmptyBatchRequest
            | Self::TooManyEntriesInBatchRequest
            | Self::BatchEntryIdsNotDistinct
            | Self::InvalidBatchEntryId
            | Self::BatchRequestTooLong
            | Self::UnsupportedOperation
            | Self::InvalidAction
            | Self::Serialization
            | Self::IncompleteSignature => 400,
        }
    }

    /// What precedes the name in `__type`. Errors that all of AWS's services share do not belong
    /// to SQS's namespace.
    pub(crate) fn namespace(self) -> &'static str {
        let common = matches!(
            self,
            Self::InvalidAction
                | Self::InvalidParameterValue
                | Self::MissingParameter
                | Self::Serialization
                | Self::InternalFailure
                | Self::AccessDenied
                | Self::IncompleteSignature
                | Self::InvalidClientTokenId
                | Self::SignatureDoesNotMatch
        );
        if common { "com.amazon.coral.service" } else { "com.amazonaws.sqs" }
    }
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A parameter has a value that SQS does not allow.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// A parameter is required and absent.
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            Code::MissingParameter,
            format!("The request must contain the parameter {parameter}."),
        )
    }

    /// No queue has the name that was given.
    pub(crate) fn no_queue() -> Self {
        Self::new(Code::QueueDoesNotExist, "The specified queue does not exist.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_awss_names_and_status() {
        for (code, name, query_name, status) in [
            (
                Code::QueueDoesNotExist,
                "QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
                400,
            ),
            (
                Code::InvalidParameterValue,
                "InvalidParameterValueException",
                "InvalidParameterValue",
                400,
            ),
            (Code::MissingParameter, "MissingRequiredParameterException", "MissingParameter", 400),
            (Code::ResourceNotFound, "ResourceNotFoundException", "ResourceNotFoundException", 404),
            (Code::AccessDenied, "AccessDeniedException", "AccessDenied", 403),
            (Code::OverLimit, "OverLimit", "OverLimit", 403),
            (Code::InternalFailure, "InternalFailure", "InternalFailure", 500),
        ] {
            assert_eq!((code.name(), code.query_name(), code.status()), (name, query_name, status));
        }
    }
}
