//! An SQS-compatible queue server for one machine, durable on SQLite.
//!
//! It serves standard queues over AWS's JSON protocol: the AWS CLI, boto3 and every AWS SDK use it
//! unmodified with an endpoint URL. What a queue does ([`Queues`]) is separate from how requests
//! and answers are written, and from what is on the disk. docs/queue-compatibility.md says what
//! differs from AWS.

#![warn(missing_docs)]

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

pub use broker::{Difference, KeyPair, Options, Queues};
pub use error::Error;
pub use server::serve;
pub use store::OpenError;
