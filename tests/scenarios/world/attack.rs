//! A scenario in which an agent attacks the worker: with a sandbox or without one, and with a
//! record of everything that the worker sends.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use super::forge::run_git;
use super::wire_recorder::WireRecorder;
use super::{DEADLINE, Ran, TASK_SCRIPT, TOKEN, World};

/// A secret that must not come out of the sandbox's reach: an attack that reads it has succeeded.
pub const CANARY: &str = "canary-5f1d0c7e";

pub struct Attack {
    pub world: World,
    pub issue: u64,
    recorder: WireRecorder,
}

impl Attack {
    pub async fn new(sandboxed: bool) -> Self {
        let mut world = World::new().await;
        if !sandboxed {
            world.without_sandbox();
        }
        Self::in_world(world, "Add a greeting").await
    }

    /// An attack in a world that was prepared already, with its first task.
    pub async fn in_world(mut world: World, title: &str) -> Self {
        let recorder = WireRecorder::before(&world.queue.url, &world.forge.url).await;
        world.set("queue", serde_json::json!({ "endpoint_url": recorder.queue_url }));
        let (api_url, git_url) = (&recorder.forge_url, &recorder.forge_url);
        world.set("github", serde_json::json!({ "api_url": api_url, "git_url": git_url }));
        let issue = world.task(title, "").await;
        Self { world, issue, recorder }
    }

    /// What the attacker's script wrote to the file `$OUTPUT`.
    pub fn output(&self) -> String {
        read(&self.output_file())
    }

    pub fn output_file(&self) -> PathBuf {
        self.world.shared_dir().join("output")
    }

    /// Runs an agent that runs the script, and then does its task. Whatever the script did, the
    /// token is nowhere, and only the run's own branch is new.
    pub async fn run(&mut self, script: &str) {
        self.world.agent(&format!(
            "OUTPUT='{}'\n({script}\n) </dev/null\n{TASK_SCRIPT}",
            self.output_file().display()
        ));
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        self.check_contained(&ran).await;
    }

    /// Fails unless the token is nowhere, only the run's own branch is new, and the task is done.
    pub async fn check_contained(&self, ran: &Ran) {
        assert_eq!(self.places_with(TOKEN, ran), Vec::<&str>::new(), "the token came out");
        assert_eq!(self.world.branches(), ["codingworker/issue-1", "main"]);
        self.world.check_done(self.issue).await;
    }

    /// The places where a secret came out, of all where it could: what the worker printed, keeps,
    /// sent and pushed.
    pub fn places_with(&self, secret: &str, ran: &Ran) -> Vec<&'static str> {
        let kept = self.world.data_dir().join("repositories/owner/repo.git");
        let pushed = self.world.forge.hub.repository_path("owner/repo").unwrap();
        let has =
            |repository: &PathBuf| repository.exists() && objects_of(repository).contains(secret);
        let places = [
            ("its log", ran.stderr.contains(secret) || ran.stdout.contains(secret)),
            ("its files", !self.world.files_with(secret).is_empty()),
            ("its repository", has(&kept)),
            ("a request", self.recorder.was_sent(secret)),
            ("the forge's repository", has(&pushed)),
        ];
        places.into_iter().filter(|(_, found)| *found).map(|(place, _)| place).collect()
    }
}

/// All that is in a repository, whether a branch leads to it or not.
fn objects_of(repository: &Path) -> String {
    run_git(repository, &["cat-file", "--batch-all-objects", "--unordered", "--batch"])
}

/// Fails unless the script reads `secret` without a sandbox, and does not with one. The first shows
/// that the attack works at all.
pub async fn check_read(prepare: impl Fn(&mut Attack) -> String, secret: &str) {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let script = prepare(&mut attack);
        attack.run(&script).await;
        let output = attack.output();
        assert_eq!(output.contains(secret), !sandboxed, "sandboxed: {sandboxed}; {output}");
    }
}

/// A file's text; nothing when it is not there.
pub fn read(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

/// A TCP listener on this machine's loopback address that an attacker tries to reach.
///
/// The kernel completes a connection to a listening socket before anybody accepts it (listen(2)),
/// so once the attacker has ended, a connection that was ever made is there without waiting.
pub struct TcpTarget(TcpListener);

impl TcpTarget {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// What was sent over the first connection; `None` when no connection was made. To be asked
    /// when the attacker has ended.
    pub fn received(&self) -> Option<String> {
        match self.0.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let mut bytes = Vec::new();
                // A sender that was killed may reset the connection after what it sent.
                stream.read_to_end(&mut bytes).ok();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// As [`TcpTarget`], for UDP: a datagram over the loopback device is in the receiver's buffer when
/// the sender's call returns.
pub struct UdpTarget(UdpSocket);

impl UdpTarget {
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub fn has_received(&self) -> bool {
        self.0.recv(&mut [0; 64]).is_ok()
    }
}
