//! The template engine, set up so that a template can't print a stranger's text as Markdown.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};

use crate::publish::settings::Language;
use crate::publish::{TASK_LABEL, text};

/// What the text is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::publish) enum Form {
    /// GitHub, which makes HTML of it.
    Markdown,
    /// A terminal, a log or the journal.
    Plain,
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
    "notes.md",
    "pull_request.md",
    "reasons.md",
    "retrying.md",
    "stages.md",
    "violations.md",
    "working.md",
];

static MARKDOWN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(text::line);
    environment.add_filter("code", |text: &str| safe(text::inline_code(text)));
    environment.add_filter("code_block", |text: &str| safe(text::code(text)));
    environment.add_filter("summary", |text: &str| safe(text::line(text).replace('<', "&lt;")));
    environment
});

static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(text::plain_line);
    environment.add_filter("code", |text: &str| safe(format!("`{}`", text::plain_line(text))));
    environment
});

/// Renders a page in Markdown.
pub(super) fn page(language: Language, file: &str, context: Value) -> String {
    let name = name(language, file);
    let rendered = MARKDOWN.get_template(&name).and_then(|template| template.render(context));
    sound(&name, rendered)
}

/// Renders one macro of a file of phrases.
pub(super) fn phrase(
    language: Language,
    form: Form,
    file: &str,
    phrase: &str,
    fields: Vec<(String, Value)>,
) -> String {
    let environment = match form {
        Form::Markdown => &MARKDOWN,
        Form::Plain => &PLAIN,
    };
    let name = name(language, file);
    let fields = Value::from(fields.into_iter().collect::<Kwargs>());
    let rendered = environment
        .get_template(&name)
        .and_then(|template| template.render_captured(()))
        .and_then(|mut file| file.with_state_mut(|state| state.call_macro(phrase, &[fields])));
    sound(&name, rendered).trim().to_owned()
}

/// Marks text as Markdown that may be printed as it is.
pub(super) fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

/// An environment that passes every string through `harmless`, unless it is [`safe`].
fn environment(harmless: fn(&str) -> String) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(sound("the syntax", syntax));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Any other mode than none makes the engine remember which strings are safe, and mark what a
    // macro returns. How the others are printed is up to the formatter.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("harmless".into()));
    environment.set_formatter(move |output, _, value| print(output, value, harmless));
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
    harmless: fn(&str) -> String,
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

fn name(language: Language, file: &str) -> String {
    let language = match language {
        Language::En => "en",
        Language::Ja => "ja",
    };
    format!("{language}/{file}")
}

/// The templates are part of the program, and tests render every phrase and page of them.
fn sound<T>(name: &str, rendered: Result<T, Error>) -> T {
    rendered.unwrap_or_else(|error| panic!("{name} can't be rendered: {error:#}"))
}
