//! The queue at its wire: raw requests of AWS's JSON protocol to a server on a free port, and other people's clients.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by panicking, starts programs and says what it passes over"
)]

mod durability;
mod errors;
mod messages;
mod peers;
mod redrive;
mod server;
mod waiting;
