//! Aider, run unattended: its command line, its settings by file, its environment and its judgment.
//!
//! Pinned to Aider 0.86.2, whose options and phrases these are. Nothing that lies about on the
//! machine or in the repository has a say: the home is private, the environment is made anew, and
//! the repository's own settings are out of sight (see [`hidden_files`]).

pub(super) mod hidden_files;
pub mod transcript;

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use self::transcript::Usage;
use super::call_dir::CallDir;
use super::model::Model;
use super::settings::AiderSettings;
use super::{AgentError, Call, Outcome, command};
use crate::process::{Ending, Finished};

/// Aider takes every option from the environment too, by this prefix; none of the user's gets
/// through.
pub(super) const SETTINGS_PREFIX: &str = "AIDER_";

/// Nobody answers questions, nothing is committed, fetched, opened, linted, tested or told to
/// anybody, and the output is plain text.
const UNATTENDED: [&str; 17] = [
    "--yes-always",
    "--no-auto-commits",
    "--no-dirty-commits",
    "--no-stream",
    "--no-pretty",
    "--no-fancy-input",
    "--no-detect-urls",
    "--disable-playwright",
    "--no-suggest-shell-commands",
    "--no-auto-lint",
    "--no-auto-test",
    "--no-gitignore",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-show-model-warnings",
    "--analytics-disable",
    "--no-restore-chat-history",
];

/// Where Aider writes the tokens of each exchange, in its room.
const USAGE_LOG: &str = "usage.jsonl";

/// Ollama stops a few tokens short of a full context window.
const CONTEXT_SLACK: u64 = 16;

#[derive(Debug, Clone)]
pub(super) struct Aider {
    settings: AiderSettings,
    model_endpoint: String,
    model_timeout: Duration,
}

impl Aider {
    pub(super) fn new(
        settings: &AiderSettings,
        model_endpoint: &str,
        model_timeout: Duration,
    ) -> Self {
        Self {
            settings: settings.clone(),
            model_endpoint: model_endpoint.to_owned(),
            model_timeout,
        }
    }

    pub(super) fn executable(&self) -> &str {
        &self.settings.executable
    }

