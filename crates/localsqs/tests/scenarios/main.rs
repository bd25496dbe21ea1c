//! The queue server at its wire: a real server on a free loopback port, spoken to as an SDK speaks
//! to it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod access;
mod batches;
mod durability;
mod errors;
mod messages;
mod moves;
mod peers;
mod queues;
mod receiving;
mod redrive;
mod server;
mod torn;
