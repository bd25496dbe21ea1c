//! The values of the schema's types, with all their fields. What a request did not select is left
//! out later.

use serde_json::{Value, json};

use crate::api::{NodeKind, Urls, node_id};
use crate::forge::pulls::PullRequest;
use crate::store::issues::State;
use crate::store::repositories::Repository;
use crate::store::users::User;

/// A `PullRequest`.
pub(super) fn pull_request(urls: &Urls, request: &PullRequest) -> Value {
    let PullRequest { repository, issue, pull } = request;
    let full_name = repository.full_name();
    let path = format!("/{full_name}/pull/{}", issue.number);
    let url = urls.absolute(&path);
    let merged = pull.merged_at.is_some();
    let state = match issue.state {
        State::Open => "OPEN",
        State::Closed if merged => "MERGED",
        State::Closed => "CLOSED",
    };
    json!({
        "__typename": "PullRequest",
        "author": actor(urls, &issue.author),
        "baseRefName": pull.base_ref,
        "baseRefOid": pull.base_sha,
        "body": issue.body.as_deref().unwrap_or_default(),
        "closed": issue.state == State::Closed,
        "closedAt": issue.closed_at.map(|at| at.to_string()),
        "createdAt": issue.created_at.to_string(),
        "databaseId": issue.id,
        // A BigInt is told as a text, because JavaScript has no such numbers.
        "fullDatabaseId": issue.id.to_string(),
        "headRefName": pull.head_ref,
        "headRefOid": pull.head_sha,
        "id": node_id(NodeKind::PullRequest, issue.id),
        "isDraft": pull.draft,
        "locked": false,
        "merged": merged,
        "mergedAt": pull.merged_at.map(|at| at.to_string()),
        "number": issue.number,
        "permalink": url,
        "repository": repository_object(urls, repository),
        "resourcePath": path,
        "state": state,
        "title": issue.title,
        "updatedAt": issue.updated_at.to_string(),
        "url": url,
    })
}

/// An `Actor`.
pub(super) fn actor(urls: &Urls, user: &User) -> Value {
    let path = format!("/{}", crate::api::escape(&user.login));
    json!({
        "__typename": if user.login.ends_with("[bot]") { "Bot" } else { "User" },
        "login": user.login,
        "resourcePath": path,
        "url": urls.absolute(&path),
    })
}

fn repository_object(urls: &Urls, repository: &Repository) -> Value {
    let path = format!("/{}", repository.full_name());
    json!({
        "__typename": "Repository",
        "id": node_id(NodeKind::Repository, repository.id),
        "isPrivate": repository.private,
        "name": repository.name,
        "nameWithOwner": repository.full_name(),
        "resourcePath": path,
        "url": urls.absolute(&path),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::schema::{Kind, ObjectType, PULL_REQUEST};
    use super::*;
    use crate::store::issues::Issue;
    use crate::store::pulls::Pull;

    fn request() -> PullRequest {
        let now = Timestamp::UNIX_EPOCH;
        let user = User { id: 1, login: "octo".to_owned(), created_at: now };
        let pull = Pull {
            head_ref: "one".to_owned(),
            head_sha: "1".repeat(40),
            base_ref: "main".to_owned(),
            base_sha: "2".repeat(40),
            draft: false,
            merged_at: None,
            merged_by: None,
            merge_commit_sha: None,
            merging: None,
        };
        let repository = Repository {
            id: 1,
            owner: user.clone(),
            name: "hello".to_owned(),
            description: None,
            default_branch: "main".to_owned(),
            private: true,
            created_at: now,
            updated_at: now,
            pushed_at: now,
            open_issues: 1,
            branch_changes: 0,
        };
        let issue = Issue {
            id: 1,
            repository_id: 1,
            number: 1,
            author: user,
            author_is_collaborator: false,
            title: "t".to_owned(),
            body: None,
            state: State::Open,
            state_reason: None,
            created_at: now,
            updated_at: now,
            closed_at: None,
            closed_by: None,
            comments: 0,
            labels: Vec::new(),
            assignees: Vec::new(),
            pull: Some(pull.clone()),
        };
        PullRequest { repository, issue, pull }
    }

    /// Compares the fields, and those of the objects inside.
    fn check(value: &Value, of: &ObjectType) {
        let mut names: Vec<_> = of.fields.iter().map(|field| field.name).collect();
        names.push("__typename");
        names.sort_unstable();
        let fields = value.as_object().unwrap();
        let mut keys: Vec<_> = fields.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, names, "{}", of.name);
        for field in of.fields {
            if let Kind::Object(inner) = &field.kind {
                check(&fields[field.name], inner);
            }
        }
    }

    #[test]
    fn an_object_has_the_fields_of_its_type() {
        check(&pull_request(&Urls::new("localhost"), &request()), &PULL_REQUEST);
    }
}
