//! Scenarios over HTTP: a real server on a free loopback port, and requests as an SDK sends them.

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
