use std::collections::BTreeSet;

use strum::VariantNames as _;

use super::*;
use crate::language::Language;
use crate::publish::attempts::AttemptRecord;
use crate::publish::marker::PrState;
use crate::publish::report::{
    CheckLine, CheckOutcome, FileLine, Hindrance, IssueStatus, NoTest, Note, PullRequestReport,
    ToldStage,
};
use crate::publish::text::LONGEST_BODY;
use crate::redaction::Redaction;
use crate::task::{IssueNumber, Task};

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

/// The attempt number `number`, by a worker of this name.
fn attempt(worker: &str, number: u32, reason: Option<Reason>) -> AttemptRecord {
    let received_at = "2025-01-26T01:00:00Z".parse().unwrap();
    AttemptRecord { worker: worker.to_owned(), attempt: number, received_at, reason }
}

/// The status comment of the third attempt, which a worker called `studio` makes.
fn comment(language: Language, status: &IssueStatus<'_>) -> String {
    let (task, ours) = (task("Add FizzBuzz"), attempt("studio", 3, None));
    markdown(language).comment(&task, &ours, std::slice::from_ref(&ours), status)
}

fn markdown(language: Language) -> Renderer {
    Renderer::markdown(language, &Redaction::default())
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

fn missing(tool: &str) -> CheckOutcome {
    CheckOutcome::NotRun { hindrance: Hindrance::Missing { tool: tool.to_owned() } }
}

fn report(task: &Task) -> PullRequestReport<'_> {
    PullRequestReport {
        task,
        base: "main",
        branch: "codingworker/issue-7",
        commit: "0123456789abcdef0123456789abcdef01234567",
        worker: "studio".to_owned(),
        agent: "aider 0.86.2".to_owned(),
        sandbox: "full".to_owned(),
        models: vec!["ollama_chat/qwen2.5-coder:1.5b".to_owned()],
        tokens: Some((2100, 300)),
        duration: Duration::from_secs(200),
        attempt: 1,
        calls: 3,
        fix_ups: 1,
        checks: vec![check_line(CheckOutcome::Passed), check_line(missing("go"))],
        untested: vec![],
        untested_is_draft: true,
        files: vec![
            FileLine { path: "a|b.py".to_owned(), lines: Some((3, 1)) },
            FileLine { path: "x.png".to_owned(), lines: None },
        ],
        notes: vec![Note::NoTestsWritten],
    }
}

/// A report with everything that a pull request can say.
fn full_report(task: &Task) -> PullRequestReport<'_> {
    let failures = vec!["tests::adds".to_owned(), "tests::subtracts".to_owned()];
    let results = [
        CheckOutcome::Passed,
        CheckOutcome::Failed { failures },
        CheckOutcome::Failed { failures: vec![] },
        CheckOutcome::FailedBefore,
        CheckOutcome::TimedOut,
        missing("go"),
        CheckOutcome::NotRun { hindrance: Hindrance::Offline },
    ];
    let kinds = ["setup", "format", "build", "lint", "test", "test", "test"];
    let checks = results.into_iter().zip(kinds);
    PullRequestReport {
        checks: checks.map(|(result, kind)| CheckLine { kind, ..check_line(result) }).collect(),
        models: vec!["a".to_owned(), "b".to_owned()],
        files: (0..52)
            .map(|number| FileLine { path: format!("{number}.py"), lines: Some((1, 0)) })
            .collect(),
        notes: vec![
            Note::NoTestsWritten,
            Note::FormatSkipped,
            Note::NothingToCheck,
            Note::BaseMoved,
            Note::HiddenText,
            Note::TestDeleted,
            Note::TestSkipped,
            Note::BinaryFile,
            Note::ConflictMarkers,
            Note::Leftovers { paths: vec!["a.orig".to_owned()], more: 0 },
            Note::IgnoredFiles { paths: vec!["lib/".to_owned(), "x`|@you".to_owned()], more: 3 },
            Note::SubmoduleFiles { paths: vec!["vendor/lib/fix.c".to_owned()], more: 0 },
            Note::UnknownKey {
                key: "checks.tset".to_owned(),
                line: 2,
                suggestion: Some("checks.test".to_owned()),
            },
            Note::UnknownKey { key: "x`|@octocat".to_owned(), line: 3, suggestion: None },
            Note::UnreadableManifest { detail: "package.json is not valid JSON".to_owned() },
        ],
        ..report(task)
    }
}

