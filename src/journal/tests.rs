use std::time::Instant;

use futures_util::FutureExt as _;
use serde_json::json;

use super::*;
use crate::errors;
use crate::task::{Delivery, IssueNumber, Task};

fn task() -> Task {
    Task {
        issue_number: IssueNumber::new(7).unwrap(),
        repository: "o/r".parse().unwrap(),
        title: "Add FizzBuzz".to_owned(),
        body: String::new(),
        labels: vec![],
        created_at: "2025-01-26T00:00:00Z".parse().unwrap(),
    }
}

fn delivery(message_id: &str) -> Delivery {
    Delivery {
        message_id: message_id.to_owned(),
        receipt_handle: format!("handle of {message_id}"),
        receive_count: 1,
        body: task().encode(),
        cut: None,
        received_at: at(9),
    }
}

async fn begin(journal: &Journal, message_id: &str) -> RunId {
    journal.begin(&task(), &delivery(message_id), at(70), None, at(10)).await.unwrap().0
}

fn decision(outcome: Outcome) -> Decision {
    Decision::new(outcome, &"anything").unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[tokio::test]
async fn a_run_is_found_again_after_the_journal_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let run = {
        let journal = Journal::open(directory.path()).await.unwrap();
        let run = begin(&journal, "m-1").await;
        journal.enter(run, Stage::Prepare, "fetching", at(11)).await.unwrap();
        journal.publishing(run, "codingworker/issue-7", "abc").await.unwrap();
        journal.record_pull_request(run, 8, "http://x/8").await.unwrap();
        journal.decide(run, &decision(Outcome::Done)).await.unwrap();
        journal.end(run, at(12)).await.unwrap();
        run
    };
    let journal = Journal::open(directory.path()).await.unwrap();
    let record = journal.run(run).await.unwrap().unwrap();
    assert_eq!(record.stage, Stage::Prepare);
    assert_eq!(record.outcome, Some(Outcome::Done));
    assert_eq!(record.ended_at, Some(at(12)));
    assert_eq!(record.pull_request_number, Some(8));
    assert_eq!(journal.attempts(&task().key()).await.unwrap().len(), 1);
    let reader = JournalReader::open(directory.path()).await.unwrap().unwrap();
    assert_eq!(reader.newest(5).await.unwrap().len(), 1);
    assert!(reader.current().await.unwrap().len() == 1, "the queue was not told");
}

#[tokio::test]
async fn the_events_of_a_run_come_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    journal.enter(run, Stage::Admit, "one", at(11)).await.unwrap();
    journal.enter(run, Stage::Check, "two", at(12)).await.unwrap();
    journal.note(run, "three", at(13)).await.unwrap();
    let reader = JournalReader::open(directory.path()).await.unwrap().unwrap();
    let events = reader.events(run).await.unwrap();
    let texts: Vec<_> =
        events.iter().map(|event| (event.stage, event.at, event.text.as_str())).collect();
    let [one, two] = [(Stage::Admit, at(11), "one"), (Stage::Check, at(12), "two")];
    assert_eq!(texts, [one, two, (Stage::Check, at(13), "three")]);
}

#[tokio::test]
async fn an_outcome_belongs_to_the_message_not_to_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    assert_eq!(journal.last_outcome("m-1").await.unwrap(), None);
    journal.decide(run, &decision(Outcome::Failed)).await.unwrap();
    assert_eq!(journal.last_outcome("m-1").await.unwrap(), None, "the issue was not told yet");
    journal.end(run, at(11)).await.unwrap();
    assert_eq!(journal.last_outcome("m-1").await.unwrap(), Some(Outcome::Failed));
    assert_eq!(journal.last_outcome("m-2").await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join(FILE_NAME),
        "not a database, but long enough to be read as one".repeat(20),
    )
    .unwrap();
    let error = errors::chain(&Journal::open(directory.path()).await.expect_err("it is refused"));
    assert!(error.contains(FILE_NAME) && error.contains("not a database"), "{error}");
}

