//! Names that reach the disk or a git command: parsed once, so that none can leave its directory or
//! be taken for an option.

use std::fmt;
use std::str::FromStr;

/// A name that GitHub would not give to a thing either.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    #[error(
        "{0:?} is no repository: expected OWNER/NAME of ASCII letters, digits, '-', '_' and '.'"
    )]
    Repository(String),
    #[error("{0:?} is no login: expected up to 39 ASCII letters, digits and single inner hyphens")]
    Login(String),
    #[error("{0:?} is no branch name: see git-check-ref-format(1)")]
    Branch(String),
}

/// `owner/name`, both halves of GitHub's character set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    owner: String,
    name: String,
}

impl RepositoryName {
    pub fn new(owner: &str, name: &str) -> Result<Self, NameError> {
        if is_login(owner) && is_repository_name(name) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(NameError::Repository(format!("{owner}/{name}")))
        }
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (owner, name) =
            text.split_once('/').ok_or_else(|| NameError::Repository(text.to_owned()))?;
        Self::new(owner, name)
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Bots' logins end in `[bot]`; an underscore comes with enterprise-managed users.
pub(crate) fn is_login(login: &str) -> bool {
    let stem = login.strip_suffix("[bot]").unwrap_or(login);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=39).contains(&stem.len())
        && stem.bytes().all(inner)
        && !stem.starts_with('-')
        && !stem.ends_with('-')
}

/// GitHub keeps `.git` at the end for the clone URL, and a wiki's repository for itself.
fn is_repository_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && name != "."
        && name != ".."
        && !lower.ends_with(".git")
        && !lower.ends_with(".wiki")
}

/// The rules of git-check-ref-format(1) with `--branch`, without asking git.
pub(crate) fn is_branch(branch: &str) -> bool {
    let component =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let forbidden =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    branch.len() <= 255
        && branch.split('/').all(component)
        && !branch.contains(forbidden)
        && !branch.contains("..")
        && !branch.contains("@{")
        && !branch.starts_with('-')
        && !branch.ends_with('.')
        && branch != "@"
        && branch != "HEAD"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_name_stays_inside_its_directory() {
        for good in ["octo/hello", "a/b.c", "x-y/_z", "dependabot[bot]/r", "o/..."] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "octo", "octo/", "/r", "o/..", "o/.", "../r", "o/a/b", "o/a b", "o/r.git", "o/r.wiki",
            "-o/r", "o/é", "o/r\0", "./r",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_is_what_git_calls_one() {
        for good in ["main", "feature/x", "codingworker/issue-1", "日本語", "a.b", "a@b"] {
            assert!(is_branch(good), "{good}");
        }
        for bad in [
            "", "-x", "a..b", "a b", "a~1", "a^", "a:b", "/a", "a/", "a//b", ".a", "a/.b",
            "a.lock", "a.", "@", "HEAD", "a@{0}", "a\n",
        ] {
            assert!(!is_branch(bad), "{bad}");
        }
    }
}
