use super::*;
use crate::task::IssueNumber;

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

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_run_is_found_again_after_the_journal_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let run = {
        let journal = Journal::open(directory.path()).unwrap();
        let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
        journal.enter(run, Stage::Prepare, "fetching", at(11)).unwrap();
        journal.intend_push(run, "codingworker/issue-7", "abc").unwrap();
        journal.observe_pull_request(run, 8, "http://x/8").unwrap();
        journal.end(run, Outcome::Done, None, at(12)).unwrap();
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
    let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
    journal.enter(run, Stage::Admit, "one", at(11)).unwrap();
    let seen = journal.last_sequence().unwrap();
    journal.enter(run, Stage::Check, "two", at(12)).unwrap();
    journal.note(run, "three", at(13)).unwrap();
    let texts: Vec<_> =
        journal.events_after(seen).unwrap().into_iter().map(|event| (event.stage, event.text)).collect();
    assert_eq!(texts, [(Stage::Check, "two".to_owned()), (Stage::Check, "three".to_owned())]);
}

#[test]
fn an_outcome_belongs_to_the_message_not_to_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
    assert_eq!(journal.last_outcome("m-1").unwrap(), None);
    journal.end(run, Outcome::Failed, Some("no"), at(11)).unwrap();
    assert_eq!(journal.last_outcome("m-1").unwrap(), Some(Outcome::Failed));
    assert_eq!(journal.last_outcome("m-2").unwrap(), None);
}

#[test]
fn a_file_that_is_no_journal_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(FILE_NAME), "not a database, but long enough to be read as one".repeat(20))
        .unwrap();
    let error = Journal::open(directory.path()).err().expect("it is refused").to_string();
    assert!(error.contains(FILE_NAME) && error.contains("not a database"), "{error}");
}
