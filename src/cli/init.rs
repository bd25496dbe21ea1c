//! `codingworker init` sets up a repository or a Terraform folder.

mod answers;
mod files;
mod repository;
mod terraform;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use self::files::FileError;
use self::files::{Place, Present};
use self::terraform::{Numbers, Values};
use super::output;
use super::told::{Saying as _, said};
use crate::config::{Config, ConfigError};
use crate::github::GitHub;
use crate::language::{Language, Phrase};
use crate::task::RepoName;

/// What is set up: a repository whose issues become tasks, or the folder of Terraform that holds
/// the AWS side.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The repository, which gets the workflow and a .codingworker.toml, or the Terraform folder,
    /// which gets a terraform.tfvars
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    terraform: TerraformArguments,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "In a Terraform folder (what is missing is asked for on a terminal)")]
struct TerraformArguments {
    /// The organization or user that owns the repositories
    #[arg(long, value_parser = terraform::owner)]
    owner: Option<String>,
    /// A repository whose issues may become tasks, without its owner; may be given several times
    #[arg(long = "repo", value_name = "NAME", value_parser = terraform::repository)]
    repositories: Vec<String>,
    /// The AWS region of the queues [default: ap-northeast-1]
    #[arg(long, value_parser = terraform::region)]
    region: Option<String>,
    /// The value of the tag Environment [default: dev]
    #[arg(long, value_parser = terraform::environment)]
    environment: Option<String>,
    /// Where alarms go; without it there are none
    #[arg(long, value_name = "ADDRESS", value_parser = terraform::alarm_email)]
    alarm_email: Option<String>,
    /// Do not ask GitHub for the numbers of owner and repositories, though there is a token
    #[arg(long)]
    no_lookup: bool,
}

impl TerraformArguments {
    fn is_empty(&self) -> bool {
        let Self { owner, repositories, region, environment, alarm_email, no_lookup } = self;
        let texts = [owner, region, environment, alarm_email];
        repositories.is_empty() && texts.iter().all(|text| text.is_none()) && !no_lookup
    }
}

