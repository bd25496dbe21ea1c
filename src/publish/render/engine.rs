//! The template engine, set up so that a template can print neither a secret nor, as Markdown, a
//! stranger's text.

use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};

use crate::language::Language;
use crate::publish::{TASK_LABEL, text};
use crate::redaction::Redaction;

/// The templates of one language, for text that is shown in one way. Clones share them.
#[derive(Clone)]
pub(in crate::publish) struct Renderer {
    environment: Arc<Environment<'static>>,
    language: Language,
    redaction: Redaction,
}

/// The templates of both languages, each under the name of its file.
macro_rules! templates {
    ($($file:literal),+ $(,)?) => {
        &[$(
            (concat!("en/", $file), include_str!(concat!("../templates/en/", $file))),
            (concat!("ja/", $file), include_str!(concat!("../templates/ja/", $file))),
        )+]
    };
}

pub(super) const TEMPLATES: &[(&str, &str)] = templates![
    "cancelled.md",
    "check_results.md",
    "cut.md",
    "done.md",
    "duration.md",
    "failed.md",
    "hindrances.md",
    "not_tested.md",
    "notes.md",
    "pull_request.md",
    "reasons.md",
    "retrying.md",
    "stages.md",
    "titles.md",
    "untested.md",
    "violations.md",
    "working.md",
];

static PLAIN: LazyLock<Arc<Environment<'static>>> = LazyLock::new(|| {
    let mut environment = environment(text::plain_line);
    environment.add_filter("code", |text: &str| safe(format!("`{}`", text::plain_line(text))));
    Arc::new(environment)
});

impl Renderer {
    /// Renders Markdown for GitHub.
    ///
    /// The secrets are removed from every text before its characters are escaped: a secret that
    /// holds a `|` or an `@` can't be recognized afterwards.
    pub(in crate::publish) fn markdown(language: Language, redaction: &Redaction) -> Self {
        let harmless = |make: fn(&str) -> String| {
            let redaction = redaction.clone();
            move |text: &str| make(&redaction.redact(text))
        };
        let (line, code) = (harmless(text::line), harmless(text::inline_code));
        let (code_block, summary) = (harmless(text::code), harmless(text::line));
        let mut environment = environment(line);
        environment.add_filter("code", move |text: &str| safe(code(text)));
        environment.add_filter("code_block", move |text: &str| safe(code_block(text)));
        environment
            .add_filter("summary", move |text: &str| safe(summary(text).replace('<', "&lt;")));
        Self { environment: Arc::new(environment), language, redaction: redaction.clone() }
    }

    /// Renders plain text, for a terminal.
    pub(in crate::publish) fn plain(language: Language) -> Self {
        let redaction = Redaction::default();
        Self { environment: Arc::clone(&PLAIN), language, redaction }
    }

    /// Renders a page.
    pub(super) fn page(&self, file: &str, context: Value) -> String {
        let name = self.name(file);
        let template = self.environment.get_template(&name);
        sound(&name, template.and_then(|template| template.render(context)))
    }

    /// Renders one macro of a file of phrases.
    pub(super) fn phrase(&self, file: &str, phrase: &str, fields: Vec<(String, Value)>) -> String {
        let name = self.name(file);
        let fields = Value::from(fields.into_iter().collect::<Kwargs>());
        let template = self.environment.get_template(&name);
        let rendered = template
            .and_then(|template| template.render_captured(()))
            .and_then(|mut file| file.with_state_mut(|state| state.call_macro(phrase, &[fields])));
        sound(&name, rendered).trim().to_owned()
    }

    /// What is removed from all texts.
    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// A text without the secrets in it.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redaction.redact(text)
    }

    fn name(&self, file: &str) -> String {
        let language = match self.language {
            Language::En => "en",
            Language::Ja => "ja",
        };
        format!("{language}/{file}")
    }
}

/// Marks text as Markdown that may be printed as it is.
pub(super) fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

/// An environment that passes every string through `harmless`, unless it is [`safe`].
fn environment(harmless: impl Fn(&str) -> String + Send + Sync + 'static) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(sound("the syntax", syntax));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Any other mode than none makes the engine remember which strings are safe, and mark what a
    // macro returns. How the others are printed is up to the formatter.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("harmless".into()));
    environment.set_formatter(move |output, _, value| print(output, value, &harmless));
    environment.add_global("task_label", TASK_LABEL);
    environment.add_global("project", env!("CARGO_PKG_REPOSITORY"));
    for (name, source) in TEMPLATES {
        sound(name, environment.add_template(name, source));
    }
    environment
}

fn print(
    output: &mut Output<'_>,
    value: &Value,
    harmless: impl Fn(&str) -> String,
) -> Result<(), Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) if value.is_safe() => output.write_str(text)?,
        (Some(text), _) => output.write_str(&harmless(text))?,
        (None, ValueKind::Number) => output.write_str(&value.to_string())?,
        (None, kind) => {
            let message = format!("a template prints {kind}, which is no text");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    }
    Ok(())
}

/// The templates are part of the program, and tests render every phrase and page of them.
fn sound<T>(name: &str, rendered: Result<T, Error>) -> T {
    rendered.unwrap_or_else(|error| panic!("{name} can't be rendered: {error:#}"))
}
