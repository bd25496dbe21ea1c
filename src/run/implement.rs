//! The first pass: the agent does the task, until what it made builds.

use super::Failure;
use super::checkpoint::{Pass, Progress};
use super::effects::enter_stage;
use super::pass::{call_agent, fix_until_green, keep_progress, widen_plan};
use super::prepare::Prepared;
use super::services::Services;
use crate::agent::Verdict;
use crate::agent::prompt::Prompt;
use crate::checks::{CheckResult, Kind};
use crate::journal::Stage;
use crate::workspace::Side;

/// The repository as the agent left it after the first pass.
pub(super) struct Implemented {
    pub(super) prepared: Prepared,
    pub(super) progress: Progress,
    pub(super) builds: bool,
}

/// Has the agent do the task, and answer a failed setup or build.
pub(super) async fn implement(
    services: &Services,
    mut prepared: Prepared,
) -> Result<Implemented, Failure> {
    let text = format!("{} works on the task", services.agent.name());
    enter_stage(services, &prepared.run, Stage::Implement, &text).await?;
    let mut progress = go_on_from(&mut prepared).await?;
    if progress.pass < Pass::Implement {
        progress.begin(Pass::Implement);
        let prompt = Prompt::implement(&prepared.task);
        let verdict = call_agent(services, &prepared, &mut progress, &prompt).await?;
        if verdict != Verdict::Edited {
            return Err(Failure::Agent(verdict));
        }
        keep_progress(services, &prepared, &progress).await?;
    }
    widen_plan(services, &mut prepared, &progress).await?;
    let builds = progress.pass > Pass::Implement || {
        let to_build = |kind| matches!(kind, Kind::Setup | Kind::Build);
        let results = fix_until_green(services, &mut prepared, &mut progress, to_build).await?;
        !results.iter().any(CheckResult::blocks)
    };
    Ok(Implemented { prepared, progress, builds })
}

