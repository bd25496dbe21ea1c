//! The queue's settings: the section `[queue]`, and the keys of the embedded queue.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::settings::{
    InvalidSetting, LONGEST_SECONDS, PlainHttp, SAFE_URL, Setting, Text, Unit, ValueKind, base_url,
    is_loopback, number, seconds,
};

/// A shorter lease is over before a slow answer arrives to the request that renews it, which the
/// worker sends after a third of the lease.
const LEASE_SECONDS: RangeInclusive<u64> = 30..=LONGEST_SECONDS;
const RETRY_DELAYS_SECONDS: RangeInclusive<u64> = 0..=LONGEST_SECONDS;

/// Which queue the program uses, and how.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// The queue's name in the account of the credentials.
    pub name: String,
    /// The queue's URL; replaces the name.
    pub url: Option<String>,
    /// An SQS-compatible server; AWS when absent.
    pub endpoint_url: Option<String>,
    /// The AWS region; the AWS SDK finds it when absent.
    pub region: Option<String>,
    /// How long a delivery is leased at a time; the queue's own visibility timeout when absent.
    pub lease: Option<Duration>,
    /// How long a failed task waits before its next delivery, by the number of deliveries so far;
    /// the last applies to all further ones. Never empty.
    pub retry_delays: Vec<Duration>,
    /// Where the credentials come from.
    pub credentials: CredentialSource,
}

/// Where the credentials come from, as far as the settings and the environment tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Requests carry placeholders: a loopback server without keys of its own accepts any.
    Anonymous,
    /// The variables `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// The profile of this name.
    Profile(String),
    /// What the AWS SDK finds: the profile `default`, or a role.
    Found,
}

/// The keys that requests to the embedded queue must be signed with.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Names the pair.
    pub access_key_id: String,
    /// Signs requests.
    pub secret_access_key: SecretString,
}

impl KeyPair {
    /// The pair that the environment has, if it has both.
    pub(crate) fn from_environment(environment: &Environment) -> Option<Self> {
        Some(Self {
            access_key_id: environment.value("CODINGWORKER_QUEUE_ACCESS_KEY_ID")?.to_owned(),
            secret_access_key: environment.value("CODINGWORKER_QUEUE_SECRET_ACCESS_KEY")?.into(),
        })
    }
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueueSection {
    name: String,
    url: Option<String>,
    endpoint_url: Option<String>,
    region: Option<String>,
    lease_seconds: Option<u64>,
    retry_delays_seconds: Vec<u64>,
}

impl Default for QueueSection {
    fn default() -> Self {
        Self {
            name: "codingworker-tasks".to_owned(),
            url: None,
            endpoint_url: None,
            region: None,
            lease_seconds: None,
            retry_delays_seconds: vec![30, 60, 120],
        }
    }
}

impl QueueSection {
    /// # Errors
    /// A value is out of its range, or the endpoint is not a URL that may be used.
    pub(crate) fn validate(
        self,
        environment: &Environment,
    ) -> Result<QueueSettings, InvalidSetting> {
        let endpoint_url = self
            .endpoint_url
            .map(|url| base_url("queue.endpoint_url", &url, PlainHttp::OnLoopback))
            .transpose()?;
        let lease =
            self.lease_seconds.map(|lease| seconds("queue.lease_seconds", lease, &LEASE_SECONDS));
        let anonymous = endpoint_url.as_deref().is_some_and(is_loopback)
            && environment.value("AWS_ACCESS_KEY_ID").is_none();
        // The variables of a key come first in the SDK's own order ("Default credential provider
        // chain" in the Developer Guide of the AWS SDK for Rust).
        let credentials = match environment.value("AWS_PROFILE") {
            _ if anonymous => CredentialSource::Anonymous,
            _ if environment.value("AWS_ACCESS_KEY_ID").is_some() => CredentialSource::Environment,
            Some(profile) => CredentialSource::Profile(profile.to_owned()),
            None => CredentialSource::Found,
        };
        Ok(QueueSettings {
            name: self.name,
            url: self.url,
            credentials,
            endpoint_url,
            region: self.region,
            lease: lease.transpose()?,
            retry_delays: retry_delays(&self.retry_delays_seconds)?,
        })
    }
}

fn retry_delays(delays: &[u64]) -> Result<Vec<Duration>, InvalidSetting> {
    let key = "queue.retry_delays_seconds";
    if delays.is_empty() {
        let expected = Text { en: "at least one number of seconds", ja: "1つ以上の秒数" };
        return Err(InvalidSetting::new(key, delays, expected));
    }
    let checked = delays.iter().map(|delay| number(key, *delay, &RETRY_DELAYS_SECONDS));
    checked.map(|delay| delay.map(Duration::from_secs)).collect()
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "queue.name",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "The queue's name in the account of the AWS credentials.",
            ja: "AWS認証情報のアカウントにあるキューの名前です。",
        },
    ),
    Setting::new(
        "queue.url",
        "0.1.0",
        ValueKind::Url,
        Text {
            en: "The queue's URL. It replaces the name, and saves the request that looks it up.",
            ja: "キューのURLです。名前の代わりに使われ、名前からURLを調べる要求が不要になります。",
        },
    )
    .allowed(Text { en: "any URL", ja: "任意のURL" })
    .default_in_words(Text {
        en: "SQS is asked for the URL of `queue.name`",
        ja: "`queue.name` のURLをSQSに問い合わせます",
    })
    .variable("CODINGWORKER_QUEUE_URL"),
    Setting::new(
        "queue.endpoint_url",
        "0.1.0",
        ValueKind::Url,
        Text {
            en: "An SQS-compatible server that is used in place of AWS, such as `codingworker \
                 queue serve`. A server on loopback needs no credentials.",
            ja: "AWSの代わりに使うSQS互換サーバーです（`codingworker queue serve` など）。\
                 ループバックのサーバーには認証情報が不要です。",
        },
    )
    .allowed(SAFE_URL)
    .default_in_words(Text { en: "AWS", ja: "AWS" })
    .variable("CODINGWORKER_QUEUE_ENDPOINT_URL"),
    Setting::new(
        "queue.region",
        "0.1.0",
        ValueKind::Text,
        Text { en: "The queue's AWS region.", ja: "キューのAWSリージョンです。" },
    )
    .default_in_words(Text {
        en: "what the AWS SDK finds: `AWS_REGION`, then `~/.aws/config`",
        ja: "AWS SDKが決めます（`AWS_REGION`、次に `~/.aws/config`）",
    }),
    Setting::new(
        "queue.lease_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: LEASE_SECONDS },
        Text {
            en: "How long a delivery is leased at a time. The worker renews the lease while it \
                 works on the task.",
            ja: "1回のリースの長さです。ワーカーはタスクの処理中、リースを更新し続けます。",
        },
    )
    .default_in_words(Text {
        en: "the queue's own visibility timeout",
        ja: "キュー自身の可視性タイムアウト",
    }),
    Setting::new(
        "queue.retry_delays_seconds",
        "0.1.0",
        ValueKind::Numbers { unit: Unit::Seconds, range: RETRY_DELAYS_SECONDS },
        Text {
            en: "How long a failed task waits before its second, third, … delivery. The last \
                 number applies to all further deliveries.",
            ja: "失敗したタスクが2回目、3回目、…の配信まで待つ時間です。\
                 最後の数値は、それ以降のすべての配信に使われます。",
        },
    ),
];
