//! Runs Aider unattended. This module owns its command line, its settings files, its environment
//! and the judgment of its calls.
//!
//! The options and phrases are those of Aider 0.86.2. No file of the machine or of the repository
//! changes how Aider runs: the home is private, the environment is built from nothing, and the
//! worker hides the repository's own settings during a call.

pub mod transcript;

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::call_dir::CallDir;
use super::command;
use super::model::Model;
use super::profile::{HiddenNames, Profile};
use super::report::{CallOutcome, Usage, failed};
use super::settings::AiderSettings;
use super::{AgentError, Call};
use crate::process::{Ending, Finished};

/// Aider also reads every option from an environment variable with this prefix. The worker passes
/// none of the user's variables with this prefix to Aider.
const SETTINGS_PREFIX: &str = "AIDER_";

/// The options for unattended use. With them Aider asks no questions; it commits, fetches, opens,
/// lints and tests nothing; it reports nothing to anybody; and its output is plain text.
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

/// The file in the directory of the call to which Aider writes the tokens of each exchange.
const USAGE_LOG: &str = "usage.jsonl";

/// How many tokens short of a full context window Ollama may stop.
const CONTEXT_SLACK: u64 = 16;

/// Returns the profile of Aider with a model at `model_endpoint` that must answer within
/// `model_timeout`.
pub(super) fn profile(
    settings: &AiderSettings,
    model_endpoint: &str,
    model_timeout: Duration,
) -> Profile {
    let aider = Arc::new(Aider::new(settings, model_endpoint, model_timeout));
    let (writer, caller) = (Arc::clone(&aider), Arc::clone(&aider));
    Profile {
        name: "aider",
        executable: aider.settings.executable.clone(),
        version_prefix: Some("aider "),
        environment: aider.environment(),
        withheld_prefix: Some(SETTINGS_PREFIX),
        hidden: Some(HiddenNames { is_hidden, is_litter }),
        write_settings: Arc::new(move |model, call_dir| writer.write_settings(model, call_dir)),
        arguments: Arc::new(move |model, call, call_dir| caller.arguments(model, call, call_dir)),
        judge: Arc::new(move |model, finished, call_dir| aider.judge(model, finished, call_dir)),
    }
}

/// Returns whether Aider would read this entry in the root of the repository as settings. Aider
/// reads `.env` and `.aider*` there, whatever its command line says.
fn is_hidden(name: &OsStr) -> bool {
    // A file system that ignores the case of letters finds the file `.ENV` under the name `.env`.
    name.eq_ignore_ascii_case(".env") || is_litter(name)
}

/// Returns whether Aider writes its histories and caches under this name. A new `.env` is the
/// agent's work, so it stays.
fn is_litter(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .get(..".aider".len())
        .is_some_and(|start| start.eq_ignore_ascii_case(b".aider"))
}

struct Aider {
    settings: AiderSettings,
    model_endpoint: String,
    model_timeout: Duration,
}

impl Aider {
    fn new(settings: &AiderSettings, model_endpoint: &str, model_timeout: Duration) -> Self {
        Self {
            settings: settings.clone(),
            model_endpoint: model_endpoint.to_owned(),
            model_timeout,
        }
    }

    fn arguments(&self, model: &Model, call: &Call<'_>, call_dir: &CallDir) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--model".into(), model.name().into()];
        arguments.extend(["--message-file".into(), call_dir.prompt().into()]);
        arguments.extend(UNATTENDED.map(OsString::from));
        arguments.extend(["--edit-format".into(), self.settings.edit_format.clone().into()]);
        arguments.extend(["--map-tokens".into(), self.settings.map_tokens.to_string().into()]);
        arguments
            .extend(["--timeout".into(), self.model_timeout.as_secs().max(1).to_string().into()]);
        for (option, path) in [
            ("--input-history-file", call_dir.file("input.history")),
            ("--chat-history-file", call_dir.file("chat.history.md")),
            ("--llm-history-file", call_dir.file("llm.history")),
            // Aider writes this file locally. It is the only place with the exact number of tokens
            // of each exchange. Aider sends nothing, because analytics are off.
            ("--analytics-log", call_dir.file(USAGE_LOG)),
        ] {
            arguments.extend([option.into(), path.into()]);
        }
        if model.ollama_name().is_some() {
            arguments.extend(["--model-settings-file".into(), model_settings(call_dir).into()]);
            arguments.extend(["--model-metadata-file".into(), model_metadata(call_dir).into()]);
        }
        let in_view = |paths: &[PathBuf]| {
            paths.iter().filter_map(|path| in_view(call.tree, path)).collect::<Vec<_>>()
        };
        arguments.extend(in_view(&call.read).into_iter().flat_map(|path| ["--read".into(), path]));
        arguments.extend(in_view(&call.edit).into_iter().flat_map(|path| ["--file".into(), path]));
        arguments
    }

