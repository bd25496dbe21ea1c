//! The entry that documents one key of the configuration file.
//!
//! The reference page, the environment variables that override keys and the old names of keys are
//! all made from these entries.

use std::ops::RangeInclusive;

use crate::language::{Phrase, Text};

/// One key of the configuration file.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key with its section: `queue.lease_seconds`.
    pub(crate) key: &'static str,
    /// The version that had the key first.
    pub(crate) since: &'static str,
    pub(crate) kind: ValueKind,
    pub(crate) description: Text,
    /// What is allowed, where the kind does not say it.
    pub(crate) allowed: Option<Text>,
    /// The default in words, where it depends on something.
    pub(crate) default: Option<Text>,
    /// The environment variable that overrides the key.
    pub(crate) variable: Option<&'static str>,
    /// The names that the key had before; they still work.
    pub(crate) former_keys: &'static [FormerKey],
}

/// A name that a key had before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormerKey {
    /// The old key with its section.
    pub(crate) key: &'static str,
    /// The version that renamed it.
    pub(crate) renamed_in: &'static str,
}

/// The kind of value that a key or a variable has.
#[derive(Debug, Clone)]
pub(crate) enum ValueKind {
    /// Any text.
    Text,
    /// Several texts: an array in the file, separated by commas in a variable.
    Texts,
    /// A file or a directory.
    Path,
    /// Several files or directories.
    Paths,
    Url,
    /// An IP address and a port.
    Address,
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    Number {
        unit: Unit,
        range: RangeInclusive<u64>,
    },
    /// Several numbers, at least one.
    Numbers {
        unit: Unit,
        range: RangeInclusive<u64>,
    },
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things that the key's name says.
    Count,
    Seconds,
    Bytes,
    Mebibytes,
    Tokens,
}

impl Setting {
    /// An entry for `key`, which the version `since` had first.
    pub(crate) const fn new(
        key: &'static str,
        since: &'static str,
        kind: ValueKind,
        description: Text,
    ) -> Self {
        Self {
            key,
            since,
            kind,
            description,
            allowed: None,
            default: None,
            variable: None,
            former_keys: &[],
        }
    }

    /// Says which values are allowed, where the kind does not.
    pub(crate) const fn allowed(self, allowed: Text) -> Self {
        Self { allowed: Some(allowed), ..self }
    }

    /// Says the default in words. Without this, the default is what the section's `Default` has.
    pub(crate) const fn default_in_words(self, default: Text) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Names the keys that it had before: they still work, with a warning. A value that has another
    /// shape since then is for the type of the section's field to take.
    #[cfg_attr(not(test), expect(dead_code, reason = "no key has been renamed so far"))]
    pub(crate) const fn formerly(self, former_keys: &'static [FormerKey]) -> Self {
        Self { former_keys, ..self }
    }

    /// Names the environment variable that overrides the key.
    pub(crate) const fn variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }
}

impl ValueKind {
    /// What a person must write for a value of this kind to be taken from an environment variable.
    pub(crate) fn expected(&self) -> Phrase {
        match self {
            Self::Text => Phrase::new("a text", "文字列"),
            Self::Texts => Phrase::new("texts, separated by commas", "カンマ区切りの文字列"),
            Self::Path => Phrase::new("a path", "パス"),
            Self::Paths => Phrase::new("paths, separated by commas", "カンマ区切りのパス"),
            Self::Url => Phrase::new("a URL", "URL"),
            Self::Address => Phrase::new("an IP address and a port", "IPアドレスとポート"),
            Self::Boolean => Phrase::new("`true` or `false`", "`true` または `false`"),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                Phrase::new(words.join(" or "), words.join(" または "))
            }
            Self::Number { range, .. } => span(range),
            Self::Numbers { range, .. } => {
                let (least, most) = (range.start(), range.end());
                Phrase::new(
                    format!("numbers from {least} to {most}, separated by commas"),
                    format!("カンマ区切りの数値（それぞれ{least}〜{most}）"),
                )
            }
        }
    }
}

/// The numbers of a range, in words.
pub(crate) fn span(range: &RangeInclusive<u64>) -> Phrase {
    let (least, most) = (range.start(), range.end());
    Phrase::new(format!("{least} to {most}"), format!("{least}〜{most}"))
}
