//! Scenarios over HTTP: a real server on a free loopback port, and requests as an SDK sends them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod access;
mod batches;
mod durability;
mod errors;
mod identity;
mod messages;
mod moves;
mod peers;
mod protocol;
mod queues;
mod receiving;
mod redrive;
mod server;
mod torn;
