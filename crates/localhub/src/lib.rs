//! A small GitHub-compatible forge for one machine: issues, labels, comments, pull requests, and
//! git over HTTP, stored in SQLite.
//!
//! Clients of GitHub use it without changes, by base URL: REST is at `http://127.0.0.1:PORT`,
//! GraphQL at `http://127.0.0.1:PORT/graphql`, and git at `http://127.0.0.1:PORT/OWNER/NAME.git`.
//! Every request needs a token. The server listens on loopback addresses only.
//!
//! [`Hub`] is an open forge, and [`serve`] answers requests with it. A request passes through these
//! layers, each of which knows only those after it:
//!
//! 1. `server`: the check for loopback, the request log, and the faults that a test asked for;
//! 2. `rest`, `graphql` and `git_http`: the routes, and the shapes of requests and answers;
//! 3. `api`: who calls, error answers, and addresses, for both REST and GraphQL;
//! 4. `hub`: the way from async code to code that blocks;
//! 5. `forge`: the rules;
//! 6. `store` (SQL) and `git` (processes).
#![warn(missing_docs)]

mod api;
mod faults;
mod forge;
mod git;
mod git_http;
mod graphql;
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
