//! What a program that the worker starts may see, reach and use.
//!
//! Owns the environment of agents, checks and the git that looks at their trees, and the walls around them. The environment is built anew,
//! so nothing of the worker's own (a token, a cloud credential, an agent's settings) is inherited. The walls are bubblewrap's on Linux and
//! Seatbelt's on macOS; how much they hold is found by trying to get out ([`Level`]). Leaves to `process` the deadline and the end of what
//! is started. Invariant: the only ways out of a sandbox at [`Level::Full`] are the paths that its [`View`] lets it write, its standard
//! streams, and the relay that the view grants.

mod bubblewrap;
pub mod inside;
mod level;
mod relay;
mod root;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::bubblewrap::{Bubblewrap, MODEL_PORT, PROXY_PORT};
pub use self::inside::Limits;
pub use self::inside::probe::Wall;
pub use self::level::{Level, Standing};
use self::relay::Relays;
use self::root::Root;
use crate::config::{Environment, SandboxSettings};
use crate::process::{self, Invocation};

/// The walls around every program of one worker. Clones are the same sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    walls: Option<(Bubblewrap, Relays)>,
    standing: Standing,
    settings: SandboxSettings,
}

/// What one program finds inside, beside the system's own programs.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What is not there is passed over.
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    pub reach: Reach,
}

/// Which network a program has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    #[default]
    Nothing,
    /// The model's calls for inference.
    Model,
    /// Public addresses, through a proxy.
    Internet,
}

/// Why there is no sandbox to work in.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("can't prepare the sandbox at {}: {source}", path.display())]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error(
        "the sandbox is {level}, and `sandbox.require` is {required}: {why}. See docs/security-model.md; `codingworker doctor` shows what holds"
    )]
    TooWeak { level: Level, required: Level, why: String },
    #[error(
        "`sandbox.require` is \"none\": agents and checks would run as you, with your files and your network. Say that you want this by --unsafe"
    )]
    Unsafe,
}

impl Sandbox {
    /// No walls at all: for what is trusted, and for tests of what stands beside the walls.
    #[must_use]
    pub fn none() -> Self {
        let standing = Standing::none("it was not asked for");
        Self(Arc::new(Parts { walls: None, standing, settings: SandboxSettings::default() }))
    }

    /// Builds walls as the settings say, tries to get out of them, and refuses when they hold less than is required.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`] with what is lacking; or the data directory can't be written.
    pub async fn open(
        settings: &SandboxSettings,
        data_dir: &Path,
        model_endpoint: &str,
        environment: &Environment,
    ) -> Result<Self, SandboxError> {
        let directory = data_dir.join("sandbox");
        if settings.require == Level::None && !settings.accept_none {
            return Err(SandboxError::Unsafe);
        }
        let sandbox = Self::find(settings, data_dir, &directory, model_endpoint, environment).await?;
        let Standing { level, why, .. } = &sandbox.0.standing;
        if *level < settings.require {
            return Err(SandboxError::TooWeak { level: *level, required: settings.require, why: why.clone() });
        }
        Ok(sandbox)
    }

    /// The same, whatever level it comes to. What it needs is kept in `directory`, which no other sandbox may use meanwhile.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub async fn find(
        settings: &SandboxSettings,
        data_dir: &Path,
        directory: &Path,
        model_endpoint: &str,
        environment: &Environment,
    ) -> Result<Self, SandboxError> {
        let without = |why: &str| {
            Ok(Self(Arc::new(Parts { walls: None, standing: Standing::none(why), settings: settings.clone() })))
        };
        if settings.require == Level::None {
            return without("`sandbox.require` is \"none\"");
        }
        if !cfg!(target_os = "linux") {
            return without("there is none for this platform yet");
        }
        let Some(executable) = process::find_executable("bwrap", environment.search_path()) else {
            return without("bubblewrap was not found: install it (Debian, Ubuntu, Fedora: the package `bubblewrap`)");
        };
        if data_dir.to_str().is_none() || directory.to_str().is_none() {
            return without("the data directory's name is not UTF-8");
        }
        let Some(helper) = environment.executable() else {
            return without("this program does not know where its own executable is");
        };
        let failed = |source| SandboxError::Prepare { path: directory.to_path_buf(), source };
        let root = Root::new(environment.search_path(), &environment.home(), data_dir, &directory.join("etc"))
            .map_err(failed)?;
        let limits = settings.limits;
        let walls = Bubblewrap { executable, helper: helper.to_path_buf(), root, limits };
        let relays = Relays::start(directory, model_endpoint).map_err(failed)?;
        let standing = level::probe(&walls, relays.sockets(), directory).await.map_err(failed)?;
        Ok(Self(Arc::new(Parts { walls: Some((walls, relays)), standing, settings: settings.clone() })))
    }

    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.0.standing
    }

    /// The invocation inside the walls, or as it is where there are none.
    #[must_use]
    pub fn confine(&self, invocation: Invocation, view: &View) -> Invocation {
        let Some((walls, relays)) = &self.0.walls else { return invocation };
        let mut view = view.clone();
        view.readable.extend(self.0.settings.readable.iter().cloned());
        view.writable.extend(self.0.settings.writable.iter().cloned());
        walls.around(invocation, &view, relays.sockets())
    }

    /// Where the model is reached from inside.
    #[must_use]
    pub fn model_endpoint(&self, outside: &str) -> String {
        match &self.0.walls {
            Some(_) => relay::seen_from_inside(outside, MODEL_PORT),
            None => outside.to_owned(),
        }
    }

    /// The variables by which programs that know nothing of the settings find the model from inside.
    #[must_use]
    pub fn model_environment(&self, outside: &str) -> Vec<(OsString, OsString)> {
        if self.0.walls.is_none() {
            return Vec::new();
        }
        let endpoint = self.model_endpoint(outside);
        let names = ["OLLAMA_HOST", "OPENAI_API_BASE", "OPENAI_BASE_URL", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"];
        names.map(|name| (name.into(), endpoint.clone().into())).into()
    }

    /// The variables by which tools find the proxy that [`Reach::Internet`] grants.
    #[must_use]
    pub fn proxy_environment(&self) -> Vec<(OsString, OsString)> {
        if self.0.walls.is_none() {
            return Vec::new();
        }
        let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
        let java =
            ["http", "https"].map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={PROXY_PORT}"));
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
        let mut variables: Vec<(OsString, OsString)> = names.map(|name| (name.into(), proxy.clone().into())).to_vec();
        variables.push(("NO_PROXY".into(), "localhost,127.0.0.1".into()));
        variables.push(("JAVA_TOOL_OPTIONS".into(), java.join(" ").into()));
        variables
    }
}

/// The whole environment of an agent or a check: where tools are found, a home and a temporary directory of its own, a fixed locale.
#[must_use]
pub fn clean_environment(search_path: &OsStr, home: &Path, temporary: &Path) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), search_path.to_owned()),
        ("HOME".into(), home.into()),
        ("TMPDIR".into(), temporary.into()),
    ];
    let fixed =
        [("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("CI", "1"), ("TZ", "UTC")];
    environment.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    environment
}
