//! The forge, tested over HTTP: by clients of other projects, by faults on command, and by GitHub's
//! own description of its answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod api;
mod comments;
mod damage;
mod durability;
mod faults;
mod gates;
mod git;
mod graphql;
mod inspector;
mod issues;
mod octocrab;
mod openapi;
mod pulls;
mod server;
mod slow_git;
mod strangers;
