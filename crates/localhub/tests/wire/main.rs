//! The forge at the wire: other people's clients, faults, durability, and GitHub's own description
//! of every answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod api;
mod comments;
mod damage;
mod durability;
mod faults;
mod gates;
mod git;
mod inspector;
mod issues;
mod octocrab;
mod openapi;
mod pulls;
mod server;
mod slow_git;
mod strangers;
