//! The agent's two passes, implement and write tests, each with the checks it must meet and the fix-ups that answer a red one.
//!
//! Leaves to `run` what a pass is part of. Invariant: every tree that a check judged, or that is published, was harvested and is kept as a
//! commit in the worker's own repository.

use std::path::{Path, PathBuf};

use super::{Changed, Checked, Claimed, Failure, Prepared, Rooms, SCRATCH, report};
use crate::agent::prompt::Prompt;
use crate::agent::{self, Call, Report, Verdict};
use crate::checks::{Check, CheckError, CheckResult, Kind, Ran, Standing as CheckStanding};
use crate::journal::Stage;
use crate::publish::{self, Note};
use crate::workspace::{CommitId, Side, TreeId};

/// How much of a red check's output a fix-up prompt repeats, in bytes: what a small model can still read.
const EXCERPT: usize = 6_000;

/// What the agent has done so far.
pub(super) struct Progress {
    /// The agent's tree as it was last harvested.
    tree: TreeId,
    /// That tree as a commit on the base.
    pub(super) commit: CommitId,
    /// How many trees were kept so far.
    kept: u32,
    pub(super) reports: Vec<Report>,
    pub(super) fix_ups: u32,
    pub(super) notes: Vec<Note>,
}

impl Progress {
    /// Nothing done yet: the base.
    pub(super) fn from_base(tree: TreeId, commit: CommitId) -> Self {
        Self { tree, commit, kept: 0, reports: Vec::new(), fix_ups: 0, notes: Vec::new() }
    }
}

impl Rooms {
    /// First pass: the agent does the task, until what it made builds.
    pub(super) async fn implement(&self, mut prepared: Prepared) -> Result<Changed, Failure> {
        self.enter(&prepared.claimed, Stage::Implement, &format!("{} works on the task", self.agent.name())).await?;
        let base_tree = prepared.workspace.cache().tree_at(&prepared.base.commit).await?;
        let mut progress = Progress::from_base(base_tree, prepared.base.commit.clone());
        progress.notes.append(&mut prepared.notes);
        let prompt = Prompt::implement(&prepared.claimed.task);
        let verdict = self.ask(&mut prepared, &mut progress, &prompt).await?;
        if verdict != Verdict::Edited {
            return Err(Failure::Agent(verdict));
        }
        self.widen_plan(&mut prepared, &progress).await?;
        let results = self.meet(&mut prepared, &mut progress, |kind| matches!(kind, Kind::Setup | Kind::Build)).await?;
        let builds = !results.iter().any(CheckResult::blocks);
        Ok(Changed { prepared, progress, builds })
    }

    /// Second pass: the agent writes tests; then every check is run, and answered as long as a fix-up is left.
    pub(super) async fn check(&self, changed: Changed) -> Result<Checked, Failure> {
        let Changed { mut prepared, mut progress, builds } = changed;
        self.enter(&prepared.claimed, Stage::Check, "writing tests and running the checks").await?;
        // Tests for what does not build would hide why it doesn't.
        if prepared.plan.tests_pass && builds {
            let prompt = Prompt::tests(&prepared.claimed.task);
            let verdict = self.ask(&mut prepared, &mut progress, &prompt).await?;
            if verdict != Verdict::Edited {
                progress.notes.push(Note::NoTestsWritten);
            }
            self.widen_plan(&mut prepared, &progress).await?;
        }
        let results = self.meet(&mut prepared, &mut progress, |_| true).await?;
        self.journal.observe_checks(prepared.claimed.id, &report::check_records(&results))?;
        if results.is_empty() {
            progress.notes.push(Note::NothingToCheck);
        }
        Ok(Checked { prepared, progress, results })
    }

    /// The state of every check before the agent came.
    ///
    /// A formatter that rewrites files at the base would bury the change under what it rewrites, so it is left out of the plan.
    pub(super) async fn baseline(&self, mut prepared: Prepared) -> Result<Prepared, Failure> {
        let tree = prepared.workspace.cache().tree_at(&prepared.base.commit).await?;
        for check in prepared.plan.checks.clone() {
            let ran = self.run_check(&prepared.claimed, prepared.workspace.check_tree(), &check).await?;
            prepared.baseline.record(&ran);
            if check.kind == Kind::Format && prepared.workspace.harvest(Side::Checks).await? != tree {
                prepared.workspace.show(Side::Checks, &tree).await?;
                prepared.plan.checks.retain(|planned| *planned != check);
                prepared.notes.push(Note::FormatSkipped);
            }
        }
        Ok(prepared)
    }

    /// What the change brings is checked too: an empty repository has a kind of project only afterwards.
    async fn widen_plan(&self, prepared: &mut Prepared, progress: &Progress) -> Result<(), Failure> {
        let later = self.plan(prepared.workspace.cache(), &prepared.base.commit, &progress.commit).await?;
        prepared.plan = std::mem::take(&mut prepared.plan).widened(later);
        prepared
            .plan
            .checks
            .retain(|check| check.kind != Kind::Format || !progress.notes.contains(&Note::FormatSkipped));
        Ok(())
    }

