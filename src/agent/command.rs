//! Any other CLI as an agent: an argument template, judged by its exit code and the diff.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::aider::transcript;
use super::call_dir::CallDir;
use super::model::Model;
use super::settings::CommandSettings;
use super::{Call, Outcome};
use crate::process::{Ending, Finished};

#[derive(Debug, Clone)]
pub(super) struct CommandAgent {
    argv: Vec<String>,
}

impl CommandAgent {
    pub(super) fn new(settings: &CommandSettings) -> Self {
        Self { argv: settings.argv.clone() }
    }

    pub(super) fn executable(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The template's arguments with `{prompt_file}`, `{workspace}` and `{model}` filled in, each
    /// in one go: a value is never a template.
    pub(super) fn arguments(
        &self,
        model: &Model,
        call: &Call<'_>,
        room: &CallDir,
    ) -> Vec<OsString> {
        let prompt = room.prompt();
        let values: [(&str, &OsStr); 3] = [
            ("{prompt_file}", prompt.as_os_str()),
            ("{workspace}", call.tree.as_os_str()),
            ("{model}", OsStr::new(model.name())),
        ];
        self.argv.iter().skip(1).map(|argument| fill(argument, &values)).collect()
    }
}

fn fill(template: &str, values: &[(&str, &OsStr)]) -> OsString {
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

/// A command that fails says so by its exit code.
pub(super) fn judge(finished: &Finished) -> Outcome {
    match finished.ending {
        Ending::Exited(0) => Outcome::Answered,
        Ending::Exited(code) => failed(&format!("exit code {code}"), &finished.output),
        Ending::Signaled(signal) => failed(&format!("killed by signal {signal}"), &finished.output),
        Ending::TimedOut => Outcome::TimedOut,
        Ending::Stopped => Outcome::Stopped,
    }
}

/// A failure with what was printed last.
pub(super) fn failed(how: &str, output: &[u8]) -> Outcome {
    let tail = transcript::tail(output);
    Outcome::Failed {
        detail: if tail.is_empty() { how.to_owned() } else { format!("{how}:\n{tail}") },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::agent::prompt::Prompt;

    #[test]
    fn the_template_is_filled_in_once() {
        let scratch = tempfile::tempdir().unwrap();
        let room = CallDir::prepare(scratch.path()).unwrap();
        let argv = ["agent", "--prompt={prompt_file}", "{workspace}", "-m", "{model}", "é{x}{", ""]
            .map(str::to_owned);
        let agent = CommandAgent::new(&CommandSettings { argv: argv.to_vec() });
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
        let arguments = agent.arguments(&Model::new("gpt {workspace}"), &call, &room);
        let prompt_argument = format!("--prompt={}", room.prompt().display());
        assert_eq!(agent.executable(), "agent");
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
        let failed = |detail: &str| Outcome::Failed { detail: detail.to_owned() };
        assert_eq!(judge(&finished(Ending::Exited(0), "done")), Outcome::Answered);
        assert_eq!(judge(&finished(Ending::Exited(2), "no key\n")), failed("exit code 2:\nno key"));
        assert_eq!(judge(&finished(Ending::Signaled(9), "")), failed("killed by signal 9"));
        assert_eq!(judge(&finished(Ending::TimedOut, "")), Outcome::TimedOut);
        assert_eq!(judge(&finished(Ending::Stopped, "")), Outcome::Stopped);
    }
}