    /// Returns the variables that configure Aider and litellm.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let fixed = [
            ("OLLAMA_API_BASE", self.model_endpoint.trim_end_matches('/')),
            // Without this, litellm downloads a list of prices when Python imports it.
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            // With `--yes-always` Aider also answers yes to its own question whether to open a web
            // page. The program `true` then opens nothing.
            ("BROWSER", "true"),
            // Without these, Python writes its output in blocks, and Aider wraps its phrases at 80
            // columns, where the judgment would not recognize them.
            ("PYTHONUNBUFFERED", "1"),
            ("COLUMNS", "1000"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ];
        fixed.map(|(name, value)| (name.into(), value.into())).into()
    }

    /// Writes the files that tell Aider about a model of Ollama, which Aider does not know by
    /// itself.
    ///
    /// The size of the context window is fixed, because Aider would compute another size for each
    /// request and Ollama would reload the model each time. Aider does not search for a model in
    /// the price list on the internet when the metadata names it. The settings file is JSON, which
    /// YAML includes.
    fn write_settings(&self, model: &Model, call_dir: &CallDir) -> Result<(), AgentError> {
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
        call_dir.write(&model_settings(call_dir), &settings.to_string())?;
        call_dir.write(&model_metadata(call_dir), &metadata.to_string())
    }

    fn judge(
        &self,
        model: &Model,
        finished: &Finished,
        call_dir: &CallDir,
    ) -> (CallOutcome, Option<Usage>) {
        let exchanges = transcript::exchanges(&call_dir.left(USAGE_LOG));
        let said = transcript::outcome(&String::from_utf8_lossy(&finished.output));
        let outcome = match (finished.ending, said) {
            (Ending::Stopped, _) => CallOutcome::Stopped,
            // Aider was still retrying after this error when its time was over.
            (
                Ending::TimedOut,
                Some(said @ (CallOutcome::ModelMissing | CallOutcome::ModelUnreachable { .. })),
            ) => said,
            (Ending::TimedOut, _) => CallOutcome::TimedOut,
            // Without streaming, litellm does not report that Ollama cut an answer off. A full
            // context window shows it.
            (
                _,
                Some(
                    CallOutcome::Answered
                    | CallOutcome::ContextExceeded
                    | CallOutcome::MalformedEdits,
                ),
            ) if model.ollama_name().is_some()
                && exchanges.iter().any(|exchange| self.fills_context(*exchange)) =>
            {
                CallOutcome::TokenLimit
            }
            (Ending::Exited(0), Some(CallOutcome::Failed { detail })) => {
                failed(&detail, &finished.output)
            }
            (Ending::Exited(0), Some(said)) => said,
            (Ending::Exited(0), None) => {
                failed("it ended without an answer of the model", &finished.output)
            }
            (Ending::Exited(_) | Ending::Signaled(_), _) => command::judge(finished),
        };
        (outcome, exchanges.into_iter().reduce(Usage::plus))
    }

    fn fills_context(&self, exchange: Usage) -> bool {
        exchange.total().saturating_add(CONTEXT_SLACK) >= u64::from(self.settings.num_ctx)
    }
}

fn model_settings(call_dir: &CallDir) -> PathBuf {
    call_dir.file("model.settings.yml")
}

fn model_metadata(call_dir: &CallDir) -> PathBuf {
    call_dir.file("model.metadata.json")
}

