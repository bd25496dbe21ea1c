//! The exit codes of the program, which scripts and service managers act on.
//!
//! 0, 1 and 2 mean what they mean everywhere (2 is clap's for wrong arguments). The others are
//! between 10 and 63, where nobody else gives a number a meaning: 3 to 7 are the init scripts' of
//! the Linux Standard Base, 64 to 78 are those of `sysexits.h`, a shell says by 126 and 127 that it
//! could not start a program and by 128 and above which signal ended it, and systemd has those
//! from 200 on.

use std::process::ExitCode;

use strum::{EnumIter, EnumMessage, IntoEnumIterator};

use crate::language::Language;

/// How a command ended. The first line of each comment is what `--help` says of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumMessage)]
#[repr(u8)]
pub(super) enum Exit {
    /// The command did what it was asked to; of `worker --once`: the task is done
    Ok = 0,
    /// An error, which is told on standard error
    Error = 1,
    /// The arguments are wrong
    Usage = 2,
    /// `worker --once`: the queue had no message
    NothingThere = 10,
    /// `worker --once`: the run failed, and the message comes again for another try
    Retried = 11,
    /// `worker --once`: the run failed for good, and the message goes to the dead-letter queue
    DeadLettered = 12,
    /// `worker --once`: the task was taken back: its issue was closed, or its label taken off
    Cancelled = 13,
    /// `worker --once`: the lease on the message was lost, and whoever receives it next goes on
    Abandoned = 14,
    /// `worker --once`: the worker was stopped, and the run goes on when one is started again
    Suspended = 15,
    /// `doctor`: a worker could not start here, or its sandbox would not hold
    NotReady = 20,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// What `--help` says of the code in Japanese.
    fn japanese(self) -> &'static str {
        match self {
            Self::Ok => "コマンドが正常に終了しました（`worker --once`: タスクが完了しました）",
            Self::Error => "エラーが発生しました（内容は標準エラー出力に表示します）",
            Self::Usage => "引数が正しくありません",
            Self::NothingThere => "`worker --once`: キューにメッセージがありませんでした",
            Self::Retried => "`worker --once`: 実行が失敗しました。メッセージは再び配信されます",
            Self::DeadLettered => {
                "`worker --once`: 実行が失敗し、メッセージはデッドレターキューに移動します"
            }
            Self::Cancelled => {
                "`worker --once`: Issueが閉じられたかラベルが外されたため、タスクを取り消しました"
            }
            Self::Abandoned => {
                "`worker --once`: メッセージのリースを失いました。次に受信したワーカーが続行します"
            }
            Self::Suspended => {
                "`worker --once`: ワーカーが停止されました。次に起動すると実行を再開します"
            }
            Self::NotReady => {
                "`doctor`: ここではワーカーを起動できないか、サンドボックスが機能しません"
            }
        }
    }
}

/// The codes of a command as its help shows them, a line each; `None` stands for all of them.
pub(super) fn help(command: Option<&str>, language: Language) -> String {
    let lines = Exit::iter().filter_map(|exit| {
        let meaning = language.pick(exit.get_documentation()?, exit.japanese());
        let is_shown = command.is_none_or(|command| {
            !meaning.starts_with('`') || meaning.starts_with(&format!("`{command}"))
        });
        is_shown.then(|| format!("\n  {:>2}  {}", exit as u8, meaning.replace('`', "")))
    });
    format!("{}:{}", language.pick("Exit codes", "終了コード"), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_a_command_tells_its_codes_and_those_of_every_command() {
        let shown = help(Some("doctor"), Language::En);
        assert!(shown.contains("\n   2  The arguments are wrong"), "{shown}");
        assert!(shown.contains("\n  20  doctor: "), "{shown}");
        assert!(!shown.contains("worker --once: the queue"), "{shown}");
        assert_eq!(help(None, Language::Ja).lines().count(), 1 + Exit::iter().count());
    }

    #[test]
    fn no_code_has_a_meaning_to_others() {
        for exit in
            Exit::iter().filter(|exit| !matches!(exit, Exit::Ok | Exit::Error | Exit::Usage))
        {
            assert!((10..64).contains(&(exit as u8)), "{exit:?}");
        }
    }
}
