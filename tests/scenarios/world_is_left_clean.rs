//! The guard that looks at a world when its scenario ends. For each thing that a scenario must not
//! leave behind, the guard is shown a world that has it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rusqlite::Connection;

use crate::world::{TOKEN, World};

/// A world in which a worker did a task, and the scenario looked at the outcome.
async fn world_with_a_task_done() -> World {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.check_done(issue).await;
    world
}

/// Fails unless the world is left with exactly one thing, which is described like this.
#[track_caller]
fn check_left(world: World, description: &str) {
    let left = world.close();
    assert!(left.len() == 1 && left[0].contains(description), "{description:?}: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_that_leaves_nothing_passes() {
    let left = world_with_a_task_done().await.close();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_in_which_no_worker_was_started_may_leave_messages() {
    let world = World::new().await;
    world.task("Add a greeting", "").await;
    world.queue.send_dead("dead", &[]).await;
    assert_eq!(world.close(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_is_found() {
    let world = world_with_a_task_done().await;
    world.queue.send("one more").await;
    check_left(world, "1 messages that wait or are in flight, and the scenario declares none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_flight_is_found() {
    let world = world_with_a_task_done().await;
    world.queue.send("one more").await;
    world.queue.receive(600).await.unwrap();
    check_left(world, "1 messages that wait or are in flight, and the scenario declares none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_dead_letter_queue_is_found() {
    let world = world_with_a_task_done().await;
    world.queue.send_dead("dead", &[]).await;
    check_left(world, "1 messages in the dead-letter queue, and the scenario declares none");
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_messages_may_be_left_and_no_others() {
    for (sent, passes) in [(1, false), (2, true), (3, false)] {
        let world = world_with_a_task_done().await;
        for _ in 0..sent {
            world.queue.send("one more").await;
            world.queue.send_dead("dead", &[]).await;
        }
        world.leaves_messages(2, "a reason");
        world.leaves_in_dead_letters(2, "another reason");
        let left = world.close();
        let expected = if passes {
            Vec::new()
        } else {
            vec![
                format!(
                    "{sent} messages that wait or are in flight, and not 2 as declared (a reason)"
                ),
                format!(
                    "{sent} messages in the dead-letter queue, and not 2 as declared \
                     (another reason)"
                ),
            ]
        };
        assert_eq!(left, expected);
    }
}

/// A program that would run for ten minutes.
fn sleep() -> Command {
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    sleep
}

/// Such a process is found wherever it names the world, and killed.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_found_by_its_command_its_environment_its_directory_and_its_mark() {
    use std::os::unix::process::ExitStatusExt;

    let world = world_with_a_task_done().await;
    let path = world.path().to_path_buf();
    let mark = std::fs::read_to_string(world.data_dir().join("processes/worker")).unwrap();
    assert!(!mark.is_empty());
    let program = path.join("sleep");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let mut sleepers = [
        Command::new(program).arg("600").spawn().unwrap(),
        sleep().env("SOMETHING", path.join("file")).spawn().unwrap(),
        sleep().current_dir(&path).spawn().unwrap(),
        sleep().env("CODINGWORKER_MARK", format!("{mark}-1")).spawn().unwrap(),
    ];
    let mut stranger = sleep().spawn().unwrap();
    let left = world.close();
    assert_eq!(left.len(), sleepers.len(), "{left:?}");
    for sleeper in &mut sleepers {
        let pid = format!("process {}: ", sleeper.id());
        assert!(left.iter().any(|left| left.starts_with(&pid)), "{pid} is not in {left:?}");
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
    }
    assert_eq!(stranger.try_wait().unwrap(), None, "a process of nobody's was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_was_never_read_is_found() {
    let world = World::new().await;
    world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    check_left(world, "a comment on owner/repo#1 that the scenario did not read: \"✅");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_was_edited_after_it_was_read_is_found() {
    let mut world = World::new().await;
    world.agent("exit 1");
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(11));
    world.status_comment(issue).await;
    world.agent("echo hello > hello.txt");
    assert_eq!(world.work().await.code, Some(0));
    check_left(world, "a comment on owner/repo#1 that the scenario did not read: \"✅");
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_may_be_left_unread_when_the_scenario_says_so_and_only_then() {
    let world = World::new().await;
    world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.leaves_comments_unread("a reason");
    assert_eq!(world.close(), Vec::<String>::new());

    let world = world_with_a_task_done().await;
    world.leaves_comments_unread("a reason");
    check_left(world, "no unread comment, though the scenario declares that it does (a reason)");
}

/// Makes the journal say that the first run still holds its lease.
fn reopen_lease(world: &World) {
    let journal = Connection::open(world.data_dir().join("journal.sqlite3")).unwrap();
    let changed = journal.execute("UPDATE runs SET released_at = NULL WHERE id = 1", ());
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_lease_is_found() {
    let world = world_with_a_task_done().await;
    reopen_lease(&world);
    check_left(world, "1 runs that hold the lease of their delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_lease_of_a_second_worker_is_found_and_may_be_declared() {
    let mut world = world_with_a_task_done().await;
    reopen_lease(&world);
    std::fs::create_dir_all(world.data_dir().join("runs/1/trees")).unwrap();
    world.set("data_dir", serde_json::json!(world.path().join("another")));
    let issue = world.task("Add another greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.check_done(issue).await;
    world.leaves_open_leases(1, "the run may have its directory, too");
    assert_eq!(world.close(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_run_is_found() {
    for name in ["trees", "scratch"] {
        let world = world_with_a_task_done().await;
        let directory = world.data_dir().join("runs/1").join(name);
        std::fs::create_dir(&directory).unwrap();
        check_left(world, &format!("the directory {}", directory.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_file_is_found() {
    let world = world_with_a_task_done().await;
    let file = world.path().join("tmp/file");
    std::fs::write(&file, "").unwrap();
    check_left(world, &format!("the temporary file {}", file.display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_of_a_program_is_found() {
    let world = world_with_a_task_done().await;
    let note = world.data_dir().join("processes/4194304");
    std::fs::write(&note, "").unwrap();
    check_left(world, &format!("the note of a program that runs, {}", note.display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_found_in_every_file_of_the_workers() {
    for place in ["worker/runs/1/log", "worker.toml", "queue/file", "worker/deep/er/file"] {
        let world = world_with_a_task_done().await;
        let file = world.path().join(place);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("token = {TOKEN}\n")).unwrap();
        check_left(world, &format!("the forge's token in {}", file.display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_was_injected_does_not_disturb_the_guard() {
    let world = world_with_a_task_done().await;
    let (always, hang) = (localhub::When::Always, localhub::Fault::Hang);
    world.forge.hub.faults().inject("GET", "/repos/{owner}/{repo}/issues", always, hang);
    assert_eq!(world.close(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_deleted_has_no_messages() {
    let world = world_with_a_task_done().await;
    world.queue.send("lost with the queue").await;
    world.queue.delete().await;
    assert_eq!(world.close(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_world_fails_the_scenario_and_says_which_one_left_what() {
    let world = world_with_a_task_done().await;
    world.queue.send("one more").await;
    std::fs::write(world.path().join("tmp/file"), "").unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(world))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    for part in [
        "dropping_a_world_fails_the_scenario_and_says_which_one_left_what leaves behind:\n- ",
        "\n- 1 messages that wait",
        "- the temporary file ",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

/// A second panic would abort the process, and nobody would see the first one.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_world_in_a_scenario_that_fails_already_does_not_panic() {
    let world = world_with_a_task_done().await;
    world.queue.send("one more").await;
    let fails = AssertUnwindSafe(|| {
        let _world = world;
        panic!("the first panic");
    });
    let panic = catch_unwind(fails).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first panic"));
}
