use proptest::prelude::*;

use super::*;

fn message() -> Value {
    json!({
        "issue_number": 123,
        "repository": "owner/repo",
        "title": "Add FizzBuzz function",
        "body": "Create a function that prints FizzBuzz from 1 to 100",
        "labels": ["ai-task"],
        "created_at": "2025-01-26T00:00:00Z"
    })
}

fn with(field: &str, value: Value) -> Vec<u8> {
    let mut message = message();
    message[field] = value;
    message.to_string().into_bytes()
}

fn check_refused(body: &[u8], error: &str) {
    let refused = Task::decode(body).expect_err("the message is not a task");
    assert_eq!(refused.to_string(), error);
}

#[test]
fn the_contract_message_is_a_task() {
    let task = Task::decode(message().to_string().as_bytes()).unwrap();
    assert_eq!(task.issue_number.value(), 123);
    assert_eq!(task.repository.to_string(), "owner/repo");
    assert_eq!(task.key().as_str(), "owner/repo#123@2025-01-26T00:00:00Z");
    assert_eq!(Task::decode(task.encode().as_bytes()).unwrap(), task);
}

#[test]
fn unknown_fields_are_ignored_and_an_empty_body_is_allowed() {
    assert!(Task::decode(&with("priority", json!({"high": true}))).is_ok());
    assert_eq!(Task::decode(&with("body", json!(""))).unwrap().body, "");
}

#[test]
fn the_key_names_the_instant_not_its_spelling() {
    let utc = Task::decode(&with("created_at", json!("2025-01-26T00:00:00Z"))).unwrap();
    let tokyo = Task::decode(&with("created_at", json!("2025-01-26T09:00:00+09:00"))).unwrap();
    assert_eq!(utc.key(), tokyo.key());
}

#[test]
fn every_field_is_required() {
    for field in ["issue_number", "repository", "title", "body", "labels", "created_at"] {
        let mut message = message();
        message.as_object_mut().unwrap().remove(field);
        let refused = Task::decode(message.to_string().as_bytes()).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("field `{field}` is missing, expected ")),
            "{refused}"
        );
    }
}

#[test]
fn an_error_names_the_field_what_was_expected_and_what_came() {
    check_refused(
        &with("issue_number", json!(0)),
        "field `issue_number` is the number 0, expected an integer of at least 1",
    );
    check_refused(
        &with("issue_number", json!(1.5)),
        "field `issue_number` is the number 1.5, expected an integer of at least 1",
    );
    check_refused(
        &with("title", json!("  ")),
        "field `title` is the string \"  \", expected a string that is not blank",
    );
    check_refused(
        &with("body", Value::Null),
        "field `body` is null, expected a string (empty when the issue has no text)",
    );
    check_refused(
        &with("labels", json!(["ai-task", 1])),
        "field `labels` is an array of 2 items, expected an array of strings",
    );
    check_refused(b"[]", "the message is an array of 0 items, expected a JSON object");
    assert!(Task::decode(b"{").unwrap_err().to_string().starts_with("the message is not JSON: "));
}

#[test]
fn a_repository_is_named_as_github_names_it() {
    for good in ["o/r", "Okada-Satoshi/codingworker", "a1/.github", "o/...", "o_corp/r", "o/-r"] {
        assert!(good.parse::<RepoName>().is_ok(), "{good}");
    }
    for bad in [
        "", "o", "/r", "o/", "o/.", "o/..", "o/r/x", "-o/r", "o-/r", "o/r r", "o/リポ", "../r",
        "o\n/r", "o/r\0",
    ] {
        assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
    }
    assert!(format!("{}/r", "o".repeat(40)).parse::<RepoName>().is_err());
    assert!(format!("o/{}", "r".repeat(101)).parse::<RepoName>().is_err());
}

#[test]
fn created_at_is_rfc_3339() {
    for good in [
        "2025-01-26T00:00:00Z",
        "2025-01-26T00:00:00.123456Z",
        "2025-01-26t00:00:00z",
        "2025-01-26T09:00:00+09:00",
    ] {
        assert!(Task::decode(&with("created_at", json!(good))).is_ok(), "{good}");
    }
    for bad in [
        "",
        "yesterday",
        "2025-01-26",
        "20250126T000000Z",
        "2025-01-26T00:00Z",
        "2025-01-26T00:00:00",
        "2025-13-26T00:00:00Z",
        "2025-01-26T00:00:00Z[UTC]",
    ] {
        assert!(Task::decode(&with("created_at", json!(bad))).is_err(), "{bad}");
    }
}

#[test]
fn the_kept_schema_is_the_schema() {
    let kept: Value =
        serde_json::from_str(include_str!("../../docs/task-message.schema.json")).unwrap();
    assert_eq!(kept, schema(), "run `codingworker schema > docs/task-message.schema.json`");
}

#[test]
fn the_schema_and_the_decoder_agree() {
    let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
    let fields = ["issue_number", "repository", "title", "body", "labels", "created_at"];
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("text"),
        json!("owner/repo"),
        json!("owner/.."),
        json!("owner/..."),
        json!("a/b/c"),
        json!([]),
        json!(["ai-task"]),
        json!([1]),
        json!({}),
        json!("2025-01-26T00:00:00Z"),
        json!("2025-01-26"),
        json!("2025-01-26T09:00:00+09:00"),
    ];
    for field in fields {
        for value in &values {
            let mut message = message();
            message[field] = value.clone();
            let decoded = Task::decode(message.to_string().as_bytes());
            assert_eq!(
                validator.is_valid(&message),
                decoded.is_ok(),
                "{field} = {value}: {decoded:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(Task::decode(&body));
    }

    #[test]
    fn any_title_and_body_survive_the_wire(title in "\\PC*[a-z]\\PC*", body in any::<String>()) {
        let task = Task { title, body, ..Task::decode(message().to_string().as_bytes()).unwrap() };
        prop_assert_eq!(Task::decode(task.encode().as_bytes()).unwrap(), task);
    }
}
