//! How an error is told to a person: its message and all its causes, in one line.
//!
//! No variant of an error in this program prints its source. Whoever tells a person (an issue's
//! comment, the journal, the log, the command line) calls [`chain`], so that the cause at the
//! bottom, such as "No space left on device", is always said and said once.

pub use localhttp::chain;
