use super::*;
use crate::graphql::MARK_READY;

fn read(query: &str, variables: Value) -> Result<Operation, Vec<Value>> {
    Operation::read(query, variables.as_object().unwrap(), None)
}

#[track_caller]
fn refused(query: &str, variables: Value) -> Value {
    let mut errors = read(query, variables).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

#[track_caller]
fn code(query: &str, variables: Value) -> Value {
    refused(query, variables)["extensions"]["code"].clone()
}

const INLINE: &str = r#"mutation { markPullRequestReadyForReview(
    input: {pullRequestId: "PR_1", clientMutationId: "c"}) { pullRequest { id } } }"#;

#[test]
fn arguments_may_be_inline_or_variables() {
    let scalar = "mutation M($id: ID!, $c: String) { markPullRequestReadyForReview(
        input: {pullRequestId: $id, clientMutationId: $c}) { clientMutationId } }";
    let object = "mutation($input: MarkPullRequestReadyForReviewInput!) {
        markPullRequestReadyForReview(input: $input) { clientMutationId } }";
    let input = json!({ "pullRequestId": "PR_1", "clientMutationId": "c" });
    for (query, variables) in [
        (INLINE, json!({})),
        (scalar, json!({ "id": "PR_1", "c": "c" })),
        (object, json!({ "input": input })),
    ] {
        let operation = read(query, variables).unwrap();
        let field = &operation.fields[0];
        assert_eq!(field.name, MARK_READY, "{query}");
        let input = [("clientMutationId", "c"), ("pullRequestId", "PR_1")];
        assert!(field.input.iter().map(|(name, text)| (*name, text.as_str())).eq(input), "{query}");
    }
    let optional = read(scalar, json!({ "id": 5 })).unwrap();
    assert_eq!(optional.fields[0].input.get("pullRequestId").map(String::as_str), Some("5"));
    assert_eq!(optional.fields[0].input.get("clientMutationId"), None);
}

#[test]
fn an_answer_has_what_was_selected() {
    let query = r#"mutation($more: Boolean!) {
        ready: markPullRequestReadyForReview(input: {pullRequestId: "x"}) {
            ...Payload
            pullRequest { number @include(if: $more) ... on PullRequest { repository { name } } }
            pullRequest { title @skip(if: $more) repository { id } }
        }
    }
    fragment Payload on MarkPullRequestReadyForReviewPayload { pullRequest { draft: isDraft } }"#;
    let operation = read(query, json!({ "more": false })).unwrap();
    assert_eq!(operation.fields[0].key, "ready");
    let payload = json!({
        "clientMutationId": null,
        "pullRequest": {
            "isDraft": false, "number": 1, "title": "t", "url": "u",
            "repository": { "id": "R", "name": "n", "url": "u" },
        },
    });
    let repository = json!({ "name": "n", "id": "R" });
    let expected = json!({ "draft": false, "title": "t", "repository": repository });
    let selected = select(&payload, &operation.fields[0].fields);
    assert_eq!(selected, json!({ "pullRequest": expected }));
}

#[test]
fn an_error_says_where_and_why() {
    let query = "mutation Ready {
  markPullRequestReadyForReview(input: {pullRequestId: 1}) {
    pullRequest { isDraft reviews }
  }
}";
    let error = refused(query, json!({}));
    let extensions =
        json!({ "code": "undefinedField", "typeName": "PullRequest", "fieldName": "reviews" });
    assert_eq!(error["extensions"], extensions);
    assert_eq!(error["locations"], json!([{ "line": 3, "column": 27 }]));
    let path = json!(["mutation Ready", MARK_READY, "pullRequest", "reviews"]);
    assert_eq!(error["path"], path);
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Field 'reviews' doesn't exist on type 'PullRequest'. localhub"));
    assert!(message.contains("isDraft, locked"), "{message}");

    let query = refused("{ rateLimit { cost } }", json!({}));
    let message = "Field 'rateLimit' doesn't exist on type 'Query'. localhub has viewer";
    assert_eq!(query["message"], message);
}

