use super::*;
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

fn begin(journal: &Journal, message_id: &str) -> RunId {
    journal.begin(&task(), &delivery(message_id), at(70), None, at(10)).unwrap().0
}

fn decision(outcome: Outcome) -> Decision {
    Decision::new(outcome, None, &"anything", None).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_run_is_found_again_after_the_journal_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let run = {
        let journal = Journal::open(directory.path()).unwrap();
        let run = begin(&journal, "m-1");
        journal.enter(run, Stage::Prepare, "fetching", at(11)).unwrap();
        journal.publishing(run, "codingworker/issue-7", "abc").unwrap();
        journal.record_pull_request(run, 8, "http://x/8").unwrap();
        journal.decide(run, &decision(Outcome::Done)).unwrap();
        journal.end(run, at(12)).unwrap();
        run
    };
    let journal = Journal::open(directory.path()).unwrap();
    let record = journal.run(run).unwrap().unwrap();
    assert_eq!(record.stage, Stage::Prepare);
    assert_eq!(record.outcome, Some(Outcome::Done));
    assert_eq!(record.ended_at, Some(at(12)));
    assert_eq!(record.pull_request_number, Some(8));
    assert_eq!(journal.attempts(&task().key()).unwrap().len(), 1);
    assert_eq!(journal.recent(5).unwrap().len(), 1);
}

#[test]
fn events_come_in_order_and_can_be_followed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let run = begin(&journal, "m-1");
    journal.enter(run, Stage::Admit, "one", at(11)).unwrap();
    let seen = journal.last_sequence().unwrap();
    journal.enter(run, Stage::Check, "two", at(12)).unwrap();
    journal.note(run, "three", at(13)).unwrap();
    let texts: Vec<_> = journal
        .events_after(seen)
        .unwrap()
        .into_iter()
        .map(|event| (event.stage, event.text))
        .collect();
    assert_eq!(texts, [(Stage::Check, "two".to_owned()), (Stage::Check, "three".to_owned())]);
}

#[test]
fn an_outcome_belongs_to_the_message_not_to_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let run = begin(&journal, "m-1");
    assert_eq!(journal.last_outcome("m-1").unwrap(), None);
    journal.decide(run, &decision(Outcome::Failed)).unwrap();
    assert_eq!(journal.last_outcome("m-1").unwrap(), None, "the issue was not told yet");
    journal.end(run, at(11)).unwrap();
    assert_eq!(journal.last_outcome("m-1").unwrap(), Some(Outcome::Failed));
    assert_eq!(journal.last_outcome("m-2").unwrap(), None);
}

#[test]
fn a_file_that_is_no_journal_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join(FILE_NAME),
        "not a database, but long enough to be read as one".repeat(20),
    )
    .unwrap();
    let error = Journal::open(directory.path()).err().expect("it is refused").to_string();
    assert!(error.contains(FILE_NAME) && error.contains("not a database"), "{error}");
}

#[test]
fn a_run_is_unreleased_until_the_queue_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let run = begin(&journal, "m-1");
    journal.renewed("handle of m-1", at(100)).unwrap();
    let unreleased = || journal.unreleased().unwrap().pop();

    let open = unreleased().unwrap();
    assert_eq!(
        (open.run, open.delivery, open.lease_end, open.began),
        (run, delivery("m-1"), at(100), at(10))
    );
    assert_eq!(open.decided, None);

    let decision =
        Decision::new(Outcome::Failed, Some("red".to_owned()), &"dead letter", Some(8)).unwrap();
    journal.decide(run, &decision).unwrap();
    assert_eq!(decision.disposition::<String>().as_deref(), Some("dead letter"));
    assert_eq!(unreleased().unwrap().decided, Some(decision.clone()));
    journal.end(run, at(12)).unwrap();
    let told = unreleased().unwrap().decided.unwrap();
    assert!(told.told && told.outcome == Outcome::Failed);
    journal.release(run, at(13)).unwrap();
    assert!(unreleased().is_none());
}

#[test]
fn what_a_run_made_is_there_after_the_journal_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let run = {
        let journal = Journal::open(directory.path()).unwrap();
        let run = begin(&journal, "m-1");
        assert_eq!(journal.last_pass::<u32>(run).unwrap(), None);
        journal.keep_prepared(run, &"base").unwrap();
        journal.keep_pass(run, "c1", &1, at(11)).unwrap();
        journal.keep_pass(run, "c2", &2, at(12)).unwrap();
        run
    };
    let journal = Journal::open(directory.path()).unwrap();
    assert_eq!(journal.prepared::<String>(run).unwrap().as_deref(), Some("base"));
    assert_eq!(journal.last_pass(run).unwrap(), Some(2));
    assert_eq!(journal.passes(run).unwrap(), ["c1", "c2"]);
    assert_eq!(journal.checked::<String>(run).unwrap(), None);
    assert_eq!(journal.last_pass::<String>(run).unwrap(), None, "another version's value is none");
}

#[test]
fn an_act_is_unobserved_from_its_intent_to_its_observation() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let run = begin(&journal, "m-1");
    let comment = journal.begin_effect(run, Effect::Comment, "accepted", at(11)).unwrap();
    let _cut_off = journal.begin_effect(run, Effect::Push, "codingworker/issue-7", at(12)).unwrap();
    journal.finish_effect(&comment, "done", at(13)).unwrap();
    let acts: Vec<_> = journal
        .unfinished_effects(run)
        .unwrap()
        .into_iter()
        .map(|act| (act.act, act.detail))
        .collect();
    assert_eq!(acts, [("push".to_owned(), "codingworker/issue-7".to_owned())]);
}

#[test]
fn only_the_newest_run_of_a_task_counts_as_broken_off() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let key = task().key();
    let end = |run, outcome| {
        journal.decide(run, &decision(outcome)).unwrap();
        journal.end(run, at(20)).unwrap();
        journal.release(run, at(20)).unwrap();
    };
    let first = begin(&journal, "m-1");
    assert_eq!(journal.broken_off(&key).unwrap(), None);
    end(first, Outcome::Abandoned);
    assert_eq!(journal.broken_off(&key).unwrap(), Some(first));
    end(begin(&journal, "m-1"), Outcome::Retrying);
    assert_eq!(journal.broken_off(&key).unwrap(), None);
}

#[test]
fn a_run_takes_over_what_an_earlier_one_made() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let earlier = begin(&journal, "m-1");
    journal.keep_prepared(earlier, &"base").unwrap();
    journal.keep_pass(earlier, "c1", &1, at(11)).unwrap();
    let (run, began) =
        journal.begin(&task(), &delivery("m-1"), at(170), Some(earlier), at(110)).unwrap();
    assert_eq!(began, at(10));
    assert_eq!(journal.prepared::<String>(run).unwrap().as_deref(), Some("base"));
    assert_eq!(journal.passes(run).unwrap(), ["c1"]);
}
