//! With `language = "ja"` every sentence that a person reads is Japanese: help, errors with all
//! their causes, what the doctor found, how the worker is, and what `init` says. Only the words of
//! the operating system and of other programs stay as they are.
//!
//! Each call is made in English too, and must show a sentence there: so the look for sentences
//! finds what it should, and the call is one that says something.

use std::path::PathBuf;

use regex::Regex;
use serde_json::{Value, json};

use crate::world::ollama::NOBODY;
use crate::world::{Ran, TOKEN, World, wait_until};

/// How the texts begin that are another program's: those of the kernel, of Rust's and AWS's
/// libraries, and of GitHub.
const OF_OTHERS: &[&str] = &[
    "error sending request for url",
    "client error",
    "tcp connect error",
    "Connection refused",
    "No such file or directory",
    "Not a directory",
    "Is a directory",
    "Permission denied",
    "Address already in use",
    "dispatch failure",
    "io error",
    "expected value at line",
    "invalid socket address syntax",
    "invalid digit found in string",
    "error parsing level filter",
    "expected one of , , ",
    "The specified queue does not exist",
    "Bad credentials",
];

/// The parts of a text that are English sentences: three words in a row and no kana or kanji. What
/// is quoted, a path, an option, an address or another program's text is none.
fn sentences(text: &str) -> Vec<String> {
    let quoted = Regex::new(r#"`[^`]*`|\B'[^']*'|"[^"]*"|\[[^\]]*\]|<[^>]*>"#).unwrap();
    let words = Regex::new(r"(?:\b[A-Za-z']+[ ,]+){2,}[a-zA-Z']*[a-z]|\bcan't ").unwrap();
    let mut found = Vec::new();
    for line in text.lines() {
        // A line of a command to copy, or of a file that is shown.
        if line.starts_with("  ") && (line.contains("gh ") || line.contains("terraform ")) {
            continue;
        }
        let line = quoted.replace_all(line, "");
        for part in line.split([':', '。', '（', '）', '、', '「', '」', '#', ';']) {
            let part = part.trim();
            let is_japanese = part.chars().any(|character| character >= '\u{3040}');
            let of_others = OF_OTHERS.iter().any(|text| part.starts_with(text))
                || part.starts_with("codingworker ");
            if !is_japanese && !of_others && words.is_match(part) {
                found.push(part.to_owned());
            }
        }
    }
    found
}

/// What a command printed, without the log: its lines begin with their time.
fn printed(ran: &Ran) -> String {
    let is_log = Regex::new(r"^(\x1b\[\d*m)?(\d{4}-\d\d-\d\dT|\d\d:\d\d:\d\d)").unwrap();
    let lines = ran.stdout.lines().chain(ran.stderr.lines());
    lines.filter(|line| !is_log.is_match(line)).collect::<Vec<_>>().join("\n")
}

/// Runs a command in both languages, and fails unless it says a sentence in English, and none in
/// English where the configuration is Japanese.
async fn check(world: &mut World, arguments: &[&str], environment: &[(&str, &str)]) {
    let mut told = Vec::new();
    for language in ["en", "ja"] {
        world.set("language", json!(language));
        let ran = world.run_with(arguments, environment).await;
        told.push((ran.code, printed(&ran)));
    }
    let [(english_code, english), (code, japanese)] = told.as_slice() else { unreachable!() };
    assert_eq!(english_code, code, "{arguments:?}: {english}\n{japanese}");
    assert!(!sentences(english).is_empty(), "{arguments:?} says nothing in English: {english}");
    let left = sentences(japanese);
    assert!(left.is_empty(), "{arguments:?} says in English {left:#?}\nin\n{japanese}");
    assert!(japanese.chars().any(|character| character >= '\u{3040}'), "{arguments:?}");
}

const WITH_TOKEN: &[(&str, &str)] = &[("GITHUB_TOKEN", TOKEN)];

#[tokio::test(flavor = "multi_thread")]
async fn the_help_of_every_command_and_what_is_wrong_with_arguments() {
    let mut world = World::without_repository().await;
    let commands = [
        "",
        "demo",
        "up",
        "init",
        "worker",
        "doctor",
        "submit",
        "status",
        "logs",
        "why",
        "dlq",
        "dlq list",
        "dlq show",
        "dlq redrive",
        "dlq purge",
        "queue",
        "queue serve",
        "config",
        "config reference",
        "schema",
    ];
    for command in commands {
        let path: Vec<_> = command.split_whitespace().collect();
        check(&mut world, &[&path[..], &["--help"]].concat(), &[]).await;
    }
    for arguments in [
        &["dlq"][..],
        &["help", "worker"],
        &["worker", "--onse"],
        &["wrker"],
        &["why"],
        &["demo", "--agent", "nobody"],
        &["init", "--owner", "o*"],
        &["up", "--repository", "nothing"],
        &["logs", "--since", "Tuesday"],
        &["dlq", "redrive", "--all", "--task", "key"],
    ] {
        check(&mut world, arguments, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_locale_decides_where_no_file_does() {
    let world = World::without_repository().await;
    let ask = async |locale: &str| {
        let mut command = world.command(&["--help"]);
        // The file that the world names is not there.
        let file = world.path().join("worker.toml");
        std::fs::remove_file(file).unwrap();
        let output = command.env("LANG", locale).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(ask("ja_JP.UTF-8").await.contains("使い方: codingworker"));
    assert!(ask("C.UTF-8").await.contains("Usage: codingworker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_configuration() {
    let mut world = World::new().await;
    let good = world.settings.clone();
    for (key, value) in [
        ("repositores", json!([])),
        ("worker", json!({ "concurrency": 0 })),
        ("worker", json!({ "concurrency": "many" })),
        ("github", json!({ "api_url": "http://example.com" })),
        ("github", json!({ "api_url": "https://user:password@example.com" })),
        ("github", json!({ "token_file": "/" })),
        ("log", json!({ "filter": "codingworker=[" })),
        ("repositories", json!(["nothing"])),
        ("agent", json!({ "models": [""] })),
        ("queue", json!({ "retry_delays_seconds": [] })),
    ] {
        world.set(key, value);
        check(&mut world, &["status"], &[]).await;
        world.settings = good.clone();
    }
    check(&mut world, &["status"], &[("CODINGWORKER_DATA_DIR", "/dev/null/data")]).await;
    check(&mut world, &["status"], &[("CODINGWORKER_WORKER_CONCURRENCY", "x")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_refuses_or_can_not_do() {
    let mut world = World::new().await;
    let good = world.settings.clone();
    let message = world.path().join("message.json");
    std::fs::write(&message, r#"{"issue_number": 0}"#).unwrap();
    let message = message.to_str().unwrap().to_owned();
    for arguments in [&["worker", "--once"][..], &["submit", "--issue", "owner/repo#1"]] {
        // Without a token.
        check(&mut world, arguments, &[]).await;
    }
    for arguments in [
        &["submit"][..],
        &["submit", "--issue", "owner/repo"],
        &["submit", "--issue", "owner/repo#77"],
        &["submit", "--issue", "owner/other#1"],
        &["submit", &message],
        &["submit", "/nowhere/message.json"],
        &["logs", "7"],
        &["logs", "owner/repo#7"],
        &["logs", "--since", "2h"],
        &["why", "owner/repo#7"],
        &["why", "repo"],
        &["dlq", "list"],
        &["dlq", "show", "nothing"],
        &["dlq", "redrive", "--task", "nothing"],
        &["dlq", "purge"],
    ] {
        check(&mut world, arguments, WITH_TOKEN).await;
    }
    let queue = world.queue.url.trim_start_matches("http://").to_owned();
    let data = world.path().join("local").to_str().unwrap().to_owned();
    for arguments in [
        &["up", "--data", &data, "--queue-listen", &queue][..],
        &["queue", "serve", "--data", &data, "--listen", &queue],
        &["queue", "serve", "--data", "/dev/null/data"],
        &["up", "--data", "/dev/null/data"],
    ] {
        check(&mut world, arguments, &[]).await;
    }
    for (key, value) in [
        ("repositories", json!([])),
        ("data_dir", json!("/dev/null/data")),
        ("queue", json!({ "name": "no-such-queue" })),
        ("agent", json!({ "command": ["no-such-agent", "{prompt_file}"] })),
        ("worker", json!({ "health_listen": queue })),
    ] {
        world.set(key, value);
        check(
            &mut world,
            &["worker", "--once"].as_slice()[..if key == "worker" { 1 } else { 2 }],
            WITH_TOKEN,
        )
        .await;
        world.settings = good.clone();
    }
    world.set("queue", json!({ "endpoint_url": NOBODY }));
    for arguments in [&["status"][..], &["dlq", "list"], &["submit", "--issue", "owner/repo#1"]] {
        check(&mut world, arguments, WITH_TOKEN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_doctor_finds() {
    let mut world = World::new().await;
    let good = world.settings.clone();
    check(&mut world, &["doctor", "--verbose"], WITH_TOKEN).await;
    check(&mut world, &["doctor"], &[]).await;
    check(&mut world, &["doctor"], &[("GITHUB_TOKEN", "an-old-token")]).await;
    for (key, value) in [
        ("repositories", json!([])),
        ("repositories", json!(["owner/other"])),
        ("data_dir", json!("/dev/null/data")),
        ("queue", json!({ "endpoint_url": NOBODY })),
        ("queue", json!({ "name": "no-such-queue" })),
        ("worker", json!({ "free_space_mib": u32::MAX })),
        ("agent", json!({ "models": ["ollama/m"], "model_endpoint": NOBODY })),
        ("github", json!({ "api_url": NOBODY })),
        ("github", json!({ "token_file": "/nowhere/token" })),
    ] {
        world.set(key, value);
        let token = if key == "github" { &[] } else { WITH_TOKEN };
        check(&mut world, &["doctor"], token).await;
        world.settings = good.clone();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_worker_from_taking_tasks() {
    for (language, told) in [("en", "no task is taken"), ("ja", "タスクを受信しません")] {
        let mut world = World::new().await;
        world.set("language", json!(language));
        world.set("agent", json!({ "models": ["ollama/m"], "model_endpoint": NOBODY }));
        world.set("worker", json!({ "health_listen": "127.0.0.1:0", "drain_seconds": 0 }));
        let mut worker = world.start(&["worker"]);
        let line = worker.line_with("health at http://").await;
        let url = line.split_once("health at ").unwrap().1.trim().to_owned();
        let mut problem = String::new();
        wait_until("the probe tells the problem", async || {
            let Ok(answer) = reqwest::get(&url).await else { return false };
            let health: Value = answer.json().await.unwrap();
            problem = health["problem"].as_str().unwrap_or_default().to_owned();
            !problem.is_empty()
        })
        .await;
        assert!(problem.contains(told) && problem.contains("`ollama serve`"), "{problem}");
        // The file that `status` reads is written a little later.
        let mut shown = String::new();
        wait_until("the status shows it", async || {
            shown = printed(&world.run(&["status"]).await);
            shown.contains("`ollama serve`")
        })
        .await;
        assert_eq!(sentences(&shown).is_empty(), language == "ja", "{:#?}", sentences(&shown));
        // A log is searched, and stays in English.
        assert!(worker.printed().contains("no task is taken while"), "{}", worker.printed());
        worker.stop_at_once().await;
    }
}

/// A directory below the world's own, with one file in it.
fn directory_with(world: &World, name: &str, file: &str, text: &str) -> PathBuf {
    let directory = world.path().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(file), text).unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_asks_and_says() {
    let mut world = World::new().await;
    let variables = "variable \"github_org\" {\n  type = string\n}\n";
    let folder = directory_with(&world, "terraform", "variables.tf", variables);
    let folder = folder.to_str().unwrap().to_owned();
    let shop = directory_with(&world, "shop", "README.md", "");
    let shop = shop.to_str().unwrap().to_owned();
    for arguments in [
        // Flags are missing, wrong, or for another kind of directory.
        &["init", &folder][..],
        &["init", &folder, "--owner", "o", "--repo", "r", "--repo", "R"],
        &["init", &folder, "--owner", "o", "--repo", "r"],
        &["init", &shop, "--owner", "o"],
        &["init", "/nowhere"],
        // The first call writes, the second one changes nothing.
        &["init", &shop],
    ] {
        check(&mut world, arguments, WITH_TOKEN).await;
    }
    check(&mut world, &["init", &folder, "--owner", "o", "--repo", "r"], &[]).await;
    std::fs::write(PathBuf::from(&shop).join(".codingworker.toml"), "[checks]\n").unwrap();
    check(&mut world, &["init", &shop], WITH_TOKEN).await;
    std::fs::remove_file(PathBuf::from(&shop).join(".codingworker.toml")).unwrap();
    std::os::unix::fs::symlink("/nowhere", PathBuf::from(&shop).join(".codingworker.toml"))
        .unwrap();
    check(&mut world, &["init", &shop], WITH_TOKEN).await;
}
