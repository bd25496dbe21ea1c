//! What keeps a check from running, for a reason that lies in the worker's machine and not in the
//! repository.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a check could not be run on this machine. `detail` is the line of the output that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A program, or a part of a toolchain, is not installed.
    Missing { tool: String },
    /// A program is there, and may not be executed.
    NotExecutable { program: String },
    /// The installed version of a tool is one that the repository forbids.
    WrongVersion { detail: String },
    /// The check needs a network, and its sandbox has none.
    Offline,
    /// The check has a network, and a host was refused or can't be reached.
    Unreachable { detail: String },
    /// The certificate of a host is not trusted.
    Certificate { detail: String },
    /// The check writes to a place that it can only read.
    ReadOnly { detail: String },
    /// The disk is full.
    NoSpace { detail: String },
    /// It took longer than it may, on the base commit too.
    TimeLimit { seconds: u64 },
}

/// The obstacles that a line of output tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToldObstacle {
    WrongVersion,
    Certificate,
    ReadOnly,
    NoSpace,
    /// A host was refused or can't be reached.
    Network,
}

impl Obstacle {
    /// Whether it lies on the way to another host: a change is never to blame for it.
    pub(super) fn is_of_the_network(&self) -> bool {
        matches!(self, Self::Offline | Self::Unreachable { .. } | Self::Certificate { .. })
    }
}

impl fmt::Display for Obstacle {
    /// A sentence without a full stop, for the worker's log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { tool } => write!(formatter, "{tool} is missing: install it"),
            Self::NotExecutable { program } => {
                write!(formatter, "{program} may not be executed: chmod +x it")
            }
            Self::WrongVersion { detail } => {
                write!(formatter, "the repository asks for another version of a tool: {detail}")
            }
            Self::Offline => formatter.write_str(
                "it needs the network, which it has not: `setup_network = true` in \
                 .codingworker.toml gives it to the setup",
            ),
            Self::Unreachable { detail } => {
                write!(formatter, "a host was refused or can't be reached: {detail}")
            }
            Self::Certificate { detail } => write!(
                formatter,
                "the certificate of a host is not trusted: add its authority to the machine's: \
                 {detail}"
            ),
            Self::ReadOnly { detail } => {
                write!(formatter, "it writes to a place that it can only read: {detail}")
            }
            Self::NoSpace { detail } => write!(formatter, "the disk is full: {detail}"),
            Self::TimeLimit { seconds } => write!(
                formatter,
                "it takes longer than {seconds} s: raise `timeout_seconds` in .codingworker.toml"
            ),
        }
    }
}
