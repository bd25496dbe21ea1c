//! Runs any other CLI as an agent, from a template of its arguments. The exit code and the diff
//! decide how a call went.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use super::Call;
use super::call_dir::CallDir;
use super::model::Model;
use super::profile::Profile;
use super::report::{CallOutcome, failed};
use super::settings::CommandSettings;
use crate::process::{Ending, Finished};

/// Returns the profile of a command that the user configured.
pub(super) fn profile(settings: &CommandSettings) -> Profile {
    let mut argv = settings.argv.iter().cloned();
    let executable = argv.next().unwrap_or_default();
    let template: Vec<String> = argv.collect();
    Profile {
        name: "command",
        executable,
        version_prefix: None,
        environment: Vec::new(),
        withheld_prefix: None,
        hidden: None,
        write_settings: Arc::new(|_, _| Ok(())),
        arguments: Arc::new(move |model, call, call_dir| {
            arguments(&template, model, call, call_dir)
        }),
        judge: Arc::new(|_, finished, _| (judge(finished), None)),
    }
}

/// Fills `{prompt_file}`, `{workspace}` and `{model}` into the template. A value that itself
/// contains such a name is not filled in again.
fn arguments(
    template: &[String],
    model: &Model,
    call: &Call<'_>,
    call_dir: &CallDir,
) -> Vec<OsString> {
    let prompt = call_dir.prompt();
    let values: [(&str, &OsStr); 3] = [
        ("{prompt_file}", prompt.as_os_str()),
        ("{workspace}", call.tree.as_os_str()),
        ("{model}", OsStr::new(model.name())),
    ];
    template.iter().map(|argument| fill(argument, &values)).collect()
}

fn fill(template: &str, values: &[(&str, &OsStr)]) -> OsString {
    // The loop copies one whole character at a time, because a cut inside the bytes of a UTF-8
    // character would not be a valid `str`. The values are bytes, because a path need not be UTF-8.
    let mut filled = Vec::new();
    let mut rest = template;
    while let Some(next) = rest.chars().next() {
        let (bytes, length) = match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => (value.as_bytes(), name.len()),
            None => rest
                .as_bytes()
                .split_at_checked(next.len_utf8())
                .map_or((&[][..], 1), |(head, _)| (head, head.len())),
        };
        filled.extend_from_slice(bytes);
        rest = rest.get(length..).unwrap_or_default();
    }
    OsString::from_vec(filled)
}

/// Judges a call by the exit code, because a command that fails reports it there.
pub(super) fn judge(finished: &Finished) -> CallOutcome {
    match finished.ending {
        Ending::Exited(0) => CallOutcome::Answered,
        Ending::Exited(code) => failed(&format!("exit code {code}"), &finished.output),
        Ending::Signaled(signal) => failed(&format!("killed by signal {signal}"), &finished.output),
        Ending::TimedOut => CallOutcome::TimedOut,
        Ending::Stopped => CallOutcome::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::agent::prompt::Prompt;

    #[tokio::test]
    async fn the_template_is_filled_in_once() {
        let scratch = tempfile::tempdir().unwrap();
        let call_dir = CallDir::prepare(scratch.path()).await.unwrap();
        let argv = ["agent", "--prompt={prompt_file}", "{workspace}", "-m", "{model}", "é{x}{", ""]
            .map(str::to_owned);
        let agent = profile(&CommandSettings { argv: argv.to_vec() });
        let prompt = Prompt::fix_up("test", "make test", "");
        let tree = Path::new("/tree {model}");
        let call = Call {
            prompt: &prompt,
            tree,
            scratch: scratch.path(),
            edit: vec![],
            read: vec![],
            log: tree,
        };
        let arguments = (agent.arguments)(&Model::new("gpt {workspace}"), &call, &call_dir);
        let prompt_argument = format!("--prompt={}", call_dir.prompt().display());
        assert_eq!(agent.executable, "agent");
        assert_eq!(
            arguments,
            [prompt_argument.as_str(), "/tree {model}", "-m", "gpt {workspace}", "é{x}{", ""]
        );
    }

    #[test]
    fn a_failure_tells_how_and_the_end_of_the_output() {
        let finished = |ending, output: &str| Finished {
            ending,
            output: output.into(),
            errors: vec![],
            truncated: false,
            duration: Duration::ZERO,
        };
        let failed = |detail: &str| CallOutcome::Failed { detail: detail.to_owned() };
        assert_eq!(judge(&finished(Ending::Exited(0), "done")), CallOutcome::Answered);
        assert_eq!(judge(&finished(Ending::Exited(2), "no key\n")), failed("exit code 2:\nno key"));
        assert_eq!(judge(&finished(Ending::Signaled(9), "")), failed("killed by signal 9"));
        assert_eq!(judge(&finished(Ending::TimedOut, "")), CallOutcome::TimedOut);
        assert_eq!(judge(&finished(Ending::Stopped, "")), CallOutcome::Stopped);
    }
}
