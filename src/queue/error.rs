//! Why a call to the queue failed, told apart as far as a caller acts on it.

use std::time::Duration;

use crate::errors::Bilingual;
use crate::language::Phrase;

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error(
        "there is no queue {queue} ({}): check `queue.name` or `queue.url`, the region and \
         the account",
        origin.en
    )]
    Missing { queue: String, origin: Phrase },
    #[error("the queue refused the credentials ({}): {message}", origin.en)]
    Refused { message: String, origin: Phrase },
    #[error(
        "there are no AWS credentials ({}): put the worker's access key into \
         ~/.aws/credentials, or name its profile in AWS_PROFILE",
        origin.en
    )]
    NoCredentials { origin: Phrase },
    #[error("the queue {queue} has no dead-letter queue: its redrive policy names none")]
    NoDeadLetters { queue: String },
    #[error("the lease is over: {message}")]
    LeaseOver { message: String },
    #[error("the queue did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error(
        "message {message_id} arrived damaged: its body is not the one that was sent; it was given \
         back"
    )]
    Damaged { message_id: String },
    #[error("the queue could not be asked ({}): {message}", origin.en)]
    Failed { message: String, origin: Phrase },
}

impl QueueError {
    /// Returns whether the same call may succeed later without a person fixing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Damaged { .. } | Self::Failed { .. } => true,
            Self::Missing { .. }
            | Self::Refused { .. }
            | Self::NoCredentials { .. }
            | Self::NoDeadLetters { .. }
            | Self::LeaseOver { .. } => false,
        }
    }
}

impl Bilingual for QueueError {
    fn japanese(&self) -> String {
        match self {
            Self::Missing { queue, origin } => format!(
                "キュー {queue} がありません（{}）。`queue.name` または `queue.url`、\
                 リージョン、アカウントを確認してください",
                origin.ja
            ),
            Self::Refused { message, origin } => {
                format!("キューが認証情報を拒否しました（{}）: {message}", origin.ja)
            }
            Self::NoCredentials { origin } => format!(
                "AWSの認証情報がありません（{}）。ワーカーのアクセスキーを \
                 ~/.aws/credentials に書くか、そのプロファイルをAWS_PROFILEに指定してください",
                origin.ja
            ),
            Self::NoDeadLetters { queue } => format!(
                "キュー {queue} にデッドレターキューがありません（redrive policyで指定されていません）"
            ),
            Self::LeaseOver { message } => {
                format!("メッセージのリースが切れています: {message}")
            }
            Self::TimedOut(limit) => {
                format!("キューが{}秒以内に応答しませんでした", limit.as_secs())
            }
            Self::Damaged { message_id } => format!(
                "メッセージ {message_id} が壊れて届きました（本文が送信時と異なります）。\
                 キューに戻しました"
            ),
            Self::Failed { message, origin } => {
                format!("キューに問い合わせできませんでした（{}）: {message}", origin.ja)
            }
        }
    }
}
