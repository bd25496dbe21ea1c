//! Repositories, branches, refs, and the permissions of collaborators.

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::users::simple_user;
use super::{Named, Target};
use crate::api::{ApiError, Caller, Input, NodeKind, Urls, escape, extend, given, node_id};
use crate::forge::repositories::RepositoryChange;
use crate::git::{Commit, Signature};
use crate::hub::Hub;
use crate::permission::Permission;
use crate::store::repositories::Repository;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/user/repos", post(create))
        .route("/repos/{owner}/{repo}", get(read).patch(change).post(change))
        .route("/repos/{owner}/{repo}/branches/{*name}", get(branch))
        .route("/repos/{owner}/{repo}/git/ref/{*name}", get(reference))
        .route("/repos/{owner}/{repo}/collaborators/{name}/permission", get(permission))
}

#[derive(Deserialize)]
struct Creation {
    name: String,
    description: Option<String>,
    #[serde(default)]
    private: bool,
}

async fn create(
    caller: Caller,
    Input(new): Input<Creation>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let created = caller.ask(move |forge, user| {
        forge.create_repository(
            user,
            &new.name,
            new.description.as_deref(),
            "main",
            new.private,
            Timestamp::now(),
        )
    });
    let (repository, held) = created.await?;
    Ok((StatusCode::CREATED, Json(full_repository(&caller.urls, &repository, held))))
}

async fn read(caller: Caller, Target(name): Target) -> Result<Json<Value>, ApiError> {
    let (repository, held) = caller.ask(move |forge, user| forge.repository(user, &name)).await?;
    Ok(Json(full_repository(&caller.urls, &repository, held)))
}

#[derive(Deserialize)]
struct Change {
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    default_branch: Option<String>,
    private: Option<bool>,
}

async fn change(
    caller: Caller,
    Target(name): Target,
    Input(new): Input<Change>,
) -> Result<Json<Value>, ApiError> {
    let change = RepositoryChange {
        description: new.description,
        default_branch: new.default_branch,
        private: new.private,
    };
    let changed = caller
        .ask(move |forge, user| forge.change_repository(user, &name, &change, Timestamp::now()));
    let (repository, held) = changed.await?;
    Ok(Json(full_repository(&caller.urls, &repository, held)))
}

async fn branch(
    caller: Caller,
    Target(name): Target,
    Named(branch): Named,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let wanted = branch.clone();
    let commit = caller.ask(move |forge, user| forge.branch(user, &name, &wanted)).await?;
    let url = caller.urls.api(&full_name, &format!("/branches/{branch}"));
    let html = caller.urls.html(&full_name, &format!("/tree/{branch}"));
    Ok(Json(json!({
        "name": branch,
        "commit": commit_shape(&caller.urls, &full_name, &commit),
        "_links": { "self": url, "html": html },
        "protected": false,
        "protection": {
            "enabled": false,
            "required_status_checks": { "enforcement_level": "off", "contexts": [], "checks": [] },
        },
        "protection_url": format!("{url}/protection"),
    })))
}

async fn reference(
    caller: Caller,
    Target(name): Target,
    Named(reference): Named,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let wanted = reference.clone();
    let (sha, kind) = caller.ask(move |forge, user| forge.reference(user, &name, &wanted)).await?;
    Ok(Json(json!({
        "ref": format!("refs/{reference}"),
        "node_id": node_id(NodeKind::Ref, 0),
        "url": caller.urls.api(&full_name, &format!("/git/refs/{reference}")),
        "object": {
            "sha": sha,
            "type": kind,
            "url": caller.urls.api(&full_name, &format!("/git/{kind}s/{sha}")),
        },
    })))
}

async fn permission(
    caller: Caller,
    Target(name): Target,
    Named(login): Named,
) -> Result<Json<Value>, ApiError> {
    let (user, held) =
        caller.ask(move |forge, user| forge.permission_of(user, &name, &login)).await?;
    let role = held.map_or("none", Permission::role_name);
    let mut shape = simple_user(&caller.urls, &user);
    extend(&mut shape, json!({ "role_name": role, "permissions": permissions(held) }));
    Ok(Json(json!({
        "permission": held.map_or("none", Permission::legacy_name),
        "role_name": role,
        "user": shape,
    })))
}

