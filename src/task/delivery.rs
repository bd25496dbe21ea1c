//! One receipt of a message: what the queue handed out, and by what right.

use jiff::Timestamp;

use super::cut::CutBody;

/// A message as it was received once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivery {
    /// A redrive gives the message another.
    pub message_id: String,
    /// What the lease is renewed and ended with; every receipt has its own.
    pub receipt_handle: String,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    pub body: String,
    /// What the producer said of a body that it cut.
    pub cut: Option<CutBody>,
    pub received_at: Timestamp,
}