<<<<<<< HEAD
/// How far the agent is: at the checkpoint's tree, else at the base.
async fn go_on_from(prepared: &mut Prepared) -> Result<Progress, Failure> {
    let Prepared { checkpoint, workspace, base, .. } = prepared;
    if let Some(progress) = checkpoint.progress.take() {
        workspace.checkout(Side::Agent, &progress.tree).await?;
        return Ok(progress);
=======
impl Progress {
    /// Nothing done yet: the base.
    pub(super) fn from_base(tree: TreeId, commit: CommitId) -> Self {
        let (pass, reports, notes) = (Pass::None, Vec::new(), Vec::new());
        Self { tree, commit, kept: 0, pass, reports, fix_ups: 0, fix_ups_of_pass: 0, notes }
    }

    fn begin(&mut self, pass: Pass) {
        (self.pass, self.fix_ups_of_pass) = (pass, 0);
    }
}

impl Services {
    /// First pass: the agent does the task, until what it made builds.
    pub(super) async fn implement(&self, mut prepared: Prepared) -> Result<Changed, Failure> {
        self.enter(
            &prepared.claimed,
            Stage::Implement,
            &format!("{} works on the task", self.agent.name()),
        )
        .await?;
        let mut progress = self.progress(&prepared).await?;
        if progress.pass < Pass::Implement {
            progress.begin(Pass::Implement);
            let prompt = Prompt::implement(&prepared.claimed.task);
            let verdict = self.ask(&mut prepared, &mut progress, &prompt).await?;
            if verdict != Verdict::Edited {
                return Err(Failure::Agent(verdict));
            }
            self.record(&prepared, &progress).await?;
        }
        self.widen_plan(&mut prepared, &progress).await?;
        let builds = progress.pass > Pass::Implement || {
            let to_build = |kind| matches!(kind, Kind::Setup | Kind::Build);
            let results = self.meet(&mut prepared, &mut progress, to_build).await?;
            !results.iter().any(CheckResult::blocks)
        };
        Ok(Changed { prepared, progress, builds })
    }

    /// How far the agent is: where it was left, else at the base.
    async fn progress(&self, prepared: &Prepared) -> Result<Progress, Failure> {
        let Prepared { claimed, workspace, ground, .. } = prepared;
        if let Some(progress) = claimed.past.progress.clone() {
            workspace.checkout(Side::Agent, &progress.tree).await?;
            return Ok(progress);
        }
        let base_tree = workspace.cache().tree_at(&ground.base.commit).await?;
        let progress = Progress::from_base(base_tree, ground.base.commit.clone());
        Ok(Progress { notes: ground.notes.clone(), ..progress })
    }

    /// Second pass: the agent writes tests; then every check is run, and answered as long as a
    /// fix-up is left.
    pub(super) async fn check(&self, changed: Changed) -> Result<Checked, Failure> {
        let Changed { mut prepared, mut progress, builds } = changed;
        self.enter(&prepared.claimed, Stage::Check, "writing tests and running the checks").await?;
        if let Some(results) = prepared.claimed.past.results.take() {
            return Ok(Checked { prepared, progress, results });
        }
        if progress.pass < Pass::Tests {
            progress.begin(Pass::Tests);
            // Tests for what does not build would hide why it doesn't.
            if prepared.ground.plan.tests_pass && builds {
                let prompt = Prompt::tests(&prepared.claimed.task);
                if self.ask(&mut prepared, &mut progress, &prompt).await? != Verdict::Edited {
                    progress.notes.push(Note::NoTestsWritten);
                }
                self.record(&prepared, &progress).await?;
                self.widen_plan(&mut prepared, &progress).await?;
            }
        }
        let results = self.meet(&mut prepared, &mut progress, |_| true).await?;
        let id = prepared.claimed.id;
        self.journal.record_checks(id, &report::check_records(&results)).await?;
        self.journal.keep_checked(id, &results).await?;
        Ok(Checked { prepared, progress, results })
    }

    /// The state of every check before the agent came.
    ///
    /// A formatter that rewrites files at the base would bury the change under what it rewrites, so
    /// it is left out of the plan.
    pub(super) async fn baseline(&self, mut prepared: Prepared) -> Result<Prepared, Failure> {
        let tree = prepared.workspace.cache().tree_at(&prepared.ground.base.commit).await?;
        for check in prepared.ground.plan.checks.clone() {
            let ran =
                self.run_check(&prepared.claimed, prepared.workspace.check_tree(), &check).await?;
            prepared.ground.baseline.record(&ran);
            if check.kind == Kind::Format
                && prepared.workspace.snapshot(Side::Checks).await? != tree
            {
                prepared.workspace.checkout(Side::Checks, &tree).await?;
                prepared.ground.plan.checks.retain(|planned| *planned != check);
                prepared.ground.notes.push(Note::FormatSkipped);
            }
        }
        self.journal.keep_prepared(prepared.claimed.id, &prepared.ground).await?;
        Ok(prepared)
    }

    /// What the change brings is checked too: an empty repository has a kind of project only
    /// afterwards.
    async fn widen_plan(
        &self,
        prepared: &mut Prepared,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let Prepared { workspace, ground, .. } = prepared;
        let later = self.plan(workspace.cache(), &ground.base.commit, &progress.commit).await?;
        ground.plan = std::mem::take(&mut ground.plan).widened(later);
        ground.plan.checks.retain(|check| {
            check.kind != Kind::Format || !progress.notes.contains(&Note::FormatSkipped)
        });
        Ok(())
    }

    /// Runs the checks of a pass, and has the agent answer the first that is red as often as a pass
    /// may.
    async fn meet(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
        in_pass: impl Fn(Kind) -> bool,
    ) -> Result<Vec<CheckResult>, Failure> {
        loop {
            let fix_ups_left = self.config.checks.fix_ups.saturating_sub(progress.fix_ups_of_pass);
            let results = self.run_checks(prepared, progress, &in_pass, fix_ups_left == 0).await?;
            let Some(red) = results.iter().find(|result| result.blocks()) else {
                return Ok(results);
            };
            if fix_ups_left == 0 {
                return Ok(results);
            }
            progress.fix_ups += 1;
            progress.fix_ups_of_pass += 1;
            let said = format!("`{}` failed: the agent is asked to mend it", red.ran.command);
            self.note(&prepared.claimed, &said).await?;
            let prompt =
                Prompt::fix_up(red.ran.kind.name(), &red.ran.command, &red.ran.excerpt(EXCERPT));
            self.ask(prepared, progress, &prompt).await?;
            self.record(prepared, progress).await?;
        }
    }

    /// Runs the checks that belong to the pass, in order. A red one ends the round unless `all` are
    /// wanted.
    async fn run_checks(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
        in_pass: &impl Fn(Kind) -> bool,
        all: bool,
    ) -> Result<Vec<CheckResult>, Failure> {
        prepared.workspace.checkout(Side::Checks, &progress.tree).await?;
        let mut results: Vec<CheckResult> = Vec::new();
        for check in prepared.ground.plan.checks.clone() {
            if !in_pass(check.kind) {
                continue;
            }
            let ran =
                self.run_check(&prepared.claimed, prepared.workspace.check_tree(), &check).await?;
            let result = prepared.ground.baseline.judge(ran);
            self.note(&prepared.claimed, &format!("`{}` {}", check.command, describe(&result)))
                .await?;
            if check.kind == Kind::Format {
                self.adopt_formatting(prepared, progress).await?;
            }
            let blocked = result.blocks();
            results.push(result);
            if blocked && !all {
                break;
            }
        }
        Ok(results)
    }

    /// What the formatter changed becomes part of the change, and of what the agent sees next.
    async fn adopt_formatting(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let formatted = prepared.workspace.snapshot(Side::Checks).await?;
        if formatted != progress.tree {
            prepared.workspace.checkout(Side::Agent, &formatted).await?;
            self.keep(prepared, progress, formatted).await?;
            self.record(prepared, progress).await?;
        }
        Ok(())
    }

    async fn run_check(
        &self,
        claimed: &Claimed,
        tree: &Path,
        check: &Check,
    ) -> Result<Ran, Failure> {
        claimed.write_log(&format!("$ {}", check.command))?;
        let cache = repository_cache(&self.config.data_dir, &claimed.task.repository);
        let site = Site {
            tree,
            scratch: &claimed.directory.join(SCRATCH).join("checks"),
            cache: &cache,
            log: &claimed.log(),
        };
        match self.checker.run(check, site, claimed.hold.lost()).await {
            Ok(ran) => Ok(ran),
            Err(CheckError::Stopped { .. }) => Err(Failure::LeaseLost),
            Err(CheckError::Process { source, .. }) => Err(source.into()),
            Err(CheckError::Place { path, source }) => Err(Failure::Local {
                what: format!("can't make the directory {}", path.display()),
                source,
            }),
        }
    }

    /// Calls the agent once, and takes up what it left in its tree.
    async fn ask(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
        prompt: &Prompt,
    ) -> Result<Verdict, Failure> {
        let Prepared { claimed, workspace, .. } = &*prepared;
        let files = workspace.cache().files_at(&progress.commit).await?;
        let files: Vec<PathBuf> = files.iter().map(|file| file.as_path().to_path_buf()).collect();
        let call = Call {
            prompt,
            tree: workspace.agent_tree(),
            scratch: &claimed.directory.join(SCRATCH),
            edit: agent::prompt::mentioned_files(&claimed.task, &files),
            read: agent::prompt::conventions(&files).into_iter().collect(),
            log: &claimed.log(),
        };
        let report = self.agent.call(&call, claimed.hold.lost()).await?;
        let snapshotted = workspace.snapshot(Side::Agent).await?;
        let verdict = agent::verdict(&report, snapshotted != progress.tree);
        self.note(claimed, &format!("{} with {}: {verdict}", self.agent.name(), report.model))
            .await?;
        progress.reports.push(report);
        if snapshotted != progress.tree {
            self.keep(prepared, progress, snapshotted).await?;
        }
        match verdict {
            Verdict::Stopped => Err(Failure::LeaseLost),
            Verdict::ModelUnreachable { .. } | Verdict::ModelMissing => {
                Err(Failure::Agent(verdict))
            }
            Verdict::Edited
            | Verdict::NoChange
            | Verdict::MalformedEdits
            | Verdict::TokenLimit
            | Verdict::TimedOut
            | Verdict::Failed { .. } => Ok(verdict),
        }
    }

    /// Makes a tree the state of the work: a commit of its own in the worker's repository, so that
    /// nothing is thrown away.
    async fn keep(
        &self,
        prepared: &Prepared,
        progress: &mut Progress,
        tree: TreeId,
    ) -> Result<(), Failure> {
        let Prepared { claimed, workspace, ground, .. } = prepared;
        let commit = workspace
            .commit(
                &tree,
                &ground.base.commit,
                &publish::commit_message(&claimed.task, &self.agent_version),
                &self.identity(),
                claimed.began,
            )
            .await?;
        let name = format!("run-{}/{}", claimed.id, progress.kept);
        workspace.keep(&commit, &name).await?;
        (progress.tree, progress.commit) = (tree, commit);
        progress.kept += 1;
        Ok(())
    }

    /// From here the next worker goes on when this one dies.
    async fn record(&self, prepared: &Prepared, progress: &Progress) -> Result<(), Failure> {
        let run = prepared.claimed.id;
        let (commit, now) = (progress.commit.as_str(), Timestamp::now());
        Ok(self.journal.keep_pass(run, commit, progress, now).await?)
    }
}

/// What the tools of one repository's checks download is kept here, and no other repository's
/// checks see it.
fn repository_cache(data_dir: &Path, repository: &RepoName) -> PathBuf {
    let (owner, name) =
        (repository.owner().to_ascii_lowercase(), repository.name().to_ascii_lowercase());
    data_dir.join("caches").join(owner).join(name)
}

/// A result as the log tells it.
fn describe(result: &CheckResult) -> String {
    match &result.verdict {
        CheckVerdict::Passed => "passed".to_owned(),
        CheckVerdict::New { failures } if failures.is_empty() => "failed".to_owned(),
        CheckVerdict::New { failures } => {
            format!("failed: {}", failures.iter().cloned().collect::<Vec<_>>().join(", "))
        }
        CheckVerdict::FailedBefore => "failed as it did before the change".to_owned(),
        CheckVerdict::TimedOut => "took too long".to_owned(),
        CheckVerdict::NotRun { tool } => format!("could not be run: {tool} is missing"),
        CheckVerdict::Offline => "could not be run: there is no network".to_owned(),
>>>>>>> h-journal
    }
    let tree = workspace.cache().tree_at(&base.base.commit).await?;
    Ok(Progress::from_base(tree, base.base.commit.clone(), base.notes.clone()))
}