    pub(super) fn arguments(
        &self,
        model: &Model,
        call: &Call<'_>,
        room: &CallDir,
    ) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--model".into(), model.name().into()];
        arguments.extend(["--message-file".into(), room.prompt().into()]);
        arguments.extend(UNATTENDED.map(OsString::from));
        arguments.extend(["--edit-format".into(), self.settings.edit_format.clone().into()]);
        arguments.extend(["--map-tokens".into(), self.settings.map_tokens.to_string().into()]);
        arguments
            .extend(["--timeout".into(), self.model_timeout.as_secs().max(1).to_string().into()]);
        for (option, path) in [
            ("--input-history-file", room.file("input.history")),
            ("--chat-history-file", room.file("chat.history.md")),
            ("--llm-history-file", room.file("llm.history")),
            // A local file, and the only place with the exact tokens of each exchange; nothing is
            // sent, analytics are off.
            ("--analytics-log", room.file(USAGE_LOG)),
        ] {
            arguments.extend([option.into(), path.into()]);
        }
        if model.ollama_name().is_some() {
            arguments.extend(["--model-settings-file".into(), model_settings(room).into()]);
            arguments.extend(["--model-metadata-file".into(), model_metadata(room).into()]);
        }
        let in_view = |paths: &[PathBuf]| {
            paths.iter().filter_map(|path| in_view(call.tree, path)).collect::<Vec<_>>()
        };
        arguments.extend(in_view(&call.read).into_iter().flat_map(|path| ["--read".into(), path]));
        arguments.extend(in_view(&call.edit).into_iter().flat_map(|path| ["--file".into(), path]));
        arguments
    }

    /// What Aider and litellm are told by the environment.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let fixed = [
            ("OLLAMA_API_BASE", self.model_endpoint.trim_end_matches('/')),
            // Else litellm fetches a list of prices when it is imported.
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            // Aider answers its own question whether to open a page with yes.
            ("BROWSER", "true"),
            // Else the log comes in blocks, and phrases are broken at 80 columns.
            ("PYTHONUNBUFFERED", "1"),
            ("COLUMNS", "1000"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ];
        fixed.map(|(name, value)| (name.into(), value.into())).into()
    }

    /// Tells Aider by file about a model of Ollama's, which it knows nothing of.
    ///
    /// The context window is pinned: Aider computes another for each request, and Ollama reloads
    /// the model for it. A model that is named in the metadata is not looked for in a price list on
    /// the internet. YAML reads JSON.
    pub(super) fn write_settings(&self, model: &Model, room: &CallDir) -> Result<(), AgentError> {
        if model.ollama_name().is_none() {
            return Ok(());
        }
        let num_ctx = self.settings.num_ctx;
        let settings = json!([{ "name": model.name(), "extra_params": { "num_ctx": num_ctx } }]);
        let metadata = json!({ model.name(): {
            "litellm_provider": "ollama_chat",
            "mode": "chat",
            "max_tokens": num_ctx,
            "max_input_tokens": num_ctx,
            "max_output_tokens": num_ctx,
            "input_cost_per_token": 0,
            "output_cost_per_token": 0
        }});
        room.write(&model_settings(room), &settings.to_string())?;
        room.write(&model_metadata(room), &metadata.to_string())
    }

    pub(super) fn judge(
        &self,
        model: &Model,
        finished: &Finished,
        room: &CallDir,
    ) -> (Outcome, Option<Usage>) {
        let exchanges = transcript::exchanges(&room.left(USAGE_LOG));
        let said = transcript::outcome(&String::from_utf8_lossy(&finished.output));
        let outcome = match (finished.ending, said) {
            (Ending::Stopped, _) => Outcome::Stopped,
            // It was still trying again when its time was up.
            (
                Ending::TimedOut,
                Some(said @ (Outcome::ModelMissing | Outcome::ModelUnreachable { .. })),
            ) => said,
            (Ending::TimedOut, _) => Outcome::TimedOut,
            // Without streaming, litellm does not tell that Ollama cut an answer off, but a full
            // context window does.
            (_, Some(Outcome::Answered | Outcome::ContextExceeded | Outcome::MalformedEdits))
                if model.ollama_name().is_some()
                    && exchanges.iter().any(|exchange| self.fills_context(*exchange)) =>
            {
                Outcome::TokenLimit
            }
            (Ending::Exited(0), Some(Outcome::Failed { detail })) => {
                command::failed(&detail, &finished.output)
            }
            (Ending::Exited(0), Some(said)) => said,
            (Ending::Exited(0), None) => {
                command::failed("it ended without an answer of the model", &finished.output)
            }
            (Ending::Exited(_) | Ending::Signaled(_), _) => command::judge(finished),
        };
        (outcome, exchanges.into_iter().reduce(Usage::plus))
    }

    fn fills_context(&self, exchange: Usage) -> bool {
        exchange.total().saturating_add(CONTEXT_SLACK) >= u64::from(self.settings.num_ctx)
    }
}

fn model_settings(room: &CallDir) -> PathBuf {
    room.file("model.settings.yml")
}

fn model_metadata(room: &CallDir) -> PathBuf {
    room.file("model.metadata.json")
}