/// Returns the argument that names a file to Aider, or `None` when Aider must not get the file. It
/// must be a regular file of the tree, it must not be hidden, and no symbolic link may lead to it.
///
/// The test compares the path with its canonical form, in which every symbolic link is resolved
/// (realpath(3)). The argument starts with `./`, so Aider can't read the name as an option.
fn in_view(tree: &Path, path: &Path) -> Option<OsString> {
    path.to_str()?;
    let mut components = path.components();
    let Some(Component::Normal(first)) = components.next() else { return None };
    if is_hidden(first) || !components.all(|component| matches!(component, Component::Normal(_))) {
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

    async fn arguments(model: &str) -> String {
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
        let call_dir = CallDir::prepare(&scratch).await.unwrap();
        let arguments = aider().arguments(&Model::new(model), &call, &call_dir);
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        words.join(" ").replace(place.path().to_str().unwrap(), "PLACE").replace(" --", "\n--")
    }

    #[tokio::test]
    async fn the_command_line_is_pinned() {
        insta::assert_snapshot!(arguments("ollama_chat/qwen2.5-coder:7b").await, @r"
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

    #[tokio::test]
    async fn a_model_that_aider_knows_keeps_aiders_settings() {
        assert!(!arguments("gpt-4o").await.contains("--model-settings-file"));
    }

    #[tokio::test]
    async fn ollamas_models_have_a_pinned_context_window() {
        let scratch = tempfile::tempdir().unwrap();
        let call_dir = CallDir::prepare(scratch.path()).await.unwrap();
        aider().write_settings(&Model::new("ollama_chat/m"), &call_dir).unwrap();
        let read = |path| {
            serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).unwrap()
        };
        assert_eq!(
            read(model_settings(&call_dir)),
            json!([{"name": "ollama_chat/m", "extra_params": {"num_ctx": 8192}}])
        );
        assert_eq!(read(model_metadata(&call_dir))["ollama_chat/m"]["max_input_tokens"], 8192);
    }

    async fn check(ending: Ending, output: &str, usage: Usage, expected: &CallOutcome) {
        let scratch = tempfile::tempdir().unwrap();
        let call_dir = CallDir::prepare(scratch.path()).await.unwrap();
        let tokens = json!({"prompt_tokens": usage.sent, "completion_tokens": usage.received});
        let entry = json!({"event": "message_send", "properties": tokens});
        call_dir
            .write(
                &call_dir.file(USAGE_LOG),
                &format!("{{\"event\": \"launched\", \"properties\": {{}}}}\n{entry}\n"),
            )
            .unwrap();
        let (output, errors, duration) = (output.into(), vec![], Duration::ZERO);
        let finished = Finished { ending, output, errors, truncated: false, duration };
        let judged = aider().judge(&Model::new("ollama_chat/m"), &finished, &call_dir);
        assert_eq!(judged, (expected.clone(), Some(usage)));
    }

    #[tokio::test]
    async fn the_ending_and_the_context_window_have_their_say() {
        let few = Usage { sent: 100, received: 20 };
        let full = Usage { sent: 8000, received: 190 };
        let answered = "Tokens: 100 sent, 20 received.\n";
        let refused = "litellm.APIConnectionError: Ollama_chatException - refused\nRetrying in 1.0 \
                       seconds...\n";
        let failed = |detail: &str| CallOutcome::Failed { detail: detail.to_owned() };
        check(Ending::Exited(0), answered, few, &CallOutcome::Answered).await;
        check(Ending::Exited(0), answered, full, &CallOutcome::TokenLimit).await;
        check(Ending::TimedOut, answered, few, &CallOutcome::TimedOut).await;
        check(
            Ending::TimedOut,
            refused,
            few,
            &CallOutcome::ModelUnreachable { detail: "refused".to_owned() },
        )
        .await;
        check(Ending::Stopped, refused, few, &CallOutcome::Stopped).await;
        check(Ending::Exited(2), "bad option\n", few, &failed("exit code 2:\nbad option")).await;
        check(
            Ending::Exited(0),
            "hello\n",
            few,
            &failed("it ended without an answer of the model:\nhello"),
        )
        .await;
    }
}
