//! The addresses in answers: made from the `Host` that the caller used, so that they lead back the
//! way it came.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Debug, Clone)]
pub(crate) struct Urls {
    base: String,
}

impl Urls {
    pub(crate) fn new(host: &str) -> Self {
        Self { base: format!("http://{host}") }
    }

    /// `path` begins with a slash.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn user(&self, login: &str) -> String {
        format!("{}/users/{}", self.base, escape(login))
    }

    /// The API's address of a repository; with more it is that of something in it.
    pub(crate) fn api(&self, full_name: &str, more: &str) -> String {
        format!("{}/repos/{full_name}{more}", self.base)
    }

    /// The page that GitHub would show; this forge has none behind it.
    pub(crate) fn html(&self, full_name: &str, more: &str) -> String {
        format!("{}/{full_name}{more}", self.base)
    }

    /// The `git://` and `ssh` addresses that the description demands and that nothing answers here.
    pub(crate) fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }
}

/// GitHub's global node id in its older form: the type and the database's id, in base64.
pub(crate) fn node_id(kind: &str, id: i64) -> String {
    STANDARD.encode(format!("0{}:{kind}{id}", kind.len()))
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _written = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