#[tokio::test]
async fn a_run_is_unreleased_until_the_queue_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    journal.record_renewal(&delivery("m-1"), at(100));
    // The jobs are done in order, so a job after the renewal sees it.
    let unreleased = async || journal.unreleased().await.unwrap().pop();

    let open = unreleased().await.unwrap();
    assert_eq!(
        (open.run, open.delivery, open.lease_end, open.began),
        (run, delivery("m-1"), at(100), at(10))
    );
    assert_eq!(open.decided, None);

    let decision = Decision::new(Outcome::Failed, &"dead letter")
        .unwrap()
        .with_detail("checks failed: make".to_owned())
        .with_reason(&json!({ "checks_failed": ["make"] }))
        .unwrap()
        .with_draft(Some(8));
    journal.decide(run, &decision).await.unwrap();
    assert_eq!(decision.disposition::<String>().as_deref(), Some("dead letter"));
    let record = journal.run(run).await.unwrap().unwrap();
    assert_eq!(record.detail.as_deref(), Some("checks failed: make"));
    assert_eq!(record.reason, Some(json!({ "checks_failed": ["make"] })));
    assert_eq!(record.reason, decision.reason());
    assert_eq!(unreleased().await.unwrap().decided, Some(decision.clone()));
    journal.end(run, at(12)).await.unwrap();
    let told = unreleased().await.unwrap().decided.unwrap();
    assert!(told.told && told.outcome == Outcome::Failed);
    journal.release(run, at(13)).await.unwrap();
    assert!(unreleased().await.is_none());
}

#[tokio::test]
async fn what_a_run_made_is_there_after_the_journal_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let run = {
        let journal = Journal::open(directory.path()).await.unwrap();
        let run = begin(&journal, "m-1").await;
        assert_eq!(journal.last_pass::<u32>(run).await.unwrap(), Kept::None);
        journal.keep_prepared(run, &"base").await.unwrap();
        journal.keep_pass(run, "c1", &1, at(11)).await.unwrap();
        journal.keep_pass(run, "c2", &2, at(12)).await.unwrap();
        run
    };
    let journal = Journal::open(directory.path()).await.unwrap();
    assert_eq!(journal.prepared(run).await.unwrap(), Kept::Value("base".to_owned()));
    assert_eq!(journal.last_pass(run).await.unwrap(), Kept::Value(2));
    assert_eq!(journal.checked::<String>(run).await.unwrap(), Kept::None);
    journal.keep_checked(run, &"red").await.unwrap();
    journal.keep_checked(run, &"green").await.unwrap();
    assert_eq!(journal.checked(run).await.unwrap(), Kept::Value("green".to_owned()));
}

#[tokio::test]
async fn a_value_of_another_shape_is_told_as_unreadable_with_what_is_wrong() {
    #[derive(Debug, serde::Deserialize)]
    struct LaterProgress {
        #[expect(dead_code, reason = "only its absence counts")]
        fix_ups: u32,
    }
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    journal.keep_prepared(run, &"base").await.unwrap();
    journal.keep_pass(run, "c1", &json!({ "tree": "t" }), at(11)).await.unwrap();
    let Kept::Unreadable { why } = journal.last_pass::<LaterProgress>(run).await.unwrap() else {
        panic!("the value has another shape");
    };
    assert!(why.contains("fix_ups"), "{why}");
    let prepared = journal.prepared::<u32>(run).await.unwrap();
    assert!(matches!(prepared, Kept::Unreadable { .. }), "{prepared:?}");
}

#[tokio::test]
async fn an_effect_is_unfinished_from_its_beginning_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    let comment = journal.begin_effect(run, Effect::Comment, "accepted", at(11)).await.unwrap();
    let _cut_off =
        journal.begin_effect(run, Effect::Push, "codingworker/issue-7", at(12)).await.unwrap();
    journal.finish_effect(&comment, "done", at(13)).await.unwrap();
    let effects: Vec<_> = journal
        .unfinished_effects(run)
        .await
        .unwrap()
        .into_iter()
        .map(|effect| (effect.effect, effect.detail))
        .collect();
    assert_eq!(effects, [("push".to_owned(), "codingworker/issue-7".to_owned())]);
}

