//! What a program that the worker starts may see, reach and use.
//!
//! This module owns the environment variables of agents, checks and the git that reads their trees,
//! and the sandbox backend around these programs: bubblewrap on Linux, Seatbelt on macOS. The
//! environment is built from nothing, so that a program inherits no token, no cloud credential and
//! no setting of an agent. Probes that try to get out find how much the backend holds ([`Level`]).
//! The module `process` owns the deadline and the end of a program. Invariant: at [`Level::Full`] a
//! program can write only the paths of its [`FsPolicy`] and its standard streams, and can reach
//! only the relay of its [`NetworkPolicy`].

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
pub use self::init::ResourceLimits;
pub use self::init::probe::Boundary;
use self::init::probe::Canaries;
pub use self::level::{Level, SandboxReport};
use self::relay::Relays;
use self::root::Root;
use self::seatbelt::{Ports, Seatbelt};
use self::settings::SandboxSettings;
use crate::environment::Environment;
use crate::errors::Bilingual;
use crate::language::{Phrase, Text};
use crate::process::{self, Invocation};

/// The sandbox of one worker, which confines every program that the worker starts. Clones are the
/// same sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    backend: Option<Backend>,
    /// The relays stop when this is dropped.
    _relays: Option<Relays>,
    report: SandboxReport,
    settings: SandboxSettings,
}

/// The mechanism that confines one program.
#[derive(Debug)]
enum Backend {
    Bubblewrap(Box<Bubblewrap>),
    Seatbelt(Seatbelt),
}

impl Backend {
    /// The invocation that runs the given one confined.
    fn wrap(&self, invocation: Invocation, policy: &FsPolicy) -> Invocation {
        match self {
            Self::Bubblewrap(bubblewrap) => bubblewrap.wrap(invocation, policy),
            Self::Seatbelt(seatbelt) => seatbelt.wrap(invocation, policy),
        }
    }

    /// The program that runs the probes inside, and its arguments.
    fn probe_command(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        match self {
            Self::Bubblewrap(bubblewrap) => bubblewrap.probe_command(canaries),
            Self::Seatbelt(seatbelt) => seatbelt.probe_command(canaries),
        }
    }

    /// The ports of the relays on the loopback address that a confined program sees.
    fn ports(&self) -> Ports {
        match self {
            Self::Bubblewrap(_) => Ports { model: MODEL_PORT, proxy: PROXY_PORT },
            Self::Seatbelt(seatbelt) => seatbelt.ports,
        }
    }
}

/// What one program may reach, beside the system's own programs.
#[derive(Debug, Clone, Default)]
pub struct FsPolicy {
    /// Paths that the program may read. The backend skips a path that does not exist.
    pub readable: Vec<PathBuf>,
    /// Paths that the program may read and write. They exist.
    pub writable: Vec<PathBuf>,
    /// The network that the program has.
    pub network: NetworkPolicy,
}

/// Which network a program has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NetworkPolicy {
    /// No network.
    #[default]
    Nothing,
    /// The relay to the model, which lets calls for inference pass.
    Model,
    /// A proxy to public addresses.
    Internet,
}

/// Why there is no sandbox to work in.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox's own files, sockets or ports could not be made.
    #[error("can't prepare the sandbox at {}", path.display())]
    Prepare {
        /// The directory of the sandbox's own files.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// The sandbox holds less than the settings require.
    #[error(
        "the sandbox is {level}, and `sandbox.require` is {required}: {}; \
         `codingworker doctor` shows which boundaries hold, docs/security-model.md explains them",
        why.en
    )]
    TooWeak {
        /// The level that the probes found.
        level: Level,
        /// The level that the settings require.
        required: Level,
        /// What is missing for the next level.
        why: Phrase,
    },
    /// The settings turn the sandbox off, and the user did not confirm it.
    #[error(
        "`sandbox.require` is \"none\": agents and checks would run as you, with your files and \
         your network; pass --unsafe if you want this"
    )]
    Unsafe,
}

impl Bilingual for SandboxError {
    fn japanese(&self) -> String {
        match self {
            Self::Prepare { path, source: _ } => {
                format!("サンドボックスを {} に準備できません", path.display())
            }
            Self::TooWeak { level, required, why } => format!(
                "サンドボックスの強度は {level} ですが、`sandbox.require` は {required} です（{}）。\
                 どの境界が守られているかは `codingworker doctor` で、説明は \
                 docs/security-model.ja.md で確認できます",
                why.ja
            ),
            Self::Unsafe => "`sandbox.require` が \"none\" のため、エージェントとチェックは\
                             あなたの権限で、あなたのファイルとネットワークを使って動きます。\
                             それでよい場合は --unsafe を付けてください"
                .to_owned(),
        }
    }
}

impl Sandbox {
    /// A sandbox without a backend, which confines nothing. It is for trusted programs, and for
    /// tests of the protection that exists beside the backend.
    #[must_use]
    pub fn none() -> Self {
        let why = Text { en: "it was not asked for", ja: "指定されていません" };
        Self::without_backend(why, SandboxSettings::default())
    }

    fn without_backend(why: Text, settings: SandboxSettings) -> Self {
        let report = SandboxReport::none(why.into());
        Self(Arc::new(Parts { backend: None, _relays: None, report, settings }))
    }