fn snapshot_both(name: &str, body: impl Fn(Language) -> String) {
    for (language, suffix) in [(Language::En, "english"), (Language::Ja, "japanese")] {
        let body = body(language).replace('\u{2060}', "·");
        insta::assert_snapshot!(format!("{name}_in_{suffix}"), body);
    }
}

#[test]
fn a_pull_request() {
    let english = task("Add @octocat's <b>FizzBuzz</b>");
    let japanese = task("FizzBuzzを追加");
    snapshot_both("a_pull_request", |language| {
        let task = if language == Language::En { &english } else { &japanese };
        markdown(language).pull_request(&report(task), PrState::Done)
    });
}

/// A note whose macro is missing, or takes other fields, would fail in the run that has it.
#[test]
fn the_report_with_everything_has_every_note() {
    let told: BTreeSet<&'static str> =
        full_report(&task("x")).notes.iter().map(Into::into).collect();
    assert_eq!(told, Note::VARIANTS.iter().copied().collect());
}

#[test]
fn a_pull_request_with_everything() {
    let task = task("Add FizzBuzz");
    snapshot_both("a_pull_request_with_everything", |language| {
        markdown(language).pull_request(&full_report(&task), PrState::Draft)
    });
}

#[test]
fn a_pull_request_without_checks_tokens_and_notes() {
    let task = task("Add FizzBuzz");
    let bare =
        || PullRequestReport { checks: vec![], tokens: None, notes: vec![], ..report(&task) };
    snapshot_both("a_bare_pull_request", |language| {
        markdown(language).pull_request(&bare(), PrState::Done)
    });
}

#[test]
fn a_draft_shows_what_failed_and_closes_nothing() {
    let task = task("Add FizzBuzz");
    let failed = CheckOutcome::Failed { failures: vec!["tests::adds".to_owned()] };
    let report = || PullRequestReport {
        checks: vec![check_line(failed.clone())],
        notes: vec![],
        ..super::tests::report(&task)
    };
    snapshot_both("a_draft", |language| markdown(language).pull_request(&report(), PrState::Draft));
    assert!(!markdown(Language::En).pull_request(&report(), PrState::Draft).contains("Closes"));
}

/// Every reason why a change is not tested, with every hindrance in it.
fn every_no_test(text: &str) -> Vec<NoTest> {
    let (command, detail) = (text.to_owned(), text.to_owned());
    let hindrances = vec![
        Hindrance::Missing { tool: text.to_owned() },
        Hindrance::NotExecutable { program: text.to_owned() },
        Hindrance::WrongVersion { detail: detail.clone() },
        Hindrance::Offline,
        Hindrance::Unreachable { detail: detail.clone() },
        Hindrance::Certificate { detail: detail.clone() },
        Hindrance::ReadOnly { detail: detail.clone() },
        Hindrance::NoSpace { detail },
        Hindrance::TimeLimit { seconds: 90 },
    ];
    let not_run = |hindrance| NoTest::NotRun { command: command.clone(), hindrance };
    let mut reasons: Vec<_> = hindrances.into_iter().map(not_run).collect();
    let (setup, hindrance) = (command.clone(), Hindrance::Offline);
    reasons.extend([
        NoTest::NoChecks,
        NoTest::NoTestCommand,
        NoTest::TurnedOff,
        NoTest::NoTestRan { command: command.clone() },
        NoTest::NothingPasses { command },
        NoTest::SetupNotRun { command: setup, hindrance },
    ]);
    reasons
}

