//! Where an agent is turned against the worker: a world with its walls or without them, and
//! everything that the worker tells overheard.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::crossing::Crossing;
use super::forge::run_git;
use super::{Ran, TOKEN, World};

/// What nobody outside may come to know, and nobody inside may change.
pub const CANARY: &str = "canary-5f1d0c7e";

/// What the attacker's script does besides its attack: the task, so that the run goes on.
pub const COVER: &str = "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";

pub struct Scene {
    pub world: World,
    pub issue: u64,
    crossing: Crossing,
}

impl Scene {
    pub async fn new(walls: bool) -> Self {
        let mut world = World::new().await;
        if !walls {
            world.without_sandbox();
        }
        Self::of(world, "Add a greeting").await
    }

    /// A world that was furnished already, and its first task.
    pub async fn of(mut world: World, title: &str) -> Self {
        let crossing = Crossing::before(&world.queue.url, &world.forge.url).await;
        world.set("queue", serde_json::json!({ "endpoint_url": crossing.queue_url }));
        world.set(
            "github",
            serde_json::json!({ "api_url": crossing.forge_url, "git_url": crossing.forge_url }),
        );
        let issue = world.task(title, "").await;
        Self { world, issue, crossing }
    }

    /// What the attacker carried off: it writes to the path in `$LOOT`.
    pub fn loot(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.loot_file()).unwrap_or_default()).into_owned()
    }

    pub fn loot_file(&self) -> PathBuf {
        self.world.stage().join("loot")
    }

    /// Lets an agent run the script, and then do its task. Whatever it did, the token is nowhere,
    /// and only the run's own branch is new.
    pub async fn attack(&mut self, script: &str) {
        self.world.agent(&format!(
            "LOOT='{}'\n({script}\n) </dev/null\n{COVER}",
            self.loot_file().display()
        ));
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        self.check_kept(&ran);
    }

    pub fn check_kept(&self, ran: &Ran) {
        assert_eq!(self.places_with(TOKEN, ran), Vec::<&str>::new(), "the token came out");
        assert_eq!(self.world.branches(), ["codingworker/issue-1", "main"]);
    }

    /// Where a secret came out, of all the places that it could: what the worker printed, keeps,
    /// sent and pushed.
    pub fn places_with(&self, secret: &str, ran: &Ran) -> Vec<&'static str> {
        let kept = self.world.data_dir().join("repositories/owner/repo.git");
        let pushed = self.world.forge.hub.repository_path("owner/repo").unwrap();
        let has =
            |repository: &PathBuf| repository.exists() && contents(repository).contains(secret);
        let places = [
            ("its log", ran.stderr.contains(secret) || ran.stdout.contains(secret)),
            ("its files", !self.world.files_with(secret).is_empty()),
            ("its repository", has(&kept)),
            ("a request", self.crossing.was_said(secret)),
            ("the forge's repository", has(&pushed)),
        ];
        places.into_iter().filter(|(_, found)| *found).map(|(place, _)| place).collect()
    }
}

/// All that is in a repository, whether a branch leads to it or not.
fn contents(repository: &std::path::Path) -> String {
    run_git(repository, &["cat-file", "--batch-all-objects", "--unordered", "--batch"])
}

/// The script carries off `wanted` without walls, and not with them.
pub async fn check_read(prepare: impl Fn(&mut Scene) -> String, wanted: &str) {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let script = prepare(&mut scene);
        scene.attack(&script).await;
        let loot = scene.loot();
        assert_eq!(loot.contains(wanted), !walls, "walls: {walls}; the loot: {loot}");
        scene.world.finish();
    }
}

/// A listener on this machine's loopback address, and what it heard first.
pub fn ear() -> (u16, Receiver<String>) {
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
