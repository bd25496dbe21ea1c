//! An agent uses more than it may: of processes, memory, disk and time. The sandbox ends it at its
//! limits, with all that it started.

use serde_json::{Value, json};

use crate::world::TASK_SCRIPT;
use crate::world::attack::Attack;
use crate::world::held_program::HeldProgram;
use crate::world::processes::{commands_with, kill_commands_with};

use crate::exit_codes::RETRIED;
/// Runs an agent that uses too much, and returns what the issue is told of it.
async fn comment_on_excess(script: &str, limits: Value) -> String {
    ended_by_limits(&mut Attack::new(true).await, script, limits).await
}

async fn ended_by_limits(attack: &mut Attack, script: &str, limits: Value) -> String {
    attack.world.set("sandbox", limits);
    attack.world.agent(script);
    let ran = attack.world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    let living = commands_with(&attack.world.shared_dir().to_string_lossy());
    assert_eq!(living, Vec::<String>::new());
    attack.world.leaves_messages(1, "the task is to be repeated");
    attack.world.status_comment(attack.issue).await
}

/// The counterpart: as many processes as would be too many under a lower limit do no harm.
async fn check_processes_are_allowed(count: usize, limit: usize) {
    // They live at the same time, for many looks of the supervisor.
    let script = format!(
        "python3 -c 'import subprocess, time\n\
         children = [subprocess.Popen([\"sleep\", \"600\"]) for _ in range({count})]\n\
         time.sleep(0.5)\n\
         for child in children: child.kill()'"
    );
    let mut attack = Attack::new(true).await;
    attack.world.set("sandbox", json!({ "processes": limit }));
    attack.run(&script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_at_the_limit() {
    let one_session = "bomb() { bomb | bomb & }; bomb; wait; sleep 600";
    let many_sessions =
        "echo 'setsid sh /tmp/bomb & setsid sh /tmp/bomb & sleep 600' > /tmp/bomb; sh /tmp/bomb";
    for bomb in [one_session, many_sessions] {
        let comment = comment_on_excess(bomb, json!({ "processes": 64 })).await;
        assert!(comment.contains("more than 64 processes"), "{comment}");
    }
    check_processes_are_allowed(20, 64).await;
    check_processes_are_allowed(100, 512).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_ends_at_the_limit() {
    let many = "for i in 1 2 3 4; do \
                python3 -c 'import time; x = bytearray(100 << 20); time.sleep(600)' & \
                done; wait";
    let comment = comment_on_excess(many, json!({ "memory_mib": 256 })).await;
    assert!(comment.contains("more than 256 MiB of memory"), "{comment}");
    let mut attack = Attack::new(true).await;
    attack.world.set("sandbox", json!({ "memory_mib": 1024 }));
    attack.run(&many.replace("time.sleep(600)", "time.sleep(0.5)")).await;
}

/// A segment of shared memory stays when the process that made it detaches from it, so no process
/// has this memory.
#[tokio::test(flavor = "multi_thread")]
async fn memory_that_no_process_has_ends_at_the_limit_too() {
    const LEAVE: &str = r#"
import ctypes, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
for _ in range(4):
    segment = libc.shmget(0, ctypes.c_size_t(100 << 20), 0o1600)
    address = libc.shmat(segment, None, 0)
    ctypes.memset(address, 1, 100 << 20)
    libc.shmdt(address)
time.sleep(600)
"#;
    let mut attack = Attack::new(true).await;
    let file = attack.world.shared_dir().join("leave.py");
    std::fs::write(&file, LEAVE).unwrap();
    let script = format!("python3 '{}'", file.display());
    let comment = ended_by_limits(&mut attack, &script, json!({ "memory_mib": 256 })).await;
    assert!(comment.contains("more than 256 MiB of memory"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_can_not_stop_the_process_that_counts_it() {
    let stop = "for pid in 1 2 -1; do kill -STOP $pid; kill -TSTP $pid; done 2>/dev/null; \
                bomb() { bomb | bomb & }; bomb; wait; sleep 600";
    let comment = comment_on_excess(stop, json!({ "processes": 64 })).await;
    assert!(comment.contains("more than 64 processes"), "{comment}");
}

/// Writes the last MiB of a file, and returns the file's size. The file is sparse, so that only the
/// limit can stop the agent.
async fn size_of_written_file(mib: u64, limit: u64) -> u64 {
    let mut attack = Attack::new(true).await;
    attack.world.set("sandbox", json!({ "file_size_mib": limit }));
    let write = format!("dd if=/dev/zero of=large bs=1M count=1 seek={} 2>/dev/null", mib - 1);
    attack.run(&format!("{write}; stat -c %s large > \"$OUTPUT\"; rm -f large")).await;
    attack.output().trim().parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ten_gigabytes_ends_at_the_limit() {
    assert!(size_of_written_file(10_240, 64).await <= 64 << 20);
    assert_eq!(size_of_written_file(100, 4_096).await, 100 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_end_at_the_limit() {
    for place in ["/tmp", "/var/tmp", "/dev/shm"] {
        let mut attack = Attack::new(true).await;
        attack.world.set("sandbox", json!({ "temporary_mib": 16 }));
        let write = format!(
            "dd if=/dev/zero of={place}/large bs=1M count=64 2>/dev/null; stat -c %s {place}/large"
        );
        attack.run(&format!("{write} > \"$OUTPUT\"; rm {place}/large")).await;
        let size = attack.output().trim().parse::<u64>().unwrap();
        assert!((15 << 20..=16 << 20).contains(&size), "{place}: {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_left_its_session_dies_with_the_call() {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let shared = attack.world.shared_dir();
        let (sleeper, detached) = (shared.join("sleeper"), shared.join("detached"));
        std::os::unix::fs::symlink("/bin/sleep", &sleeper).unwrap();
        let (sleeper, detached) = (sleeper.to_string_lossy(), detached.display());
        // It forks twice, has a session of its own, ignores SIGTERM, and lacks the mark of its
        // call.
        let leave = format!("trap '' TERM; env -i '{sleeper}' 600 >/dev/null 2>&1 &");
        let wait = format!("until [ -e '{detached}' ]; do sleep 0.02; done");
        attack.run(&format!("setsid sh -c \"{leave} touch '{detached}'\"; {wait}")).await;
        assert_eq!(commands_with(&sleeper).is_empty(), sandboxed, "sandboxed: {sandboxed}");
        kill_commands_with(&sleeper);
    }
}

/// The kernel does not count the threads of root; those of another user it refuses, and the program
/// gets the error.
#[tokio::test(flavor = "multi_thread")]
async fn threads_end_at_the_limit() {
    let start = "python3 -c 'import threading, time\n\
                 def start():\n  \
                 threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n\
                 for _ in range(3000): start()\n\
                 time.sleep(600)'";
    let comment = comment_on_excess(start, json!({ "processes": 64 })).await;
    assert!(
        comment.contains("more than 1024 threads") || comment.contains("can't start new thread"),
        "{comment}"
    );
}

/// The path to the bottom of such a tree is longer than any system call takes, and the worker
/// removes the tree all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_may_have_any_depth() {
    let mut attack = Attack::new(true).await;
    let deep =
        "import os\nfor _ in range(5000): os.mkdir(\"a-directory\"); os.chdir(\"a-directory\")";
    attack.world.set("sandbox", json!({ "processes": 512 }));
    attack.world.agent(&format!("(cd \"$HOME\" && python3 -c '{deep}'); python3 -c '{deep}'"));
    let ran = attack.world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    attack.world.agent(TASK_SCRIPT);
    let ran = attack.world.work().await;
    assert_eq!(ran.code, Some(0), "the worker is as good as before: {ran:?}");
    attack.check_contained(&ran).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_special_files_than_the_worker_looks_at_are_refused() {
    let many = "import os\nfor number in range(20000): os.mkfifo(str(number))";
    let comment = comment_on_excess(&format!("python3 -c '{many}'"), json!({})).await;
    assert!(comment.contains("more than 10000 nested repositories, pipes"), "{comment}");
}

/// The worker logs what the relay refuses, and not every time.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_refused_do_not_fill_the_log() {
    const ASK: &str = r#"
import os, urllib.request
for _ in range(500):
    try: urllib.request.urlopen(os.environ['OLLAMA_HOST'] + '/api/' + 'x' * 5000)
    except OSError as error: assert error.code == 403
"#;
    let mut attack = Attack::new(true).await;
    let ask = attack.world.shared_dir().join("ask.py");
    std::fs::write(&ask, ASK).unwrap();
    attack.world.agent(&format!("python3 '{}' && {{ {TASK_SCRIPT}; }}", ask.display()));
    let ran = attack.world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let logged = ran.stderr.matches("it is no call for inference").count();
    let length = ran.stderr.len();
    assert!((1..100).contains(&logged) && length < 50_000, "{logged} times, {length} bytes");
    attack.world.check_done(attack.issue).await;
}

/// An agent that opens one connection after the other to the relay uses no more of the worker's
/// file descriptors than the relay has slots.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_relay_end_at_the_limit() {
    const MANY: &str = r#"
import os, socket
host, port = os.environ['OLLAMA_HOST'].removeprefix('http://').split(':')
held = [socket.create_connection((host, int(port))) for _ in range(300)]
for connection in held: connection.sendall(b'GET /api/tags HTTP/1.1\r\n')
"#;
    let mut attack = Attack::new(true).await;
    let many = attack.world.shared_dir().join("many.py");
    std::fs::write(&many, MANY).unwrap();
    let agent = HeldProgram::new(&attack.world, "agent", 1, TASK_SCRIPT);
    // The connections are open while the program is held.
    attack.world.agent(&format!(
        "python3 -c 'import runpy, subprocess\n\
         many = runpy.run_path(\"{}\")\n\
         subprocess.run([\"sh\", \"{}\"])'",
        many.display(),
        agent.file("script").display()
    ));
    let mut worker = attack.world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.id())).unwrap().count();
    agent.go_on();
    let status = worker.ended().await;
    assert!(status.success(), "{status}: {}", worker.printed());
    assert!((32..150).contains(&open), "the worker had {open} files open");
    attack.world.check_done(attack.issue).await;
}
