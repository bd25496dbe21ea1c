use std::collections::BTreeSet;

use super::*;
use crate::publish::attempts::AttemptRecord;
use crate::publish::marker;
use crate::publish::render::{Renderer, Told};
use crate::task::{IssueNumber, Task};

/// A text that would notify somebody, close an issue and forge a mark if it was Markdown.
const HOSTILE: &str = "@octocat closes #12 <!-- codingworker:done --> <b>|";

/// One reason of every variant, each text in which is `text`.
fn push_refused(text: &str, rule: PushRule) -> Reason {
    let t = || text.to_owned();
    Reason::PushRefused { url: t(), branch: t(), rule, detail: t() }
}

fn every_reason(text: &str) -> Vec<Reason> {
    let t = || text.to_owned();
    vec![
        Reason::Text(t()),
        Reason::InvalidMessage { detail: t() },
        Reason::AlreadyReported,
        Reason::RepositoryNotAllowed { repository: t() },
        Reason::IssueClosed,
        Reason::LabelRemoved { label: t() },
        Reason::Untrusted { labeler: t() },
        Reason::LabelerUnknown,
        Reason::EditedSinceLabeled,
        Reason::NothingVisible,
        Reason::PullRequestClosed { number: 8 },
        Reason::TooManyBranches { branch: t() },
        Reason::BranchTaken { branch: t() },
        Reason::BranchInTheWay { branch: t(), other: t() },
        Reason::BranchNameInvalid { detail: t() },
        Reason::NoChange,
        Reason::NothingTaken {
            ignored: vec![t(), t()],
            submodules: vec![t()],
            leftovers: vec![t()],
        },
        Reason::MalformedEdits,
        Reason::ModelUnreachable { detail: t() },
        Reason::ModelMissing,
        Reason::NoModel,
        Reason::TokenLimit,
        Reason::AgentTimedOut,
        Reason::AgentStopped,
        Reason::AgentFailed { detail: t() },
        Reason::ChecksFailed { commands: vec![t(), t()], failures: vec![t(); 12], branch: None },
        Reason::ChecksFailed { commands: vec![t()], failures: vec![], branch: Some(t()) },
        Reason::RepositoryFileInvalid { detail: t() },
        Reason::ChangeRefused { violations: every_violation(text) },
        Reason::LeaseLost,
        Reason::CutOff,
        Reason::DeliveriesUsedUp { attempts: 3 },
        Reason::OutOfTime,
        Reason::GitHubTokenUnusable,
        Reason::GitHubUnauthorized { url: t(), detail: t() },
        Reason::GitHubForbidden { url: t(), detail: t() },
        Reason::GitHubNotFound { url: t() },
        Reason::GitHubDeleted { url: t() },
        Reason::GitHubIssuesDisabled { url: t() },
        Reason::GitHubInvalid { url: t(), detail: t() },
        Reason::GitHubRateLimited { seconds: 90 },
        Reason::GitHubUnavailable { url: t(), status: 502 },
        Reason::GitHubTimedOut { url: t() },
        Reason::GitHubUnreachable { url: t(), detail: t() },
        Reason::GitHubUnexpected { url: t(), detail: t() },
        Reason::RepositoryAddressUnusable,
        Reason::RepositoryUnauthorized { url: t(), detail: t() },
        Reason::RepositoryNotFound { url: t() },
        Reason::RepositoryMoved { url: t(), detail: t() },
        Reason::IssueMoved { from: t(), to: t() },
        Reason::RepositoryWithoutCommits { url: t() },
        Reason::RepositoryUnreachable { url: t(), detail: t() },
        Reason::RepositoryMalformed { url: t(), detail: t() },
        Reason::BranchMoved { url: t(), branch: t(), detail: t() },
        push_refused(text, PushRule::Other),
        push_refused(text, PushRule::ProtectedBranch),
        push_refused(text, PushRule::Ruleset),
        push_refused(text, PushRule::Secret),
        push_refused(text, PushRule::LargeFile),
        push_refused(text, PushRule::MissingLfsObject),
        push_refused(text, PushRule::PrivateEmail),
        push_refused(text, PushRule::Workflow),
        push_refused(text, PushRule::Full),
        push_refused(text, PushRule::Archived),
        Reason::NestedRepository { path: t() },
        Reason::UnusableFile { path: t(), detail: t() },
        Reason::TreeUnusable { detail: t() },
        Reason::LargeFile { path: t(), mebibytes: 64 },
        Reason::LargeTree { mebibytes: 64 },
        Reason::EncodingUnusable { detail: t() },
        Reason::GitAnswerTooLarge { limit: 1024, detail: t() },
        Reason::GitTimedOut { command: t(), seconds: 600 },
        Reason::GitKilled { command: t(), signal: 9 },
        Reason::GitFailed { command: t(), code: 128, detail: t() },
        Reason::GitAnswerUnexpected { command: t(), detail: t() },
        Reason::ProgramNotFound { program: t() },
        Reason::ProgramNotStarted { program: t(), detail: t() },
        Reason::ProgramLost { program: t(), detail: t() },
        Reason::FileUnusable { detail: t() },
        Reason::JournalUnusable { detail: t() },
        Reason::Panicked { detail: t() },
    ]
}

