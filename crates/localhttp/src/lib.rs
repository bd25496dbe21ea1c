//! An HTTP server for one machine.
//!
//! Owns what every such server needs whatever it serves: how many connections there are and how
//! long a peer may keep one without doing anything with it ([`serve`], [`Bounded`]), and whether a
//! request comes from this machine rather than from a page in its browser ([`check_local`]). Leaves
//! to its users what they serve, and how large a request may be.

mod bounded;
mod local;
mod server;

pub use self::bounded::Bounded;
pub use self::local::{Foreign, check_local};
pub use self::server::{Bounds, Unanswered, serve};