    /// Builds the sandbox that the settings ask for, probes it, and refuses it when it holds less
    /// than the settings require.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`] names what is missing. [`SandboxError::Unsafe`] means that the
    /// user has to confirm that there is no sandbox. [`SandboxError::Prepare`] means that the data
    /// directory can't be written or that a relay can't listen.
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

    /// Builds and probes the strongest sandbox that this machine offers, whatever its level is.
    ///
    /// The sandbox keeps its own files in `directory`. No other sandbox may use that directory at
    /// the same time.
    ///
    /// # Errors
    /// [`SandboxError::Prepare`], as in [`Sandbox::open`].
    pub async fn find(
        settings: &SandboxSettings,
        data_dir: &Path,
        directory: &Path,
        model_endpoint: &str,
        environment: &Environment,
    ) -> Result<Self, SandboxError> {
        let without = |why: Text| Ok(Self::without_backend(why, settings.clone()));
        if settings.require == Level::None {
            return without(Text {
                en: "`sandbox.require` is \"none\"",
                ja: "`sandbox.require` が \"none\" です",
            });
        }
        if data_dir.to_str().is_none() || directory.to_str().is_none() {
            return without(Text {
                en: "the data directory's name is not UTF-8",
                ja: "データディレクトリの名前がUTF-8ではありません",
            });
        }
        let Some(helper) = environment.executable().map(Path::to_path_buf) else {
            return without(Text {
                en: "this program does not know where its own executable is",
                ja: "このプログラム自身の実行ファイルの場所がわかりません",
            });
        };
        let failed = |source| SandboxError::Prepare { path: directory.to_path_buf(), source };
        let limits = settings.limits;
        let search_path = environment.search_path();
        let root = Root::new(search_path, &environment.home(), data_dir, &directory.join("etc"))
            .map_err(failed)?;
        let bubblewrap = process::find_executable("bwrap", search_path);
        let (backend, relays) =
            if let (Some(executable), true) = (bubblewrap, cfg!(target_os = "linux")) {
                Bubblewrap::raise_supervisor_priority();
                let (relays, sockets) =
                    Relays::at_sockets(directory, model_endpoint).map_err(failed)?;
                let bubblewrap = Bubblewrap { executable, helper, root, limits, sockets };
                (Backend::Bubblewrap(Box::new(bubblewrap)), relays)
            } else if cfg!(target_os = "macos") && Seatbelt::is_available() {
                let (relays, ports) = Relays::at_ports(model_endpoint).await.map_err(failed)?;
                (Backend::Seatbelt(Seatbelt { helper, root, limits, ports }), relays)
            } else if cfg!(target_os = "linux") {
                return without(Text {
                    en: "bubblewrap was not found: install it \
                         (Debian, Ubuntu, Fedora: the package `bubblewrap`)",
                    ja: "bubblewrapが見つかりません。インストールしてください\
                         （Debian、Ubuntu、Fedoraのパッケージ名は `bubblewrap`）",
                });
            } else {
                return without(Text {
                    en: "there is none for this platform",
                    ja: "このプラットフォーム用のサンドボックスはありません",
                });
            };
        let report = level::probe(&backend, directory).await.map_err(failed)?;
        Ok(Self(Arc::new(Parts {
            backend: Some(backend),
            _relays: Some(relays),
            report,
            settings: settings.clone(),
        })))
    }

    /// What the probes found when this sandbox was opened.
    #[must_use]
    pub fn report(&self) -> &SandboxReport {
        &self.0.report
    }

    /// The invocation that runs the given one confined. A sandbox without a backend returns the
    /// invocation unchanged.
    #[must_use]
    pub fn confine(&self, invocation: Invocation, policy: &FsPolicy) -> Invocation {
        let Some(backend) = &self.0.backend else { return invocation };
        let mut policy = policy.clone();
        policy.readable.extend(self.0.settings.readable.iter().cloned());
        policy.writable.extend(self.0.settings.writable.iter().cloned());
        backend.wrap(invocation, &policy)
    }

    /// The URL by which a confined program reaches the model whose endpoint is `outside`.
    #[must_use]
    pub fn model_endpoint(&self, outside: &str) -> String {
        match &self.0.backend {
            Some(backend) => relay::endpoint_inside(outside, backend.ports().model),
            None => outside.to_owned(),
        }
    }

    /// Environment variables that lead model clients to the relay, for clients that do not know the
    /// worker's settings. Without a backend there are none.
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

    /// Environment variables that lead tools to the proxy of [`NetworkPolicy::Internet`]. Without a
    /// backend there are none.
    #[must_use]
    pub fn proxy_environment(&self) -> Vec<(OsString, OsString)> {
        let Some(port) = self.0.backend.as_ref().map(|backend| backend.ports().proxy) else {
            return Vec::new();
        };
        let proxy = format!("http://127.0.0.1:{port}");
        // Java ignores the variables below. Its launcher reads system properties from this one.
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

/// The whole environment of an agent or a check: a search path, a home and a temporary directory of
/// its own, and a fixed locale and time zone.
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
    let fixed = [("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb"), ("TZ", "UTC")];
    environment.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    environment
}
