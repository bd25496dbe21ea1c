//! The scenarios: one test binary, a file each, named by what happens.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, says what it passes over, and has nobody outside to reach it"
)]

mod real_aider;
mod world;
