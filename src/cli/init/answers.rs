//! Gets the values of a Terraform folder from a person: from flags, and otherwise from answers on
//! the terminal.
//!
//! Invariant: an answer must obey the same rule as the flag, and the program repeats the question
//! until it does.

use std::io::{BufRead, Write};

use super::TerraformArguments;
use super::terraform::{self, DEFAULT_ENVIRONMENT, DEFAULT_REGION, Values};
use crate::cli::told::{Said, Saying as _, said};
use crate::errors;
use crate::language::{Language, Phrase};

/// Returns the values from the flags. A value without a default must be among them.
pub(super) fn from_flags(flags: TerraformArguments) -> anyhow::Result<Values> {
    let (owner, repositories) = match (flags.owner, flags.repositories) {
        (Some(owner), repositories) if !repositories.is_empty() => (owner, repositories),
        (owner, repositories) => {
            let missing =
                [("--owner OWNER", owner.is_none()), ("--repo NAME", repositories.is_empty())];
            let missing: Vec<&str> =
                missing.iter().filter(|(_, missing)| *missing).map(|(flag, _)| *flag).collect();
            return Err(said(
                format!(
                    "say whose tasks are taken: {} (there is no terminal to ask on)",
                    missing.join(" and ")
                ),
                format!(
                    "{} を指定してください（質問できる端末がありません）",
                    missing.join(" と ")
                ),
            )
            .into());
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
    language: Language,
) -> anyhow::Result<Values> {
    let mut terminal = Terminal { input, prompts, language };
    let owner = match flags.owner {
        Some(owner) => owner,
        None => terminal.ask(
            language.pick(
                "Owner of the repositories, an organization or user",
                "リポジトリの所有者（組織またはユーザー）",
            ),
            terraform::owner,
        )?,
    };
    let repositories = if flags.repositories.is_empty() {
        terminal.ask(
            language.pick(
                "Repositories, without the owner, separated by blanks",
                "リポジトリ（所有者を除いた名前を空白区切りで）",
            ),
            names,
        )?
    } else {
        distinct(flags.repositories)?
    };
    let region = match flags.region {
        Some(region) => region,
        None => {
            let question = language.pick("AWS region", "AWSリージョン");
            terminal.ask(&format!("{question} [{DEFAULT_REGION}]"), |answer| {
                terraform::region(if answer.is_empty() { DEFAULT_REGION } else { answer })
            })?
        }
    };
    let environment = match flags.environment {
        Some(environment) => environment,
        None => {
            let question = language.pick("Environment, for the tags", "環境名（タグに使用）");
            terminal.ask(&format!("{question} [{DEFAULT_ENVIRONMENT}]"), |answer| {
                terraform::environment(if answer.is_empty() { DEFAULT_ENVIRONMENT } else { answer })
            })?
        }
    };
    let alarm_email = match flags.alarm_email {
        Some(address) => Some(address),
        None => {
            let question = language
                .pick("E-mail address for alarms [none]", "アラームのメールアドレス [なし]");
            terminal.ask(question, |answer| {
                if answer.is_empty() { Ok(None) } else { terraform::alarm_email(answer).map(Some) }
            })?
        }
    };
    Ok(Values { owner, repositories, region, environment, alarm_email, numbers: None })
}

struct Terminal<'a, I, P> {
    input: &'a mut I,
    prompts: &'a mut P,
    language: Language,
}

impl<I: BufRead, P: Write> Terminal<'_, I, P> {
    /// Repeats the question until `parse` accepts the answer.
    fn ask<T>(
        &mut self,
        question: &str,
        parse: impl Fn(&str) -> Result<T, Said>,
    ) -> anyhow::Result<T> {
        loop {
            write!(self.prompts, "{question}: ")?;
            self.prompts.flush()?;
            let mut answer = String::new();
            let read = self
                .input
                .read_line(&mut answer)
                .saying(|| Phrase::new("can't read the answer", "回答を読み取れません"))?;
            anyhow::ensure!(
                read > 0,
                said(
                    "the answers ended before the last question; nothing was written",
                    "最後の質問の前に回答が終わったため、何も書き込みませんでした",
                )
            );
            match parse(answer.trim()) {
                Ok(value) => return Ok(value),
                Err(wrong) => {
                    writeln!(self.prompts, "  {}", errors::told(&wrong, self.language))?;
                }
            }
        }
    }
}

fn names(answer: &str) -> Result<Vec<String>, Said> {
    let names: Vec<String> = answer
        .split([' ', ','])
        .filter(|name| !name.is_empty())
        .map(terraform::repository)
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        Err(said("name at least one", "1つ以上指定してください"))
    } else {
        distinct(names)
    }
}

/// Refuses a repository that appears twice. GitHub treats names that differ only in case as the
/// same repository, and Terraform accepts each one once.
fn distinct(repositories: Vec<String>) -> Result<Vec<String>, Said> {
    for (index, name) in repositories.iter().enumerate() {
        let twice = repositories.iter().take(index).any(|other| other.eq_ignore_ascii_case(name));
        if twice {
            return Err(said(
                format!("the repository {name} is named twice"),
                format!("リポジトリ {name} が2回指定されています"),
            ));
        }
    }
    Ok(repositories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(flags: TerraformArguments, answers: &str) -> (Result<Values, String>, String) {
        let mut prompts = Vec::new();
        let values = asked_for(flags, &mut answers.as_bytes(), &mut prompts, Language::En)
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
    fn questions_and_what_is_wrong_with_an_answer_are_in_the_readers_language() {
        let mut prompts = Vec::new();
        let answers = "o*\nocto-org\n\nshop shop\nshop\ntokyo\n\nProd\nprod\nnobody\n\n";
        asked_for(
            TerraformArguments::default(),
            &mut answers.as_bytes(),
            &mut prompts,
            Language::Ja,
        )
        .unwrap();
        let prompts = String::from_utf8(prompts).unwrap();
        for asked in prompts.split(": ").flat_map(str::lines).filter(|asked| !asked.is_empty()) {
            assert!(!asked.is_ascii(), "{asked:?} is not Japanese: {prompts}");
        }
        assert_eq!(prompts.matches("必要な値: ").count(), 4, "{prompts}");
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
