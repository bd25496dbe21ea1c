use super::*;
use crate::publish::report::CheckOutcome;
use crate::publish::report::FileLine;
use crate::task::Task;

fn task(title: &str) -> Task {
    Task {
        issue_number: IssueNumber::new(7).unwrap(),
        repository: "o/r".parse().unwrap(),
        title: title.to_owned(),
        body: String::new(),
        labels: vec![],
        created_at: "2025-01-26T00:00:00Z".parse().unwrap(),
    }
}

fn check_line(result: CheckOutcome) -> CheckLine {
    let command = "make test".to_owned();
    CheckLine {
        kind: "test",
        command,
        result,
        duration: Duration::from_millis(1234),
        output: "boom ``` @you".to_owned(),
    }
}

fn report(task: &Task) -> Report<'_> {
    Report {
        task,
        base: "main",
        branch: "codingworker/issue-7",
        commit: "0123456789abcdef0123456789abcdef01234567",
        agent: "aider 0.86.2".to_owned(),
        sandbox: "full".to_owned(),
        models: vec!["ollama_chat/qwen2.5-coder:1.5b".to_owned()],
        tokens: Some((2100, 300)),
        duration: Duration::from_secs(200),
        attempt: 1,
        calls: 3,
        fix_ups: 1,
        checks: vec![
            check_line(CheckOutcome::Passed),
            check_line(CheckOutcome::NotRun { tool: "go".to_owned() }),
        ],
        files: vec![
            FileLine { path: "a|b.py".to_owned(), lines: Some((3, 1)) },
            FileLine { path: "x.png".to_owned(), lines: None },
        ],
        notes: vec![Note::NoTestsWritten],
    }
}

#[test]
fn a_pull_request_in_english() {
    let task = task("Add @octocat's <b>FizzBuzz</b>");
    insta::assert_snapshot!(
        pull_request(Language::En, &report(&task), PrState::Done).replace('\u{2060}', "·")
    );
}

#[test]
fn a_pull_request_in_japanese() {
    let task = task("FizzBuzzを追加");
    insta::assert_snapshot!(pull_request(Language::Ja, &report(&task), PrState::Done));
}

#[test]
fn a_draft_shows_what_failed_and_closes_nothing() {
    let task = task("Add FizzBuzz");
    let failed = CheckOutcome::Failed { failures: vec!["tests::adds".to_owned()] };
    let report = Report { checks: vec![check_line(failed)], notes: vec![], ..report(&task) };
    let body = pull_request(Language::En, &report, PrState::Draft);
    insta::assert_snapshot!(body);
    assert!(!body.contains("Closes"));
}

#[test]
fn every_status_in_both_languages() {
    let tried = ["the agent changed nothing".to_owned(), "checks failed: `make test`".to_owned()];
    let statuses = [
        Status::Working { stage: Stage::Accepted, attempt: 1 },
        Status::Working { stage: Stage::Preparing, attempt: 1 },
        Status::Working { stage: Stage::Implementing, attempt: 2 },
        Status::Working { stage: Stage::Checking, attempt: 1 },
        Status::Working { stage: Stage::Publishing, attempt: 1 },
        Status::Done { number: 8 },
        Status::Retrying {
            reason: "the agent changed nothing",
            attempt: 1,
            delay: Duration::from_secs(30),
        },
        Status::Cancelled { reason: "the issue was closed" },
        Status::Failed { reason: "checks failed: @you", tried: &tried, draft: Some(9) },
    ];
    let said: Vec<_> = [Language::En, Language::Ja]
        .into_iter()
        .flat_map(|language| {
            statuses
                .iter()
                .map(move |status| comment(language, IssueNumber::new(7).unwrap(), status))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n=====\n"));
}

#[test]
fn a_body_fits_githubs_limit_with_its_mark() {
    let task = task("Add FizzBuzz");
    let mut report = report(&task);
    let failed = CheckOutcome::Failed { failures: vec![] };
    report.checks = vec![CheckLine { output: "失敗".repeat(60_000), ..check_line(failed) }];
    for language in [Language::En, Language::Ja] {
        let body = pull_request(language, &report, PrState::Draft);
        assert_eq!(body.chars().count(), LONGEST_BODY);
        assert!(body.ends_with("<!-- codingworker:draft task=o/r#7@2025-01-26T00:00:00Z -->"));
    }
}