fn permissions(held: Option<Permission>) -> Value {
    json!({
        "pull": held >= Some(Permission::Read),
        "triage": held >= Some(Permission::Triage),
        "push": held >= Some(Permission::Write),
        "maintain": held >= Some(Permission::Maintain),
        "admin": held >= Some(Permission::Admin),
    })
}

/// The addresses that GitHub gives for what is in a repository: the name of the field, and what
/// follows the address of the repository.
const ADDRESSES: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// GitHub's `repository`, which pull requests have, too.
pub(super) fn repository_shape(urls: &Urls, repository: &Repository) -> Value {
    let full_name = repository.full_name();
    let html = urls.html(&full_name, "");
    let addresses = ADDRESSES
        .iter()
        .map(|(field, more)| ((*field).to_owned(), urls.api(&full_name, more).into()));
    let mut value = Value::Object(Map::from_iter(addresses));
    let more = json!({
        "id": repository.id,
        "node_id": node_id(NodeKind::Repository, repository.id),
        "name": repository.name,
        "full_name": full_name,
        "owner": simple_user(urls, &repository.owner),
        "private": repository.private,
        "visibility": if repository.private { "private" } else { "public" },
        "html_url": html,
        "description": repository.description,
        "fork": false,
        "url": urls.api(&full_name, ""),
        "clone_url": format!("{html}.git"),
        "git_url": format!("git://{}/{full_name}.git", urls.host()),
        "ssh_url": format!("ssh://git@{}/{full_name}.git", urls.host()),
        "svn_url": html,
        "default_branch": repository.default_branch,
        "open_issues_count": repository.open_issues, "open_issues": repository.open_issues,
        "pushed_at": repository.pushed_at.to_string(),
        "created_at": repository.created_at.to_string(),
        "updated_at": repository.updated_at.to_string(),
    });
    extend(&mut value, more);
    extend(&mut value, absent());
    value
}

/// What this forge does not have, told as GitHub tells it of a repository that does not use it.
fn absent() -> Value {
    json!({
        "mirror_url": null,
        "homepage": null,
        "language": null,
        "license": null,
        "topics": [],
        "size": 0,
        "forks_count": 0, "forks": 0,
        "stargazers_count": 0, "watchers_count": 0, "watchers": 0,
        "is_template": false,
        "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false,
        "has_discussions": false, "has_downloads": false,
        "archived": false, "disabled": false,
        "allow_forking": false,
        "web_commit_signoff_required": false,
    })
}

/// GitHub's `full-repository`.
fn full_repository(urls: &Urls, repository: &Repository, held: Permission) -> Value {
    let mut value = repository_shape(urls, repository);
    let more = json!({
        "permissions": permissions(Some(held)),
        "subscribers_count": 0, "network_count": 0,
        "allow_merge_commit": true, "allow_squash_merge": true, "allow_rebase_merge": false,
        "allow_auto_merge": false, "delete_branch_on_merge": false,
        "allow_update_branch": false,
    });
    extend(&mut value, more);
    value
}

/// GitHub's `commit`. Its `author` and `committer` are null, because this forge does not know which
/// users the addresses in a commit belong to.
fn commit_shape(urls: &Urls, full_name: &str, commit: &Commit) -> Value {
    let api = |kind: &str, sha: &str| urls.api(full_name, &format!("/{kind}/{sha}"));
    let html = |sha: &str| urls.html(full_name, &format!("/commit/{}", escape(sha)));
    let signature = |by: &Signature| json!({ "name": by.name, "email": by.email, "date": by.date });
    let parents: Vec<_> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "url": api("commits", sha), "html_url": html(sha) }))
        .collect();
    json!({
        "sha": commit.sha,
        "node_id": node_id(NodeKind::Commit, 0),
        "url": api("commits", &commit.sha),
        "html_url": html(&commit.sha),
        "comments_url": urls.api(full_name, &format!("/commits/{}/comments", commit.sha)),
        "commit": {
            "url": api("git/commits", &commit.sha),
            "author": signature(&commit.author),
            "committer": signature(&commit.committer),
            "message": commit.message,
            "comment_count": 0,
            "tree": { "sha": commit.tree, "url": api("git/trees", &commit.tree) },
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null,
                "verified_at": null,
            },
        },
        "author": null,
        "committer": null,
        "parents": parents,
    })
}
