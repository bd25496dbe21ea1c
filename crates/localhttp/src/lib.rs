//! An HTTP server for one machine.
//!
//! This crate holds what every such server needs, whatever it serves: a limit on the number of
//! connections and on the time that a peer may keep one without using it ([`serve`],
//! [`Bounded`]), a check that a request was sent by a program on this machine and not by a page
//! in its browser ([`check_local`]), and the text in which an error is logged ([`chain`]). The
//! users of the crate decide what they serve and how large a request may be.

#![warn(missing_docs)]

mod error;
mod local;
mod server;

pub use self::error::chain;
pub use self::local::{Foreign, check_local};
pub use self::server::{Bounded, Bounds, Unanswered, serve};
