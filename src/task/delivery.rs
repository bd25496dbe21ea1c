//! One receive of a message: the content that the queue delivered, and the handle that gives the
//! worker the lease on it.

use jiff::Timestamp;

use super::cut::CutBody;

/// A message as the worker received it once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivery {
    /// The id that SQS gave the message. A redrive gives the message a new id.
    pub message_id: String,
    /// The handle with which the worker renews the lease and deletes the message. SQS gives a new
    /// handle at each receive, and only the newest one is sure to work ("Amazon SQS queue and
    /// message identifiers" in the SQS Developer Guide).
    pub receipt_handle: String,
    /// How often SQS has delivered the message, including this time.
    pub receive_count: u32,
    pub body: String,
    /// What the producer said about a body that it cut, or `None` when the body is complete.
    pub cut: Option<CutBody>,
    pub received_at: Timestamp,
}
