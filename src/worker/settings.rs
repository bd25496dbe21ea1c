//! The worker's settings: the section `[worker]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox::settings::DEFAULT_FREE_SPACE_MIB;
use crate::settings::{
    ANY_NUMBER, InvalidSetting, LONGEST_SECONDS, Setting, Text, Unit, ValueKind, mebibytes, number,
    seconds,
};

/// A larger number of agents at once is a typing error.
const CONCURRENCY: RangeInclusive<u64> = 1..=64;
/// A longer name makes tables hard to read.
const LONGEST_NAME: usize = 40;
const PLAIN_NAME: Text = Text {
    en: "1 to 40 of the letters A to Z and a to z, digits, `-`, `_` and `.`",
    ja: "英字（A〜Z、a〜z）、数字、`-`、`_`、`.` からなる1〜40文字",
};
const DRAIN_SECONDS: RangeInclusive<u64> = 0..=LONGEST_SECONDS;

/// What the worker needs to know to take tasks.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// By what people tell the worker from others; a name that it gives itself when absent.
    pub name: Option<String>,
    /// How many tasks the worker works on at once; at least 1.
    pub concurrency: usize,
    /// How long runs may go on after the worker was told to stop.
    pub drain: Duration,
    /// How many bytes of the data directory's disk must be free for the worker to take a task.
    pub free_space: u64,
    /// Whether the worker keeps the machine from sleeping while it works on a task.
    pub keep_awake: bool,
    /// Where the worker answers `GET /health`; nowhere when absent.
    pub health_listen: Option<SocketAddr>,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerSection {
    name: Option<String>,
    concurrency: usize,
    drain_seconds: u64,
    keep_awake: bool,
    free_space_mib: u32,
    health_listen: Option<SocketAddr>,
}

impl Default for WorkerSection {
    fn default() -> Self {
        Self {
            name: None,
            concurrency: 1,
            drain_seconds: 15,
            keep_awake: true,
            free_space_mib: DEFAULT_FREE_SPACE_MIB,
            health_listen: None,
        }
    }
}

impl WorkerSection {
    /// # Errors
    /// A value is out of its range, or the health address can be reached from other machines.
    pub(crate) fn validate(self) -> Result<WorkerSettings, InvalidSetting> {
        Ok(WorkerSettings {
            name: self.name.map(plain_name).transpose()?,
            concurrency: number("worker.concurrency", self.concurrency, &CONCURRENCY)?,
            drain: seconds("worker.drain_seconds", self.drain_seconds, &DRAIN_SECONDS)?,
            free_space: mebibytes("worker.free_space_mib", self.free_space_mib, &ANY_NUMBER)?,
            keep_awake: self.keep_awake,
            health_listen: self.health_listen.map(on_loopback).transpose()?,
        })
    }
}

/// The name stands in Markdown, in tables and in the lines of a log.
fn plain_name(name: String) -> Result<String, InvalidSetting> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain) {
        Ok(name)
    } else {
        Err(InvalidSetting::new("worker.name", &name, PLAIN_NAME))
    }
}

/// The health page has no access control, so only this machine may ask for it.
fn on_loopback(address: SocketAddr) -> Result<SocketAddr, InvalidSetting> {
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(InvalidSetting::new(
            "worker.health_listen",
            &address.to_string(),
            Text {
                en: "an address and port of this machine's loopback, such as \"127.0.0.1:9326\"",
                ja: "このマシンのループバックのアドレスとポート（例: \"127.0.0.1:9326\"）",
            },
        ))
    }
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "worker.name",
        "0.2.0",
        ValueKind::Text,
        Text {
            en: "The name of this worker on issues and in pull requests, where several workers \
                 share a queue. It is public where the repository is.",
            ja: "複数のワーカーがキューを共有するときに、Issueやプルリクエストで\
                 このワーカーを区別する名前です。公開リポジトリでは誰でも見られます。",
        },
    )
    .allowed(PLAIN_NAME)
    .default_in_words(Text {
        en: "`worker-` and four letters that stay the same",
        ja: "`worker-` と4文字の英字（最初の起動時に決まり、以後は変わりません）",
    }),
    Setting::new(
        "worker.concurrency",
        "0.1.0",
        ValueKind::Number { unit: Unit::Count, range: CONCURRENCY },
        Text {
            en: "How many tasks the worker works on at once. Each has an agent of its own; a model \
                 on the same machine is faster with one.",
            ja: "同時に処理するタスクの数です。タスクごとに別のエージェントが動きます。\
                 モデルが同じマシンで動く場合は、1にすると最も速くなります。",
        },
    ),
    Setting::new(
        "worker.drain_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: DRAIN_SECONDS },
        Text {
            en: "How long runs may go on after the first SIGTERM or Ctrl-C. The worker suspends a \
                 run that takes longer, and continues it at the next start.",
            ja: "最初のSIGTERMまたはCtrl-Cの後に、実行を続けられる時間です。\
                 これより長くかかる実行は中断し、次回の起動時に再開します。",
        },
    ),
    Setting::new(
        "worker.keep_awake",
        "0.1.0",
        ValueKind::Boolean,
        Text {
            en: "Whether the worker keeps the machine from sleeping while it works on a task (with \
                 caffeinate on macOS, systemd-inhibit on Linux).",
            ja: "タスクの処理中にマシンのスリープを防ぐかどうかです\
                （macOSではcaffeinate、Linuxではsystemd-inhibitを使います）。",
        },
    ),
    Setting::new(
        "worker.free_space_mib",
        "0.1.0",
        ValueKind::Number { unit: Unit::Mebibytes, range: ANY_NUMBER },
        Text {
            en: "How much of the data directory's disk must be free for the worker to take a task. \
                 The sandbox ends a program when a quarter of this is left.",
            ja: "タスクを受け取るために必要な、データディレクトリのディスクの空き容量です。\
                 空き容量がこの4分の1になると、サンドボックスは実行中のプログラムを終了させます。",
        },
    ),
    Setting::new(
        "worker.health_listen",
        "0.1.0",
        ValueKind::Address,
        Text {
            en: "Where the worker answers `GET /health`, with 200 or 503.",
            ja: "`GET /health` に200または503で応答するアドレスです。",
        },
    )
    .allowed(Text {
        en: "an address of this machine's loopback",
        ja: "このマシンのループバックアドレス",
    })
    .default_in_words(Text { en: "nowhere", ja: "応答しません" }),
];
