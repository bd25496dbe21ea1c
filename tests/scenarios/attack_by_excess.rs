//! An agent uses more than there is: of processes, memory, disk and time. It ends at its limits,
//! and all that it started ends with it.

use std::process::Stdio;

use serde_json::json;

use crate::exit_codes::RETRIED;
use crate::world::TOKEN;
use crate::world::program::{Program, commands_with, kill_those_with};
use crate::world::scene::{COVER, Scene};

/// Runs an agent that uses too much, and returns what its run says of it.
async fn uses_too_much(script: &str, limits: serde_json::Value) -> String {
    ends(&mut Scene::new(true).await, script, limits).await
}

async fn ends(scene: &mut Scene, script: &str, limits: serde_json::Value) -> String {
    scene.world.set("sandbox", limits);
    scene.world.agent(script);
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert_eq!(commands_with(&scene.world.stage().to_string_lossy()), Vec::<String>::new());
    scene.world.comments(scene.issue).await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_at_the_limit() {
    let one_session = "bomb() { bomb | bomb & }; bomb; wait; sleep 600";
    let many_sessions =
        "echo 'setsid sh /tmp/bomb & setsid sh /tmp/bomb & sleep 600' > /tmp/bomb; sh /tmp/bomb";
    for bomb in [one_session, many_sessions] {
        let said = uses_too_much(bomb, json!({ "processes": 64 })).await;
        assert!(said.contains("more than 64 processes"), "{said}");
    }
    // What is no bomb goes on under the same limit, and as many as would be one under a higher.
    for (processes, limit) in [(20, 64), (100, 512)] {
        let mut scene = Scene::new(true).await;
        scene.world.set("sandbox", json!({ "processes": limit }));
        scene.attack(&format!("for i in $(seq {processes}); do sleep 0.2 & done; wait")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_ends_at_the_limit() {
    let many = "for i in 1 2 3 4; do python3 -c 'import time; x = bytearray(100 << 20); time.sleep(600)' & done; wait";
    let said = uses_too_much(many, json!({ "memory_mib": 256 })).await;
    assert!(said.contains("more than 256 MiB of memory"), "{said}");
    let mut scene = Scene::new(true).await;
    scene.world.set("sandbox", json!({ "memory_mib": 1024 }));
    scene.attack(&many.replace("time.sleep(600)", "time.sleep(0.5)")).await;
}

/// Memory that no process has: it stays when the one that made it has let go of it.
#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_left_behind_ends_at_the_limit_too() {
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
    let mut scene = Scene::new(true).await;
    std::fs::write(scene.world.stage().join("leave.py"), LEAVE).unwrap();
    let script = format!("python3 '{}'", scene.world.stage().join("leave.py").display());
    let said = ends(&mut scene, &script, json!({ "memory_mib": 256 })).await;
    assert!(said.contains("more than 256 MiB of memory"), "{said}");
}

/// Whoever counts is not stopped by what it counts.
#[tokio::test(flavor = "multi_thread")]
async fn the_warden_is_not_stopped() {
    let stop = "for pid in 1 2 -1; do kill -STOP $pid; kill -TSTP $pid; done 2>/dev/null; bomb() { bomb | bomb & }; bomb; wait; sleep 600";
    let said = uses_too_much(stop, json!({ "processes": 64 })).await;
    assert!(said.contains("more than 64 processes"), "{said}");
}

/// Writes the last MiB of a file, and returns the file's size; sparse, so that nothing but the
/// limit stands in its way.
async fn writes_a_file(mib: u64, limit: u64) -> u64 {
    let mut scene = Scene::new(true).await;
    scene.world.set("sandbox", json!({ "file_size_mib": limit }));
    let write = format!("dd if=/dev/zero of=large bs=1M count=1 seek={} 2>/dev/null", mib - 1);
    scene.attack(&format!("{write}; stat -c %s large > \"$LOOT\"; rm -f large")).await;
    scene.loot().trim().parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ten_gigabytes_ends_at_the_limit() {
    assert!(writes_a_file(10_240, 64).await <= 64 << 20);
    assert_eq!(writes_a_file(100, 4_096).await, 100 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_end_at_the_limit() {
    for place in ["/tmp", "/var/tmp", "/dev/shm"] {
        let mut scene = Scene::new(true).await;
        scene.world.set("sandbox", json!({ "temporary_mib": 16 }));
        let write = format!(
            "dd if=/dev/zero of={place}/large bs=1M count=64 2>/dev/null; stat -c %s {place}/large"
        );
        scene.attack(&format!("{write} > \"$LOOT\"; rm {place}/large")).await;
        let size = scene.loot().trim().parse::<u64>().unwrap();
        assert!((15 << 20..=16 << 20).contains(&size), "{place}: {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_its_session_dies_with_the_call() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let sleeper = scene.world.stage().join("sleeper");
        std::os::unix::fs::symlink("/bin/sleep", &sleeper).unwrap();
        let sleeper = sleeper.to_string_lossy().into_owned();
        // Twice forked, in a session of its own, deaf to the polite signal, and without the mark of
        // its call.
        let leave = format!("trap '' TERM; env -i '{sleeper}' 600 >/dev/null 2>&1 &");
        scene.attack(&format!("setsid sh -c \"{leave}\"; sleep 0.2")).await;
        assert_eq!(commands_with(&sleeper).is_empty(), walls, "walls: {walls}");
        kill_those_with(&sleeper);
    }
}

/// Root's threads the kernel does not count; those of another user it refuses, which the program
/// sees.
#[tokio::test(flavor = "multi_thread")]
async fn threads_end_at_the_limit() {
    let start = "python3 -c 'import threading, time\nfor _ in range(3000): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\ntime.sleep(600)'";
    let said = uses_too_much(start, json!({ "processes": 64 })).await;
    assert!(
        said.contains("more than 1024 threads") || said.contains("can't start new thread"),
        "{said}"
    );
}

/// No path leads to the end of such a tree, which is put away all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_may_be_as_deep_as_it_likes() {
    let mut scene = Scene::new(true).await;
    let deep =
        "import os\nfor _ in range(5000): os.mkdir(\"a-directory\"); os.chdir(\"a-directory\")";
    scene.world.set("sandbox", json!({ "processes": 512 }));
    scene.world.agent(&format!("(cd \"$HOME\" && python3 -c '{deep}'); python3 -c '{deep}'"));
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    scene.world.agent(COVER);
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(0), "the worker is as good as before: {ran:?}");
    scene.check_kept(&ran);
    scene.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_special_files_than_anybody_would_look_at_are_refused() {
    let many = "import os\nfor number in range(20000): os.mkfifo(str(number))";
    let said = uses_too_much(&format!("python3 -c '{many}'"), json!({})).await;
    assert!(said.contains("more than 10000 nested repositories, pipes"), "{said}");
}

/// What the relay refuses is told, and not as often as it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_refused_do_not_fill_the_log() {
    const ASK: &str = r#"
import os, urllib.request
for _ in range(500):
    try: urllib.request.urlopen(os.environ['OLLAMA_HOST'] + '/api/' + 'x' * 5000)
    except OSError as error: assert error.code == 403
"#;
    let mut scene = Scene::new(true).await;
    let ask = scene.world.stage().join("ask.py");
    std::fs::write(&ask, ASK).unwrap();
    scene.world.agent(&format!("python3 '{}' && {{ {COVER}; }}", ask.display()));
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = ran.stderr.matches("it is no call for inference").count();
    assert!((1..100).contains(&told) && ran.stderr.len() < 50_000, "{told}: {}", ran.stderr.len());
}

/// An agent that opens connection after connection to the relay takes no more of the worker than
/// its places there.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_relay_end_at_the_limit() {
    const MANY: &str = r#"
import os, socket
host, port = os.environ['OLLAMA_HOST'].removeprefix('http://').split(':')
held = [socket.create_connection((host, int(port))) for _ in range(300)]
for connection in held: connection.sendall(b'GET /api/tags HTTP/1.1\r\n')
"#;
    let mut scene = Scene::new(true).await;
    let many = scene.world.stage().join("many.py");
    std::fs::write(&many, MANY).unwrap();
    let agent = Program::new(&scene.world, "agent", 1, COVER);
    scene.world.agent(&format!(
        "python3 -c 'import runpy, subprocess, sys; many = runpy.run_path(\"{}\"); subprocess.run([\"sh\", \"{}\"])'",
        many.display(),
        agent.file("script").display()
    ));
    let mut command = scene.world.command(&["worker", "--once"]);
    let worker = command.env("GITHUB_TOKEN", TOKEN).stderr(Stdio::null()).spawn().unwrap();
    agent.wait_until_it_stops().await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.id().unwrap())).unwrap().count();
    agent.go_on();
    assert!(worker.wait_with_output().await.unwrap().status.success());
    assert!((32..150).contains(&open), "the worker had {open} files open");
}
