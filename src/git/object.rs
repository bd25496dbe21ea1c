//! The names of git's objects and branches. A value of these types is always valid, so git can't
//! read it as an option or a pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::errors::Bilingual;
use crate::language::Text;

/// Why a text is not the name of an object or a branch.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {}", what.en)]
pub struct InvalidName {
    text: String,
    what: Text,
}

impl Bilingual for InvalidName {
    fn japanese(&self) -> String {
        format!("{:?} は{}として使えません", self.text, self.what.ja)
    }
}

impl InvalidName {
    /// Makes the error for a text that is not `what`, such as "the name of a branch".
    pub fn new(text: &str, what: Text) -> Self {
        Self { text: text.to_owned(), what }
    }
}

macro_rules! object_id {
    ($(#[$documentation:meta])* $name:ident, $what:expr) => {
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
            /// Returns the name in hexadecimal digits.
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
    Text { en: "the name of a commit", ja: "コミットの名前" }
);
object_id!(
    /// The full name of a tree. Trees with the same files have the same name, whoever made them.
    TreeId,
    Text { en: "the name of a tree", ja: "ツリーの名前" }
);
object_id!(
    /// The full name of the object that a tree has at a path: the content of a file, the target of
    /// a symbolic link, or the commit of a submodule.
    ObjectId,
    Text { en: "the name of an object", ja: "オブジェクトの名前" }
);

/// Returns whether a text is a complete SHA-1 or SHA-256 in lower case, as git's plumbing commands
/// print it. An abbreviated name is refused, because it may become ambiguous.
fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of a branch without `refs/heads/`, valid by the rules of git-check-ref-format(1).
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
    /// Returns the name without `refs/heads/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the full name, `refs/heads/…`.
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
        // git also refuses a branch whose name starts with a dash, because it would read the name
        // as an option, and a branch with the name `HEAD`.
        if is_reference_name(text) && !text.starts_with('-') && text != "HEAD" {
            Ok(Self(text.to_owned()))
        } else {
            let what = Text { en: "the name of a branch", ja: "ブランチ名" };
            Err(InvalidName::new(text, what))
        }
    }
}

/// Returns whether a text may follow `refs/heads/` in the name of a reference, by the rules of
/// git-check-ref-format(1). Among others, a part must not end with `.lock`, because git locks a
/// reference with a file of that name.
pub fn is_reference_name(text: &str) -> bool {
    // git reads `@` alone as `HEAD` (gitrevisions(7)).
    text != "@"
        && gix_validate::reference::name(format!("refs/heads/{text}").as_str().into()).is_ok()
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
