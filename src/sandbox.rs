//! What a program that the worker starts may see, reach and use.
//!
//! Owns the environment of agents, checks and the git that looks at their trees, and the backend
//! around them. The environment is built anew, so nothing of the worker's own (a token, a cloud
//! credential, an agent's settings) is inherited. The backend are bubblewrap's on Linux and
//! Seatbelt's on macOS; how much they hold is found by trying to get out ([`Level`]). Leaves to
//! `process` the deadline and the end of what is started. Invariant: the only ways out of a sandbox
//! at [`Level::Full`] are the paths that its [`FsPolicy`] lets it write, its standard streams, and
//! the relay that the view grants.

mod arguments;
mod bubblewrap;
pub mod init;
mod level;
mod relay;
mod root;
mod seatbelt;
pub mod settings;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::bubblewrap::{Bubblewrap, MODEL_PORT, PROXY_PORT};
pub use self::init::Limits;
pub use self::init::probe::Boundary;
use self::init::probe::Canaries;
pub use self::level::{Level, SandboxReport};
use self::relay::Relays;
use self::root::Root;
use self::seatbelt::{Ports, Seatbelt};
use self::settings::SandboxSettings;
use crate::environment::Environment;
use crate::process::{self, Invocation};

/// The backend around every program of one worker. Clones are the same sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    backend: Option<Backend>,
    _relays: Option<Relays>,
    report: SandboxReport,
    settings: SandboxSettings,
}

/// What builds a sandbox around one program.
#[derive(Debug)]
enum Backend {
    Bubblewrap(Box<Bubblewrap>),
    Seatbelt(Seatbelt),
}

impl Backend {
    fn around(&self, invocation: Invocation, view: &FsPolicy) -> Invocation {
        match self {
            Self::Bubblewrap(bubblewrap) => bubblewrap.around(invocation, view),
            Self::Seatbelt(seatbelt) => seatbelt.around(invocation, view),
        }
    }

    fn prober(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        match self {
            Self::Bubblewrap(bubblewrap) => bubblewrap.prober(canaries),
            Self::Seatbelt(seatbelt) => seatbelt.prober(canaries),
        }
    }

    /// Where a program inside finds the relays, on what is the loopback address there.
    fn ports(&self) -> Ports {
        match self {
            Self::Bubblewrap(_) => Ports { model: MODEL_PORT, proxy: PROXY_PORT },
            Self::Seatbelt(seatbelt) => seatbelt.ports,
        }
    }
}

/// What one program finds inside, beside the system's own programs.
#[derive(Debug, Clone, Default)]
pub struct FsPolicy {
    /// What is not there is passed over.
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    pub reach: NetworkPolicy,
}

