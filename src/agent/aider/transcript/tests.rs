//! The transcripts come from real runs of Aider 0.86.2 against a server that gave these answers.

use super::*;

/// The text that every run of Aider starts with.
const OPENING: &str = "\
Analytics have been permanently disabled.
Detected dumb terminal, disabling fancy input and pretty output.

Aider v0.86.2
Model: ollama_chat/m with whole edit format
Git repo: .git with 3 files
Repo-map: using 512 tokens, auto refresh
Added hello.py to the chat.

";

fn check(conversation: &str, expected: Option<CallOutcome>) {
    assert_eq!(outcome(&format!("{OPENING}{conversation}")), expected, "{conversation}");
}

fn unreachable(detail: &str) -> Option<CallOutcome> {
    Some(CallOutcome::ModelUnreachable { detail: detail.to_owned() })
}

#[test]
fn an_edit_and_plain_words_are_answers() {
    let edit = "\
                I add it.\n\n\n\nhello.py\n\n\
                ```diff\n@@ -1 +1 @@\n-print('hello')\n+print('hi')\n```\n\n\n\
                Tokens: 100 sent, 20 received.\nApplied edit to hello.py\n";
    check(edit, Some(CallOutcome::Answered));
    check("Nothing to do here.\n\nTokens: 100 sent, 20 received.\n", Some(CallOutcome::Answered));
    let empty = "Empty response received from LLM. Check your provider account?\n\nTokens: 100 \
                 sent, 20 received.\n";
    check(empty, Some(CallOutcome::Answered));
}

#[test]
fn edits_that_can_not_be_applied_are_malformed_unless_a_later_answer_can() {
    let malformed = "Here:\n\n```\nprint('hi')\n```\n\nTokens: 100 sent, 20 received.\n\
                     The LLM did not conform to the edit format.\n\
                     https://aider.chat/docs/troubleshooting/edit-errors.html\n\n\
                     No filename provided before ``` in file listing\n";
    check(
        &format!("{}Only 3 reflections allowed, stopping.\n", malformed.repeat(4)),
        Some(CallOutcome::MalformedEdits),
    );
    let corrected = "I add it.\n\nTokens: 1.2k sent, 20 received.\nApplied edit to hello.py\n";
    check(&format!("{malformed}{corrected}"), Some(CallOutcome::Answered));
}

#[test]
fn a_token_limit_comes_after_the_usage() {
    let limit = "print('h\n\n\nTokens: 3.0k sent, 1.1k received.\n\n\n\
                 Model ollama_chat/m has hit a token limit!\n\
                 Token counts below are approximate.\n\nInput tokens: ~562 of 4,096\n";
    check(limit, Some(CallOutcome::TokenLimit));
}

#[test]
fn an_estimate_over_the_context_window_makes_an_answer_crowded() {
    let estimate = "Your estimated chat context of 5,021 tokens exceeds the \
                    4,096 token limit for ollama_chat/m!\n\
                    To reduce the chat context:\n- Use /drop to remove unneeded files from the \
                    chat\n";
    check(
        &format!("{estimate}\nWhat?\n\nTokens: 4.0k sent, 20 received.\n"),
        Some(CallOutcome::ContextExceeded),
    );
}

#[test]
fn an_error_of_the_endpoint_is_told_apart_by_its_message() {
    let error = |message: &str| {
        format!(
            "litellm.APIConnectionError: Ollama_chatException - {message}\nRetrying in 0.2 \
                 seconds...\n"
        )
        .repeat(3)
    };
    check(&error("[Errno 111] Connection refused"), unreachable("[Errno 111] Connection refused"));
    check(&error("{\"error\": \"scripted 429\"}"), unreachable("{\"error\": \"scripted 429\"}"));
    check(&error("{\"error\": \"model 'm' not found\"}"), Some(CallOutcome::ModelMissing));
    check(
        &error("litellm.Timeout: Connection timed out after 3.0 seconds."),
        Some(CallOutcome::TimedOut),
    );
}

#[test]
fn other_providers_errors_have_classes_of_their_own() {
    let line = |line: &str| format!("{line}\nRetrying in 0.2 seconds...\n");
    check(&line("litellm.Timeout: AnthropicException - timed out"), Some(CallOutcome::TimedOut));
    check(&line("litellm.RateLimitError: OpenAIException - slow down"), unreachable("slow down"));
    check(
        &line("litellm.InternalServerError: AnthropicException - Overloaded"),
        unreachable("Overloaded"),
    );
    check(
        &line("litellm.NotFoundError: OpenAIException - The model `x` does not exist"),
        Some(CallOutcome::ModelMissing),
    );
    let key = CallOutcome::Failed { detail: "Incorrect API key provided".to_owned() };
    check(
        "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key \
         provided\n",
        Some(key),
    );
}

#[test]
fn an_answer_after_an_error_takes_it_back() {
    let recovered = "\
                     litellm.APIConnectionError: Ollama_chatException - \
                     {\"error\": \"scripted 500\"}\n\
                     Retrying in 0.2 seconds...\nNothing to do here.\n\nTokens: 100 sent, 20 \
                     received.\n";
    check(recovered, Some(CallOutcome::Answered));
}

#[test]
fn what_the_model_quotes_does_not_count() {
    let quoted = "litellm.Timeout: is what you see\nThe LLM did not conform to the edit format.\n\n\
                  Tokens: 100 sent, 20 received.\n";
    check(quoted, Some(CallOutcome::Answered));
}

#[test]
fn without_a_request_nothing_is_said() {
    check("", None);
    assert_eq!(outcome("aider: error: unrecognized arguments: --no-such\n"), None);
}

#[test]
fn usage_is_read_from_the_log_whatever_else_is_in_it() {
    let log = "{\"event\": \"launched\", \"properties\": {}, \"user_id\": \"x\", \"time\": 1}\n\
               {\"event\": \"message_send\", \"properties\": {\
                \"prompt_tokens\": 3000, \"completion_tokens\": 96, \"cost\": 0}, \"time\": 1}\n\
               {\"event\": \"message_send\", \"properties\": {\"prompt_tokens\": 10, \
                \"completion_tokens\": 2}}\n\
               {\"event\": \"message_send\", \"prop";
    assert_eq!(
        exchanges(log),
        [Usage { sent: 3000, received: 96 }, Usage { sent: 10, received: 2 }]
    );
    assert_eq!(
        exchanges(log).into_iter().reduce(Usage::plus),
        Some(Usage { sent: 3010, received: 98 })
    );
}
