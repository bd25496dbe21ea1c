//! The caller's own user, the rate limit, and the shape of a user.

use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{ApiError, Caller, NodeKind, Urls, escape, extend, node_id};
use crate::hub::Hub;
use crate::rate::{Rate, Resource};
use crate::store::users::User;

pub(super) fn routes() -> Router<Hub> {
    Router::new().route("/user", get(authenticated_user)).route("/rate_limit", get(rate_limit))
}

async fn authenticated_user(caller: Caller) -> Result<Json<Value>, ApiError> {
    let (public, private) = caller.ask(|forge, user| forge.owned_by(user)).await?;
    Ok(Json(private_user(&caller.urls, &caller.user, public, private)))
}

async fn rate_limit(caller: Caller) -> Json<Value> {
    let shape = |rate: Rate| {
        json!({
            "limit": rate.limit,
            "used": rate.used,
            "remaining": rate.remaining,
            "reset": rate.reset,
        })
    };
    let core = shape(caller.rate);
    let graphql = caller.hub.rates().peek(caller.user.id, Resource::Graphql, Timestamp::now());
    let resources = json!({ "core": core, "search": core, "graphql": shape(graphql) });
    Json(json!({ "resources": resources, "rate": core }))
}

/// GitHub's `simple-user`.
pub(super) fn simple_user(urls: &Urls, user: &User) -> Value {
    let url = urls.user(&user.login);
    json!({
        "login": user.login,
        "id": user.id,
        "node_id": node_id(NodeKind::User, user.id),
        "avatar_url": urls.absolute(&format!("/avatars/u/{}", user.id)),
        "gravatar_id": "",
        "url": url,
        "html_url": urls.absolute(&format!("/{}", escape(&user.login))),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": if user.login.ends_with("[bot]") { "Bot" } else { "User" },
        "user_view_type": "public",
        "site_admin": false,
    })
}

/// GitHub's `private-user`: what users see of their own account.
fn private_user(
    urls: &Urls,
    user: &User,
    public_repositories: u64,
    private_repositories: u64,
) -> Value {
    let mut value = simple_user(urls, user);
    let more = json!({
        "name": null, "company": null, "blog": "", "location": null, "email": null,
        "hireable": null, "bio": null,
        "public_repos": public_repositories, "public_gists": 0, "followers": 0, "following": 0,
        "created_at": user.created_at.to_string(), "updated_at": user.created_at.to_string(),
        "private_gists": 0, "total_private_repos": private_repositories,
        "owned_private_repos": private_repositories,
        "disk_usage": 0, "collaborators": 0, "two_factor_authentication": false,
        "user_view_type": "private",
    });
    extend(&mut value, more);
    value
}
