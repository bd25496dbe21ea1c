//! The Japanese sentences of the embedded servers' errors. The servers know no language.

use localhub::{GitError, HubError, NameError, StoreError};
use localsqs::OpenError;

use crate::errors::Bilingual;

impl Bilingual for OpenError {
    fn japanese(&self) -> String {
        match self {
            Self::Directory { path, source: _ } => {
                format!("キューのディレクトリ {} を作成できません", path.display())
            }
            Self::InUse { path } => format!(
                "キューのデータ {} は別のプログラムが使用しています。\
                 そのプログラムを終了するか、別のディレクトリを指定してください",
                path.display()
            ),
            Self::Open { path, source: _ } => {
                format!("キューのデータ {} を開けません", path.display())
            }
            Self::Newer { path, schema } => format!(
                "キューのデータ {} は新しいバージョンが書いたものです（スキーマ{schema}）。\
                 そのバージョンを使うか、別のディレクトリを指定してください",
                path.display()
            ),
            Self::Version { path, source: _ } => {
                format!("キューのデータ {} をこのバージョンの形式に変換できません", path.display())
            }
            Self::Damaged { path, table, row, column, .. } => format!(
                "キューのデータ {} が壊れています（テーブル{table}、行{row}、列{column}）。\
                 コピーから復元するか、sqlite3でその行を修正または削除してください",
                path.display()
            ),
            Self::Thread(_) => "キューのスレッドを開始できません".to_owned(),
        }
    }
}

impl Bilingual for HubError {
    fn japanese(&self) -> String {
        match self {
            Self::Directory { path, source: _ } => {
                format!("フォージのディレクトリ {} を作成できません", path.display())
            }
            Self::Name(error) => error.japanese(),
            Self::Unknown(name) => {
                format!("このフォージに {name} はありません。先に作成してください")
            }
            Self::Refused(why) => format!("フォージが拒否しました: {why}"),
            Self::Store(error) => error.japanese(),
            Self::Git(error) => error.japanese(),
        }
    }
}

impl Bilingual for NameError {
    fn japanese(&self) -> String {
        match self {
            Self::Repository(name) => format!(
                "{name:?} はリポジトリ名として使えません（英数字、'-'、'_'、'.' の \
                 OWNER/NAME を指定してください）"
            ),
            Self::Login(name) => format!(
                "{name:?} はログイン名として使えません（英数字と単独のハイフンで39文字以内）"
            ),
        }
    }
}

impl Bilingual for StoreError {
    fn japanese(&self) -> String {
        match self {
            Self::Open { path, source: _ } => format!(
                "フォージのデータベース {} を開けません。\
                 ディレクトリがあり、書き込めることを確認してください",
                path.display()
            ),
            Self::Newer { path, schema } => format!(
                "フォージのデータベース {} は新しいバージョンが書いたものです（スキーマ{schema}）。\
                 そのバージョンを使うか、別のディレクトリを指定してください",
                path.display()
            ),
            Self::Migrate { path, source: _ } => format!(
                "フォージのデータベース {} をこのバージョンの形式に変換できません",
                path.display()
            ),
            Self::Statement(_) => "フォージのデータベースで文を実行できません".to_owned(),
            Self::Damaged { table, row, column, source: _ } => format!(
                "フォージのデータベースが壊れています（テーブル{table}、行{row}、列{column}）。\
                 行を修正するか、バックアップから復元してください"
            ),
        }
    }
}

impl Bilingual for GitError {
    fn japanese(&self) -> String {
        match self {
            Self::Start { path, source: _ } => {
                format!("git（{}）を起動できません。インストールしてください", path.display())
            }
            Self::Directory { path, source: _ } => format!(
                "リポジトリのディレクトリ {} を作成できません。\
                 ディスクの空きと、親ディレクトリに書き込めることを確認してください",
                path.display()
            ),
            Self::Failed { command, repository, stderr } => {
                format!("git {command} が {} で失敗しました: {stderr}", repository.display())
            }
            Self::Unreadable { command, output } => format!(
                "git {command} の出力を解釈できません: {output:?}（git 2.38以降が必要です）"
            ),
        }
    }
}
