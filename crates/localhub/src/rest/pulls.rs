//! Pull requests: their routes, their two shapes, and the media types of diffs and patches.

use axum::extract::Query;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::issues::{association, state_filter};
use super::labels::shapes;
use super::paging::Paging;
use super::repositories::repository_shape;
use super::users::simple_user;
use super::{Number, Target};
use crate::api::{ApiError, Caller, Input, NodeKind, Urls, escape, extend, given, node_id};
use crate::forge::issues::IssueChange;
use crate::forge::pulls::{Measure, Merge, NewPull, PullChange, PullRequest};
use crate::git::ChangedFile;
use crate::hub::Hub;
use crate::store::issues::{Filter, Kind, Sort, State};

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/repos/{owner}/{repo}/pulls", get(list).post(create))
        .route("/repos/{owner}/{repo}/pulls/{number}", get(read).patch(change).post(change))
        .route("/repos/{owner}/{repo}/pulls/{number}/files", get(files))
        .route("/repos/{owner}/{repo}/pulls/{number}/merge", put(merge))
}

/// The query of "List pull requests"; `head` is `owner:branch`.
#[derive(Deserialize)]
struct Selection {
    state: Option<String>,
    head: Option<String>,
    base: Option<String>,
    sort: Option<String>,
    direction: Option<String>,
}

async fn list(
    caller: Caller,
    Target(name): Target,
    Query(query): Query<Selection>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let sort = if query.sort.as_deref() == Some("updated") { Sort::Updated } else { Sort::Created };
    let head = match query.head.as_deref().map(|head| head.split_once(':')) {
        // GitHub ignores a head without an owner. Another owner's branches are in forks, and this
        // forge has none.
        None | Some(None) => None,
        Some(Some((owner, branch))) if owner.eq_ignore_ascii_case(name.owner()) => {
            Some(branch.to_owned())
        }
        Some(Some(_)) => return Ok(paging.answer(&caller, Vec::new(), 0)),
    };
    let filter = Filter {
        kind: Kind::Pulls,
        state: state_filter(query.state.as_deref()),
        labels: Vec::new(),
        creator: None,
        assignee: None,
        since: None,
        head,
        base: query.base,
        sort,
        ascending: query.direction.as_deref() == Some("asc"),
    };
    let page = paging.page;
    let pulls = caller.ask(move |forge, user| forge.pulls(user, &name, &filter, page)).await?;
    let items = pulls.items.iter().map(|pull| simple_pull(&caller.urls, pull)).collect();
    Ok(paging.answer(&caller, items, pulls.total))
}

#[derive(Deserialize)]
struct Creation {
    title: Option<String>,
    body: Option<String>,
    head: String,
    base: String,
    #[serde(default)]
    draft: bool,
}

async fn create(
    caller: Caller,
    Target(name): Target,
    Input(new): Input<Creation>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = NewPull {
        title: new.title.unwrap_or_default(),
        body: new.body,
        head: new.head,
        base: new.base,
        draft: new.draft,
    };
    let created = caller.ask(move |forge, user| {
        let request = forge.create_pull(user, &name, &new, Timestamp::now())?;
        let measure = forge.measure(&name, &request)?;
        Ok((request, measure))
    });
    let (request, measure) = created.await?;
    Ok((StatusCode::CREATED, Json(full_pull(&caller.urls, &request, &measure))))
}

async fn read(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept =
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default().to_owned();
    // application/vnd.github.diff, or with a version, application/vnd.github.v3.diff (GitHub's
    // page "Media types").
    let wants = |form: &str| accept.split(',').any(|kind| is_form(kind, form));
    if wants("diff") || wants("patch") {
        let form = if wants("diff") { "diff" } else { "patch" };
        let text = caller.ask(move |forge, user| {
            let request = forge.pull(user, &name, number)?;
            let (path, pull) = (forge.path(&name), &request.pull);
            Ok(match form {
                "diff" => forge.git.diff(&path, &pull.base_sha, &pull.head_sha)?,
                _ => forge.git.patch(&path, &pull.base_sha, &pull.head_sha)?,
            })
        });
        let kind = format!("application/vnd.github.{form}; charset=utf-8");
        return Ok(([(CONTENT_TYPE, kind)], text.await?).into_response());
    }
    let read = caller.ask(move |forge, user| {
        let request = forge.pull(user, &name, number)?;
        let measure = forge.measure(&name, &request)?;
        Ok((request, measure))
    });
    let (request, measure) = read.await?;
    Ok(Json(full_pull(&caller.urls, &request, &measure)).into_response())
}

fn is_form(media_type: &str, form: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default().trim();
    name.strip_prefix("application/vnd.github.").and_then(|rest| rest.rsplit('.').next())
        == Some(form)
}

/// The body of "Update a pull request". It has no `draft`: GitHub ignores one, as every field that
/// it does not know, and so does this forge.
#[derive(Deserialize)]
struct Change {
    title: Option<String>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Option<String>>,
    state: Option<State>,
    base: Option<String>,
}

async fn change(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(new): Input<Change>,
) -> Result<Json<Value>, ApiError> {
    let issue = IssueChange {
        title: new.title,
        body: new.body,
        state: new.state,
        ..IssueChange::default()
    };
    let change = PullChange { issue, base: new.base };
    let changed = caller.ask(move |forge, user| {
        let request = forge.change_pull(user, &name, number, &change, Timestamp::now())?;
        let measure = forge.measure(&name, &request)?;
        Ok((request, measure))
    });
    let (request, measure) = changed.await?;
    Ok(Json(full_pull(&caller.urls, &request, &measure)))
}

async fn files(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = paging.page;
    let (request, files) =
        caller.ask(move |forge, user| forge.pull_files(user, &name, number, page)).await?;
    let items = files.items.iter().map(|file| file_shape(&caller.urls, &request, file)).collect();
    Ok(paging.answer(&caller, items, files.total))
}

