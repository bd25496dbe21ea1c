//! Recognizes a Terraform folder and writes its `terraform.tfvars`, which says who gets access.
//!
//! This module owns the text of that file and the rules for its values. They are the rules of
//! `infra/terraform/variables.tf`: this program refuses before it writes anything what Terraform
//! would refuse during a plan.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::files::File;
use crate::cli::told::{Said, said};
use crate::language::{Language, Text};
use crate::task::RepoName;

/// The file that declares the variables. The program recognizes a folder by it.
const VARIABLES: &str = "variables.tf";

pub(super) const DEFAULT_REGION: &str = "ap-northeast-1";
pub(super) const DEFAULT_ENVIRONMENT: &str = "dev";

/// The part of a `gh` command that prints the number of a repository and of its owner, for a user
/// who has to look them up.
const LOOKUP: &str = "--jq '.id, .owner.id'";

/// Returns whether the directory is a Terraform folder that declares the variable `github_org`.
pub(super) fn is_folder(directory: &Path) -> bool {
    std::fs::read_to_string(directory.join(VARIABLES))
        .is_ok_and(|text| declares_organization(&text))
}

fn declares_organization(text: &str) -> bool {
    static DECLARATION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?m)^[ \t]*variable[ \t]+"github_org"[ \t]*\{"#)
            .expect("the pattern is fixed")
    });
    DECLARATION.is_match(text)
}

/// The values in `terraform.tfvars`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) owner: String,
    /// The repositories in the order in which the user named them.
    pub(super) repositories: Vec<String>,
    pub(super) region: String,
    pub(super) environment: String,
    pub(super) alarm_email: Option<String>,
    pub(super) numbers: Option<Numbers>,
}

/// GitHub's numbers for the owner and the repositories. They stay the same when somebody else takes
/// over a name that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) owner: u64,
    pub(super) repositories: Vec<(String, u64)>,
}

impl Values {
    /// Makes the file in the layout that `terraform fmt` produces.
    pub(super) fn file(&self) -> File {
        let repositories: Vec<String> = self.repositories.iter().map(|name| quoted(name)).collect();
        let mut text = format!(
            "# Whom the queue takes tasks from. Names are exact, spelled as GitHub spells them; \
             {VARIABLES} tells of every variable.\n\
             \ngithub_org   = {}\ngithub_repos = [{}]\n\n",
            quoted(&self.owner),
            repositories.join(", ")
        );
        text.push_str(
            "# Numbers keep the trust with your repositories even if a name is given up and taken \
             by somebody else.\n\
             # Repositories created, renamed or transferred after 15 July 2026 present them, and \
             need them here.\n",
        );
        match &self.numbers {
            Some(numbers) => {
                let of_repositories: Vec<String> = numbers
                    .repositories
                    .iter()
                    .map(|(name, id)| format!("{} = \"{id}\"", quoted(name)))
                    .collect();
                text.push_str(&format!(
                    "github_owner_id = \"{}\"\ngithub_repo_ids = {{ {} }}\n",
                    numbers.owner,
                    of_repositories.join(", ")
                ));
            }
            None => text.push_str(&self.numbers_to_come()),
        }
        text.push_str(&format!(
            "\n# With numbers, whether the names alone are trusted as well: for repositories that \
             still present those.\n\
             accept_legacy_subject = false\n\
             \naws_region  = {}\nenvironment = {}\n\n\
             # Alarms by e-mail when the dead-letter queue holds a task or nobody works; SNS sends \
             a link to confirm first.\n",
            quoted(&self.region),
            quoted(&self.environment)
        ));
        match &self.alarm_email {
            Some(address) => text.push_str(&format!("alarm_email = {}\n", quoted(address))),
            None => text.push_str("# alarm_email = \"you@example.com\"\n"),
        }
        File { path: "terraform.tfvars", text }
    }

    fn numbers_to_come(&self) -> String {
        let commands: String = self
            .repositories
            .iter()
            .map(|name| format!("#   gh api repos/{}/{name} {LOOKUP}\n", self.owner))
            .collect();
        let unset: Vec<String> =
            self.repositories.iter().map(|name| format!("{} = \"NUMBER\"", quoted(name))).collect();
        format!(
            "# Each command prints the repository's number, then the owner's:\n{commands}\
             # github_owner_id = \"NUMBER\"\n# github_repo_ids = {{ {} }}\n",
            unset.join(", ")
        )
    }
}

