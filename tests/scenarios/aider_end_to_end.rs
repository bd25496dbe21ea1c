//! The whole way with the real Aider and a scripted model: the issue becomes a pull request, and
//! the worker tells the ways to fail apart.

use serde_json::json;

use crate::exit_codes::RETRIED;
use crate::world::ollama::{Answer, Ollama};
use crate::world::{World, tools};

const MODEL: &str = "qwen2.5-coder:1.5b";

/// A world whose worker uses Aider; `None` when Aider is not installed.
async fn world(ollama: &Ollama) -> Option<World> {
    let aider = tools::aider()?;
    let mut world = World::new().await;
    world.settings.remove("agent");
    let model = format!("ollama_chat/{MODEL}");
    world.set(
        "agent",
        json!({ "executable": aider, "models": [model], "model_endpoint": ollama.endpoint() }),
    );
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn aider_edits_the_checks_pass_and_the_pull_request_opens() {
    let ollama = Ollama::start([MODEL]).await;
    let Some(world) = world(&ollama).await else { return };
    ollama.script([
        Answer::file("hello.txt", "hello from a model\n"),
        Answer::file("hello_test.txt", "a test\n"),
    ]);
    let issue = world.task("Add hello.txt", "Write a greeting into hello.txt.").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let branch = format!("codingworker/issue-{issue}");
    assert_eq!(world.file(&branch, "hello.txt").as_deref(), Some("hello from a model\n"));
    assert_eq!(world.file(&branch, "hello_test.txt").as_deref(), Some("a test\n"));
    let pulls = world.pull_requests().await;
    let body = pulls[0]["body"].as_str().unwrap();
    for part in ["aider 0.86.2", MODEL, "✅ passed", "sent"] {
        assert!(body.contains(part), "{part} is not in: {body}");
    }
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let changed = crate::world::run_git(&bare, &["diff", "--name-only", "main", &branch]);
    assert_eq!(changed, "hello.txt\nhello_test.txt\n", "Aider left nothing of its own");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_told_what_aider_could_not_do() {
    for (answer, reason) in
        [(Answer::talk(), "The agent changed nothing"), (Answer::malformed(), "malformed")]
    {
        let ollama = Ollama::start([MODEL]).await;
        let Some(world) = world(&ollama).await else { return };
        ollama.script([answer]);
        let issue = world.task("Add a greeting", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
        assert!(world.pull_requests().await.is_empty());
        let comment = world.status_comment(issue).await;
        assert!(comment.contains(reason), "{reason:?} is not in {comment}");
        world.leaves_messages(1, "the task is to be repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_with_aider_and_a_model_of_the_users() {
    const MODULE: &str = "\
def fizzbuzz(number):
    return \"Fizz\" * (number % 3 == 0) + \"Buzz\" * (number % 5 == 0) or str(number)
";
    const TESTS: &str = "\
import unittest

from fizzbuzz import fizzbuzz


class FizzBuzzTest(unittest.TestCase):
    def test_fifteen(self):
        self.assertEqual(fizzbuzz(15), \"FizzBuzz\")
";
    let ollama = Ollama::start([MODEL]).await;
    let Some(world) = world(&ollama).await else { return };
    ollama.script([Answer::file("fizzbuzz.py", MODULE), Answer::file("test_fizzbuzz.py", TESTS)]);
    let ran = world
        .run(&["demo", "--json", "--agent", "aider", "--model", &format!("ollama_chat/{MODEL}")])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["pull_request"]["draft"], false);
    assert!(!ran.stderr.contains("a script"), "{ran:?}");

    let missing = world.run(&["demo", "--agent", "aider", "--model", "ollama_chat/none:1b"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("ollama pull none:1b"), "{missing:?}");
}
