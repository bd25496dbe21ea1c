//! What Aider's transcript says about a call. Does no I/O.
//!
//! The phrases are those of Aider 0.86.2 (`coders/base_coder.py`, `exceptions.py`) and of litellm,
//! which names each error of a model's endpoint by its class. The last thing said counts: Aider
//! tries again after an error, and a later answer takes it back.

use serde::Deserialize;

use crate::agent::{CallOutcome, Usage};

/// How much of an error's message is repeated, in characters.
const DETAIL: usize = 300;

/// How the conversation ended; `None` when the model was never asked.
#[must_use]
pub fn outcome(transcript: &str) -> Option<CallOutcome> {
    let mut crowded = false;
    let mut last = None;
    for line in transcript.lines() {
        if line.starts_with("Your estimated chat context of ") {
            crowded = true;
        }
        last = said(line).or(last);
    }
    match last {
        Some(CallOutcome::Answered) if crowded => Some(CallOutcome::ContextExceeded),
        last => last,
    }
}

/// What one line says about the request it follows.
fn said(line: &str) -> Option<CallOutcome> {
    if line.starts_with("Tokens: ") {
        // The usage of a request that was answered; what is wrong with the answer comes after it.
        Some(CallOutcome::Answered)
    } else if line.starts_with("The LLM did not conform to the edit format.")
        || line.starts_with("Exception while updating files:")
    {
        Some(CallOutcome::MalformedEdits)
    } else if line.starts_with("Model ") && line.contains(" has hit a token limit!") {
        Some(CallOutcome::TokenLimit)
    } else if line.starts_with("Traceback (most recent call last):") {
        Some(CallOutcome::Failed {
            detail: "aider raised an exception that it does not handle".to_owned(),
        })
    } else {
        let (class, message) = line.strip_prefix("litellm.")?.split_once(": ")?;
        Some(endpoint_error(class, message))
    }
}

/// The meaning of an error of litellm's. Every error of Ollama's is an `APIConnectionError` there,
/// with Ollama's answer as its message.
fn endpoint_error(class: &str, message: &str) -> CallOutcome {
    let message = message.split_once("Exception - ").map_or(message, |(_, answer)| answer).trim();
    let detail = message.chars().take(DETAIL).collect();
    match class {
        "Timeout" => CallOutcome::TimedOut,
        _ if message.starts_with("litellm.Timeout") => CallOutcome::TimedOut,
        "NotFoundError" => CallOutcome::ModelMissing,
        _ if message.contains("model") && message.contains("not found") => {
            CallOutcome::ModelMissing
        }
        "ContextWindowExceededError" => CallOutcome::TokenLimit,
        "AuthenticationError"
        | "PermissionDeniedError"
        | "BadRequestError"
        | "UnprocessableEntityError"
        | "ContentPolicyViolationError"
        | "BudgetExceededError" => CallOutcome::Failed { detail },
        _ => CallOutcome::ModelUnreachable { detail },
    }
}

/// The exact tokens of each exchange, from the log that Aider writes on request; its transcript
/// rounds them.
#[must_use]
pub fn exchanges(usage_log: &str) -> Vec<Usage> {
    #[derive(Deserialize)]
    struct LogEntry {
        event: String,
        properties: serde_json::Value,
    }
    #[derive(Deserialize)]
    struct Tokens {
        prompt_tokens: u64,
        completion_tokens: u64,
    }
    let entries = usage_log.lines().filter_map(|line| serde_json::from_str::<LogEntry>(line).ok());
    entries
        .filter(|entry| entry.event == "message_send")
        .filter_map(|entry| serde_json::from_value::<Tokens>(entry.properties).ok())
        .map(|tokens| Usage { sent: tokens.prompt_tokens, received: tokens.completion_tokens })
        .collect()
}

#[cfg(test)]
mod tests;
