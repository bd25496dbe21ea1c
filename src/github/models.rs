//! What this worker reads of GitHub's answers. The other fields of an answer are ignored.

use serde::Deserialize;

/// An account.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub login: String,
}

/// A repository. Its numbers stay the same when it is renamed.
#[derive(Debug, Clone, Deserialize)]
pub struct Repository {
    pub id: u64,
    pub name: String,
    pub owner: Owner,
    /// Whether nobody can change it any more.
    #[serde(default)]
    pub archived: bool,
    /// Whether it has issues at all.
    pub has_issues: Option<bool>,
    /// What the account that the token speaks for may do in it.
    pub permissions: Option<RepositoryPermissions>,
}

/// What an account may do in a repository. The token may hold less.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct RepositoryPermissions {
    pub pull: bool,
    pub push: bool,
    pub admin: bool,
}

/// The account that owns a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    pub id: u64,
    pub login: String,
}

/// An issue. A pull request is one, too.
#[derive(Debug, Clone, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    /// Markdown; nothing when it is empty.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    pub labels: Vec<Label>,
    /// Its page.
    pub html_url: String,
    /// Present when the issue is a pull request.
    pub pull_request: Option<serde_json::Value>,
}

/// A label of an issue.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    pub name: String,
}

impl Issue {
    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// Whether a label of this name is on it. GitHub's labels do not differ by case.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.name.eq_ignore_ascii_case(name))
    }
}

/// Something that happened to an issue ("Issue event types").
#[derive(Debug, Clone, Deserialize)]
pub struct IssueEvent {
    /// The kind, such as `labeled`.
    pub event: String,
    /// Missing when the account is gone.
    pub actor: Option<User>,
    /// Of the kinds `labeled` and `unlabeled`.
    pub label: Option<Label>,
}

/// What somebody may do in a repository, in ascending order. GitHub counts the role "maintain" as
/// `write` and "triage" as `read` ("Get repository permissions for a user").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    None,
    Read,
    Write,
    Admin,
}

/// The answer to a question for somebody's permission.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Collaborator {
    pub(super) permission: Permission,
}

/// A comment on an issue.
#[derive(Debug, Clone, Deserialize)]
pub struct Comment {
    pub id: u64,
    /// Markdown.
    pub body: Option<String>,
    /// Its author. Nobody when the account is gone.
    pub user: Option<User>,
}

/// A pull request ("Get a pull request").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    /// What the GraphQL API calls it by ("Using global node IDs").
    pub node_id: String,
    /// `open` or `closed`. A merged one is closed.
    pub state: String,
    pub title: String,
    /// Nothing when the body is empty.
    pub body: Option<String>,
    /// Missing at a GitHub Enterprise Server that does not know drafts.
    #[serde(default)]
    pub draft: bool,
    /// When it was merged, if it was.
    pub merged_at: Option<String>,
    /// Its page.
    #[serde(rename = "html_url")]
    pub url: String,
}

impl PullRequest {
    /// Whether it is neither merged nor closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}