/// A file as Aider may be given it: a regular file of the tree that is not reached by a link and
/// not out of sight, by a name that is neither an option nor expanded.
fn in_view(tree: &Path, path: &Path) -> Option<OsString> {
    path.to_str()?;
    let mut components = path.components();
    let Some(Component::Normal(first)) = components.next() else { return None };
    if hidden_files::is_hidden(first)
        || !components.all(|component| matches!(component, Component::Normal(_)))
    {
        return None;
    }
    let tree = tree.canonicalize().ok()?;
    let file = tree.join(path);
    (file.is_file() && file.canonicalize().ok()? == file)
        .then(|| Path::new(".").join(path).into_os_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::agent::prompt::Prompt;

    fn aider() -> Aider {
        let settings = AiderSettings {
            executable: "aider".to_owned(),
            edit_format: "whole".to_owned(),
            map_tokens: 1024,
            num_ctx: 8192,
        };
        Aider::new(&settings, "http://127.0.0.1:11434/", Duration::from_secs(600))
    }

    fn arguments(model: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let (tree, scratch) = (place.path().join("tree"), place.path().join("scratch"));
        fs::create_dir_all(tree.join("src")).unwrap();
        for name in ["src/main.rs", "-x.rs", "CONVENTIONS.md", ".env"] {
            fs::write(tree.join(name), "").unwrap();
        }
        symlink("/etc/hostname", tree.join("link")).unwrap();
        symlink("src", tree.join("other")).unwrap();
        let named = [
            "src/main.rs",
            "-x.rs",
            ".env",
            "link",
            "other/main.rs",
            "../scratch",
            "/etc/hostname",
            "src",
            "none",
        ];
        let (prompt, log) = (Prompt::fix_up("test", "make", ""), scratch.join("log"));
        let call = Call {
            prompt: &prompt,
            tree: &tree,
            scratch: &scratch,
            edit: named.map(PathBuf::from).to_vec(),
            read: vec!["CONVENTIONS.md".into(), "link".into()],
            log: &log,
        };
        let room = CallDir::prepare(&scratch).unwrap();
        let arguments = aider().arguments(&Model::new(model), &call, &room);
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        words.join(" ").replace(place.path().to_str().unwrap(), "PLACE").replace(" --", "\n--")
    }

    #[test]
    fn the_command_line_is_pinned() {
        insta::assert_snapshot!(arguments("ollama_chat/qwen2.5-coder:7b"), @r"
        --model ollama_chat/qwen2.5-coder:7b
        --message-file PLACE/scratch/agent/prompt.md
        --yes-always
        --no-auto-commits
        --no-dirty-commits
        --no-stream
        --no-pretty
        --no-fancy-input
        --no-detect-urls
        --disable-playwright
        --no-suggest-shell-commands
        --no-auto-lint
        --no-auto-test
        --no-gitignore
        --no-check-update
        --no-show-release-notes
        --no-show-model-warnings
        --analytics-disable
        --no-restore-chat-history
        --edit-format whole
        --map-tokens 1024
        --timeout 600
        --input-history-file PLACE/scratch/agent/input.history
        --chat-history-file PLACE/scratch/agent/chat.history.md
        --llm-history-file PLACE/scratch/agent/llm.history
        --analytics-log PLACE/scratch/agent/usage.jsonl
        --model-settings-file PLACE/scratch/agent/model.settings.yml
        --model-metadata-file PLACE/scratch/agent/model.metadata.json
        --read ./CONVENTIONS.md
        --file ./src/main.rs
        --file ./-x.rs
        ");
    }

    #[test]
    fn a_model_that_aider_knows_keeps_aiders_settings() {
        assert!(!arguments("gpt-4o").contains("--model-settings-file"));
    }

    #[test]
    fn ollamas_models_have_a_pinned_context_window() {
        let scratch = tempfile::tempdir().unwrap();
        let room = CallDir::prepare(scratch.path()).unwrap();
        aider().write_settings(&Model::new("ollama_chat/m"), &room).unwrap();
        let read = |path| {
            serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).unwrap()
        };
        assert_eq!(
            read(model_settings(&room)),
            json!([{"name": "ollama_chat/m", "extra_params": {"num_ctx": 8192}}])
        );
        assert_eq!(read(model_metadata(&room))["ollama_chat/m"]["max_input_tokens"], 8192);
    }

    fn check(ending: Ending, output: &str, usage: Usage, expected: &Outcome) {
        let scratch = tempfile::tempdir().unwrap();
        let room = CallDir::prepare(scratch.path()).unwrap();
        let tokens = json!({"prompt_tokens": usage.sent, "completion_tokens": usage.received});
        let entry = json!({"event": "message_send", "properties": tokens});
        room.write(
            &room.file(USAGE_LOG),
            &format!("{{\"event\": \"launched\", \"properties\": {{}}}}\n{entry}\n"),
        )
        .unwrap();
        let (output, errors, duration) = (output.into(), vec![], Duration::ZERO);
        let finished = Finished { ending, output, errors, truncated: false, duration };
        let judged = aider().judge(&Model::new("ollama_chat/m"), &finished, &room);
        assert_eq!(judged, (expected.clone(), Some(usage)));
    }

    #[test]
    fn the_ending_and_the_context_window_have_their_say() {
        let few = Usage { sent: 100, received: 20 };
        let full = Usage { sent: 8000, received: 190 };
        let answered = "Tokens: 100 sent, 20 received.\n";
        let refused = "litellm.APIConnectionError: Ollama_chatException - refused\nRetrying in 1.0 seconds...\n";
        let failed = |detail: &str| Outcome::Failed { detail: detail.to_owned() };
        check(Ending::Exited(0), answered, few, &Outcome::Answered);
        check(Ending::Exited(0), answered, full, &Outcome::TokenLimit);
        check(Ending::TimedOut, answered, few, &Outcome::TimedOut);
        check(
            Ending::TimedOut,
            refused,
            few,
            &Outcome::ModelUnreachable { detail: "refused".to_owned() },
        );
        check(Ending::Stopped, refused, few, &Outcome::Stopped);
        check(Ending::Exited(2), "bad option\n", few, &failed("exit code 2:\nbad option"));
        check(
            Ending::Exited(0),
            "hello\n",
            few,
            &failed("it ended without an answer of the model:\nhello"),
        );
    }
}
