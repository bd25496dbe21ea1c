//! Every input that was kept, given to its target again: what was found once stays repaired.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a server's task ends a connection and no test, so all of them are counted.
fn replay(name: &str, target: fn(&[u8])) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut inputs: Vec<_> =
        std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", corpus.display());
    for input in inputs {
        target(&std::fs::read(&input).unwrap());
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{}", input.display());
    }
}

#[test]
fn task_messages() {
    replay("task_message", codingworker_fuzz::task_message);
}

#[test]
fn transcripts() {
    replay("transcript", codingworker_fuzz::transcript);
}

#[test]
fn requests_to_the_queue() {
    replay("sqs_wire", codingworker_fuzz::sqs_wire);
}

#[test]
fn requests_to_the_forge() {
    replay("forge_http", codingworker_fuzz::forge_http);
}