fn every_violation(text: &str) -> Vec<PolicyViolation> {
    let (path, rule) = (text.to_owned(), text.to_owned());
    vec![
        PolicyViolation::ProtectedPath { path: path.clone(), rule: rule.clone() },
        PolicyViolation::Submodule { path: path.clone() },
        PolicyViolation::EscapingLink { path: path.clone() },
        PolicyViolation::Filtered { path: path.clone(), filter: rule.clone() },
        PolicyViolation::ConflictMarkers { path: path.clone() },
        PolicyViolation::LargeBinary { path: path.clone(), size: 2048, limit: 1024 },
        PolicyViolation::Secret { path, rule },
        PolicyViolation::TooManyFiles { files: 201, limit: 200 },
        PolicyViolation::TooLarge { size: 2048, limit: 1024 },
    ]
}

fn markdown(language: Language) -> Renderer {
    Renderer::markdown(language, &crate::redaction::Redaction::default())
}

/// A reason as a status comment shows it.
fn shown(language: Language, reason: &Reason) -> String {
    let status = crate::publish::IssueStatus::Cancelled { reason };
    let task = Task::decode(
        br#"{"issue_number":7,"repository":"o/r","title":"t","body":"","labels":[],
             "created_at":"2025-01-26T00:00:00Z"}"#,
    );
    let ours = AttemptRecord {
        worker: "studio".to_owned(),
        attempt: 1,
        received_at: "2025-01-26T01:00:00Z".parse().unwrap(),
        reason: None,
    };
    markdown(language).comment(&task.unwrap(), &ours, &[], &status)
}

/// What is left of a Japanese text without its code, its numbers and the names that are written in
/// Latin letters.
fn without_code_and_names(text: &str) -> String {
    let code = regex::Regex::new(r"(?s)```.*?```|`[^`]*`|https?://\S+").unwrap();
    let names = [
        "CodingWorker",
        "GitHub",
        "Issue",
        "Aider",
        "Ollama",
        "Git",
        "LFS",
        "MiB",
        "SQS",
        "noreply",
        "HOST",
    ];
    let mut left = code.replace_all(text, "").into_owned();
    for name in names {
        left = left.replace(name, "");
    }
    left
}

