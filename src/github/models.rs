//! What this worker reads of GitHub's answers; everything else in them is passed over.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub login: String,
}

/// A repository, with the numbers that outlive its name.
#[derive(Debug, Clone, Deserialize)]
pub struct Repository {
    pub id: u64,
    pub name: String,
    pub owner: Owner,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    pub id: u64,
    pub login: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: String,
    pub labels: Vec<Label>,
    pub html_url: String,
    /// There when the issue is a pull request.
    pub pull_request: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    pub name: String,
}

impl Issue {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// GitHub's labels do not differ by case.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.name.eq_ignore_ascii_case(name))
    }
}

/// Something that happened to an issue.
#[derive(Debug, Clone, Deserialize)]
pub struct IssueEvent {
    pub event: String,
    /// Missing when the account is gone.
    pub actor: Option<User>,
    /// Of the kinds `labeled` and `unlabeled`.
    pub label: Option<Label>,
}

/// What somebody may do in a repository. GitHub counts "maintain" as `write` and "triage" as
/// `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    None,
    Read,
    Write,
    Admin,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Collaborator {
    pub(super) permission: Permission,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Comment {
    pub id: u64,
    pub body: Option<String>,
    pub user: Option<User>,
    pub html_url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    pub state: String,
    pub title: String,
    pub body: Option<String>,
    #[serde(default)]
    pub draft: bool,
    pub merged_at: Option<String>,
    pub html_url: String,
    pub head: Head,
    pub user: Option<User>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Head {
    pub sha: String,
}

impl PullRequest {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}
