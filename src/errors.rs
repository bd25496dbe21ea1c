//! How an error is told to a person: its message and all its causes, in one line.
//!
//! No variant of an error in this program prints its source. Whoever tells a person (an issue's
//! comment, the journal, the log, the command line) calls [`chain`] or [`told`], so that the cause
//! at the bottom, such as "No space left on device", is always said and said once.
//!
//! The log is in English, because people and programs search it: that is [`chain`]. What a person
//! reads in their own language goes through [`told`]. Each error of this program brings its own
//! Japanese sentence ([`Bilingual`]). The operating system's and other programs' words stay as
//! they are, as the reader will want to search for them.

use std::error::Error;

use crate::language::{Language, Phrase};

pub use localhttp::chain;

/// An error of this program, which is told in each of its languages.
pub trait Bilingual: Error + Send + Sync + 'static {
    /// What happened, in Japanese. The English sentence is what the error displays. Neither says
    /// the cause.
    fn japanese(&self) -> String;

    /// The cause, when it is an error of this program too. The sentences below a cause of another
    /// program's are told as they are.
    fn own_cause(&self) -> Option<&dyn Bilingual> {
        None
    }
}

/// Joins the message of an error and those of its causes in a language, outermost first.
#[must_use]
pub fn told(error: &dyn Bilingual, language: Language) -> String {
    match language {
        Language::En => chain(error),
        Language::Ja => in_japanese(error),
    }
}

/// Returns what [`told`] does, in each language.
#[must_use]
pub fn phrase(error: &dyn Bilingual) -> Phrase {
    Phrase::new(told(error, Language::En), told(error, Language::Ja))
}

fn in_japanese(error: &dyn Bilingual) -> String {
    let mut text = error.japanese();
    let mut add = |message: &str| {
        // As in English, a cause that the text before already contains is left out.
        if !text.contains(message) {
            text.push_str(": ");
            text.push_str(message);
        }
    };
    let mut error = error;
    while let Some(cause) = error.own_cause() {
        add(&cause.japanese());
        error = cause;
    }
    let mut source = error.source();
    while let Some(other) = source {
        add(&other.to_string());
        source = other.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't write {0}")]
    struct Unwritable(&'static str, #[source] io::Error);

    impl Bilingual for Unwritable {
        fn japanese(&self) -> String {
            format!("{} に書き込めません", self.0)
        }
    }

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("the run can't be ended")]
        End(#[source] Unwritable),
        #[error(transparent)]
        Same(#[from] Unwritable),
    }

    impl Bilingual for Outer {
        fn japanese(&self) -> String {
            match self {
                Self::End(_) => "実行を終了できません".to_owned(),
                Self::Same(error) => error.japanese(),
            }
        }

        fn own_cause(&self) -> Option<&dyn Bilingual> {
            match self {
                Self::End(error) => Some(error),
                Self::Same(error) => error.own_cause(),
            }
        }
    }

    fn full() -> Unwritable {
        Unwritable("/x", io::Error::other("No space left on device"))
    }

    #[test]
    fn every_cause_is_told_in_the_language_and_the_systems_own_words_as_they_are() {
        assert_eq!(
            told(&Outer::End(full()), Language::Ja),
            "実行を終了できません: /x に書き込めません: No space left on device"
        );
        assert_eq!(
            told(&Outer::End(full()), Language::En),
            "the run can't be ended: can't write /x: No space left on device"
        );
    }

    #[test]
    fn a_transparent_error_is_told_once() {
        let error = Outer::from(full());
        assert_eq!(told(&error, Language::Ja), "/x に書き込めません: No space left on device");
        assert_eq!(phrase(&error).en, "can't write /x: No space left on device");
    }
}
