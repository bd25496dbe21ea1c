//! A secret that a program prints is redacted everywhere: on the issue, in logs, and in the
//! worker's own files.

use serde_json::json;

use crate::exit_codes::RETRIED;
use crate::world::{Ran, TOKEN, World};

const KEY: &str = "model-key-0123456789";
const CLOUD_KEY: &str = "cloud/key+of/the+worker/0123456789abcdef";

/// Runs an agent that prints and fails, and returns the texts that people read: the comment, the
/// run's log, the worker's own log.
async fn published(world: &World, issue: u64, environment: &[(&str, &str)]) -> [String; 3] {
    let Ran { code, stderr, .. } = world
        .run_with(&["worker", "--once"], &[&[("GITHUB_TOKEN", TOKEN)], environment].concat())
        .await;
    assert_eq!(code, Some(RETRIED), "{stderr}");
    let log = std::fs::read_to_string(world.data_dir().join("runs/1/log")).unwrap();
    world.leaves_messages(1, "the task is to be repeated");
    [world.status_comment(issue).await, log, stderr]
}

/// The key is passed on to the agent by the settings.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_agent_prints_is_redacted() {
    let mut world = World::new().await;
    world.agent(
        "echo plain words; echo \"the key is $OPENAI_API_KEY\"; \
         printf %s \"x$OPENAI_API_KEY\" | base64; exit 3",
    );
    world.set("agent", json!({ "pass_environment": ["OPENAI_API_KEY"] }));
    let issue = world.task("Add a greeting", "").await;
    let [comment, log, stderr] = published(&world, issue, &[("OPENAI_API_KEY", KEY)]).await;
    let middle =
        &base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("x{KEY}"))
            [2..20];
    for (place, text) in [("comment", &comment), ("log", &log)] {
        assert!(
            text.contains("plain words") && text.contains("the key is [redacted]"),
            "{place}: {text}"
        );
        assert!(!text.contains(KEY) && !text.contains(middle), "{place}: {text}");
    }
    assert!(!stderr.contains(KEY));
    assert_eq!(world.files_with(KEY), Vec::<String>::new());
}

/// The worker does not know this token, and finds it by its pattern.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_worker_does_not_know_is_redacted() {
    let token = format!("{}x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2", "ghp_");
    let mut world = World::new().await;
    world.agent(&format!("echo 'the token is {token}'; echo 'not ghp_one'; exit 3"));
    let issue = world.task("Add a greeting", "").await;
    for text in &published(&world, issue, &[]).await[..2] {
        assert!(text.contains("the token is [redacted]") && text.contains("not ghp_one"), "{text}");
        assert!(!text.contains(&token), "{text}");
    }
    // The script that prints it is in the shared directory, where none of the worker's files are.
    assert_eq!(world.files_with(&token), Vec::<String>::new());
}

/// A key of a profile is in no variable: the worker learns it when the SDK does. Without a sandbox,
/// an agent may print any file.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_aws_profile_is_redacted() {
    let mut world = World::new().await;
    world.without_sandbox();
    let file = world.path().join(".aws/credentials");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let profile = format!(
        "[default]\naws_access_key_id = id-of-the-key\naws_secret_access_key = {CLOUD_KEY}\n"
    );
    std::fs::write(&file, profile).unwrap();
    world.agent(&format!("cat '{}'; exit 3", file.display()));
    let issue = world.task("Add a greeting", "").await;
    // By the SDK's own variables, so that it looks for credentials as it does for AWS.
    let queue = world.queue.url.clone();
    world.settings["queue"].as_table_mut().unwrap().remove("endpoint_url");
    let environment = [("AWS_ENDPOINT_URL", queue.as_str()), ("AWS_REGION", "us-east-1")];
    for text in &published(&world, issue, &environment).await[..2] {
        assert!(
            text.contains("id-of-the-key") && text.contains("aws_secret_access_key = [redacted]"),
            "{text}"
        );
        assert!(!text.contains(CLOUD_KEY), "{text}");
    }
    assert_eq!(world.files_with(CLOUD_KEY), Vec::<String>::new());
}

/// The output of a check is processed by other code than the output of an agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_check_prints_is_redacted() {
    let token = format!("{}x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2", "ghp_");
    let mut world = World::new().await;
    world.agent("touch broken hello.txt");
    world.set("checks", json!({ "fix_ups": 0 }));
    // Not in the repository, or the gate would find it there.
    let output = world.shared_dir().join("output");
    std::fs::write(&output, format!("FAILED the token is {token}\n")).unwrap();
    world.agent(&format!(
        "echo 'cat {}; exit 1' > check.sh; echo hello > hello.txt",
        output.display()
    ));
    let issue = world.task("Add a greeting", "").await;
    for text in &published(&world, issue, &[]).await[..2] {
        assert!(!text.contains(&token), "{text}");
    }
    let log = std::fs::read_to_string(world.data_dir().join("runs/1/log")).unwrap();
    assert!(log.contains("FAILED the token is [redacted]"), "{log}");
    assert_eq!(world.files_with(&token), Vec::<String>::new());
}
