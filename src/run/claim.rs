//! The claim: a delivery becomes a run, once its message is a task of this worker.

use std::sync::Arc;

use jiff::Timestamp;

use super::Failure;
use super::checkpoint::Checkpoint;
use super::context::RunContext;
use super::effects::note;
use super::lease::LeaseHandle;
use super::outcome::Attempt;
use super::services::Services;
use crate::github::Permit;
use crate::journal::{self, Outcome, RunId, Unreleased};
use crate::task::{Delivery, Task};

/// A task that a run works on. It can't be cloned, so a run passes through each stage once until it
/// is cut off.
pub(super) struct Claimed {
    pub(super) run: Arc<RunContext>,
    pub(super) checkpoint: Checkpoint,
}

impl Claimed {
    /// The same run from its beginning.
    pub(super) fn anew(run: &Arc<RunContext>) -> Self {
        Self { run: Arc::clone(run), checkpoint: Checkpoint::default() }
    }

    /// The same run from where it was cut off, after an outage of the forge.
    pub(super) async fn again(services: &Services, run: &Arc<RunContext>) -> Result<Self, Failure> {
        let checkpoint = Checkpoint::load(&services.journal, run.id).await?;
        Ok(Self { run: Arc::clone(run), checkpoint })
    }
}

/// Makes a task of the message and begins its run, when this worker may work on it at all. A run
/// that follows one which was broken off goes on from that one's checkpoint.
pub(super) async fn claim(
    services: &Services,
    delivery: &Delivery,
    attempt: Attempt,
    lease: LeaseHandle,
) -> Result<Claimed, Failure> {
    let journal = &services.journal;
    if journal.last_outcome(&delivery.message_id).await? == Some(Outcome::Failed) {
        return Err(Failure::AlreadyReported);
    }
    let task = Task::decode(delivery.body.as_bytes())?;
    if !services.config.allows(&task.repository) {
        return Err(Failure::RepositoryNotAllowed(task.repository));
    }
    let earlier = journal.broken_off(&task.key()).await?;
    let (id, started_at) =
        journal.begin(&task, delivery, lease.end(), earlier, Timestamp::now()).await?;
    open_run(services, id, task, delivery, started_at, attempt, lease).await
}

/// Claims a run again that a worker before this one left, under the lease that it had.
pub(super) async fn reclaim(
    services: &Services,
    left: &Unreleased,
    attempt: Attempt,
    lease: LeaseHandle,
) -> Result<Claimed, Failure> {
    let task = Task::decode(left.delivery.body.as_bytes())?;
    let claimed =
        open_run(services, left.run, task, &left.delivery, left.began, attempt, lease).await?;
    let run = &claimed.run;
    note(services, run, "the run is resumed: the worker was stopped or died").await?;
    // A crash between an effect and its record leaves open whether it happened. The stages look at
    // the forge before they repeat it.
    for unfinished in services.journal.unfinished_effects(run.id).await? {
        let text = format!(
            "{} ({}) may have happened: the run looks before it repeats it",
            unfinished.effect, unfinished.detail
        );
        note(services, run, &text).await?;
    }
    Ok(claimed)
}

async fn open_run(
    services: &Services,
    id: RunId,
    task: Task,
    delivery: &Delivery,
    started_at: Timestamp,
    attempt: Attempt,
    lease: LeaseHandle,
) -> Result<Claimed, Failure> {
    let directory = journal::run_directory(&services.config.data_dir, id);
    let permit = {
        let lease = lease.clone();
        Permit::new(move || lease.is_held(Timestamp::now()))
    };
    let run = RunContext {
        id,
        task,
        cut: delivery.cut.clone(),
        attempt,
        lease,
        publisher: services.publisher.permitted(permit),
        worker: services.worker_name.clone(),
        received_at: delivery.received_at,
        started_at,
        directory,
    };
    run.make_directories().await?;
    let checkpoint = Checkpoint::load(&services.journal, id).await?;
    Ok(Claimed { run: Arc::new(run), checkpoint })
}