#[test]
fn what_github_refuses_is_refused() {
    let mutation = |arguments: &str, selection: &str| {
        format!("mutation {{ markPullRequestReadyForReview{arguments} {selection} }}")
    };
    let declared = |variables: &str, input: &str| {
        format!(
            "mutation({variables}) {{ markPullRequestReadyForReview(input: {input}) \
             {{ clientMutationId }} }}"
        )
    };
    let (good, select) = ("(input: {pullRequestId: \"x\"})", "{ clientMutationId }");
    assert!(read(&mutation(good, select), json!({})).is_ok());
    for (query, expected) in [
        (mutation("", select), "missingRequiredArguments"),
        (mutation("(input: {})", select), "missingRequiredInputObjectAttribute"),
        (mutation("(input: \"x\")", select), "argumentLiteralsIncompatible"),
        (mutation("(input: {pullRequestId: 1.5})", select), "argumentLiteralsIncompatible"),
        (mutation("(input: {pullRequestId: null})", select), "argumentLiteralsIncompatible"),
        (mutation("(input: {pullRequestId: X})", select), "argumentLiteralsIncompatible"),
        (mutation("(input: {pullRequestId: [\"x\"]})", select), "argumentLiteralsIncompatible"),
        (mutation("(input: {pullRequestId: 1, id: 2})", select), "argumentNotAccepted"),
        (mutation("(input: {pullRequestId: 1}, id: 2)", select), "argumentNotAccepted"),
        (mutation("(input: {pullRequestId: $id})", select), "variableNotDefined"),
        (mutation(good, ""), "selectionMismatch"),
        (mutation(good, "{ clientMutationId { id } }"), "selectionMismatch"),
        (mutation(good, "{ pullRequest { a: id a: url } }"), "fieldConflict"),
        (mutation(good, "{ ...F }"), "useAndDefineFragment"),
        (mutation(good, "{ ... on Node { id } }"), "undefinedType"),
        (mutation(good, "{ ... on PullRequest { id } }"), "cannotSpreadFragment"),
        (mutation(good, "{ clientMutationId @big }"), "undefinedDirective"),
        (mutation(good, "{ clientMutationId @skip }"), "missingRequiredArguments"),
        (declared("$id: ID!, $more: Int", "{pullRequestId: $id}"), "variableNotUsed"),
        (declared("$id: String!", "{pullRequestId: $id}"), "variableMismatch"),
        (declared("$id: ID", "{pullRequestId: $id}"), "variableMismatch"),
        (declared("$id: [ID!]!", "{pullRequestId: $id}"), "variableMismatch"),
    ] {
        assert_eq!(code(&query, json!({ "id": "x" })), expected, "{query}");
    }
    let unknown = declared("$id: Key", "{pullRequestId: 1, clientMutationId: $id}");
    let errors = read(&unknown, json!({ "id": "x" })).unwrap_err();
    assert_eq!(errors[0]["extensions"]["code"], "variableRequiresValidType");
}

#[test]
fn a_variable_must_have_a_value_of_its_type() {
    let id = "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id}) \
              { clientMutationId } }";
    let input = "mutation($in: MarkPullRequestReadyForReviewInput!) { \
                 markPullRequestReadyForReview(input: $in) { clientMutationId } }";
    for (query, variables, explanation) in [
        (id, json!({}), "Expected value to not be null"),
        (id, json!({ "id": null }), "Expected value to not be null"),
        (id, json!({ "id": 1.5 }), "Could not coerce value 1.5 to ID"),
        (id, json!({ "id": ["x"] }), "Could not coerce value [\"x\"] to ID"),
        (input, json!({ "in": {} }), "Expected value to not be null"),
        (
            input,
            json!({ "in": { "pullRequestId": "x", "id": 1 } }),
            "Field is not defined on MarkPullRequestReadyForReviewInput",
        ),
    ] {
        let errors = read(query, variables).unwrap_err();
        assert_eq!(errors[0]["extensions"]["problems"][0]["explanation"], explanation);
    }
}

#[test]
fn the_operation_is_chosen_by_name() {
    let two = "query A { __typename } mutation B { __typename }";
    let choose = |query, name| Operation::read(query, &Map::new(), name).map(|it| it.root.name);
    assert_eq!(choose(two, Some("B")), Ok("Mutation"));
    assert_eq!(choose("query A { __typename }", None), Ok("Query"));
    assert!(choose(two, None).is_err());
    assert!(choose(two, Some("C")).is_err());
    assert!(choose("{ __typename }", Some("C")).is_err());
    assert!(choose("subscription { a }", None).is_err());
    for broken in ["{", "", "mutation {}", "fragment F on Query { a }", "{ a } { b }"] {
        let errors = choose(broken, None).unwrap_err();
        assert!(errors[0]["message"].as_str().unwrap().starts_with("Parse error"), "{broken}");
    }
}

#[test]
fn a_request_can_t_grow_without_end() {
    let itself = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    assert_eq!(code(itself, json!({})), "infiniteLoop");
    let mut doubling = "{ ...F0 }".to_owned();
    for level in 0..60 {
        let next = level + 1;
        doubling += &format!(" fragment F{level} on Query {{ ...F{next} ...F{next} }}");
    }
    doubling += " fragment F60 on Query { __typename }";
    let errors = read(&doubling, json!({})).unwrap_err();
    assert_eq!(errors[0]["extensions"]["code"], "tooLarge");
    let deep = format!("{}a{}", "{ a ".repeat(10_000), "}".repeat(10_000));
    read(&deep, json!({})).unwrap_err();
    let nested = format!("{{ a(b: {}{}) }}", "[".repeat(10_000), "]".repeat(10_000));
    read(&nested, json!({})).unwrap_err();
}