#[tokio::test]
async fn only_the_newest_run_of_a_task_counts_as_broken_off() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let key = task().key();
    let end = async |run, outcome| {
        journal.decide(run, &decision(outcome)).await.unwrap();
        journal.end(run, at(20)).await.unwrap();
        journal.release(run, at(20)).await.unwrap();
    };
    let first = begin(&journal, "m-1").await;
    assert_eq!(journal.broken_off(&key).await.unwrap(), None);
    end(first, Outcome::Abandoned).await;
    assert_eq!(journal.broken_off(&key).await.unwrap(), Some(first));
    end(begin(&journal, "m-1").await, Outcome::Retrying).await;
    assert_eq!(journal.broken_off(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_takes_over_what_an_earlier_one_made() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let earlier = begin(&journal, "m-1").await;
    journal.keep_prepared(earlier, &"base").await.unwrap();
    journal.keep_pass(earlier, "c1", &1, at(11)).await.unwrap();
    let (run, began) =
        journal.begin(&task(), &delivery("m-1"), at(170), Some(earlier), at(110)).await.unwrap();
    assert_eq!(began, at(10));
    assert_eq!(journal.prepared(run).await.unwrap(), Kept::Value("base".to_owned()));
    assert_eq!(journal.last_pass(run).await.unwrap(), Kept::Value(1));
}

/// How late a task on the runtime ever is while `work` goes on.
async fn latest_tick<T>(work: impl Future<Output = T>) -> (T, Duration) {
    const TICK: Duration = Duration::from_millis(10);
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let ticking = tokio::spawn(async move {
        let mut latest = Duration::ZERO;
        while !stopped.is_cancelled() {
            let asked = Instant::now();
            tokio::time::sleep(TICK).await;
            latest = latest.max(asked.elapsed().saturating_sub(TICK));
        }
        latest
    });
    let done = work.await;
    stop.cancel();
    (done, ticking.await.unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn a_journal_that_another_process_has_locked_delays_nothing_else_on_the_runtime() {
    const LOCKED: Duration = Duration::from_secs(3);
    /// Far less than the lock is held, and enough for a machine that is busy.
    const LATE: Duration = Duration::from_secs(1);
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    let other = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();

    let began = Instant::now();
    let unlocking = std::thread::spawn(move || {
        std::thread::sleep(LOCKED);
        other.execute_batch("COMMIT").unwrap();
    });
    let writing = async {
        let note = journal.note(run, "written late", at(20));
        let renewing = async {
            let asked = Instant::now();
            // More than can wait for the thread.
            for second in 0..1_000 {
                journal.record_renewal(&delivery("m-1"), at(1_000 + second));
            }
            asked.elapsed()
        };
        let (noted, renewed_in) = tokio::join!(note, renewing);
        noted.unwrap();
        (renewed_in, began.elapsed())
    };
    let ((renewed_in, noted_after), latest) = latest_tick(writing).await;

    unlocking.join().unwrap();
    assert!(noted_after >= LOCKED, "the lock kept nobody waiting: {noted_after:?}");
    assert!(latest < LATE, "a tick was {latest:?} late");
    assert!(renewed_in < LATE, "1000 renewals took {renewed_in:?}");
    let [held] = &journal.unreleased().await.unwrap()[..] else { panic!("one run is open") };
    assert_eq!(held.lease_end, at(1_999));
}

#[tokio::test]
async fn a_write_whose_caller_was_dropped_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).await.unwrap();
    let run = begin(&journal, "m-1").await;
    let other = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(journal.note(run, "nobody waits", at(20)).now_or_never().is_none());
    other.execute_batch("COMMIT").unwrap();
    // The journal's jobs are done in order: the note is written before this is read.
    journal.run(run).await.unwrap();
    let reader = JournalReader::open(directory.path()).await.unwrap().unwrap();
    let event = reader.events(run).await.unwrap().pop().unwrap();
    assert_eq!(event.text, "nobody waits");
}
