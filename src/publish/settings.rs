//! The settings of what is published: the section `[publish]`, and the language.

use serde::{Deserialize, Serialize};

use crate::git::BranchName;

use crate::settings::{InvalidSetting, Setting, Text, ValueKind};

/// How branches and commits are named and signed.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// The branch of a task has this before the number.
    pub branch_prefix: String,
    /// The name that commits have as author and committer.
    pub author_name: String,
    /// The email address that commits have as author and committer.
    pub author_email: String,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PublishSection {
    branch_prefix: String,
    author_name: String,
    author_email: String,
}

impl Default for PublishSection {
    fn default() -> Self {
        Self {
            branch_prefix: "codingworker/issue-".to_owned(),
            author_name: "CodingWorker".to_owned(),
            author_email: "codingworker@users.noreply.github.com".to_owned(),
        }
    }
}

impl PublishSection {
    /// # Errors
    /// The prefix can't begin a branch's name, or git can't write the author.
    pub(crate) fn validate(self) -> Result<PublishSettings, InvalidSetting> {
        if !is_branch_prefix(&self.branch_prefix) {
            return Err(InvalidSetting::new(
                "publish.branch_prefix",
                &self.branch_prefix,
                Text {
                    en: "the beginning of a branch name, such as \"codingworker/issue-\"",
                    ja: "ブランチ名の先頭部分（例: \"codingworker/issue-\"）",
                },
            ));
        }
        for (key, value) in [
            ("publish.author_name", &self.author_name),
            ("publish.author_email", &self.author_email),
        ] {
            if value.trim().is_empty() || value.contains(['<', '>', '\n', '\0']) {
                return Err(InvalidSetting::new(
                    key,
                    value,
                    Text {
                        en: "text without `<`, `>` and line ends, as git asks of an identity",
                        ja: IDENTITY.ja,
                    },
                ));
            }
        }
        Ok(PublishSettings {
            branch_prefix: self.branch_prefix,
            author_name: self.author_name,
            author_email: self.author_email,
        })
    }
}

/// Returns whether the name of a branch may begin with a text. The number of an issue follows it.
fn is_branch_prefix(prefix: &str) -> bool {
    !prefix.is_empty() && format!("{prefix}1").parse::<BranchName>().is_ok()
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "publish.branch_prefix",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "The branch of a task has this before the issue's number.",
            ja: "タスクのブランチ名は、この文字列の後にIssueの番号を続けたものです。",
        },
    )
    .allowed(Text {
        en: "the beginning of a branch name, as `git check-ref-format` has it",
        ja: "`git check-ref-format` の規則に従う、ブランチ名の先頭部分",
    }),
    Setting::new(
        "publish.author_name",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "The name of the commits' author.", ja: "コミットの作成者の名前です。"
        },
    )
    .allowed(IDENTITY),
    Setting::new(
        "publish.author_email",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "The email address of the commits' author.",
            ja: "コミットの作成者のメールアドレスです。",
        },
    )
    .allowed(IDENTITY),
];

const IDENTITY: Text = Text {
    en: "text without `<`, `>` and line ends",
    ja: "`<`、`>`、改行を含まない文字列",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_git_would_refuse_is_refused() {
        for good in ["codingworker/issue-", "a", "a/b/"] {
            assert!(is_branch_prefix(good), "{good}");
        }
        for bad in ["", "-a", "/a", ".a", "a..b", "a//b", "a/.b", "a@{", "a.lock/", "a b", "a~"] {
            assert!(!is_branch_prefix(bad), "{bad}");
        }
    }
}
