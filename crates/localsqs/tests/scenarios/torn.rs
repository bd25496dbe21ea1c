//! The end of the write-ahead log is damaged, as after a power cut. Every message that was
//! committed before the damage is there, and no message is there in part.

use std::path::Path;

use serde_json::json;

use crate::server::Server;

const MESSAGES: usize = 12;
const DATA: &str = "queue.sqlite3";
const LOG: &str = "queue.sqlite3-wal";

/// How the file system left the end of the log.
#[derive(Debug, Clone, Copy)]
enum Tear {
    Cut,
    /// The file was made longer, and its new part was not written yet.
    Zeros,
    Garbage,
}

/// A copy of the data whose log is intact only up to `length`.
fn torn(data: &[u8], log: &[u8], length: usize, tear: Tear) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut log = log.to_vec();
    match tear {
        Tear::Cut => log.truncate(length),
        Tear::Zeros => log[length..].fill(0),
        Tear::Garbage => log[length..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(85)),
    }
    std::fs::write(directory.path().join(DATA), data).unwrap();
    std::fs::write(directory.path().join(LOG), log).unwrap();
    directory
}

fn length(file: &Path) -> usize {
    usize::try_from(std::fs::metadata(file).unwrap().len()).unwrap()
}

#[tokio::test]
async fn every_message_that_was_acknowledged_before_the_tear_is_there() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let log = server.directory().join(LOG);
    let made = length(&log);
    let mut acknowledged = Vec::new();
    for number in 0..MESSAGES {
        server.send(&queue, &format!("message {number}")).await;
        acknowledged.push(length(&log));
    }
    let (data, log) =
        (std::fs::read(server.directory().join(DATA)).unwrap(), std::fs::read(&log).unwrap());
    let mut tears = 0;
    for tear in [Tear::Cut, Tear::Zeros, Tear::Garbage] {
        for length in (made..=log.len()).step_by(517) {
            let directory = torn(&data, &log, length, tear);
            let found = messages(directory).await;
            let whole = acknowledged.iter().filter(|end| **end <= length).count();
            assert!(
                (whole..=MESSAGES).contains(&found.len()),
                "{tear:?} at {length}: {} of {whole}",
                found.len()
            );
            let expected: Vec<_> =
                (0..found.len()).map(|number| format!("message {number}")).collect();
            assert_eq!(found, expected, "{tear:?} at {length}");
            tears += 1;
        }
    }
    assert!(tears > 100, "{tears} tears");
}

/// The messages that a server on the directory returns. It must accept new ones, too.
async fn messages(directory: tempfile::TempDir) -> Vec<String> {
    let server = Server::start_on(directory).await;
    let url = format!("{}/000000000000/q", server.endpoint);
    let before = server.counts(&url).await.0;
    server.send(&url, "after the tear").await;
    let mut found = Vec::new();
    while found.len() as u64 <= before {
        let batch = server.receive(&url, json!({})).await;
        found.extend(batch.iter().map(|message| message["Body"].as_str().unwrap().to_owned()));
    }
    assert_eq!(found.pop().as_deref(), Some("after the tear"));
    found
}
