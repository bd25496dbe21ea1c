//! Names that reach the disk or a git command. They are parsed once, so that none can lead out of
//! its directory or be taken for an option.

use std::fmt;
use std::str::FromStr;

/// A name that GitHub would not accept either.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Not the name of a repository.
    #[error(
        "{0:?} is no repository: expected OWNER/NAME of ASCII letters, digits, '-', '_' and '.'"
    )]
    Repository(String),
    /// Not the login of a user.
    #[error("{0:?} is no login: expected up to 39 ASCII letters, digits and single inner hyphens")]
    Login(String),
}

/// `owner/name`, both made of the characters that GitHub allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryName {
    owner: String,
    name: String,
}

impl RepositoryName {
    /// Checks both halves.
    pub(crate) fn new(owner: &str, name: &str) -> Result<Self, NameError> {
        if is_login(owner) && is_repository_name(name) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(NameError::Repository(format!("{owner}/{name}")))
        }
    }

    /// The login of the owner.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// The name without the owner.
    pub(crate) fn name(&self) -> &str {
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

/// Whether a user may have this login. The login of a bot ends in `[bot]`. Logins of
/// enterprise-managed users have an underscore.
pub(crate) fn is_login(login: &str) -> bool {
    let stem = login.strip_suffix("[bot]").unwrap_or(login);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=39).contains(&stem.len())
        && stem.bytes().all(inner)
        && !stem.starts_with('-')
        && !stem.ends_with('-')
}

/// GitHub refuses names that end in `.git`, which belongs to the clone URL, and in `.wiki`, which
/// is the name of a wiki's repository.
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

/// In bytes. GitHub refuses longer names of branches and tags (its error GH002).
const BRANCH_LIMIT: usize = 255;

/// Whether a branch may have this name.
///
/// gix-validate decides by the rules of git-check-ref-format(1) for a ref without `refs/heads/`. It
/// does not know the two rules that only branches have, and which `git check-ref-format --branch`
/// adds: a name does not begin with a hyphen, and is not `HEAD`.
pub(crate) fn is_branch(branch: &str) -> bool {
    branch.len() <= BRANCH_LIMIT
        && !branch.starts_with('-')
        && branch != "HEAD"
        && gix_validate::reference::name_partial(branch.into()).is_ok()
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
            "a.lock", "a.lock/b", "a.", "@", "HEAD", "a@{0}", "a\n", "a\u{7f}", "a*", "a?", "a[",
            "a\\b",
        ] {
            assert!(!is_branch(bad), "{bad}");
        }
    }
}
