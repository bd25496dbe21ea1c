//! The demo's replacement for an agent on a machine without Aider and a model. It writes what the
//! demo's issue asks for, and nothing else.
//!
//! The `command` agent starts it as it starts any other agent CLI, so all the code around it is the
//! same as in production.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct ScriptedAgentArguments {
    prompt_file: PathBuf,
    workspace: PathBuf,
}

/// Returns the argument vector of the agent, with this program as the executable.
pub(super) fn argv(program: &Path) -> Vec<String> {
    let program = program.to_string_lossy().into_owned();
    [program.as_str(), "scripted-agent", "{prompt_file}", "{workspace}"].map(str::to_owned).to_vec()
}

/// Writes the files that the prompt asks for. The first answer contains an error that a check
/// finds, so that the demo also shows a fix-up.
pub(super) fn run(arguments: &ScriptedAgentArguments) -> anyhow::Result<ExitCode> {
    let prompt = std::fs::read_to_string(&arguments.prompt_file)
        .with_context(|| format!("can't read {}", arguments.prompt_file.display()))?;
    anyhow::ensure!(
        prompt.contains("FizzBuzz"),
        "the scripted agent knows the demo's issue alone; name a real one with --agent"
    );
    let module = arguments.workspace.join("fizzbuzz.py");
    let tests = arguments.workspace.join("test_fizzbuzz.py");
    let (path, text) = if !module.exists() {
        (&module, MODULE.to_owned())
    } else if tests.exists() {
        (&module, MODULE.replacen(BEFORE, &format!("{FORGOTTEN}{BEFORE}"), 1))
    } else {
        (&tests, TESTS.to_owned())
    };
    std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    output::line(format!("wrote {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

const MODULE: &str = r#"def fizzbuzz(number):
    """The word for one number."""
    if number % 3 == 0:
        return "Fizz"
    if number % 5 == 0:
        return "Buzz"
    return str(number)


def main():
    for number in range(1, 101):
        print(fizzbuzz(number))


if __name__ == "__main__":
    main()
"#;

/// The lines that the first answer leaves out. They belong before the line `BEFORE`.
const FORGOTTEN: &str = "    if number % 15 == 0:\n        return \"FizzBuzz\"\n";
const BEFORE: &str = "    if number % 3 == 0:\n";

const TESTS: &str = r#"import unittest

from fizzbuzz import fizzbuzz


class FizzBuzzTest(unittest.TestCase):
    def test_multiples_of_three_and_five(self):
        self.assertEqual(fizzbuzz(15), "FizzBuzz")

    def test_multiples_of_three(self):
        self.assertEqual(fizzbuzz(9), "Fizz")

    def test_multiples_of_five(self):
        self.assertEqual(fizzbuzz(10), "Buzz")

    def test_other_numbers(self):
        self.assertEqual(fizzbuzz(7), "7")


if __name__ == "__main__":
    unittest.main()
"#;
