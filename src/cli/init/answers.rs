//! Gets the values of a Terraform folder from a person: from flags, and otherwise from answers on
//! the terminal.
//!
//! Invariant: an answer must obey the same rule as the flag, and the program repeats the question
//! until it does.

use std::io::{BufRead, Write};

use anyhow::Context;

use super::TerraformArguments;
use super::terraform::{self, DEFAULT_ENVIRONMENT, DEFAULT_REGION, Values};

/// Returns the values from the flags. A value without a default must be among them.
pub(super) fn from_flags(flags: TerraformArguments) -> anyhow::Result<Values> {
    let (owner, repositories) = match (flags.owner, flags.repositories) {
        (Some(owner), repositories) if !repositories.is_empty() => (owner, repositories),
        (owner, repositories) => {
            let missing =
                [("--owner OWNER", owner.is_none()), ("--repo NAME", repositories.is_empty())];
            let missing: Vec<&str> =
                missing.iter().filter(|(_, missing)| *missing).map(|(flag, _)| *flag).collect();
            anyhow::bail!(
                "say whose tasks are taken: {} (there is no terminal to ask on)",
                missing.join(" and ")
            )
        }
    };
    Ok(Values {
        owner,
        repositories: distinct(repositories)?,
        region: flags.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        environment: flags.environment.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned()),
        alarm_email: flags.alarm_email,
        numbers: None,
    })
}

/// Returns the values from the flags, and asks for the others.
pub(super) fn asked_for(
    flags: TerraformArguments,
    input: &mut impl BufRead,
    prompts: &mut impl Write,
) -> anyhow::Result<Values> {
    let mut terminal = Terminal { input, prompts };
    let owner = match flags.owner {
        Some(owner) => owner,
        None => {
            terminal.ask("Owner of the repositories, an organization or user", terraform::owner)?
        }
    };
    let repositories = if flags.repositories.is_empty() {
        terminal.ask("Repositories, without the owner, separated by blanks", names)?
    } else {
        distinct(flags.repositories)?
    };
    let region = match flags.region {
        Some(region) => region,
        None => terminal.ask(&format!("AWS region [{DEFAULT_REGION}]"), |answer| {
            terraform::region(if answer.is_empty() { DEFAULT_REGION } else { answer })
        })?,
    };
    let environment = match flags.environment {
        Some(environment) => environment,
        None => terminal.ask(
            &format!("Environment, for the tags [{DEFAULT_ENVIRONMENT}]"),
            |answer| {
                terraform::environment(if answer.is_empty() { DEFAULT_ENVIRONMENT } else { answer })
            },
        )?,
    };
    let alarm_email = match flags.alarm_email {
        Some(address) => Some(address),
        None => terminal.ask("E-mail address for alarms [none]", |answer| {
            if answer.is_empty() { Ok(None) } else { terraform::alarm_email(answer).map(Some) }
        })?,
    };
    Ok(Values { owner, repositories, region, environment, alarm_email, numbers: None })
}

struct Terminal<'a, I, P> {
    input: &'a mut I,
    prompts: &'a mut P,
}

impl<I: BufRead, P: Write> Terminal<'_, I, P> {
    /// Repeats the question until `parse` accepts the answer.
    fn ask<T>(
        &mut self,
        question: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        loop {
            write!(self.prompts, "{question}: ")?;
            self.prompts.flush()?;
            let mut answer = String::new();
            let read = self.input.read_line(&mut answer).context("can't read the answer")?;
            anyhow::ensure!(
                read > 0,
                "the answers ended before the last question; nothing was written"
            );
            match parse(answer.trim()) {
                Ok(value) => return Ok(value),
                Err(wrong) => writeln!(self.prompts, "  {wrong}")?,
            }
        }
    }
}

fn names(answer: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = answer
        .split([' ', ','])
        .filter(|name| !name.is_empty())
        .map(terraform::repository)
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        Err("name at least one".to_owned())
    } else {
        distinct(names).map_err(|error| error.to_string())
    }
}

/// Refuses a repository that appears twice. GitHub treats names that differ only in case as the
/// same repository, and Terraform accepts each one once.
fn distinct(repositories: Vec<String>) -> anyhow::Result<Vec<String>> {
    for (index, name) in repositories.iter().enumerate() {
        let twice = repositories.iter().take(index).any(|other| other.eq_ignore_ascii_case(name));
        anyhow::ensure!(!twice, "the repository {name} is named twice");
    }
    Ok(repositories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(flags: TerraformArguments, answers: &str) -> (Result<Values, String>, String) {
        let mut prompts = Vec::new();
        let values = asked_for(flags, &mut answers.as_bytes(), &mut prompts)
            .map_err(|error| error.to_string());
        (values, String::from_utf8(prompts).unwrap())
    }

    #[test]
    fn what_no_flag_says_is_asked_for_until_it_is_right() {
        let (values, prompts) = answered(
            TerraformArguments::default(),
            "o*\nocto-org\n\nshop shop\n shop, a.b\n\nProd\nprod\nnobody\nme@example.com\n",
        );
        let values = values.unwrap();
        assert_eq!(
            (values.owner.as_str(), values.repositories.as_slice()),
            ("octo-org", ["shop", "a.b"].map(String::from).as_slice())
        );
        assert_eq!(
            (values.region.as_str(), values.environment.as_str()),
            ("ap-northeast-1", "prod")
        );
        assert_eq!(values.alarm_email.as_deref(), Some("me@example.com"));
        assert_eq!(prompts.matches("Owner of").count(), 2);
        assert_eq!(prompts.matches("Repositories").count(), 3);
        assert_eq!(prompts.matches("AWS region [ap-northeast-1]: ").count(), 1);
    }

    #[test]
    fn what_a_flag_says_is_not_asked_for() {
        let flags = TerraformArguments {
            owner: Some("o".to_owned()),
            repositories: vec!["r".to_owned()],
            region: Some("us-east-1".to_owned()),
            environment: Some("test".to_owned()),
            ..TerraformArguments::default()
        };
        let (values, prompts) = answered(flags, "\n");
        assert_eq!(values.unwrap().alarm_email, None);
        assert_eq!(prompts, "E-mail address for alarms [none]: ");
    }

    #[test]
    fn answers_that_end_early_are_an_error() {
        let (values, _) = answered(TerraformArguments::default(), "octo-org\n");
        assert_eq!(
            values.unwrap_err(),
            "the answers ended before the last question; nothing was written"
        );
    }

    #[test]
    fn without_a_terminal_the_missing_flags_are_named() {
        let check = |flags: TerraformArguments, expected: &str| {
            let error = from_flags(flags).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(TerraformArguments::default(), "--owner OWNER and --repo NAME (");
        check(
            TerraformArguments { owner: Some("o".to_owned()), ..Default::default() },
            ": --repo NAME (",
        );
        let repositories = vec!["r".to_owned(), "R".to_owned()];
        check(
            TerraformArguments { repositories: repositories.clone(), ..Default::default() },
            ": --owner OWNER (",
        );
        check(
            TerraformArguments { owner: Some("o".to_owned()), repositories, ..Default::default() },
            "named twice",
        );
    }
}
