//! The repository at the forge: its address, its token, and the meaning of its refusals.
//!
//! git gets the token only for the host of the address, and only over HTTP. The recognized texts
//! are those of git 2.30 and later in the C locale. A text that is not recognized becomes
//! [`WorkspaceError::Git`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::answer::GitAnswer;
use super::error::WorkspaceError;
use crate::git::BranchName;

/// The address from which the worker fetches a repository and to which it pushes.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `https://…`, `http://…` or, for a local repository, an absolute path.
    pub url: String,
    /// git sends this token only to the host of the address.
    pub token: Option<SecretString>,
}

/// An address that is safe to pass to git.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The protocol by the name that `GIT_ALLOW_PROTOCOL` uses (git(1)).
    pub(super) protocol: &'static str,
    /// The scheme, host and port of an HTTP address.
    pub(super) origin: Option<&'a str>,
}

impl Remote {
    /// Checks the address. The function refuses a text that git would treat as an option or as a
    /// remote helper, such as `ext::` which runs a command (gitremote-helpers(7)), and an address
    /// that contains a user or a password.
    pub(super) fn address(&self) -> Result<Address<'_>, WorkspaceError> {
        parse_address(&self.url).ok_or(WorkspaceError::UnusableAddress)
    }

    /// Returns the header in which GitHub accepts a token over git's protocol.
    pub(super) fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| {
            let credential = STANDARD.encode(format!("x-access-token:{}", token.expose_secret()));
            format!("Authorization: Basic {credential}")
        })
    }
}

fn parse_address(url: &str) -> Option<Address<'_>> {
    if url.contains(char::is_control) {
        return None;
    }
    if url.starts_with('/') {
        return Some(Address { protocol: "file", origin: None });
    }
    let (protocol, rest) = match url.split_once("://")? {
        ("https", rest) => ("https", rest),
        ("http", rest) => ("http", rest),
        _ => return None,
    };
    let authority = rest
        .split(['/', '?', '#'])
        .next()
        .filter(|authority| !authority.is_empty() && !authority.contains('@'))?;
    let origin = url.get(..protocol.len() + "://".len() + authority.len())?;
    Some(Address { protocol, origin: Some(origin) })
}

/// Translates the failure of a command that talked to `remote`.
pub(super) fn explain(remote: &Remote, answer: GitAnswer) -> WorkspaceError {
    let url = remote.url.clone();
    let detail = answer.complaint();
    match meaning(&detail) {
        Some(Meaning::Unauthorized) => WorkspaceError::Unauthorized { url, detail },
        Some(Meaning::NotFound) => WorkspaceError::RepositoryNotFound { url },
        Some(Meaning::Moved) => WorkspaceError::Moved { url, detail },
        Some(Meaning::Unreachable) => WorkspaceError::Unreachable { url, detail },
        Some(Meaning::Malformed) => WorkspaceError::Malformed { url, detail },
        None => answer.into_error(),
    }
}

/// Translates the failure of a push. The porcelain output on standard output tells what happened to
/// the branch, and standard error tells the rest.
pub(super) fn explain_push(
    remote: &Remote,
    branch: &BranchName,
    answer: GitAnswer,
) -> WorkspaceError {
    let Some(reason) = rejection(&String::from_utf8_lossy(&answer.output)).map(str::to_owned)
    else {
        return explain(remote, answer);
    };
    let (url, branch) = (remote.url.clone(), branch.to_string());
    if is_lost_race(&reason) {
        return WorkspaceError::StaleRemote { url, branch, detail: reason };
    }
    // The forge sends the reason why a hook or a rule refused the push, and git prints each line of
    // it after `remote:`.
    let told: Vec<String> = answer
        .complaint()
        .lines()
        .filter_map(|line| line.strip_prefix("remote:"))
        .map(|line| line.trim().to_owned())
        .collect();
    let detail = std::iter::once(reason)
        .chain(told)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    WorkspaceError::PushRefused { url, branch, detail }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Unauthorized,
    NotFound,
    Moved,
    Unreachable,
    /// git's checks refuse an object of the repository (git-fsck(1)).
    Malformed,
}

fn meaning(stderr: &str) -> Option<Meaning> {
    let says = |text: &str| stderr.contains(text);
    match http_status(stderr) {
        Some(401 | 403) => return Some(Meaning::Unauthorized),
        Some(404) => return Some(Meaning::NotFound),
        Some(300..=399) => return Some(Meaning::Moved),
        Some(408 | 429 | 500..=599) => return Some(Meaning::Unreachable),
        Some(_) | None => {}
    }
    if says("could not read Username")
        || says("could not read Password")
        || says("Authentication failed")
    {
        Some(Meaning::Unauthorized)
    } else if says("fatal: repository '") && says("' not found")
        || says("does not appear to be a git repository")
    {
        Some(Meaning::NotFound)
    } else if says("fsck error in pack") {
        Some(Meaning::Malformed)
    } else if [
        "unable to access '",
        "RPC failed",
        "early EOF",
        "hung up unexpectedly",
        "unexpected disconnect",
        "expected flush after",
        "invalid server response",
        "remote helper",
    ]
    .into_iter()
    .any(says)
    {
        Some(Meaning::Unreachable)
    } else {
        None
    }
}

