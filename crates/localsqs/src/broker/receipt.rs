//! Receipt handles: they say which receive of which message a caller means (the SQS Developer
//! Guide, "Amazon SQS queue and message identifiers").

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::{Code, Error};
use crate::index::{Entry, Id};

/// What a receipt handle holds. The next receive of the message makes it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) queue_id: i64,
    pub(super) id: Id,
    /// The number that the receive drew.
    pub(super) number: i64,
}

impl Receipt {
    /// Draws a number for a receive. It is random, so that nobody can guess a handle, and it
    /// differs from every other even when a message's number is used again after a restart.
    pub(super) fn draw_number() -> i64 {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        i64::try_from(random >> 1).unwrap_or(i64::MAX)
    }

    /// Whether the receive is the last one of the message.
    pub(super) fn is_of(self, entry: &Entry) -> bool {
        entry.receive_count > 0 && entry.receipt == self.number
    }

    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}:{}", self.queue_id, self.id, self.number))
    }

    /// Reads a handle that was given out for the queue with this number.
    pub(super) fn decode(handle: &str, queue_id: i64) -> Result<Self, Error> {
        let parse = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
            let mut parts = text.split(':');
            let receipt = Self {
                queue_id: parts.next()?.parse().ok()?,
                id: parts.next()?.parse().ok()?,
                number: parts.next()?.parse().ok()?,
            };
            (receipt.queue_id == queue_id && parts.next().is_none()).then_some(receipt)
        };
        parse().ok_or_else(|| {
            Error::new(
                Code::ReceiptHandleIsInvalid,
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
            )
        })
    }
}