    /// Runs the checks of a pass, and has the agent answer the first that is red as often as a pass may.
    async fn meet(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
        in_pass: impl Fn(Kind) -> bool,
    ) -> Result<Vec<CheckResult>, Failure> {
        let mut fix_ups_left = self.config.checks.fix_ups;
        loop {
            let results = self.run_checks(prepared, progress, &in_pass, fix_ups_left == 0).await?;
            let Some(red) = results.iter().find(|result| result.blocks()) else { return Ok(results) };
            if fix_ups_left == 0 {
                return Ok(results);
            }
            fix_ups_left -= 1;
            progress.fix_ups += 1;
            let said = format!("`{}` failed: the agent is asked to mend it", red.ran.command);
            self.note(&prepared.claimed, &said)?;
            let prompt = Prompt::fix_up(red.ran.kind.name(), &red.ran.command, &red.ran.excerpt(EXCERPT));
            self.ask(prepared, progress, &prompt).await?;
        }
    }

    /// Runs the checks that belong to the pass, in order. A red one ends the round unless `all` are wanted.
    async fn run_checks(
        &self,
        prepared: &mut Prepared,
        progress: &mut Progress,
        in_pass: &impl Fn(Kind) -> bool,
        all: bool,
    ) -> Result<Vec<CheckResult>, Failure> {
        prepared.workspace.show(Side::Checks, &progress.tree).await?;
        let mut results: Vec<CheckResult> = Vec::new();
        for check in prepared.plan.checks.clone() {
            if !in_pass(check.kind) {
                continue;
            }
            let ran = self.run_check(&prepared.claimed, prepared.workspace.check_tree(), &check).await?;
            let result = prepared.baseline.judge(ran);
            self.note(&prepared.claimed, &format!("`{}` {}", check.command, describe(&result)))?;
            if check.kind == Kind::Format {
                self.take_up_format(prepared, progress).await?;
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
    async fn take_up_format(&self, prepared: &mut Prepared, progress: &mut Progress) -> Result<(), Failure> {
        let formatted = prepared.workspace.harvest(Side::Checks).await?;
        if formatted != progress.tree {
            prepared.workspace.show(Side::Agent, &formatted).await?;
            self.keep(prepared, progress, formatted).await?;
        }
        Ok(())
    }

    async fn run_check(&self, claimed: &Claimed, tree: &Path, check: &Check) -> Result<Ran, Failure> {
        claimed.write_log(&format!("$ {}", check.command))?;
        match self.checker.run(check, tree, &claimed.log(), claimed.hold.ended()).await {
            Ok(ran) => Ok(ran),
            Err(CheckError::Stopped { .. }) => Err(Failure::Stopped),
            Err(CheckError::Process { source, .. }) => Err(source.into()),
        }
    }

    /// Calls the agent once, and takes up what it left in its tree.
    async fn ask(&self, prepared: &mut Prepared, progress: &mut Progress, prompt: &Prompt) -> Result<Verdict, Failure> {
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
        let report = self.agent.call(&call, claimed.hold.ended()).await?;
        let harvested = workspace.harvest(Side::Agent).await?;
        let verdict = agent::verdict(&report, harvested != progress.tree);
        self.note(claimed, &format!("{} with {}: {verdict}", self.agent.name(), report.model))?;
        progress.reports.push(report);
        if harvested != progress.tree {
            self.keep(prepared, progress, harvested).await?;
        }
        match verdict {
            Verdict::Stopped => Err(Failure::Stopped),
            Verdict::ModelUnreachable { .. } | Verdict::ModelMissing => Err(Failure::Agent(verdict)),
            Verdict::Edited
            | Verdict::NoChange
            | Verdict::MalformedEdits
            | Verdict::TokenLimit
            | Verdict::TimedOut
            | Verdict::Failed { .. } => Ok(verdict),
        }
    }

    /// Makes a tree the state of the work: a commit of its own in the worker's repository, so that nothing is thrown away.
    async fn keep(&self, prepared: &Prepared, progress: &mut Progress, tree: TreeId) -> Result<(), Failure> {
        let Prepared { claimed, workspace, base, .. } = prepared;
        let commit = workspace
            .commit(
                &tree,
                &base.commit,
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
}

/// A result as the log tells it.
fn describe(result: &CheckResult) -> String {
    match &result.standing {
        CheckStanding::Passed => "passed".to_owned(),
        CheckStanding::New { failures } if failures.is_empty() => "failed".to_owned(),
        CheckStanding::New { failures } => {
            format!("failed: {}", failures.iter().cloned().collect::<Vec<_>>().join(", "))
        }
        CheckStanding::FailedBefore => "failed as it did before the change".to_owned(),
        CheckStanding::TimedOut => "took too long".to_owned(),
        CheckStanding::NotRun { tool } => format!("could not be run: {tool} is missing"),
        CheckStanding::Offline => "could not be run: there is no network".to_owned(),
    }
}