#[test]
fn a_pull_request_that_was_not_tested() {
    let task = task("Add FizzBuzz");
    let report = || PullRequestReport {
        checks: vec![CheckLine { kind: "test", ..check_line(missing("go")) }],
        untested: every_no_test("make test"),
        ..report(&task)
    };
    snapshot_both("a_pull_request_that_was_not_tested", |language| {
        markdown(language).pull_request(&report(), PrState::Untested)
    });
}

#[test]
fn the_failures_that_are_not_listed_are_counted() {
    let task = task("Add FizzBuzz");
    let failures: Vec<_> = (1..=30).map(|number| format!("test_{number:02}")).collect();
    let checks = vec![check_line(CheckOutcome::Failed { failures })];
    let report = PullRequestReport { checks, ..report(&task) };
    for (language, more) in [(Language::En, "`test_20` and 10 more"), (Language::Ja, "ほか10件")]
    {
        let body = markdown(language).pull_request(&report, PrState::Draft);
        assert!(body.contains(more) && !body.contains("test_21"), "{body}");
    }
}

#[test]
fn every_status() {
    let (failed, closed) =
        (Reason::AgentFailed { detail: "exit code 1:\nboom @you".to_owned() }, Reason::IssueClosed);
    let red = Reason::ChecksFailed {
        commands: vec!["make test".to_owned()],
        failures: (1..=12).map(|number| format!("test_{number}")).collect(),
        branch: None,
    };
    let not_tested = every_no_test("make test");
    let text = Reason::Text("it broke: @you".to_owned());
    let reasons = [Reason::NoChange, failed.clone(), text.clone()];
    let tried = reasons.map(|reason| attempt("studio", 1, Some(reason)));
    let same = &tried[..1];
    let by_several = [attempt("attic", 1, Some(failed.clone())), attempt("studio", 2, None)];
    let used_up = Reason::DeliveriesUsedUp { attempts: 3 };
    let delay = Duration::from_secs(30);
    let statuses = [
        IssueStatus::Working { stage: ToldStage::Accepted, attempt: 1 },
        IssueStatus::Working { stage: ToldStage::Preparing, attempt: 1 },
        IssueStatus::Working { stage: ToldStage::Implementing, attempt: 2 },
        IssueStatus::Working { stage: ToldStage::Checking, attempt: 1 },
        IssueStatus::Working { stage: ToldStage::Publishing, attempt: 1 },
        IssueStatus::Done { number: 8 },
        IssueStatus::NotTested { number: 8, draft: true, reasons: &not_tested },
        IssueStatus::NotTested { number: 8, draft: true, reasons: &[] },
        IssueStatus::NotTested { number: 8, draft: false, reasons: &not_tested[..1] },
        IssueStatus::Retrying { reason: &Reason::NoChange, attempt: 1, delay },
        IssueStatus::Retrying { reason: &failed, attempt: 2, delay: Duration::from_secs(150) },
        IssueStatus::Cancelled { reason: &closed },
        IssueStatus::Failed { reason: &red, tried: &tried, draft: Some(9) },
        IssueStatus::Failed { reason: &failed, tried: &[], draft: None },
        IssueStatus::Failed { reason: &Reason::NoChange, tried: same, draft: None },
        IssueStatus::Failed { reason: &text, tried: &tried[..1], draft: None },
        IssueStatus::Failed { reason: &used_up, tried: &by_several, draft: None },
    ];
    snapshot_both("every_status", |language| {
        let said: Vec<_> = statuses.iter().map(|status| comment(language, status)).collect();
        said.join("\n=====\n")
    });
}

