//! A small GitHub-compatible forge for one machine: issues, labels, comments, pull requests and git
//! over HTTP, durable on SQLite.
//!
//! Clients that know GitHub use it unmodified by base URL: REST at `http://127.0.0.1:PORT`, git at
//! `http://127.0.0.1:PORT/OWNER/NAME.git`, both behind a token. It binds loopback only.
//!
//! [`Hub`] is the forge and [`serve`] its door. A request passes `server` (loopback, log, faults),
//! then `rest` or `git_http` (the wire), then `forge` (the rules), then `store` (SQL) and `git`
//! (processes); each knows only those below.

mod faults;
mod forge;
mod git;
mod git_http;
mod hub;
mod names;
mod permission;
mod rate;
mod request_log;
mod rest;
mod server;
mod store;

pub use faults::{Answer, Fault, Faults, When};
pub use git::GitError;
pub use hub::{Hub, HubError};
pub use names::NameError;
pub use permission::Permission;
pub use request_log::{LoggedRequest, RequestLog};
pub use server::serve;
pub use store::StoreError;
