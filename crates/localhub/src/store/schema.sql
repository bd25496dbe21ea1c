-- Instants are whole seconds since the Unix epoch, as GitHub's are. Names compare without regard to
-- ASCII case, as GitHub's do.

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    login      TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    token      TEXT    UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE repositories (
    id             INTEGER PRIMARY KEY,
    owner_id       INTEGER NOT NULL REFERENCES users (id),
    name           TEXT    NOT NULL COLLATE NOCASE,
    description    TEXT,
    default_branch TEXT    NOT NULL,
    private        INTEGER NOT NULL,
    last_number    INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    pushed_at      INTEGER NOT NULL,
    UNIQUE (owner_id, name)
) STRICT;

CREATE TABLE permissions (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    user_id       INTEGER NOT NULL REFERENCES users (id),
    permission    TEXT    NOT NULL,
    PRIMARY KEY (repository_id, user_id)
) STRICT, WITHOUT ROWID;

-- A pull request is an issue with a row in pulls. So both share one series of numbers, and one
-- table has the titles, labels and comments of both.
CREATE TABLE issues (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    number        INTEGER NOT NULL,
    author_id     INTEGER NOT NULL REFERENCES users (id),
    title         TEXT    NOT NULL,
    body          TEXT,
    state         TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
    state_reason  TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    closed_at     INTEGER,
    closed_by     INTEGER REFERENCES users (id),
    UNIQUE (repository_id, number)
) STRICT;

CREATE TABLE pulls (
    issue_id         INTEGER PRIMARY KEY REFERENCES issues (id),
    head_ref         TEXT    NOT NULL,
    head_sha         TEXT    NOT NULL,
    base_ref         TEXT    NOT NULL,
    base_sha         TEXT    NOT NULL,
    draft            INTEGER NOT NULL,
    merged_at        INTEGER,
    merged_by        INTEGER REFERENCES users (id),
    merge_commit_sha TEXT
) STRICT;

CREATE TABLE labels (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    name          TEXT    NOT NULL COLLATE NOCASE,
    color         TEXT    NOT NULL,
    description   TEXT,
    UNIQUE (repository_id, name)
) STRICT;

CREATE TABLE issue_labels (
    issue_id INTEGER NOT NULL REFERENCES issues (id),
    label_id INTEGER NOT NULL REFERENCES labels (id) ON DELETE CASCADE,
    PRIMARY KEY (issue_id, label_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX issue_labels_by_label ON issue_labels (label_id);

CREATE TABLE issue_assignees (
    issue_id INTEGER NOT NULL REFERENCES issues (id),
    user_id  INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (issue_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE comments (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    issue_id   INTEGER NOT NULL REFERENCES issues (id),
    author_id  INTEGER NOT NULL REFERENCES users (id),
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX comments_by_issue ON comments (issue_id, id);

-- An event keeps its label's name and color as they were, because the label may be deleted later.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    issue_id    INTEGER NOT NULL REFERENCES issues (id),
    actor_id    INTEGER NOT NULL REFERENCES users (id),
    event       TEXT    NOT NULL,
    label_name  TEXT,
    label_color TEXT,
    old_title   TEXT,
    new_title   TEXT,
    assignee_id INTEGER REFERENCES users (id),
    commit_sha  TEXT,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX events_by_issue ON events (issue_id, id);
