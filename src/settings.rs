//! What the settings of all modules share: the checks of their values, the error, and the registry
//! entry that documents a key.
//!
//! Each module owns its own settings, in a file `settings.rs`: their types, the section of the
//! configuration file, the defaults, the allowed values and the documentation.

mod malformed;
mod registry;

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;

pub(crate) use self::malformed::{error_in_japanese, message_in_japanese};
pub(crate) use self::registry::{FormerKey, Setting, Unit, ValueKind};
use crate::errors::Bilingual;
use crate::language::Phrase;
pub(crate) use crate::language::Text;

/// No setting of a time within a run may be longer, in seconds: SQS ends every lease twelve hours
/// after the receive (the SQS Developer Guide, "Amazon SQS visibility timeout").
pub(crate) const LONGEST_SECONDS: u64 = 43_200;

/// The numbers that a setting of type `u32` may have.
pub(crate) const ANY_NUMBER: RangeInclusive<u64> = 0..=u32::MAX as u64;

/// A setting whose value has the right type and is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` is {}, expected {}", found.en, expected.en)]
pub struct InvalidSetting {
    key: &'static str,
    found: Phrase,
    expected: Phrase,
    source: Option<io::Error>,
}

impl Bilingual for InvalidSetting {
    fn japanese(&self) -> String {
        let Self { key, found, expected, source: _ } = self;
        format!("`{key}` の値は {} です（正しい値: {}）", found.ja, expected.ja)
    }
}

impl InvalidSetting {
    /// The setting `key` (with its section, as in `queue.name`) is `found`, and should have been
    /// what `expected` says.
    pub(crate) fn new(
        key: &'static str,
        found: &(impl Debug + ?Sized),
        expected: impl Into<Phrase>,
    ) -> Self {
        let found = Phrase::same(format!("{found:?}"));
        Self { key, found, expected: expected.into(), source: None }
    }

    /// Adds the error of the system that made the value unusable.
    pub(crate) fn caused_by(self, source: io::Error) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The key with its section, as in `queue.name`.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }
}

/// Checks that a number is in its range, and returns it.
///
/// # Errors
/// The number is not in the range.
pub(crate) fn number<N>(
    key: &'static str,
    value: N,
    range: &RangeInclusive<u64>,
) -> Result<N, InvalidSetting>
where
    N: Copy + Debug + TryInto<u64>,
{
    if value.try_into().is_ok_and(|value| range.contains(&value)) {
        Ok(value)
    } else {
        Err(InvalidSetting::new(key, &value, registry::span(range)))
    }
}

/// Checks a number of seconds, and returns it as a duration.
///
/// # Errors
/// The number is not in the range.
pub(crate) fn seconds(
    key: &'static str,
    value: u64,
    range: &RangeInclusive<u64>,
) -> Result<Duration, InvalidSetting> {
    number(key, value, range).map(Duration::from_secs)
}

/// Checks a number of mebibytes, and returns the number of bytes.
///
/// # Errors
/// The number is not in the range.
pub(crate) fn mebibytes(
    key: &'static str,
    value: u32,
    range: &RangeInclusive<u64>,
) -> Result<u64, InvalidSetting> {
    number(key, value, range).map(bytes)
}

/// The number of bytes in that many mebibytes.
pub(crate) fn bytes(mebibytes: u32) -> u64 {
    u64::from(mebibytes) << 20
}

/// To which servers plain HTTP is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// To those of this machine: what is sent elsewhere, a token among it, would be readable on
    /// the network.
    OnLoopback,
    /// To all.
    Anywhere,
}

/// The URLs that [`base_url`] allows with [`PlainHttp::OnLoopback`], in words.
pub(crate) const SAFE_URL: Text = Text {
    en: "an https URL (http on loopback) without user, password and query",
    ja: "ユーザー名、パスワード、クエリーを含まないhttpsのURL（ループバックではhttpも可）",
};

/// Checks the base of an API's URLs, and returns it without a slash at its end.
///
/// # Errors
/// It is not an absolute HTTP URL; it has a user, a password or a query; or it is plain HTTP where
/// that is not allowed.
pub(crate) fn base_url(
    key: &'static str,
    url: &str,
    plain_http: PlainHttp,
) -> Result<String, InvalidSetting> {
    let expected = match plain_http {
        PlainHttp::OnLoopback => Text {
            en: "an https URL without user, password and query (http only on this machine's \
                 loopback)",
            ja: SAFE_URL.ja,
        },
        PlainHttp::Anywhere => Text {
            en: "an http or https URL without user, password and query",
            ja: "ユーザー名、パスワード、クエリーを含まないhttpまたはhttpsのURL",
        },
    };
    let parsed = Url::parse(url).ok().ok_or_else(|| InvalidSetting::new(key, url, expected))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        // The error must not show the password.
        return Err(InvalidSetting {
            key,
            found: Phrase::new(
                "a URL with a user or a password",
                "ユーザー名またはパスワードを含むURL",
            ),
            expected: expected.into(),
            source: None,
        });
    }
    let safe = match parsed.scheme() {
        "https" => true,
        "http" => plain_http == PlainHttp::Anywhere || is_loopback(url),
        _ => false,
    };
    if safe && parsed.has_host() && parsed.query().is_none() {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(InvalidSetting::new(key, url, expected))
    }
}

/// Whether a URL's host is this machine's loopback.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_range_is_refused_with_the_range() {
        assert_eq!(number("checks.fix_ups", 3_u32, &(1..=3)).unwrap(), 3);
        let error = number("checks.fix_ups", 4_u32, &(1..=3)).unwrap_err();
        assert_eq!(error.to_string(), "`checks.fix_ups` is 4, expected 1 to 3");
        assert_eq!(mebibytes("sandbox.memory_mib", 2, &(1..=2)).unwrap(), 2 << 20);
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_allowed_anywhere() {
        let on_loopback = |url: &str| base_url("github.api_url", url, PlainHttp::OnLoopback);
        assert_eq!(on_loopback("https://host/api/v3/").unwrap(), "https://host/api/v3");
        assert_eq!(on_loopback("http://[::1]:80/").unwrap(), "http://[::1]:80");
        assert!(on_loopback("http://localhost:80").is_ok());
        for refused in ["http://host", "https://host/?a=b", "ftp://host", "host", "file:///a"] {
            assert!(on_loopback(refused).is_err(), "{refused}");
        }
        assert!(base_url("agent.model_endpoint", "http://host", PlainHttp::Anywhere).is_ok());
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        let url = "https://user:the-password@host";
        let error = base_url("github.api_url", url, PlainHttp::OnLoopback).unwrap_err();
        assert!(!error.to_string().contains("the-password"), "{error}");
    }
}
