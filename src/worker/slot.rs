//! A slot of the worker: one delivery, its lease, the run on it, and the end of the delivery.

use std::sync::Arc;
use std::time::Duration;

use super::lease::{self, Lease};
use super::sleep_inhibitor::SleepInhibitor;
use super::{Stop, Turn, Worker};
use crate::errors;
use crate::journal::Unreleased;
use crate::run::{self, Attempt, Disposition, Ended, LeaseHandle, catch_panic};
use crate::task::Delivery;

impl Worker {
    /// Works on a delivery, until its end or until the worker must not wait any longer.
    pub(super) async fn work_in_slot(&self, delivery: Delivery, stop: &Stop) -> Turn {
        let lease_end = lease::end_of(&delivery, self.policy.visibility_timeout);
        let start =
            async |attempt, lease| run::start(&self.services, &delivery, attempt, lease).await;
        self.unless_suspended(self.with_lease(&delivery, lease_end, false, start), stop).await
    }

    /// Goes on with a run that a worker before this one left, under the lease that it held. Nobody
    /// looked at the clock meanwhile, so the lease is doubtful.
    pub(super) async fn resume_in_slot(&self, left: Unreleased, stop: &Stop) -> Turn {
        tracing::info!(run = %left.run, lease_end = %left.lease_end, "resuming a run that was cut \
                                                                      off");
        let resume =
            async |attempt, lease| run::resume(&self.services, &left, attempt, lease).await;
        let resumed = self.with_lease(&left.delivery, left.lease_end, true, resume);
        self.unless_suspended(resumed, stop).await
    }

    /// Lets `run` work on a delivery that is leased until `lease_end`, and ends the delivery as the
    /// run says.
    async fn with_lease(
        &self,
        delivery: &Delivery,
        lease_end: jiff::Timestamp,
        is_doubtful: bool,
        run: impl AsyncFnOnce(Attempt, LeaseHandle) -> Ended,
    ) -> Disposition {
        let config = &self.services.config;
        let _sleep_inhibitor =
            SleepInhibitor::keep(config.worker.keep_awake, config.environment.search_path());
        let (queue, journal) = (Arc::clone(&self.queue), Arc::clone(&self.services.journal));
        let length = self.lease_length;
        let lease = Lease::hold(queue, journal, delivery.clone(), lease_end, length, is_doubtful);
        let attempt = self.attempt(delivery);
        // The stages of a run are guarded by themselves, so that their panic is told on the issue.
        // This guard is for what surrounds them: the delivery is given back in any case.
        let ended =
            catch_panic(Box::pin(run(attempt, lease.handle()))).await.unwrap_or_else(|failure| {
                let (message_id, reason) = (&delivery.message_id, errors::chain(&failure));
                tracing::error!(message_id, reason, "the run ended in a panic");
                Ended { run: None, disposition: Disposition::RetryAfter(attempt.retry_delay) }
            });
        let held_until = lease.release().await;
        self.release(delivery, ended, held_until).await
    }

    /// Does `work` for as long as a worker that is told to stop waits for it. Then the work is
    /// dropped, which kills the programs that it started; the journal has what the next worker goes
    /// on with.
    async fn unless_suspended(&self, work: impl Future<Output = Disposition>, stop: &Stop) -> Turn {
        let over = async {
            stop.graceful.cancelled().await;
            tokio::select! {
                () = tokio::time::sleep(self.services.config.worker.drain) => {}
                () = stop.immediate.cancelled() => {}
            }
        };
        tokio::select! {
            disposition = work => Turn::Worked(disposition),
            () = over => {
                tracing::info!("the run is suspended: it goes on when a worker starts again");
                Turn::Suspended
            }
        }
    }

    /// Where a delivery stands on its way to the dead-letter queue.
    pub(super) fn attempt(&self, delivery: &Delivery) -> Attempt {
        Attempt {
            receive_count: delivery.receive_count,
            max_receive_count: self.policy.max_receive_count,
            retry_delay: self.retry_delay(delivery.receive_count),
        }
    }

    /// How long after its nth delivery a failed task may be received again; the last configured
    /// delay counts for all later ones. Up to a quarter is added at random, so that tasks which
    /// failed together do not come back together.
    fn retry_delay(&self, deliveries: u32) -> Duration {
        let delays = &self.services.config.queue.retry_delays;
        let index = usize::try_from(deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = delays.get(index).or(delays.last()).copied().unwrap_or_default();
        delay.mul_f64(1.0 + fastrand::f64() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use localsqs::Queues;
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Config;
    use crate::environment::Environment;
    use crate::queue::Queue;
    use crate::run::Services;

    /// A worker on a queue of this test's own.
    async fn worker(directory: &Path) -> Worker {
        let queues = Queues::open(&directory.join("queue"), localsqs::Options::default()).unwrap();
        let settings = [("VisibilityTimeout".to_owned(), "600".to_owned())].into();
        queues.create("codingworker-tasks", &settings).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(localsqs::serve(listener, queues, std::future::pending()));
        let text = format!(
            "data_dir = {:?}\nrepositories = [\"o/r\"]\n\
             [queue]\nendpoint_url = \"http://{address}\"\nretry_delays_seconds = [0]\n\
             [sandbox]\nrequire = \"none\"\n\
             [agent]\nkind = \"command\"\nmodels = [\"scripted\"]\n\
             command = [\"true\", \"{{prompt_file}}\"]\n",
            directory.join("worker")
        );
        let path = std::env::split_paths("/usr/local/bin:/usr/bin:/bin");
        let path = std::env::join_paths(path).unwrap().into_string().unwrap();
        let variables = [("PATH", path.as_str()), ("GITHUB_TOKEN", "token"), ("HOME", "/")];
        let environment = Environment::from_variables(
            variables.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut config =
            Config::parse(&text, Path::new("codingworker.toml"), &environment).unwrap();
        config.sandbox.accept_none = true;
        let queue = Queue::connect(&config.queue, &config.redaction).await.unwrap();
        let policy = queue.policy().await.unwrap();
        Worker::new(queue, policy, Services::open(config).await.unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_message_of_a_run_that_panics_comes_again_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let worker = worker(directory.path()).await;
        worker.queue.send("a task", &[]).await.unwrap();
        let stop = Stop::default();
        let delivery = worker.receive(Duration::from_secs(5), &stop).await.unwrap().unwrap();
        let lease_end = lease::end_of(&delivery, worker.policy.visibility_timeout);
        let run = async |_, _| -> Ended { panic!("a fault of the run") };
        let disposition = worker.with_lease(&delivery, lease_end, false, run).await;
        assert_eq!(disposition, Disposition::RetryAfter(Duration::ZERO));
        let again = worker.receive(Duration::from_secs(5), &stop).await.unwrap().unwrap();
        assert_eq!((again.message_id, again.receive_count), (delivery.message_id, 2));
    }
}
