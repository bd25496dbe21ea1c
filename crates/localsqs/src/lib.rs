//! An SQS-compatible queue server for one machine, durable on SQLite.
//!
//! Standard queues over AWS's JSON protocol, so that the AWS CLI, boto3 and every AWS SDK use it
//! unmodified with an endpoint URL. The semantics ([`Queues`]) know nothing of the wire, and the
//! wire nothing of the disk. docs/queue-compatibility.md says what differs from AWS.

mod attributes;
mod broker;
mod clock;
mod error;
mod index;
mod message;
mod server;
mod sigv4;
mod store;
mod wire;

pub use broker::{KeyPair, Options, Queues};
pub use error::Error;
pub use server::serve;
pub use store::OpenError;
