//! The errors a caller sees: AWS's own codes with their HTTP statuses, and what went wrong in
//! words.
//!
//! Codes are those of the SQS API Reference ("Common Errors" and each action's own). The Query
//! protocol has other names for some of them, which the JSON protocol tells in
//! `x-amzn-query-error`.

/// One of AWS's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Error {
    pub code: Code,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    QueueDoesNotExist,
    InvalidAddress,
    QueueNameExists,
    QueueDeletedRecently,
    PurgeQueueInProgress,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    MissingParameter,
    InvalidMessageContents,
    ReceiptHandleIsInvalid,
    MessageNotInflight,
    OverLimit,
    EmptyBatchRequest,
    TooManyEntriesInBatchRequest,
    BatchEntryIdsNotDistinct,
    InvalidBatchEntryId,
    BatchRequestTooLong,
    UnsupportedOperation,
    ResourceNotFound,
    InvalidAction,
    Serialization,
    AccessDenied,
    MissingAuthenticationToken,
    IncompleteSignature,
    InvalidClientTokenId,
    SignatureDoesNotMatch,
    RequestExpired,
    InternalFailure,
}

impl Code {
    /// The name in the JSON protocol, the one in the Query protocol, and the HTTP status.
    fn facts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::QueueDoesNotExist => {
                ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400)
            }
            Self::InvalidAddress => ("InvalidAddress", "InvalidAddress", 404),
            Self::QueueNameExists => ("QueueNameExists", "QueueAlreadyExists", 400),
            Self::QueueDeletedRecently => {
                ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", 400)
            }
            Self::PurgeQueueInProgress => {
                ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403)
            }
            Self::InvalidAttributeName => ("InvalidAttributeName", "InvalidAttributeName", 400),
            Self::InvalidAttributeValue => ("InvalidAttributeValue", "InvalidAttributeValue", 400),
            Self::InvalidParameterValue => ("InvalidParameterValue", "InvalidParameterValue", 400),
            Self::MissingParameter => ("MissingParameter", "MissingParameter", 400),
            Self::InvalidMessageContents => {
                ("InvalidMessageContents", "InvalidMessageContents", 400)
            }
            Self::ReceiptHandleIsInvalid => {
                ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404)
            }
            Self::MessageNotInflight => {
                ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", 400)
            }
            Self::OverLimit => ("OverLimit", "OverLimit", 403),
            Self::EmptyBatchRequest => {
                ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400)
            }
            Self::TooManyEntriesInBatchRequest => (
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                400,
            ),
            Self::BatchEntryIdsNotDistinct => {
                ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400)
            }
            Self::InvalidBatchEntryId => {
                ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400)
            }
            Self::BatchRequestTooLong => {
                ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400)
            }
            Self::UnsupportedOperation => {
                ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400)
            }
            Self::ResourceNotFound => {
                ("ResourceNotFoundException", "ResourceNotFoundException", 404)
            }
            Self::InvalidAction => ("InvalidAction", "InvalidAction", 400),
            Self::Serialization => ("SerializationException", "SerializationException", 400),
            Self::AccessDenied => ("AccessDeniedException", "AccessDenied", 403),
            Self::MissingAuthenticationToken => {
                ("MissingAuthenticationToken", "MissingAuthenticationToken", 403)
            }
            Self::IncompleteSignature => ("IncompleteSignature", "IncompleteSignature", 400),
            Self::InvalidClientTokenId => ("InvalidClientTokenId", "InvalidClientTokenId", 403),
            Self::SignatureDoesNotMatch => ("SignatureDoesNotMatch", "SignatureDoesNotMatch", 403),
            Self::RequestExpired => ("RequestExpired", "RequestExpired", 400),
            Self::InternalFailure => ("InternalFailure", "InternalFailure", 500),
        }
    }

    /// The shape's name in the JSON protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The name in the older Query protocol, where it may be another.
    #[must_use]
    pub fn query_name(self) -> &'static str {
        self.facts().1
    }

    #[must_use]
    pub fn status(self) -> u16 {
        self.facts().2
    }

    /// What stands before the name in `__type`: errors that every AWS service has are not of SQS.
    pub(crate) fn namespace(self) -> &'static str {
        let common = matches!(
            self,
            Self::InvalidAction
                | Self::Serialization
                | Self::InternalFailure
                | Self::AccessDenied
                | Self::MissingAuthenticationToken
                | Self::IncompleteSignature
                | Self::InvalidClientTokenId
                | Self::SignatureDoesNotMatch
                | Self::RequestExpired
        );
        if common { "com.amazon.coral.service" } else { "com.amazonaws.sqs" }
    }
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            Code::MissingParameter,
            format!("The request must contain the parameter {parameter}."),
        )
    }

    pub(crate) fn no_queue() -> Self {
        Self::new(Code::QueueDoesNotExist, "The specified queue does not exist.")
    }
}
