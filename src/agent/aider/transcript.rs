//! Finds the outcome of a call in Aider's transcript. This module does no I/O.
//!
//! The phrases are those of Aider 0.86.2 (`coders/base_coder.py`, `exceptions.py`) and of litellm,
//! which names the class of each error of a model's endpoint. The last phrase counts, because Aider
//! retries after an error and a later answer makes the error obsolete.

use serde::Deserialize;

use crate::agent::{CallOutcome, Usage};

/// The number of characters of an error's message that a report repeats.
const DETAIL: usize = 300;

/// Returns how the conversation ended, or `None` when Aider never asked the model.
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

/// Returns what one line says about the request before it.
fn said(line: &str) -> Option<CallOutcome> {
    if line.starts_with("Tokens: ") {
        // Aider prints this line for every request that the model answered, and prints complaints
        // about the answer after it.
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

/// Translates an error of litellm. litellm reports every error of Ollama as an `APIConnectionError`
/// with Ollama's answer as the message.
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

/// Returns the exact tokens of each exchange from the log that Aider writes on request. The
/// transcript contains only rounded numbers.
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
