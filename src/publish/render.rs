//! Makes text of what is told, by the templates of a language.
//!
//! The words are in `templates/LANGUAGE`. There are two kinds of template: a *page* is rendered as
//! a whole, and a file of *phrases* holds one macro for each variant of an enum, whose fields are
//! the macro's arguments.
//!
//! Invariant: only the templates' own words are Markdown. A string that a template prints is made
//! harmless, by one of the filters `code`, `code_block` and `summary`, or else as one line of text.
//! In Markdown, each removes the secrets first.

mod engine;
mod pages;

use std::time::Duration;

use minijinja::value::{Serde, Value};
use serde::Serialize;
use serde_json::Value as Json;

pub(super) use self::engine::Renderer;
use super::reason::Reason;
use super::report::Hindrance;
use crate::language::Language;

/// How many new failures are named where a reason is told.
const LISTED_FAILURES: usize = 10;
/// How many broken rules of the policy are listed.
const LISTED_VIOLATIONS: usize = 20;

/// A reason in a language: what happened, what the reader can do next, and the text that exists in
/// one language only. Any of them may be missing.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub what: String,
    /// What the reader can do next.
    pub next: String,
    /// Text that exists in one language only, such as another program's message.
    pub detail: Option<String>,
}

impl Told {
    /// Tells a reason as plain text, for a terminal. The caller removes the secrets.
    #[must_use]
    pub fn plain(reason: &Reason, language: Language) -> Self {
        Renderer::plain(language).reason(reason)
    }

    /// Tells what kept a check from running as plain text, for a terminal. The caller removes the
    /// secrets.
    #[must_use]
    pub fn hindrance(hindrance: &Hindrance, language: Language) -> Self {
        let (what, next, detail) = Renderer::plain(language).hindrance(hindrance);
        Self { what, next, detail }
    }
}

impl Renderer {
    /// Tells a reason.
    pub(super) fn reason(&self, reason: &Reason) -> Told {
        if let Reason::Text(text) = reason {
            return Told { what: String::new(), next: String::new(), detail: Some(text.clone()) };
        }
        let mut fields = fields(reason);
        let detail = fields.iter().position(|(field, _)| field == "detail");
        let detail = detail.map(|position| fields.remove(position).1.to_string());
        if let Reason::ChangeRefused { violations } = reason {
            let more = violations.len().saturating_sub(LISTED_VIOLATIONS);
            let shown = violations.iter().take(LISTED_VIOLATIONS);
            let told = shown.map(|violation| engine::safe(self.tell("violations.md", violation)));
            fields = vec![
                ("violations".to_owned(), told.collect()),
                ("more".to_owned(), Value::from(more)),
            ];
        }
        if let Reason::ChecksFailed { commands, failures, branch } = reason {
            let more = failures.len().saturating_sub(LISTED_FAILURES);
            let listed = failures.iter().take(LISTED_FAILURES).cloned();
            fields = vec![
                ("commands".to_owned(), commands.iter().cloned().collect()),
                ("failures".to_owned(), listed.collect()),
                ("more".to_owned(), Value::from(more)),
                ("branch".to_owned(), Value::from(branch.as_deref())),
            ];
        }
        let said = self.phrase("reasons.md", reason.into(), fields);
        // A blank line parts what happened from what to do next.
        let (what, next) = said.split_once("\n\n").unwrap_or((&said, ""));
        Told { what: what.trim().to_owned(), next: next.trim().to_owned(), detail }
    }

    /// Tells a value of an enum by the phrase of its variant.
    fn tell<'a, T>(&self, file: &str, value: &'a T) -> String
    where
        T: Serialize,
        &'static str: From<&'a T>,
    {
        self.phrase(file, value.into(), fields(value))
    }

    /// How long something took.
    fn duration(&self, duration: Duration) -> Value {
        let fields = vec![("seconds".to_owned(), Value::from(duration.as_secs_f64()))];
        engine::safe(self.phrase("duration.md", "duration", fields))
    }
}

/// The fields of an enum's variant by name, as they are serialized.
fn fields(value: &impl Serialize) -> Vec<(String, Value)> {
    let fields = match serde_json::to_value(value) {
        Ok(Json::Object(variant)) => variant.into_iter().next().map(|(_, fields)| fields),
        Ok(_) | Err(_) => None,
    };
    let Some(Json::Object(fields)) = fields else { return Vec::new() };
    fields.into_iter().map(|(field, value)| (field, Value::from(Serde(value)))).collect()
}

#[cfg(test)]
mod tests;
