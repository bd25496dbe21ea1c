//! The addresses in answers: made from the `Host` that the caller used, so that they lead back the
//! way it came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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

/// All characters but the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text for one segment of a path, or for a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_unreserved_characters_are_escaped() {
        assert_eq!(escape("aZ09-._~"), "aZ09-._~");
        assert_eq!(escape("a b/c?d#e%é"), "a%20b%2Fc%3Fd%23e%25%C3%A9");
    }
}
