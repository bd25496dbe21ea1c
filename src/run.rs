//! One run of a task: claim, admit, prepare, implement, check, gate, publish, settle.
//!
//! Each stage is a function that consumes the value of the stage before, so a change that was not
//! checked can't be published. A stage leaves in the journal what it made, so that a run which a
//! crash cut off goes on where it was. The worker carries out the [`Disposition`] that a run ends
//! in; a run never touches its delivery.

mod admit;
mod attempts;
mod baseline;
mod check;
mod checking;
mod checkpoint;
mod claim;
mod context;
mod cut_off;
mod effects;
mod ending;
mod forge_watch;
mod gate;
mod implement;
mod issue_locks;
mod lease;
mod lock_files;
mod moved;
mod outage;
mod outcome;
mod pass;
mod policy;
mod prepare;
mod publish;
mod reason;
mod report;
mod services;
mod settle;
mod under_lease;
mod worker_name;

use tracing::Instrument as _;

pub use self::context::log_file;
pub use self::cut_off::give_up;
pub use self::forge_watch::{ForgeWatch, pause_after_refusal};
pub use self::lease::LeaseHandle;
pub use self::outcome::{Attempt, Disposition, Ended, Failure, catch_panic};
pub use self::services::{Services, StartError, token};

use self::admit::{Admission, ensure_still_wanted, while_wanted};
use self::claim::Claimed;
use self::publish::Published;
use self::under_lease::run_under_lease;
use crate::errors;
use crate::journal::{Decision, Unreleased};
use crate::task::Delivery;

/// All stages of a task, from the claim to the pull request.
///
/// The future of each stage is on the heap: together they are larger than a thread's stack.
async fn execute(services: &Services, claimed: Claimed) -> Result<Published, Failure> {
    let admitted = match stage("admit", Box::pin(admit::admit(services, claimed))).await? {
        Admission::Granted(admitted) => *admitted,
        Admission::AlreadyPublished(pull_request) => return Ok(Published::before(pull_request)),
    };
    let task = admitted.task.clone();
    let prepared = stage("prepare", Box::pin(prepare::prepare(services, admitted))).await?;
    let implementing = stage("implement", Box::pin(implement::implement(services, prepared)));
    let implemented = while_wanted(services, &task, implementing).await?;
    let checking = stage("check", Box::pin(check::check(services, implemented)));
    let checked = while_wanted(services, &task, checking).await?;
    let approved = stage("gate", Box::pin(gate::gate(services, checked))).await?;
    ensure_still_wanted(services, &task).await?;
    stage("publish", Box::pin(publish::publish(services, approved))).await
}

/// A stage, with everything that it logs below a span of its name.
async fn stage<T>(
    name: &'static str,
    stage: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    stage.instrument(tracing::info_span!("stage", name)).await
}

/// Works on a delivery, and says what is to become of it.
pub async fn start(
    services: &Services,
    delivery: &Delivery,
    attempt: Attempt,
    lease: LeaseHandle,
) -> Ended {
    match claim::claim(services, delivery, attempt, lease).await {
        Ok(claimed) => run_under_lease(services, claimed, None).await,
        Err(failure) => {
            let (message_id, reason) = (&delivery.message_id, errors::chain(&failure));
            tracing::warn!(message_id, reason, "the worker does not accept the message");
            Ended { run: None, disposition: outcome::disposition(&failure, attempt) }
        }
    }
}

/// Goes on with a run that was cut off, under the lease that it had: where it was, or with how it
/// was decided to end.
pub async fn resume(
    services: &Services,
    left: &Unreleased,
    attempt: Attempt,
    lease: LeaseHandle,
) -> Ended {
    let end = |disposition| Ended { run: Some(left.run), disposition };
    // A decision that this version can't read is made anew.
    let decided =
        left.decided.as_ref().and_then(|decision| Some((decision, decision.disposition()?)));
    if let Some((Decision { told: true, .. }, disposition)) = decided {
        return end(disposition);
    }
    match claim::reclaim(services, left, attempt, lease).await {
        Ok(claimed) => run_under_lease(services, claimed, decided).await,
        Err(failure) => {
            let (run, reason) = (left.run, errors::chain(&failure));
            tracing::error!(%run, reason, "the worker can't resume the run: its message comes \
                                           again");
            end(Disposition::Abandon)
        }
    }
}