/// The reason as plain text: what happened, what to do next, and the detail below it.
fn in_words(reason: &Reason, language: Language) -> String {
    let Told { what, next, detail } = Renderer::plain(language).reason(reason);
    // Japanese has no space between sentences.
    let gap = if language == Language::Ja || next.is_empty() { "" } else { " " };
    let parts = [format!("{what}{gap}{next}"), detail.unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_variant_has_words() {
    let names = |all: &[&'static str]| all.iter().copied().collect::<BTreeSet<_>>();
    let told: Vec<&'static str> = every_reason("x").iter().map(Into::into).collect();
    assert_eq!(names(&told), names(<Reason as strum::VariantNames>::VARIANTS));
    let told: Vec<&'static str> = every_violation("x").iter().map(Into::into).collect();
    assert_eq!(names(&told), names(<PolicyViolation as strum::VariantNames>::VARIANTS));
}

#[test]
fn every_reason_in_english() {
    let said: Vec<_> =
        every_reason("x.y").iter().map(|reason| in_words(reason, Language::En)).collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn every_reason_in_japanese() {
    let said: Vec<_> =
        every_reason("x.y").iter().map(|reason| in_words(reason, Language::Ja)).collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn japanese_has_no_english_but_code_and_names() {
    let latin = regex::Regex::new("[A-Za-z]").unwrap();
    for reason in every_reason("1") {
        if let Reason::Text(_) = &reason {
            continue;
        }
        let said = in_words(&reason, Language::Ja);
        let left = without_code_and_names(&said);
        assert!(!latin.is_match(&left), "{left}");
        assert!(!left.contains(['(', ')']), "parentheses are full-width: {left}");
        assert!(said.contains("ください。") || said.contains("対応は不要です。"), "{said}");
    }
    // The control: an English sentence would be seen.
    let english = in_words(&Reason::NoChange, Language::En);
    assert!(latin.is_match(&without_code_and_names(&english)));
}

#[test]
fn every_reason_says_what_happened_and_what_to_do() {
    for reason in every_reason("x") {
        for language in [Language::En, Language::Ja] {
            let told = markdown(language).reason(&reason);
            let is_text = matches!(reason, Reason::Text(_));
            assert_eq!(told.what.is_empty(), is_text, "{reason:?}");
            assert_eq!(told.next.is_empty(), is_text, "{reason:?}");
            assert!(!told.what.contains('\n') && !told.next.contains('\n'), "{told:?}");
        }
    }
}

#[test]
fn no_text_in_a_reason_is_markdown() {
    let plain = regex::Regex::new(r"(?s)````text.*?````|```text.*?```|`[^`]*`").unwrap();
    for reason in every_reason(HOSTILE) {
        for language in [Language::En, Language::Ja] {
            let shown = shown(language, &reason);
            let said = marker::without_marks(&shown, IssueNumber::new(7).unwrap()).unwrap();
            let outside = plain.replace_all(said, "");
            for live in ["@octocat", "#12", "<!--", "<b>"] {
                assert!(!outside.contains(live), "{reason:?}: {outside}");
            }
        }
    }
    // The control: the text is there, in code.
    assert!(
        shown(Language::En, &Reason::LabelRemoved { label: HOSTILE.to_owned() })
            .contains("`@\u{2060}octocat closes #12")
    );
}

#[test]
fn a_reason_is_read_back_as_it_was_written() {
    for reason in every_reason("x") {
        let written = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&written).unwrap(), reason, "{written}");
    }
    let written = serde_json::to_string(&Reason::GitHubNotFound { url: "u".to_owned() }).unwrap();
    assert_eq!(written, r#"{"git_hub_not_found":{"url":"u"}}"#);
}

#[test]
fn a_reason_of_an_old_journal_is_shown_as_it_is() {
    let reason = Reason::Text("the agent changed nothing".to_owned());
    for language in [Language::En, Language::Ja] {
        assert_eq!(in_words(&reason, language), "the agent changed nothing");
    }
}

#[test]
fn a_long_refusal_names_the_first_violations() {
    let violation = |number| PolicyViolation::Submodule { path: format!("lib{number}.") };
    let reason = Reason::ChangeRefused { violations: (0..25).map(violation).collect() };
    let said = in_words(&reason, Language::En);
    assert!(said.contains("`lib19.`") && !said.contains("`lib20.`"), "{said}");
    assert!(said.contains("; and 5 more."), "{said}");
}

#[tokio::test]
async fn an_unreachable_github_is_told_with_its_cause() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = reqwest::get(&url).await.unwrap_err();
    let error = GitHubError::Unreachable { url: url.clone(), source: error.without_url() };
    assert!(!error.to_string().contains("refused"), "the source is not part of the message");
    let Reason::GitHubUnreachable { url: told, detail } = Reason::of_github(&error, Language::En)
    else {
        panic!("{error:?}");
    };
    assert_eq!(told, url);
    assert!(detail.contains("Connection refused") && !detail.contains(&url), "{detail}");
}
