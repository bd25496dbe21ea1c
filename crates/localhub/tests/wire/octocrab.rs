//! octocrab with the forge. It is not changed, and only gets the base URL.

use octocrab::models::{IssueState, pulls::MergeableState, timelines};
use octocrab::params::State;
use octocrab::service::middleware::retry::RetryConfig;

use crate::server::{OWNER_TOKEN, Server, start};

fn octocrab(server: &Server, token: &str) -> octocrab::Octocrab {
    let builder = octocrab::Octocrab::builder().base_uri(server.inspected.url.as_str()).unwrap();
    builder.personal_token(token).add_retry_config(RetryConfig::None).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_s_whole_life_is_typed() {
    let server = start().await;
    let octo = octocrab(&server, OWNER_TOKEN);
    assert_eq!(octo.current().user().await.unwrap().login, "octo");
    octo.ratelimit().get().await.unwrap();

    let issues = octo.issues("octo", "hello");
    let issue = issues
        .create("Title")
        .body("Body")
        .labels(vec!["ai-task".to_owned()])
        .send()
        .await
        .unwrap();
    assert_eq!((issue.number, issue.state), (1, IssueState::Open));
    issues.create_label("ai-task-done", "00ff00", "finished").await.unwrap();
    issues.add_labels(1, &["ai-task-done".to_owned()]).await.unwrap();
    assert_eq!(issues.remove_label(1, "ai-task").await.unwrap()[0].name, "ai-task-done");

    for number in 0..3 {
        issues.create_comment(1, format!("comment {number}")).await.unwrap();
    }
    let page = issues.list_comments(1).per_page(2).send().await.unwrap();
    assert!(page.next.is_some());
    let comments = octo.all_pages(page).await.unwrap();
    assert_eq!(comments.len(), 3);
    let edited = issues.update_comment(comments[0].id, "edited").await.unwrap();
    assert_eq!(edited.body.as_deref(), Some("edited"));
    issues.delete_comment(comments[2].id).await.unwrap();

    issues.update(1).title("New title").state(IssueState::Closed).send().await.unwrap();
    assert_eq!(issues.get(1).await.unwrap().title, "New title");
    assert_eq!(issues.list().state(State::Closed).send().await.unwrap().items.len(), 1);
    let timeline = issues.list_timeline_events(1).send().await.unwrap();
    assert!(
        timeline.items.iter().any(|entry| matches!(entry.event, octocrab::models::Event::Renamed))
    );
    let _typed: Vec<timelines::TimelineEvent> = timeline.items;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_s_whole_life_is_typed() {
    let server = start().await;
    server.pushed(&["codingworker/issue-1"]).await;
    let octo = octocrab(&server, OWNER_TOKEN);
    let repository = octo.repos("octo", "hello").get().await.unwrap();
    assert_eq!(repository.default_branch.as_deref(), Some("main"));

    let pulls = octo.pulls("octo", "hello");
    let pull = pulls
        .create("Title", "codingworker/issue-1", "main")
        .body("Closes #9")
        .draft(true)
        .send()
        .await
        .unwrap();
    assert_eq!((pull.number, pull.draft), (1, Some(true)));
    let found =
        pulls.list().state(State::Open).head("octo:codingworker/issue-1").send().await.unwrap();
    assert_eq!(found.items[0].number, 1);
    pulls.update(1).title("Better").send().await.unwrap();
    let read = pulls.get(1).await.unwrap();
    assert_eq!(
        (read.title.as_deref(), read.mergeable_state),
        (Some("Better"), Some(MergeableState::Draft))
    );
    assert!(pulls.get_diff(1).await.unwrap().starts_with("diff --git "));
    assert_eq!(pulls.list_files(1).await.unwrap().items[0].filename, "codingworker-issue-1.txt");

    let again = pulls.create("Title", "codingworker/issue-1", "main").send().await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = again else { panic!("{again:?}") };
    assert_eq!(source.status_code, 422);
    let message = source.errors.unwrap()[0]["message"].clone();
    assert_eq!(message, "A pull request already exists for octo:codingworker/issue-1.");

    // octocrab can read `admin`. It expects `pull` and `push` where GitHub says `read` and `write`,
    // and fails at those.
    let held = octo.repos("octo", "hello").get_contributor_permission("octo").send().await.unwrap();
    assert_eq!(held.permission, octocrab::params::teams::Permission::Admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_typed() {
    let server = start().await;
    let unknown = octocrab(&server, "wrong").current().user().await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = unknown else { panic!("{unknown:?}") };
    assert_eq!((source.status_code.as_u16(), source.message.as_str()), (401, "Bad credentials"));
    let missing = octocrab(&server, OWNER_TOKEN).issues("octo", "hello").get(1).await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = missing else { panic!("{missing:?}") };
    assert_eq!((source.status_code.as_u16(), source.message.as_str()), (404, "Not Found"));
    assert!(source.documentation_url.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_marked_as_ready_by_graphql() {
    let server = start().await;
    server.pushed(&["one"]).await;
    let octo = octocrab(&server, OWNER_TOKEN);
    let pulls = octo.pulls("octo", "hello");
    let draft = pulls.create("Title", "one", "main").draft(true).send().await.unwrap();
    let query = "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id})
                 { pullRequest { isDraft } } }";
    let body = serde_json::json!({ "query": query, "variables": { "id": draft.node_id } });
    let answer: serde_json::Value = octo.graphql(&body).await.unwrap();
    let pull = &answer["markPullRequestReadyForReview"]["pullRequest"];
    assert_eq!(pull["isDraft"], false);
    assert_eq!(pulls.get(1).await.unwrap().draft, Some(false));

    let body = serde_json::json!({ "query": "{ viewer { login } }" });
    let answer: serde_json::Value = octo.graphql(&body).await.unwrap();
    assert_eq!(answer["viewer"]["login"], "octo");
    let body = serde_json::json!({ "query": "{ rateLimit { cost } }" });
    let unknown = octo.graphql::<serde_json::Value>(&body).await.unwrap_err();
    assert!(format!("{unknown:?}").contains("localhub has viewer"), "{unknown:?}");
}
