//! The errors of repositories and work trees. There is one variant for each case that a caller
//! handles in its own way.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{DiskError, FileAction};
use crate::errors::Bilingual;
use crate::git::InvalidName;
use crate::git::RepoPath;
use crate::language::{Phrase, Text};
use crate::process::ProcessError;

/// Why an operation on a repository or a work tree failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The message does not repeat the address, because it may contain a password.
    #[error(
        "the address of the repository is not usable: write it as https://HOST/OWNER/NAME.git, \
         without a user or a password in it"
    )]
    UnusableAddress,
    #[error(
        "{url} refused the credential: check that GITHUB_TOKEN is valid and may read and write \
         this repository ({detail})"
    )]
    Unauthorized { url: String, detail: String },
    #[error("there is no repository at {url}, or the token may not see it")]
    RepositoryNotFound { url: String },
    #[error(
        "{url} redirects to another address: the repository was renamed or moved, use its new name \
         ({detail})"
    )]
    Moved { url: String, detail: String },
    #[error("{url} has no commits on a default branch: push a first commit")]
    NoCommits { url: String },
    #[error("git refuses what {url} holds, because it is malformed: {detail}")]
    Malformed { url: String, detail: String },
    /// The same command may succeed later.
    #[error("{url} can't be reached: {detail}")]
    Unreachable { url: String, detail: String },
    #[error(
        "branch {branch} was changed at {url} by somebody else since it was last seen ({detail})"
    )]
    StaleRemote { url: String, branch: String, detail: String },
    #[error("{url} refused the push to branch {branch}: {detail}")]
    PushRefused { url: String, branch: String, detail: String },
    #[error("the tree has a git repository inside it, at {path}: it can't be taken in, remove it")]
    NestedRepository { path: RepoPath },
    #[error("{path} is {}, which can't be taken in: remove it", what.en)]
    Foreign { path: RepoPath, what: Text },
    #[error(
        "{path} has more than {} MiB, and no larger file can be taken in: remove it",
        limit >> 20
    )]
    LargeFile { path: RepoPath, limit: u64 },
    #[error(
        "what is new in the tree has more than {} MiB, and no more can be taken in: remove files",
        limit >> 20
    )]
    LargeTree { limit: u64 },
    /// The attribute `working-tree-encoding` names an encoding that the content is not in
    /// (gitattributes(5)).
    #[error(
        "git can't store a file in the encoding that `.gitattributes` gives it \
         (`working-tree-encoding`): {detail}"
    )]
    Encoding { detail: String },
    #[error("what the tree holds can't be taken in: {}", why.en)]
    Unacceptable { why: Phrase },
    #[error("{} is larger than {limit} bytes", what.en)]
    TooLarge { what: Phrase, limit: usize },
    #[error("git {command} took longer than {} s and was stopped", deadline.as_secs())]
    TimedOut { command: &'static str, deadline: Duration },
    #[error("git {command} was killed by signal {signal}")]
    Killed { command: &'static str, signal: i32 },
    #[error("git {command} failed with exit code {code}: {stderr}")]
    Git { command: &'static str, code: i32, stderr: String },
    #[error("git {command} gave an answer that can't be understood: {answer:?}")]
    UnexpectedAnswer { command: &'static str, answer: String },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    #[error("git could not be run")]
    Process(#[from] ProcessError),
    #[error("can't {action} {}", path.display())]
    Io { action: FileAction, path: PathBuf, source: io::Error },
}

impl Bilingual for WorkspaceError {
    fn japanese(&self) -> String {
        match self {
            Self::UnusableAddress => {
                "リポジトリのアドレスを使用できません。ユーザー名とパスワードを\
                                      含めず、https://HOST/OWNER/NAME.git の形式で指定してください"
                    .to_owned()
            }
            Self::Unauthorized { url, detail } => format!(
                "{url} が認証情報を拒否しました。GITHUB_TOKENが有効で、このリポジトリを\
                 読み書きできることを確認してください（{detail}）"
            ),
            Self::RepositoryNotFound { url } => {
                format!("{url} にリポジトリがないか、トークンから見えません")
            }
            Self::Moved { url, detail } => format!(
                "{url} は別のアドレスに転送されています。リポジトリの名前または所有者が変わったため、\
                 新しい名前を使ってください（{detail}）"
            ),
            Self::NoCommits { url } => format!(
                "{url} のデフォルトブランチにコミットがありません。最初のコミットをプッシュしてください"
            ),
            Self::Malformed { url, detail } => {
                format!("{url} の内容が不正なため、gitが受け付けません: {detail}")
            }
            Self::Unreachable { url, detail } => format!("{url} に接続できません: {detail}"),
            Self::StaleRemote { url, branch, detail } => format!(
                "{url} のブランチ {branch} が、前回の確認後に他の人によって変更されました（{detail}）"
            ),
            Self::PushRefused { url, branch, detail } => {
                format!("{url} がブランチ {branch} へのプッシュを拒否しました: {detail}")
            }
            Self::NestedRepository { path } => {
                format!("{path} に別のgitリポジトリがあり、取り込めません。削除してください")
            }
            Self::Foreign { path, what } => {
                format!("{path} は{}のため、取り込めません。削除してください", what.ja)
            }
            Self::LargeFile { path, limit } => format!(
                "{path} は{} MiBを超えており、取り込めません。削除してください",
                limit >> 20
            ),
            Self::LargeTree { limit } => format!(
                "新しいファイルの合計が{} MiBを超えており、取り込めません。\
                 ファイルを減らしてください",
                limit >> 20
            ),
            Self::Encoding { detail } => format!(
                "`.gitattributes` が指定する文字コード（`working-tree-encoding`）で\
                 ファイルを保存できません: {detail}"
            ),
            Self::Unacceptable { why } => {
                format!("作業ツリーの内容を取り込めません: {}", why.ja)
            }
            Self::TooLarge { what, limit } => {
                format!("{} が{limit}バイトを超えています", what.ja)
            }
            Self::TimedOut { command, deadline } => format!(
                "git {command} が{}秒以内に終わらなかったため、停止しました",
                deadline.as_secs()
            ),
            Self::Killed { command, signal } => {
                format!("git {command} がシグナル{signal}で強制終了されました")
            }
            Self::Git { command, code, stderr } => {
                format!("git {command} が終了コード{code}で失敗しました: {stderr}")
            }
            Self::UnexpectedAnswer { command, answer } => {
                format!("git {command} の出力を解釈できません: {answer:?}")
            }
            Self::Disk(error) => error.japanese(),
            Self::InvalidName(error) => error.japanese(),
            Self::Process(_) => "gitを実行できません".to_owned(),
            Self::Io { action, path, source: _ } => {
                format!("{} {}", path.display(), action.japanese())
            }
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Disk(error) => error.own_cause(),
            Self::InvalidName(error) => error.own_cause(),
            Self::Process(error) => Some(error),
            Self::UnusableAddress
            | Self::Unauthorized { .. }
            | Self::RepositoryNotFound { .. }
            | Self::Moved { .. }
            | Self::NoCommits { .. }
            | Self::Malformed { .. }
            | Self::Unreachable { .. }
            | Self::StaleRemote { .. }
            | Self::PushRefused { .. }
            | Self::NestedRepository { .. }
            | Self::Foreign { .. }
            | Self::LargeFile { .. }
            | Self::LargeTree { .. }
            | Self::Encoding { .. }
            | Self::Unacceptable { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. }
            | Self::Killed { .. }
            | Self::Git { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Io { .. } => None,
        }
    }
}

impl WorkspaceError {
    /// Returns whether whoever wrote the files of a tree can put right what is wrong with them.
    #[must_use]
    pub fn is_about_the_files(&self) -> bool {
        matches!(
            self,
            Self::NestedRepository { .. }
                | Self::Foreign { .. }
                | Self::LargeFile { .. }
                | Self::LargeTree { .. }
                | Self::Encoding { .. }
                | Self::Unacceptable { .. }
        )
    }
}
