//! What keeps a check from running, for a reason that lies in the worker's machine and not in the
//! repository.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::language::Language;

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

impl Obstacle {
    /// Tells what keeps the check from running, and what to do about it, without a full stop.
    #[must_use]
    pub fn told(&self, language: Language) -> String {
        language.pick(self.to_string(), self.japanese())
    }

    fn japanese(&self) -> String {
        match self {
            Self::Missing { tool } => {
                format!("{tool} がありません。インストールしてください")
            }
            Self::NotExecutable { program } => {
                format!("{program} に実行権限がありません。chmod +x で付けてください")
            }
            Self::WrongVersion { detail } => {
                format!("リポジトリが指定するツールのバージョンと異なります: {detail}")
            }
            Self::Offline => "ネットワークが必要ですが、使えません。.codingworker.tomlに \
                              `setup_network = true` と書くと、準備のコマンドが使えます"
                .to_owned(),
            Self::Unreachable { detail } => {
                format!("接続先に拒否されたか、到達できませんでした: {detail}")
            }
            Self::Certificate { detail } => format!(
                "接続先の証明書が信頼されていません。発行した認証局をこのマシンに登録してください: \
                 {detail}"
            ),
            Self::ReadOnly { detail } => {
                format!("読み取り専用の場所に書き込もうとしています: {detail}")
            }
            Self::NoSpace { detail } => format!("ディスクに空きがありません: {detail}"),
            Self::TimeLimit { seconds } => format!(
                "{seconds}秒以内に終わりません。.codingworker.tomlの `timeout_seconds` を\
                 大きくしてください"
            ),
        }
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