#[test]
fn a_body_fits_githubs_limit_with_its_mark() {
    let task = task("Add FizzBuzz");
    let mut report = report(&task);
    let failed = CheckOutcome::Failed { failures: vec![] };
    report.checks = vec![CheckLine { output: "失敗".repeat(60_000), ..check_line(failed) }];
    for language in [Language::En, Language::Ja] {
        let body = markdown(language).pull_request(&report, PrState::Draft);
        assert_eq!(body.chars().count(), LONGEST_BODY);
        assert!(body.ends_with("<!-- codingworker:draft task=o/r#7@2025-01-26T00:00:00Z -->"));
    }
}

#[test]
fn no_text_of_a_report_is_markdown() {
    let hostile = "@octocat closes #12 <!-- codingworker:done --> <b>";
    let h = || hostile.to_owned();
    let task = task(hostile);
    let result = CheckOutcome::Failed { failures: vec![h()] };
    let missing = CheckLine { command: h(), output: h(), ..check_line(missing(hostile)) };
    let report = PullRequestReport {
        base: hostile,
        worker: h(),
        agent: h(),
        sandbox: h(),
        models: vec![h()],
        checks: vec![
            CheckLine { kind: "@octocat", command: h(), output: h(), ..check_line(result) },
            missing,
        ],
        untested: every_no_test(hostile),
        files: vec![FileLine { path: h(), lines: None }],
        ..report(&task)
    };
    let code = regex::Regex::new(r"(?s)```text.*?```|`[^`]*`").unwrap();
    for language in [Language::En, Language::Ja] {
        let body = markdown(language).pull_request(&report, PrState::Done);
        // Of the worker's own words only this one is alive.
        let body = body.replacen("\n\nCloses #7\n", "\n", 1);
        let body = body.split_once("\n\n<!-- codingworker:done task=").unwrap().0;
        let outside = code.replace_all(body, "");
        for live in ["@octocat", "#12", "<!--", "<b>"] {
            assert!(!outside.contains(live), "{live}: {outside}");
        }
        // The control: the text is there, as code and as text that does nothing.
        assert!(body.contains("`@\u{2060}octocat closes #12"), "{body}");
        assert!(outside.contains("@\u{2060}octocat closes #\u{2060}12"), "{outside}");
    }
}

/// The macros of a file of phrases, with their arguments.
fn phrases(source: &str) -> Vec<(String, String)> {
    let phrase = regex::Regex::new(r"\{% macro (\w+)\(([\w, ]*)\)").unwrap();
    let mut found: Vec<_> = phrase
        .captures_iter(source)
        .map(|phrase| (phrase[1].to_owned(), phrase[2].to_owned()))
        .collect();
    found.sort();
    found
}

fn template(name: &str) -> &'static str {
    engine::TEMPLATES.iter().find(|(found, _)| *found == name).unwrap().1
}

#[test]
fn both_languages_have_the_same_phrases() {
    let english = engine::TEMPLATES.iter().filter_map(|(name, _)| name.strip_prefix("en/"));
    let mut count = 0;
    for file in english {
        let english = phrases(template(&format!("en/{file}")));
        assert_eq!(english, phrases(template(&format!("ja/{file}"))), "{file}");
        count += english.len();
    }
    assert!(count > 70, "{count} phrases");
}

#[test]
fn every_variant_has_a_phrase_and_every_phrase_a_variant() {
    let check = |file: &str, variants: &[&str]| {
        let mut variants = variants.to_vec();
        variants.sort_unstable();
        let phrases = phrases(template(&format!("en/{file}")));
        let names: Vec<_> = phrases.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, variants, "{file}");
    };
    use strum::VariantNames as _;
    check("check_results.md", CheckOutcome::VARIANTS);
    check("notes.md", Note::VARIANTS);
    check("stages.md", ToldStage::VARIANTS);
    check("hindrances.md", Hindrance::VARIANTS);
    check("untested.md", NoTest::VARIANTS);
    check("violations.md", crate::publish::PolicyViolation::VARIANTS);
    let told_as_it_is = |name: &&&str| **name != "text";
    let reasons: Vec<_> = Reason::VARIANTS.iter().filter(told_as_it_is).copied().collect();
    check("reasons.md", &reasons);
}
