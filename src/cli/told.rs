//! How a command tells an error in the reader's language.
//!
//! Commands collect errors in `anyhow::Error`, which knows no language. A sentence of a command's
//! own is a [`Said`], which holds both; every other error of this program is found by its type.

use std::error::Error;
use std::fmt;
use std::path::Path;

use localhub::{GitError, HubError, NameError, StoreError};
use localsqs::OpenError;

use crate::agent::AgentError;
use crate::agent::model::ModelProblem;
use crate::checks::{CheckError, RepositoryFileError};
use crate::config::{ConfigError, MalformedFile};
use crate::disk::{DiskError, FileAction};
use crate::errors::{self, Bilingual};
use crate::git::InvalidName;
use crate::github::GitHubError;
use crate::journal::JournalError;
use crate::language::{Language, Phrase};
use crate::process::ProcessError;
use crate::queue::QueueError;
use crate::run::StartError;
use crate::sandbox::SandboxError;
use crate::settings::InvalidSetting;
use crate::task::{InvalidRepoName, InvalidTask};
use crate::telemetry::InvalidFilter;
use crate::worker::WorkerError;
use crate::workspace::WorkspaceError;

use super::init::FileError;

/// A sentence that a command says of a failure, and the cause, if another error is behind it.
#[derive(Debug)]
pub(super) struct Said {
    phrase: Phrase,
    cause: Option<anyhow::Error>,
}

/// Makes the error that says a sentence in the reader's language.
pub(super) fn said(en: impl Into<String>, ja: impl Into<String>) -> Said {
    Phrase::new(en, ja).into()
}

impl From<Phrase> for Said {
    fn from(phrase: Phrase) -> Self {
        Self { phrase, cause: None }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.phrase.en)
    }
}

impl Error for Said {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| {
            let cause: &(dyn Error + Send + Sync + 'static) = cause.as_ref();
            cause as &(dyn Error + 'static)
        })
    }
}

impl Bilingual for Said {
    fn japanese(&self) -> String {
        self.phrase.ja.clone()
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        self.source().and_then(bilingual)
    }
}

/// Says a sentence above the cause of a failure, or in place of what is not there.
pub(super) trait Saying<T> {
    /// # Errors
    /// The failure itself, below the sentence that `phrase` returns.
    fn saying(self, phrase: impl FnOnce() -> Phrase) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Saying<T> for Result<T, E> {
    fn saying(self, phrase: impl FnOnce() -> Phrase) -> anyhow::Result<T> {
        self.map_err(|cause| {
            anyhow::Error::new(Said { phrase: phrase(), cause: Some(cause.into()) })
        })
    }
}

impl<T> Saying<T> for Option<T> {
    fn saying(self, phrase: impl FnOnce() -> Phrase) -> anyhow::Result<T> {
        self.ok_or_else(|| anyhow::Error::new(Said::from(phrase())))
    }
}

/// The sentence about a file or directory with which something could not be done.
pub(super) fn file_phrase(action: FileAction, path: &Path) -> Phrase {
    let path = path.display();
    Phrase::new(format!("can't {action} {path}"), format!("{path} {}", action.japanese()))
}

/// Tells an error with all its causes, in a language.
pub(super) fn told(error: &anyhow::Error, language: Language) -> String {
    match bilingual(error.as_ref()) {
        Some(error) => errors::told(error, language),
        None => errors::chain(error.as_ref()),
    }
}

/// Returns an error as one that is told in each language, if it is one of this program's.
pub(super) fn bilingual<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e dyn Bilingual> {
    macro_rules! first_of {
        ($($kind:ty),* $(,)?) => {
            $(if let Some(error) = error.downcast_ref::<$kind>() {
                return Some(error);
            })*
        };
    }
    first_of!(
        Said,
        AgentError,
        CheckError,
        ConfigError,
        DiskError,
        FileError,
        GitError,
        GitHubError,
        HubError,
        InvalidFilter,
        InvalidName,
        InvalidRepoName,
        InvalidSetting,
        InvalidTask,
        JournalError,
        MalformedFile,
        ModelProblem,
        NameError,
        OpenError,
        ProcessError,
        QueueError,
        RepositoryFileError,
        SandboxError,
        StartError,
        StoreError,
        WorkerError,
        WorkspaceError,
    );
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::path::PathBuf;

    use regex::Regex;

    use super::*;

    #[test]
    fn every_sentence_of_a_chain_is_told_in_the_language() {
        let cause = DiskError::InUse { path: "/data".into() };
        let error = Err::<(), _>(StartError::from(cause))
            .saying(|| Phrase::new("can't start", "起動できません"))
            .saying(|| Phrase::new("no demo", "デモを実行できません"))
            .unwrap_err();
        assert!(
            told(&error, Language::Ja)
                .starts_with("デモを実行できません: 起動できません: /data は別のワーカーが"),
            "{}",
            told(&error, Language::Ja)
        );
        assert!(
            told(&error, Language::En).starts_with("no demo: can't start: another worker uses"),
            "{}",
            told(&error, Language::En)
        );
    }

    #[test]
    fn what_the_system_says_stays_as_it_is() {
        let error = Err::<(), _>(io::Error::other("disk full"))
            .saying(|| Phrase::new("can't write", "書き込めません"))
            .unwrap_err();
        assert_eq!(told(&error, Language::Ja), "書き込めません: disk full");
        let error = None::<()>.saying(|| Phrase::new("nothing", "ありません")).unwrap_err();
        assert_eq!(told(&error, Language::Ja), "ありません");
    }

    /// Errors that no person is told as such: a template tells them ([`Failure`](crate::run)), or
    /// they stay within the sandbox.
    const TOLD_OTHERWISE: &[&str] = &["Failure", "Finding", "Refusal", "InitError"];

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        let is_code = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
        };
        let below = directories.iter().flat_map(|directory| sources(directory));
        files.into_iter().filter(is_code).chain(below).collect()
    }

    #[test]
    fn every_error_of_the_program_is_told_in_each_language() {
        let derived =
            Regex::new(r"(?s)thiserror::Error\)\].*?\n *(?:pub\S* )?(?:enum|struct) (\w+)")
                .unwrap();
        let told = Regex::new(r"impl Bilingual for (\w+)").unwrap();
        let (mut errors, mut bilingual) = (BTreeSet::new(), BTreeSet::new());
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for path in sources(&src) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let names = |pattern: &Regex| -> Vec<String> {
                pattern.captures_iter(code).map(|found| found[1].to_owned()).collect()
            };
            errors.extend(names(&derived));
            bilingual.extend(names(&told));
        }
        assert!(errors.len() > 20, "{errors:?}");
        for error in errors.iter().filter(|error| !TOLD_OTHERWISE.contains(&error.as_str())) {
            assert!(bilingual.contains(error), "{error} has no Japanese: implement Bilingual");
        }
        let here = include_str!("told.rs");
        let list = here.split_once("first_of!(\n").unwrap().1.split_once(");").unwrap().0;
        let listed: BTreeSet<_> = list
            .split([',', ' ', '\n'])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(listed, bilingual, "the list of `bilingual` has every such error");
    }
}