/// Which network a program has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NetworkPolicy {
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
    /// No backend at all: for what is trusted, and for tests of what stands beside the backend.
    #[must_use]
    pub fn none() -> Self {
        let report = SandboxReport::none("it was not asked for");
        Self(Arc::new(Parts {
            backend: None,
            _relays: None,
            report,
            settings: SandboxSettings::default(),
        }))
    }

    /// Builds backend as the settings say, tries to get out of them, and refuses when they hold
    /// less than is required.
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
        let sandbox =
            Self::find(settings, data_dir, &directory, model_endpoint, environment).await?;
        let SandboxReport { level, why, .. } = &sandbox.0.report;
        if *level < settings.require {
            return Err(SandboxError::TooWeak {
                level: *level,
                required: settings.require,
                why: why.clone(),
            });
        }
        Ok(sandbox)
    }

    /// The same, whatever level it comes to. What it needs is kept in `directory`, which no other
    /// sandbox may use meanwhile.
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
            let report = SandboxReport::none(why);
            Ok(Self(Arc::new(Parts {
                backend: None,
                _relays: None,
                report,
                settings: settings.clone(),
            })))
        };
        if settings.require == Level::None {
            return without("`sandbox.require` is \"none\"");
        }
        if data_dir.to_str().is_none() || directory.to_str().is_none() {
            return without("the data directory's name is not UTF-8");
        }
        let Some(helper) = environment.executable().map(Path::to_path_buf) else {
            return without("this program does not know where its own executable is");
        };
        let failed = |source| SandboxError::Prepare { path: directory.to_path_buf(), source };
        let limits = settings.limits;
        let root = Root::new(
            environment.search_path(),
            &environment.home(),
            data_dir,
            &directory.join("etc"),
        )
        .map_err(failed)?;
        let bubblewrap = process::find_executable("bwrap", environment.search_path());
        let (backend, relays) = if let (Some(executable), true) =
            (bubblewrap, cfg!(target_os = "linux"))
        {
            Bubblewrap::raise_supervisor_priority();
            let (relays, sockets) =
                Relays::at_sockets(directory, model_endpoint).map_err(failed)?;
            (
                Backend::Bubblewrap(Box::new(Bubblewrap {
                    executable,
                    helper,
                    root,
                    limits,
                    sockets,
                })),
                relays,
            )
        } else if cfg!(target_os = "macos") && Seatbelt::is_here() {
            let (relays, ports) = Relays::at_ports(model_endpoint).await.map_err(failed)?;
            (Backend::Seatbelt(Seatbelt { helper, root, limits, ports }), relays)
        } else if cfg!(target_os = "linux") {
            return without(
                "bubblewrap was not found: install it (Debian, Ubuntu, Fedora: the package `bubblewrap`)",
            );
        } else {
            return without("there is none for this platform");
        };
        let report = level::probe(&backend, directory).await.map_err(failed)?;
        let settings = settings.clone();
        Ok(Self(Arc::new(Parts {
            backend: Some(backend),
            _relays: Some(relays),
            report,
            settings,
        })))
    }

    #[must_use]
    pub fn report(&self) -> &SandboxReport {
        &self.0.report
    }

    /// The invocation inside the backend, or as it is where there are none.
    #[must_use]
    pub fn confine(&self, invocation: Invocation, view: &FsPolicy) -> Invocation {
        let Some(backend) = &self.0.backend else { return invocation };
        let mut view = view.clone();
        view.readable.extend(self.0.settings.readable.iter().cloned());
        view.writable.extend(self.0.settings.writable.iter().cloned());
        backend.around(invocation, &view)
    }

    /// Where the model is reached from inside.
    #[must_use]
    pub fn model_endpoint(&self, outside: &str) -> String {
        match &self.0.backend {
            Some(backend) => relay::seen_from_inside(outside, backend.ports().model),
            None => outside.to_owned(),
        }
    }

    /// The variables by which programs that know nothing of the settings find the model from
    /// inside.
    #[must_use]
    pub fn model_environment(&self, outside: &str) -> Vec<(OsString, OsString)> {
        if self.0.backend.is_none() {
            return Vec::new();
        }
        let endpoint = self.model_endpoint(outside);
        let names = [
            "OLLAMA_HOST",
            "OPENAI_API_BASE",
            "OPENAI_BASE_URL",
            "ANTHROPIC_API_BASE",
            "ANTHROPIC_BASE_URL",
        ];
        names.map(|name| (name.into(), endpoint.clone().into())).into()
    }

    /// The variables by which tools find the proxy that [`NetworkPolicy::Internet`] grants.
    #[must_use]
    pub fn proxy_environment(&self) -> Vec<(OsString, OsString)> {
        let Some(port) = self.0.backend.as_ref().map(|backend| backend.ports().proxy) else {
            return Vec::new();
        };
        let proxy = format!("http://127.0.0.1:{port}");
        let java = ["http", "https"]
            .map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={port}"));
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
        let mut variables: Vec<(OsString, OsString)> =
            names.map(|name| (name.into(), proxy.clone().into())).to_vec();
        variables.push(("NO_PROXY".into(), "localhost,127.0.0.1".into()));
        variables.push(("JAVA_TOOL_OPTIONS".into(), java.join(" ").into()));
        variables
    }
}

/// The whole environment of an agent or a check: where tools are found, a home and a temporary
/// directory of its own, a fixed locale.
#[must_use]
pub fn clean_environment(
    search_path: &OsStr,
    home: &Path,
    temporary: &Path,
) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), search_path.to_owned()),
        ("HOME".into(), home.into()),
        ("TMPDIR".into(), temporary.into()),
    ];
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
        ("CI", "1"),
        ("TZ", "UTC"),
    ];
    environment.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    environment
}
