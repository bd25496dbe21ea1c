//! The scenarios: one test binary, a file each, named by what happens.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it passes over"
)]

mod real_aider;
mod world;