/// Returns the text about the steps that remain after the file is written.
pub(super) fn next(values: &Values, language: Language) -> String {
    let (next, once) = language.pick(
        ("Next, in the same folder:", "once: the bucket and the table for Terraform's state"),
        (
            "次に、同じフォルダーで次のコマンドを実行してください。",
            "初回のみ: Terraformの状態を保存するバケットとテーブルを作成",
        ),
    );
    let mut text = format!(
        "{next}\n\
         \n  ../bootstrap-backend.sh   # {once}\
         \n  terraform init\
         \n  terraform plan\
         \n  terraform apply"
    );
    if values.numbers.is_none() {
        text.push_str(language.pick(
            "\n\nThe file holds no numbers of GitHub's: a repository that was created, renamed or \
             transferred after 15 July 2026 is not let\n\
             in without them. Set GITHUB_TOKEN and run this again with --force, or fill them in as \
             the file says.",
            "\n\nこのファイルにはGitHubの番号がありません。2026年7月15日より後に作成、改名、\
             移管されたリポジトリは、番号がないと受け付けられません。\n\
             GITHUB_TOKENを設定し、--forceを付けてもう一度実行するか、\
             ファイルの説明に従って記入してください。",
        ));
    }
    text
}

/// Parses an organization or user in GitHub's character set, by Terraform's rule: an exact name
/// without wildcards.
pub(super) fn owner(text: &str) -> Result<String, Said> {
    static OWNER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$").expect("the pattern is fixed")
    });
    let valid = format!("{text}/repository").parse::<RepoName>().is_ok() && OWNER.is_match(text);
    accept(
        text,
        valid,
        Text {
            en: "an owner on GitHub: at most 39 letters, digits and single hyphens, with no \
                 hyphen at either end",
            ja: "GitHubの所有者名（英数字と単独のハイフンで39文字以内。\
                 先頭と末尾にハイフンは使えません）",
        },
    )
}

/// Parses the name of a repository without its owner.
pub(super) fn repository(text: &str) -> Result<String, Said> {
    let named =
        format!("owner/{text}").parse::<RepoName>().is_ok_and(|parsed| parsed.name() == text);
    let valid = named && !text.to_ascii_lowercase().ends_with(".git");
    accept(
        text,
        valid,
        Text {
            en: "a repository's name without the owner: at most 100 letters, digits, dots, \
                 hyphens and underscores, and no .git at the end",
            ja: "所有者を除いたリポジトリ名（英数字、ドット、ハイフン、アンダースコアで100文字以内。\
                 末尾に.gitは使えません）",
        },
    )
}

/// Parses a region of AWS.
pub(super) fn region(text: &str) -> Result<String, Said> {
    static REGION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$").expect("the pattern is fixed")
    });
    let expected = Text {
        en: "a region's code, such as ap-northeast-1",
        ja: "リージョンのコード（例: ap-northeast-1）",
    };
    accept(text, REGION.is_match(text), expected)
}

/// Parses the value of the tag `Environment`.
pub(super) fn environment(text: &str) -> Result<String, Said> {
    static ENVIRONMENT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$").expect("the pattern is fixed")
    });
    accept(
        text,
        ENVIRONMENT.is_match(text),
        Text {
            en: "1 to 32 lowercase letters, digits and hyphens, with no hyphen at either end",
            ja: "英小文字、数字、ハイフンで1〜32文字の値（先頭と末尾にハイフンは使えません）",
        },
    )
}

/// Parses an e-mail address.
pub(super) fn alarm_email(text: &str) -> Result<String, Said> {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[^@\s\p{Cc}]+@[^@\s\p{Cc}]+[.][^@\s\p{Cc}.]+$").expect("the pattern is fixed")
    });
    let expected = Text { en: "one e-mail address", ja: "1件のメールアドレス" };
    accept(text, ADDRESS.is_match(text), expected)
}

fn accept(text: &str, valid: bool, expected: Text) -> Result<String, Said> {
    if valid {
        return Ok(text.to_owned());
    }
    let Text { en, ja } = expected;
    Err(said(format!("{text:?} is not {en}"), format!("{text:?} は使えません。必要な値: {ja}")))
}

/// Formats a text as a quoted template of HCL that stands for exactly this text (Terraform's
/// "Strings and Templates").
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if rest.peek() == Some(&'{') => quoted.extend([character, character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