#[derive(Deserialize)]
struct MergeInput {
    commit_title: Option<String>,
    commit_message: Option<String>,
    sha: Option<String>,
    merge_method: Option<String>,
}

async fn merge(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(new): Input<MergeInput>,
) -> Result<Json<Value>, ApiError> {
    let merge = Merge {
        title: new.commit_title,
        message: new.commit_message,
        sha: new.sha,
        method: new.merge_method,
    };
    let merged = caller
        .ask(move |forge, user| forge.merge_pull(user, &name, number, &merge, Timestamp::now()));
    Ok(Json(json!({
        "sha": merged.await?,
        "merged": true,
        "message": "Pull Request successfully merged",
    })))
}

/// GitHub's `pull-request-simple`, which lists have.
fn simple_pull(urls: &Urls, request: &PullRequest) -> Value {
    let PullRequest { repository, issue, pull } = request;
    let full_name = repository.full_name();
    let number = issue.number;
    let url = urls.api(&full_name, &format!("/pulls/{number}"));
    let issue_url = urls.api(&full_name, &format!("/issues/{number}"));
    let html = urls.html(&full_name, &format!("/pull/{number}"));
    let statuses = urls.api(&full_name, &format!("/statuses/{}", pull.head_sha));
    let review_comment = urls.api(&full_name, "/pulls/comments{/number}");
    let assignees: Vec<_> = issue.assignees.iter().map(|user| simple_user(urls, user)).collect();
    let owner = simple_user(urls, &repository.owner);
    let side = |branch: &str, sha: &str| {
        json!({
            "label": format!("{}:{branch}", repository.owner.login),
            "ref": branch,
            "sha": sha,
            "user": owner,
            "repo": repository_shape(urls, repository),
        })
    };
    let link = |href: &str| json!({ "href": href });
    let mut shape = json!({
        "id": issue.id,
        "node_id": node_id(NodeKind::PullRequest, issue.id),
        "number": number,
        "url": url,
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue_url,
        "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"),
        "review_comment_url": review_comment,
        "comments_url": format!("{issue_url}/comments"),
        "statuses_url": statuses,
        "_links": {
            "self": link(&url),
            "html": link(&html),
            "issue": link(&issue_url),
            "comments": link(&format!("{issue_url}/comments")),
            "review_comments": link(&format!("{url}/comments")),
            "review_comment": link(&review_comment),
            "commits": link(&format!("{url}/commits")),
            "statuses": link(&statuses),
        },
        "head": side(&pull.head_ref, &pull.head_sha),
        "base": side(&pull.base_ref, &pull.base_sha),
    });
    let state = json!({
        "state": issue.state.name(),
        "locked": false,
        "active_lock_reason": null,
        "title": issue.title,
        "body": issue.body,
        "user": simple_user(urls, &issue.author),
        "author_association": association(repository, &issue.author, issue.author_is_collaborator),
        "labels": shapes(urls, &full_name, &issue.labels),
        "milestone": null,
        "assignee": assignees.first(),
        "assignees": assignees,
        "requested_reviewers": [],
        "requested_teams": [],
        "draft": pull.draft,
        "auto_merge": null,
        "created_at": issue.created_at.to_string(),
        "updated_at": issue.updated_at.to_string(),
        "closed_at": issue.closed_at.map(|at| at.to_string()),
        "merged_at": pull.merged_at.map(|at| at.to_string()),
        "merge_commit_sha": pull.merge_commit_sha,
    });
    extend(&mut shape, state);
    shape
}

/// GitHub's `pull-request`, which answers about a single one have.
fn full_pull(urls: &Urls, request: &PullRequest, measure: &Measure) -> Value {
    let PullRequest { issue, pull, .. } = request;
    let mergeable_state = match measure.mergeable {
        None => "unknown",
        Some(false) => "dirty",
        Some(true) if pull.draft => "draft",
        Some(true) => "clean",
    };
    let mut shape = simple_pull(urls, request);
    let more = json!({
        "merged": pull.merged_at.is_some(),
        "merged_by": pull.merged_by.as_ref().map(|user| simple_user(urls, user)),
        "mergeable": measure.mergeable,
        "rebaseable": null,
        "mergeable_state": mergeable_state,
        "comments": issue.comments,
        "review_comments": 0,
        "maintainer_can_modify": false,
        "commits": measure.commits,
        "additions": measure.files.iter().map(|file| file.additions).sum::<u64>(),
        "deletions": measure.files.iter().map(|file| file.deletions).sum::<u64>(),
        "changed_files": measure.files.len(),
    });
    extend(&mut shape, more);
    shape
}

/// GitHub's `diff-entry`.
fn file_shape(urls: &Urls, request: &PullRequest, file: &ChangedFile) -> Value {
    let full_name = request.repository.full_name();
    let sha = &request.pull.head_sha;
    let path = file.path.split('/').map(escape).collect::<Vec<_>>().join("/");
    let mut shape = json!({
        "sha": file.blob,
        "filename": file.path,
        "status": file.status,
        "additions": file.additions,
        "deletions": file.deletions,
        "changes": file.additions + file.deletions,
        "blob_url": urls.html(&full_name, &format!("/blob/{sha}/{path}")),
        "raw_url": urls.html(&full_name, &format!("/raw/{sha}/{path}")),
        "contents_url": urls.api(&full_name, &format!("/contents/{path}?ref={sha}")),
    });
    if let Some(patch) = &file.patch {
        extend(&mut shape, json!({ "patch": patch }));
    }
    if let Some(previous) = &file.previous_path {
        extend(&mut shape, json!({ "previous_filename": previous }));
    }
    shape
}
