//! The report on a call of the agent, and the verdict on it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The number of bytes at the end of an output that a report repeats.
const TAIL: usize = 2_000;

/// The tokens that the agent sent to a model and received from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub sent: u64,
    pub received: u64,
}

impl Usage {
    /// Adds two counts. The numbers come from a log that the agent may have written, so the
    /// addition saturates instead of overflowing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }

    /// Returns the number of tokens in both directions together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.sent.saturating_add(self.received)
    }
}

/// The facts about a call, before the diff is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The last model that the agent asked.
    pub model: String,
    pub outcome: CallOutcome,
    /// The tokens of all models that the agent asked, or `None` when the agent does not report
    /// them.
    pub usage: Option<Usage>,
    pub duration: Duration,
    /// How many models were asked: one, and one more for each that timed out.
    pub calls: u32,
    /// The end of the output, without escape sequences.
    pub tail: String,
}

/// How a call went, judged by its transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallOutcome {
    /// The model answered, and the agent could read the answer.
    Answered,
    /// The model answered, although the agent estimated that the prompt exceeds the context window.
    #[serde(alias = "Crowded")]
    ContextExceeded,
    /// The agent could not apply the last answer as edits.
    MalformedEdits,
    /// The model reached its context window or output limit, so its last answer may be cut off.
    TokenLimit,
    ModelMissing,
    /// The endpoint did not serve the last request. `detail` is what it answered.
    ModelUnreachable {
        detail: String,
    },
    /// The model or the whole call took too long.
    TimedOut,
    Stopped,
    /// The agent itself failed. `detail` says why.
    Failed {
        detail: String,
    },
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Edited,
    NoChange,
    MalformedEdits,
    ModelUnreachable { detail: String },
    ModelMissing,
    TokenLimit,
    TimedOut,
    Stopped,
    Failed { detail: String },
}

impl Report {
    /// Adds the durations, calls and tokens of the earlier attempts to this one.
    pub(super) fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            self.duration += earlier.duration;
            self.calls += earlier.calls;
            self.usage = self.usage.into_iter().chain(earlier.usage).reduce(Usage::plus);
        }
        self
    }
}

/// Judges a call by its report and by whether the new snapshot differs from the one before the
/// call.
///
/// A change counts for more than the complaints of the agent. The exceptions are the cases in which
/// the change may be incomplete: the call was stopped or timed out, or the answer was cut off.
#[must_use]
pub fn verdict(report: &Report, changed: bool) -> Verdict {
    match &report.outcome {
        CallOutcome::Stopped => Verdict::Stopped,
        CallOutcome::TimedOut => Verdict::TimedOut,
        CallOutcome::TokenLimit => Verdict::TokenLimit,
        _ if changed => Verdict::Edited,
        CallOutcome::Answered => Verdict::NoChange,
        CallOutcome::ContextExceeded => Verdict::TokenLimit,
        CallOutcome::MalformedEdits => Verdict::MalformedEdits,
        CallOutcome::ModelMissing => Verdict::ModelMissing,
        CallOutcome::ModelUnreachable { detail } => {
            Verdict::ModelUnreachable { detail: detail.clone() }
        }
        CallOutcome::Failed { detail } => Verdict::Failed { detail: detail.clone() },
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "the agent changed the repository",
            Self::NoChange => "the agent changed nothing",
            Self::MalformedEdits => "the model's edits were malformed and could not be applied",
            Self::ModelUnreachable { detail } => {
                return write!(f, "the model could not be reached: {detail}");
            }
            Self::ModelMissing => "the model is not installed",
            Self::TokenLimit => "the model hit its token limit",
            Self::TimedOut => "the agent timed out",
            Self::Stopped => "the agent was stopped",
            Self::Failed { detail } => return write!(f, "the agent failed: {detail}"),
        })
    }
}

/// Returns the last lines of an output as text, at most `TAIL` bytes of it.
#[must_use]
pub fn tail(output: &[u8]) -> String {
    let start = output.len().saturating_sub(TAIL);
    let end = String::from_utf8_lossy(output.get(start..).unwrap_or_default());
    // The cut may have split a line, and even a UTF-8 character, so the text starts after the first
    // line end. The replacement character of a split UTF-8 sequence is removed with that line.
    let whole_lines = match end.split_once('\n') {
        Some((_, rest)) if start > 0 => rest,
        _ => &end,
    };
    whole_lines.trim().to_owned()
}

/// Makes the failure of an agent, with the end of its output.
pub(super) fn failed(how: &str, output: &[u8]) -> CallOutcome {
    let tail = tail(output);
    CallOutcome::Failed {
        detail: if tail.is_empty() { how.to_owned() } else { format!("{how}:\n{tail}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: CallOutcome, unchanged: Verdict, changed: Verdict) {
        let (duration, tail) = (Duration::ZERO, String::new());
        let report =
            Report { model: "m".to_owned(), outcome, usage: None, duration, calls: 1, tail };
        assert_eq!(verdict(&report, false), unchanged);
        assert_eq!(verdict(&report, true), changed);
    }

    #[test]
    fn a_change_is_an_edit_unless_it_may_be_half_of_one() {
        let detail = || "connection refused".to_owned();
        check(CallOutcome::Answered, Verdict::NoChange, Verdict::Edited);
        check(CallOutcome::ContextExceeded, Verdict::TokenLimit, Verdict::Edited);
        check(CallOutcome::MalformedEdits, Verdict::MalformedEdits, Verdict::Edited);
        check(CallOutcome::ModelMissing, Verdict::ModelMissing, Verdict::Edited);
        check(
            CallOutcome::ModelUnreachable { detail: detail() },
            Verdict::ModelUnreachable { detail: detail() },
            Verdict::Edited,
        );
        check(
            CallOutcome::Failed { detail: detail() },
            Verdict::Failed { detail: detail() },
            Verdict::Edited,
        );
        check(CallOutcome::TokenLimit, Verdict::TokenLimit, Verdict::TokenLimit);
        check(CallOutcome::TimedOut, Verdict::TimedOut, Verdict::TimedOut);
        check(CallOutcome::Stopped, Verdict::Stopped, Verdict::Stopped);
    }

    #[test]
    fn the_tail_is_of_whole_lines_and_valid_text() {
        assert_eq!(tail(b"\nlast words\n\n"), "last words");
        let long = format!("{}\nlast", "語\n".repeat(2_000));
        assert!(
            tail(long.as_bytes()).starts_with("語\n語\n")
                && tail(long.as_bytes()).ends_with("語\n\nlast")
        );
        assert!(tail(long.as_bytes()).len() <= TAIL);
        assert_eq!(tail(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
