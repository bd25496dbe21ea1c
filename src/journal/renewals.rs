//! The renewals of leases that the journal's thread has yet to write.
//!
//! Whoever renews a lease must not wait for the disk: a renewal that comes late loses the lease.
//! So a renewal is left here, and the thread takes it from here. Only the newest one of each
//! delivery is kept, which bounds what a slow disk can pile up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, named_params};
use tracing::Span;

use crate::errors;
use crate::task::Delivery;

/// The newest renewal of each delivery by its receipt handle; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewals(Arc<Mutex<BTreeMap<String, Renewal>>>);

#[derive(Debug)]
struct Renewal {
    message_id: String,
    lease_end: Timestamp,
    /// What the renewal belongs to, for the line that tells of a failure.
    span: Span,
}

impl Renewals {
    /// Leaves a renewal for the thread, in place of an older one of the same delivery. Returns
    /// whether it is the only one there, so that the thread has to be told of it.
    pub(super) fn add(&self, delivery: &Delivery, lease_end: Timestamp) -> bool {
        let message_id = delivery.message_id.clone();
        let renewal = Renewal { message_id, lease_end, span: Span::current() };
        let mut renewals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = renewals.is_empty();
        renewals.insert(delivery.receipt_handle.clone(), renewal);
        is_first
    }

    /// Writes what was left. A renewal that can't be written is told in the log and given up: the
    /// next one says more. Without it a worker that restarts believes that its lease ended earlier
    /// than it did, which is safe.
    pub(super) fn write(&self, connection: &Connection) {
        // The lock is not held while the disk is written to.
        let renewals = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (receipt_handle, Renewal { message_id, lease_end, span }) in renewals {
            if let Err(error) = write(connection, &receipt_handle, lease_end) {
                span.in_scope(|| {
                    tracing::warn!(
                        message_id,
                        error = errors::chain(&error),
                        "the renewal of the lease was not written down"
                    );
                });
            }
        }
    }
}

fn write(
    connection: &Connection,
    receipt_handle: &str,
    lease_end: Timestamp,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE runs SET lease_end = :lease_end
             WHERE receipt_handle = :receipt_handle AND released_at IS NULL",
        )?
        .execute(named_params! {
            ":lease_end": lease_end.to_string(),
            ":receipt_handle": receipt_handle,
        })
}
