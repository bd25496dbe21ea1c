//! The addresses in answers. They begin with the `Host` that the caller used, so that the caller
//! can follow them whatever is in between.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The addresses that a caller can reach.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    base: String,
}

impl Urls {
    /// Takes the value of the `Host` header.
    pub(crate) fn new(host: &str) -> Self {
        Self { base: format!("http://{host}") }
    }

    /// The address of a path, which begins with a slash.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The API's address of a user.
    pub(crate) fn user(&self, login: &str) -> String {
        format!("{}/users/{}", self.base, escape(login))
    }

    /// The API's address of a repository, with `more` after it.
    pub(crate) fn api(&self, full_name: &str, more: &str) -> String {
        format!("{}/repos/{full_name}{more}", self.base)
    }

    /// The address of the page that GitHub would show. This forge has no pages.
    pub(crate) fn html(&self, full_name: &str, more: &str) -> String {
        format!("{}/{full_name}{more}", self.base)
    }

    /// The host, for the `git://` and `ssh` addresses that GitHub's answers have. Nothing answers
    /// at those here.
    pub(crate) fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }
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
