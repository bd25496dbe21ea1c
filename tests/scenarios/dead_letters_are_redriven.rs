//! What an operator does with tasks that failed for good: list them, put them back, delete them.

use serde_json::{Value, json};

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{TASK_SCRIPT, World};

/// A task that failed in all of its deliveries, and its key.
async fn failed_task(world: &mut World) -> (u64, String) {
    world.agent("true");
    let issue = world.task("Add a greeting", "").await;
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        assert_eq!(world.work().await.code, Some(expected));
    }
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1));
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.agent(TASK_SCRIPT);
    let key = list(world).await[0]["task_key"].as_str().unwrap().to_owned();
    (issue, key)
}

async fn list(world: &World) -> Value {
    let ran = world.run_with(&["dlq", "list", "--json"], &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

async fn dlq(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let ran = world.run_with(&[&["dlq"], arguments].concat(), &[]).await;
    (ran.code, ran.stdout + &ran.stderr)
}

/// Fails unless the message is back in the queue, and a worker does its task.
async fn check_worked_on(world: &World, issue: u64) {
    assert_eq!(world.queue.counts().await, (1, 0, 0));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_listed_with_its_failures_and_stays_where_it_is() {
    let mut world = World::new().await;
    let (issue, key) = failed_task(&mut world).await;
    assert!(key.starts_with(&format!("owner/repo#{issue}@")), "{key}");
    let listed = list(&world).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["title"], "Add a greeting");
    let tried = listed[0]["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 3, "{listed}");
    assert!(tried[0].as_str().unwrap().contains("changed nothing"), "{listed}");
    let id = listed[0]["message_id"].as_str().unwrap();
    let (code, shown) = dlq(&world, &["list"]).await;
    assert_eq!(code, Some(0));
    let short = format!("owner/repo#{issue}");
    assert!(shown.contains(id) && shown.contains(&format!("{short}  Add a greeting")), "{shown}");
    assert!(!shown.contains(&key), "{shown}");
    for name in [id, &key, &short] {
        let (code, shown) = dlq(&world, &["show", name]).await;
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("\"issue_number\": 1") && shown.contains("try 3"), "{shown}");
    }
    assert_eq!(world.queue.counts().await, (0, 0, 1), "it was given back");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("changed nothing"), "{comment}");
    world.leaves_in_dead_letters(1, "listing leaves a message where it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_put_back_keeps_its_key() {
    let mut world = World::new().await;
    let (issue, key) = failed_task(&mut world).await;
    let (code, printed) = dlq(&world, &["redrive", "--task", "Owner/Repo#1"]).await;
    assert_eq!(code, Some(0), "{printed}");
    check_worked_on(&world, issue).await;
    let attempts = world.run(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&attempts.stdout).unwrap();
    let keys: Vec<_> =
        status["runs"].as_array().unwrap().iter().map(|run| run["task_key"].clone()).collect();
    assert_eq!(keys, vec![json!(key); 4]);
}

/// Its journal does not know of the failure; the issue's label tells it.
#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_task_is_done_by_a_worker_that_never_saw_it() {
    let mut world = World::new().await;
    let (issue, key) = failed_task(&mut world).await;
    assert_eq!(dlq(&world, &["redrive", "--task", &key]).await.0, Some(0));
    world.set("data_dir", json!(world.path().join("another")));
    check_worked_on(&world, issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_itself_puts_all_messages_back() {
    let mut world = World::new().await;
    let (issue, _) = failed_task(&mut world).await;
    let (code, printed) = dlq(&world, &["redrive", "--all", "--rate", "50"]).await;
    assert_eq!((code, printed.trim()), (Some(0), "1 put back"));
    check_worked_on(&world, issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attributes_of_a_message_are_put_back_too() {
    let world = World::new().await;
    let body = json!({ "no": "task" }).to_string();
    world.queue.send_dead(&body, &[("BodyTruncated", "true")]).await;
    let id = list(&world).await[0]["message_id"].as_str().unwrap().to_owned();
    assert_eq!(dlq(&world, &["redrive", "--task", &id]).await.0, Some(0));
    let message = world.queue.take().await.unwrap();
    assert_eq!(message["Body"], body);
    assert_eq!(message["MessageAttributes"]["BodyTruncated"]["StringValue"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_task_is_shown_without_harm_to_the_terminal() {
    let world = World::new().await;
    world.queue.send_dead("\u{9}not JSON \u{9b}31m\u{202e}", &[]).await;
    let (code, shown) = dlq(&world, &["list"]).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("not a task  not JSON 31m"), "{shown:?}");
    assert!(!shown.contains(['\u{9b}', '\u{202e}']), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_batch_is_listed_and_given_back() {
    let world = World::new().await;
    for number in 0..23 {
        world.queue.send_dead(&format!("message {number}"), &[]).await;
    }
    assert_eq!(list(&world).await.as_array().unwrap().len(), 23);
    let (_, shown) = dlq(&world, &["list", "--limit", "5"]).await;
    assert!(shown.contains("5 shown of about 23"), "{shown}");
    assert_eq!(world.queue.counts().await, (0, 0, 23));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_without_a_yes() {
    let world = World::new().await;
    world.queue.send_dead("one", &[]).await;
    let (code, printed) = dlq(&world, &["purge"]).await;
    assert_eq!(code, Some(1));
    assert!(printed.contains("about 1 messages") && printed.contains("--yes"), "{printed}");
    assert_eq!(world.queue.counts().await, (0, 0, 1));
    assert_eq!(dlq(&world, &["purge", "--yes"]).await.0, Some(0));
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_there_is_told() {
    let world = World::new().await;
    for command in ["show", "redrive"] {
        let arguments: &[&str] =
            if command == "show" { &["show", "x"] } else { &["redrive", "--task", "x"] };
        let (code, printed) = dlq(&world, arguments).await;
        assert_eq!(code, Some(1));
        assert!(printed.contains("there is no x in the dead-letter queue"), "{printed}");
    }
    let (code, printed) = dlq(&world, &["redrive"]).await;
    assert_eq!(code, Some(2));
    assert!(printed.contains("--task <OWNER/NAME#7>|--all"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_learns_the_reason_from_the_issue() {
    let mut world = World::new().await;
    let (issue, key) = failed_task(&mut world).await;
    world.set("data_dir", json!(world.path().join("elsewhere")));
    let ran = world.run(&["dlq", "list"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let today = jiff::Timestamp::now().strftime("%Y-%m-").to_string();
    for told in ["owner/repo#1", &today, "    owner: ", "changed nothing"] {
        assert!(ran.stdout.contains(told), "{told:?} is not in {}", ran.stdout);
    }
    let ran = world.run(&["dlq", "show", &key]).await;
    assert!(ran.stdout.contains("on the issue, by owner:"), "{ran:?}");
    world.status_comment(issue).await;
    world.leaves_in_dead_letters(1, "listing leaves a message where it is");
}
