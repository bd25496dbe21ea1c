//! Rows that no version of the forge writes. The forge reports them, and never reads them as
//! something else.

use localhub::{HubError, StoreError};
use rusqlite::types::Value;
use serde_json::json;

use crate::api::Api;
use crate::server::{OWNER_TOKEN, READER_TOKEN, Server, start};

/// One column of one row, which is changed behind the forge's back.
struct Cell<'a> {
    table: &'a str,
    column: &'a str,
    /// Selects the row.
    condition: &'a str,
}

impl Cell<'_> {
    /// Sets the value and returns the one before.
    fn set(&self, server: &Server, value: Value) -> Value {
        let Self { table, column, condition } = self;
        let path = server.directory.path().join("hub/localhub.db");
        let database = rusqlite::Connection::open(path).unwrap();
        database.pragma_update(None, "ignore_check_constraints", true).unwrap();
        let select = format!("SELECT {column} FROM {table} WHERE {condition}");
        let before = database.query_one(&select, (), |row| row.get(0)).unwrap();
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {condition}");
        assert_eq!(database.execute(&update, [value]).unwrap(), 1, "{update}");
        before
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_named_in_the_error() {
    let server = start().await;
    let cell = Cell { table: "repositories", column: "pushed_at", condition: "id = 1" };
    cell.set(&server, Value::Integer(i64::MAX));
    let error = server.hub.has_repository("octo/hello").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the forge's database is damaged: in table repositories, row id 1, the column pushed_at \
         can't be read; correct the row or restore the database from a backup"
    );
    let HubError::Store(StoreError::Damaged { table, column, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((table, column), ("repositories", "pushed_at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_not_read_as_a_default() {
    let server = start().await;
    server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    let issue = json!({ "title": "t", "labels": ["bug"] });
    api.post("/repos/octo/hello/issues", issue).await.expect(201);
    api.post("/repos/octo/hello/issues/1/comments", json!({ "body": "c" })).await.expect(201);
    let pull = json!({ "title": "p", "head": "one", "base": "main" });
    api.post("/repos/octo/hello/pulls", pull).await.expect(201);

    let far = || Value::Integer(i64::MAX);
    let text = |text: &str| Value::Text(text.to_owned());
    for (table, column, condition, value, path) in [
        // A role that does not exist must not be taken for no role, which is a 404.
        ("permissions", "permission", "user_id = 2", text("wirte"), ""),
        ("users", "created_at", "login = 'octo'", far(), ""),
        ("issues", "state", "number = 1", text("opne"), "/issues/1"),
        ("issues", "closed_at", "number = 1", far(), "/issues/1"),
        ("issues", "number", "number = 1", Value::Integer(-1), "/issues?state=all"),
        ("comments", "updated_at", "id = 1", far(), "/issues/1/comments"),
        ("events", "event", "id = 1", text("labelled"), "/issues/1/events"),
        ("events", "label_name", "id = 1", Value::Null, "/issues/1/events"),
        ("pulls", "merged_at", "issue_id = 2", far(), "/pulls/2"),
    ] {
        // Not through the inspector, because GitHub describes none of these answers.
        let api = Api::new(&server.url, READER_TOKEN);
        let path = format!("/repos/octo/hello{path}");
        api.get(&path).await.expect(200);
        let cell = Cell { table, column, condition };
        let before = cell.set(&server, value.clone());
        let answer = api.get(&path).await;
        assert_eq!(answer.status, 500, "{table}.{column} = {value:?}: {}", answer.text);
        // A number that was changed no longer selects its row.
        let condition = if column == "number" { "number = -1" } else { condition };
        Cell { condition, ..cell }.set(&server, before);
    }
}
