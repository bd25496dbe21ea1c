//! Names of git's objects and branches, valid by construction, so that none can be taken for an
//! option or a pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the name of an object or a branch.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct InvalidName {
    text: String,
    what: &'static str,
}

impl InvalidName {
    /// `text` is not a name of the kind that `what` says, such as "the name of a branch".
    pub fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.to_owned(), what }
    }
}

macro_rules! object_id {
    ($(#[$documentation:meta])* $name:ident, $what:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl $name {
            /// The name in hexadecimal digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_object_id(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName::new(text, $what))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

object_id!(
    /// The full name of a commit.
    CommitId,
    "the name of a commit"
);
object_id!(
    /// The full name of a tree: the same for the same files, whoever made it.
    TreeId,
    "the name of a tree"
);
object_id!(
    /// The full name of what a tree has under a path: a file's content, a symbolic link's target, a
    /// submodule's commit.
    ObjectId,
    "the name of an object"
);

/// SHA-1 or SHA-256, in full and in lower case, as plumbing commands print them.
fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of a branch, without `refs/heads/`, by the rules of git-check-ref-format.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BranchName(String);

impl TryFrom<String> for BranchName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl BranchName {
    /// The name without `refs/heads/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name, `refs/heads/…`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BranchName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_reference_name(text) && !text.starts_with('-') && text != "HEAD" {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new(text, "the name of a branch"))
        }
    }
}

/// The rules of git-check-ref-format for what follows `refs/heads/`.
pub fn is_reference_name(text: &str) -> bool {
    let forbidden =
        |character: char| character.is_ascii_control() || " ~^:?*[\\".contains(character);
    !text.is_empty()
        && text != "@"
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with('.')
        && !text.contains(forbidden)
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_in_full() {
        assert!("1f6747caf757a9443619aa134cd295ade2db41e4".parse::<CommitId>().is_ok());
        assert!("a".repeat(64).parse::<TreeId>().is_ok());
        for bad in
            ["", "HEAD", "1f6747c", "--all", &"g".repeat(40), &"A".repeat(40), &"a".repeat(41)]
        {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_is_named_as_git_allows() {
        for good in
            ["main", "trunk", "codingworker/issue-7", "feature/日本語", "a.b", "a@b", "release-1.0"]
        {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        let bad = [
            "", "-x", "HEAD", "@", "a b", "a:b", "a*", "a?", "a[", "a\\b", "a^", "a~1", "a..b",
            "a@{0}", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\n",
            "a\u{7f}",
        ];
        for bad in bad {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
        }
    }
}