/// Sets up a directory. Only the token comes from the settings, so a set-up that needs no token
/// works even when the settings are invalid.
pub(super) async fn run(
    arguments: InitArguments,
    config: Result<Config, ConfigError>,
    language: Language,
) -> anyhow::Result<ExitCode> {
    let InitArguments { directory, force, dry_run, terraform } = arguments;
    let here = directory.as_deref().unwrap_or(Path::new("."));
    let (files, next) = if terraform::is_folder(here) {
        let values = values(terraform, config, language).await?;
        (vec![values.file()], terraform::next(&values, language))
    } else {
        let shown = here.display();
        anyhow::ensure!(
            terraform.is_empty(),
            said(
                format!(
                    "--owner, --repo and the like are for the Terraform folder; {shown} has no \
                     variables.tf that declares github_org"
                ),
                format!(
                    "--ownerや--repoなどはTerraformフォルダー用です。\
                     {shown} には、github_orgを宣言するvariables.tfがありません"
                ),
            )
        );
        anyhow::ensure!(
            here.is_dir(),
            said(
                format!("{shown} is not a directory"),
                format!("{shown} はディレクトリではありません"),
            )
        );
        anyhow::ensure!(
            directory.is_some() || here.join(".git").exists(),
            said(
                "this is not the root of a repository: go there, or name the directory to set up",
                "ここはリポジトリのルートではありません。ルートに移動するか、\
                 設定するディレクトリを指定してください",
            )
        );
        (repository::files(here), repository::next(language))
    };
    let places =
        files.into_iter().map(|file| Place::look(here, file)).collect::<Result<Vec<_>, _>>()?;
    if dry_run {
        show(&places, force, language)?;
    } else {
        write(&places, force, language)?;
        output::line(format!("\n{next}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn values(
    flags: TerraformArguments,
    config: Result<Config, ConfigError>,
    language: Language,
) -> anyhow::Result<Values> {
    let no_lookup = flags.no_lookup;
    let stdin = std::io::stdin();
    let mut values = if stdin.is_terminal() {
        answers::asked_for(flags, &mut stdin.lock(), &mut std::io::stderr(), language)?
    } else {
        answers::from_flags(flags)?
    };
    if !no_lookup {
        let config = config.saying(|| {
            Phrase::new(
                "can't tell whether there is a token (--no-lookup does without)",
                "トークンの有無を確認できません（--no-lookupを付けると確認しません）",
            )
        })?;
        if let Some(token) = &config.github.token {
            let github = GitHub::new(&config.github, token)?;
            values = identified(values, &github, language).await?;
        }
    }
    Ok(values)
}

/// Adds GitHub's numbers to the values and spells the names as GitHub does. The condition operators
/// of IAM policies compare the names letter by letter, so the case of the letters matters.
async fn identified(values: Values, github: &GitHub, language: Language) -> anyhow::Result<Values> {
    let mut owner = None;
    let mut repositories = Vec::new();
    for name in &values.repositories {
        let asked: RepoName = format!("{}/{name}", values.owner).parse()?;
        let found = github.repository(&asked).await.saying(|| {
            Phrase::new(
                format!(
                    "can't look up the numbers of {asked}; nothing was written (--no-lookup does \
                     without them)"
                ),
                format!(
                    "{asked} の番号を調べられません。何も書き込んでいません\
                     （--no-lookupを付けると番号なしで続けます）"
                ),
            )
        })?;
        let spelled = format!("{}/{}", found.owner.login, found.name);
        if spelled != asked.to_string() {
            output::progress(&language.pick(
                format!("GitHub spells {asked} as {spelled}, and so does the file"),
                format!(
                    "GitHubでの {asked} の表記は {spelled} です。ファイルにはこの表記を使います"
                ),
            ));
        }
        repositories.push((terraform::repository(&found.name)?, found.id));
        owner = Some(found.owner);
    }
    let none = || Phrase::new("no repository is named", "リポジトリが指定されていません");
    let owner = owner.saying(none)?;
    Ok(Values {
        owner: terraform::owner(&owner.login)?,
        repositories: repositories.iter().map(|(name, _)| name.clone()).collect(),
        numbers: Some(Numbers { owner: owner.id, repositories }),
        ..values
    })
}

fn write(places: &[Place], force: bool, language: Language) -> anyhow::Result<()> {
    let differing: Vec<_> = places
        .iter()
        .filter(|place| place.differs())
        .map(|place| place.path().to_string())
        .collect();
    anyhow::ensure!(
        force || differing.is_empty(),
        said(
            format!(
                "{} is there and differs; nothing was written (--dry-run shows what would be, \
                 --force replaces it)",
                differing.join(" and ")
            ),
            format!(
                "内容の異なる {} がすでにあるため、何も書き込みませんでした\
                 （--dry-runで書き込む内容を確認、--forceで置き換えできます）",
                differing.join("、")
            ),
        )
    );
    for place in places {
        place.write()?;
        let (en, ja) = match place.present {
            Present::Nothing => ("wrote", "作成しました"),
            Present::TheSame => ("unchanged", "変更はありません"),
            Present::Another { .. } => ("replaced", "置き換えました"),
        };
        let path = place.path();
        output::line(language.pick(format!("{en} {path}"), format!("{ja}: {path}")))?;
    }
    Ok(())
}

fn show(places: &[Place], force: bool, language: Language) -> anyhow::Result<()> {
    for place in places {
        let (path, text) = (place.path(), &place.file.text);
        output::line(match place.present {
            Present::TheSame => {
                language.pick(format!("unchanged {path}\n"), format!("変更はありません: {path}\n"))
            }
            Present::Nothing => language.pick(
                format!("would write {path}:\n\n{text}"),
                format!("次の内容で {path} を作成します:\n\n{text}"),
            ),
            Present::Another { .. } if force => language.pick(
                format!("would replace {path}:\n\n{text}"),
                format!("{path} を次の内容に置き換えます:\n\n{text}"),
            ),
            Present::Another { .. } => language.pick(
                format!("would refuse {path}, which differs; with --force it becomes:\n\n{text}"),
                format!(
                    "{path} は内容が異なるため、書き込みません。\
                     --forceを付けると次の内容になります:\n\n{text}"
                ),
            ),
        })?;
    }
    Ok(())
}