/// Finds the HTTP status in libcurl's words, such as `The requested URL returned error: 502`, or in
/// git's own, such as `RPC failed; HTTP 502 curl 22`.
fn http_status(stderr: &str) -> Option<u16> {
    ["returned error: ", "RPC failed; HTTP "].into_iter().find_map(|before| {
        let (_, after) = stderr.split_once(before)?;
        after.get(..3)?.parse().ok()
    })
}

/// Returns the reason from a porcelain line such as `!<TAB>refs/heads/a:refs/heads/a<TAB>[rejected]
/// (stale info)` (git-push(1), OUTPUT).
fn rejection(porcelain: &str) -> Option<&str> {
    let line = porcelain.lines().find(|line| line.starts_with("!\t"))?;
    line.splitn(3, '\t').nth(2)
}

/// Returns whether the push failed because the branch was not at the expected commit. The local git
/// detects this before it sends anything, or the git of the forge detects it while it updates the
/// reference.
fn is_lost_race(reason: &str) -> bool {
    [
        "stale info",
        "fetch first",
        "non-fast-forward",
        "already exists",
        "cannot lock ref",
        "failed to update ref",
        "incorrect old value",
    ]
    .into_iter()
    .any(|text| reason.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_http_or_a_path() {
        let origin = |url| parse_address(url).map(|address| (address.protocol, address.origin));
        assert_eq!(
            origin("https://github.com/o/r.git"),
            Some(("https", Some("https://github.com")))
        );
        assert_eq!(
            origin("http://127.0.0.1:8080/o/r.git"),
            Some(("http", Some("http://127.0.0.1:8080")))
        );
        assert_eq!(origin("/srv/git/r.git"), Some(("file", None)));
        let bad = [
            "",
            "-u",
            "--upload-pack=x",
            "ext::sh -c x",
            "git@github.com:o/r",
            "ssh://github.com/o/r",
            "file:///x",
            "https:///o/r",
            "https://user:secret@github.com/o/r",
            "https://token@github.com/o/r",
            "https://github.com/o/r\n",
            "r.git",
            "HTTPS://github.com/o/r",
        ];
        for bad in bad {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unusable_address_is_not_repeated() {
        let remote = Remote { url: "https://user:secret@github.com/o/r".to_owned(), token: None };
        assert!(!remote.address().unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn the_token_does_not_show_when_a_remote_is_printed() {
        let remote =
            Remote { url: "https://github.com/o/r".to_owned(), token: Some("ghp_secret".into()) };
        assert!(!format!("{remote:?}").contains("ghp_secret"));
        assert_eq!(
            remote.authorization().as_deref(),
            Some("Authorization: Basic eC1hY2Nlc3MtdG9rZW46Z2hwX3NlY3JldA==")
        );
    }

    #[test]
    fn git_s_complaints_have_a_meaning() {
        let check = |stderr: &str, expected: Option<Meaning>| {
            assert_eq!(meaning(stderr), expected, "{stderr}");
        };
        let url = "unable to access 'https://github.com/o/r.git/': ";
        for (status, expected) in [
            (401, Meaning::Unauthorized),
            (403, Meaning::Unauthorized),
            (404, Meaning::NotFound),
            (301, Meaning::Moved),
            (429, Meaning::Unreachable),
            (500, Meaning::Unreachable),
            (503, Meaning::Unreachable),
        ] {
            check(
                &format!("fatal: {url}The requested URL returned error: {status}"),
                Some(expected),
            );
        }
        check(
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            Some(Meaning::Unauthorized),
        );
        check(
            "remote: Repository not found.\nfatal: repository 'https://github.com/o/r.git/' not \
             found",
            Some(Meaning::NotFound),
        );
        check("fatal: '/x' does not appear to be a git repository", Some(Meaning::NotFound));
        check(
            &format!("fatal: {url}Could not resolve host: github.com"),
            Some(Meaning::Unreachable),
        );
        check(
            &format!("fatal: {url}Failed to connect to 127.0.0.1 port 9 after 0 ms"),
            Some(Meaning::Unreachable),
        );
        check(
            "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502",
            Some(Meaning::Unreachable),
        );
        check(
            "fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF",
            Some(Meaning::Unreachable),
        );
        check("fatal: couldn't find remote ref refs/heads/x", None);
    }

    #[test]
    fn a_rejected_push_tells_a_lost_race_from_a_refusal() {
        let line =
            |reason: &str| format!("To https://h/o/r.git\n!\tabc:refs/heads/b\t{reason}\nDone\n");
        for reason in [
            "[rejected] (stale info)",
            "[rejected] (fetch first)",
            "[remote rejected] (cannot lock ref 'refs/heads/b')",
        ] {
            assert!(is_lost_race(rejection(&line(reason)).unwrap()), "{reason}");
        }
        for reason in [
            "[remote rejected] (pre-receive hook declined)",
            "[remote rejected] (protected branch hook declined)",
        ] {
            assert!(!is_lost_race(rejection(&line(reason)).unwrap()), "{reason}");
        }
        assert_eq!(rejection("To x\n=\ta:refs/heads/b\t[up to date]\nDone\n"), None);
    }
}
