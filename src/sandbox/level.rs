//! How much a sandbox holds, which probes find by trying to get out of it.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::init::probe::{Boundary, Canaries};
use super::{Backend, FsPolicy, NetworkPolicy};
use crate::language::Phrase;
use crate::process::{self, Ending, Invocation, Streams};

/// How long the probes may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the canary file holds before and after the probes.
const CONTENT: &str = "this file shows that a sandbox holds\n";

/// What a sandbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There is no sandbox: programs run with all rights of the user.
    None,
    /// There is a sandbox, and at least one boundary did not hold.
    Degraded,
    /// Every attempt to get out failed.
    Full,
}

/// What the probes found.
#[derive(Debug, Clone)]
pub struct SandboxReport {
    /// The level that follows from the boundaries.
    pub level: Level,
    /// What is missing for [`Level::Full`], in words. It is empty when nothing is missing.
    pub why: Phrase,
    /// Every boundary that was probed, and whether it held.
    pub boundaries: Vec<(Boundary, bool)>,
}

impl SandboxReport {
    pub(super) fn none(why: Phrase) -> Self {
        Self { level: Level::None, why, boundaries: Vec::new() }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Degraded => "degraded",
            Self::Full => "full",
        })
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "the user's files can't be read",
            Self::Writing => "the user's files can't be written",
            Self::Processes => "other processes are not seen",
            Self::Network => "no network is reached",
            Self::Sockets => "no abstract socket is reached",
            Self::Namespaces => "no namespace can be made",
            Self::Tracing => "no process can be traced",
            Self::Kernel => "rare kernel interfaces are closed",
            Self::Limits => "the process that enforces the limits can't be stopped",
        })
    }
}

impl Boundary {
    /// What holds at this boundary, in Japanese.
    #[must_use]
    pub fn japanese(self) -> &'static str {
        match self {
            Self::Reading => "ユーザーのファイルを読めない",
            Self::Writing => "ユーザーのファイルに書き込めない",
            Self::Processes => "ほかのプロセスが見えない",
            Self::Network => "ネットワークに接続できない",
            Self::Sockets => "抽象ソケットに接続できない",
            Self::Namespaces => "名前空間を作れない",
            Self::Tracing => "プロセスをトレースできない",
            Self::Kernel => "使用頻度の低いカーネルの機能を使えない",
            Self::Limits => "制限を課すプロセスを止められない",
        }
    }
}

/// Makes the canaries, the file in `directory`, and runs the probes inside.
pub(super) async fn probe(backend: &Backend, directory: &Path) -> io::Result<SandboxReport> {
    let file = directory.join("canary");
    std::fs::write(&file, CONTENT)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let abstract_socket = format!("codingworker-{}-{:016x}", std::process::id(), fastrand::u64(..));
    let _listening = listen_abstract(&abstract_socket)?;
    let canaries =
        Canaries { file: file.clone(), address: listener.local_addr()?, abstract_socket };
    let (program, arguments) = backend.probe_command(canaries);
    let probe = Invocation {
        program,
        arguments,
        directory: "/".into(),
        environment: Vec::new(),
        input: Vec::new(),
        deadline: DEADLINE,
        output_limit: 1 << 16,
        streams: Streams::Apart,
        log: None,
    };
    let policy = FsPolicy { network: NetworkPolicy::Nothing, ..FsPolicy::default() };
    let probe = backend.wrap(probe, &policy);
    let finished =
        process::run(probe, &CancellationToken::new()).await.map_err(io::Error::other)?;
    if std::fs::read_to_string(&file)? != CONTENT {
        return Ok(SandboxReport::none(Phrase::new(
            "the sandbox let a file outside be written",
            "サンドボックスの中から外のファイルに書き込めました",
        )));
    }
    if finished.ending != Ending::Exited(0) {
        let errors = String::from_utf8_lossy(&finished.errors);
        let reason = errors.lines().last().unwrap_or("it wrote no error");
        return Ok(SandboxReport::none(Phrase::new(
            format!("it can't be built here: {reason}"),
            format!("このマシンではサンドボックスを作れません: {reason}"),
        )));
    }
    Ok(judge(serde_json::from_slice(&finished.output).map_err(io::Error::other)?))
}

/// The report for the results of the probes.
fn judge(boundaries: Vec<(Boundary, bool)>) -> SandboxReport {
    let broken: Vec<Boundary> =
        boundaries.iter().filter(|(_, held)| !held).map(|(boundary, _)| *boundary).collect();
    let why = match broken.as_slice() {
        // Only Linux has probes for every boundary, so no failure is not enough elsewhere.
        [] if !cfg!(target_os = "linux") => Phrase::new(
            "nothing limits processes and memory here, and other programs are seen",
            "プロセスとメモリーに制限がなく、ほかのプログラムが見えます",
        ),
        broken => {
            let en = broken.iter().map(|boundary| format!("it does not hold that {boundary}"));
            let ja = broken
                .iter()
                .map(|boundary| format!("「{}」が成り立ちません", boundary.japanese()));
            Phrase::new(en.collect::<Vec<_>>().join("; "), ja.collect::<Vec<_>>().join("、"))
        }
    };
    SandboxReport {
        level: if why == Phrase::default() { Level::Full } else { Level::Degraded },
        why,
        boundaries,
    }
}

#[cfg(target_os = "linux")]
fn listen_abstract(name: &str) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::linux::net::SocketAddrExt;

    std::os::unix::net::UnixListener::bind_addr(
        &std::os::unix::net::SocketAddr::from_abstract_name(name)?,
    )
}

#[cfg(not(target_os = "linux"))]
fn listen_abstract(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_boundary_that_does_not_hold_makes_the_sandbox_degraded() {
        assert_eq!(
            judge(vec![(Boundary::Reading, true), (Boundary::Network, true)]).level,
            Level::Full
        );
        let report = judge(vec![(Boundary::Reading, true), (Boundary::Network, false)]);
        assert_eq!(report.level, Level::Degraded);
        assert_eq!(report.why.en, "it does not hold that no network is reached");
        assert!(Level::None < Level::Degraded && Level::Degraded < Level::Full);
    }
}
