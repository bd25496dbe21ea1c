//! The languages that people read, and the texts that exist in each of them.

use serde::{Deserialize, Serialize};

/// The language of comments, pull requests and what the program prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Returns the text of this language.
    pub fn pick<T>(self, en: T, ja: T) -> T {
        match self {
            Self::En => en,
            Self::Ja => ja,
        }
    }

    /// Returns the language of this name, `en` or `ja`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "en" => Some(Self::En),
            "ja" => Some(Self::Ja),
            _ => None,
        }
    }

    /// Returns the language of a POSIX locale, such as `ja_JP.UTF-8`. Every locale that is not
    /// Japanese stands for English.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        match locale.split(['_', '.', '@', '-']).next() {
            Some("ja") => Self::Ja,
            _ => Self::En,
        }
    }
}

/// A text that people read, in each of their languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// In English.
    pub en: &'static str,
    /// In Japanese.
    pub ja: &'static str,
}

/// A text that is made while the program runs, in each of the languages. Whoever tells a person
/// picks one; logs, which are searched, have the English one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phrase {
    /// In English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

impl Phrase {
    /// Makes the phrase of a text in each language.
    pub fn new(en: impl Into<String>, ja: impl Into<String>) -> Self {
        Self { en: en.into(), ja: ja.into() }
    }

    /// A text that is the same in all languages: a path, a number or another program's words.
    pub fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { en: text.clone(), ja: text }
    }

    /// Returns the text in a language.
    #[must_use]
    pub fn of(&self, language: Language) -> &str {
        language.pick(&self.en, &self.ja)
    }
}

impl Text {
    /// Returns the text in a language.
    #[must_use]
    pub fn of(self, language: Language) -> &'static str {
        language.pick(self.en, self.ja)
    }
}

impl From<Text> for Phrase {
    fn from(Text { en, ja }: Text) -> Self {
        Self::new(en, ja)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_has_a_language() {
        for japanese in ["ja", "ja_JP", "ja_JP.UTF-8", "ja.UTF-8", "ja_JP.eucJP@cjknarrow"] {
            assert_eq!(Language::of_locale(japanese), Language::Ja, "{japanese}");
        }
        for english in ["", "C", "C.UTF-8", "POSIX", "en_US.UTF-8", "de_DE", "jam_JM"] {
            assert_eq!(Language::of_locale(english), Language::En, "{english}");
        }
    }
}
