//! The part of GitHub's GraphQL schema that this forge has.

use std::fmt;

/// The name of the one query.
pub(super) const VIEWER: &str = "viewer";

/// The name of the one mutation.
pub(super) const MARK_READY: &str = "markPullRequestReadyForReview";

/// A type with fields.
#[derive(Debug)]
pub(super) struct ObjectType {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a type.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The type of the argument `input`, which a mutation has. Nothing else has arguments.
    pub(super) input: Option<&'static InputType>,
}

/// What a field returns.
#[derive(Debug)]
pub(super) enum Kind {
    /// A scalar or an enum of this name.
    Scalar(&'static str),
    Object(&'static ObjectType),
}

/// A type of arguments.
#[derive(Debug)]
pub(super) struct InputType {
    pub(super) name: &'static str,
    pub(super) fields: &'static [InputField],
}

/// A field of an [`InputType`].
#[derive(Debug)]
pub(super) struct InputField {
    pub(super) name: &'static str,
    pub(super) expected: TypeRef,
}

/// A type where an argument stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeRef {
    pub(super) name: &'static str,
    /// Whether null is refused.
    pub(super) required: bool,
}

impl fmt::Display for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.required { "!" } else { "" })
    }
}

impl ObjectType {
    /// The field of this name. Every type has `__typename`.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        if name == TYPENAME.name {
            return Some(&TYPENAME);
        }
        self.fields.iter().find(|field| field.name == name)
    }
}

const fn scalar(name: &'static str, of: &'static str) -> Field {
    Field { name, kind: Kind::Scalar(of), input: None }
}

const fn object(name: &'static str, of: &'static ObjectType) -> Field {
    Field { name, kind: Kind::Object(of), input: None }
}

static TYPENAME: Field = scalar("__typename", "String");

/// The root of queries.
pub(super) static QUERY: ObjectType =
    ObjectType { name: "Query", fields: &[object(VIEWER, &USER)] };

/// The account that asks.
pub(super) static USER: ObjectType = ObjectType { name: "User", fields: ACTOR_FIELDS };

/// The root of mutations.
pub(super) static MUTATION: ObjectType = ObjectType {
    name: "Mutation",
    fields: &[Field {
        name: MARK_READY,
        kind: Kind::Object(&MARK_READY_PAYLOAD),
        input: Some(&MARK_READY_INPUT),
    }],
};

/// What the mutation takes.
pub(super) static MARK_READY_INPUT: InputType = InputType {
    name: "MarkPullRequestReadyForReviewInput",
    fields: &[
        InputField {
            name: "clientMutationId",
            expected: TypeRef { name: "String", required: false },
        },
        InputField { name: "pullRequestId", expected: TypeRef { name: "ID", required: true } },
    ],
};

/// What the mutation returns.
pub(super) static MARK_READY_PAYLOAD: ObjectType = ObjectType {
    name: "MarkPullRequestReadyForReviewPayload",
    fields: &[scalar("clientMutationId", "String"), object("pullRequest", &PULL_REQUEST)],
};

/// A pull request.
pub(super) static PULL_REQUEST: ObjectType = ObjectType {
    name: "PullRequest",
    fields: &[
        object("author", &ACTOR),
        scalar("baseRefName", "String"),
        scalar("baseRefOid", "GitObjectID"),
        scalar("body", "String"),
        scalar("closed", "Boolean"),
        scalar("closedAt", "DateTime"),
        scalar("createdAt", "DateTime"),
        scalar("databaseId", "Int"),
        scalar("fullDatabaseId", "BigInt"),
        scalar("headRefName", "String"),
        scalar("headRefOid", "GitObjectID"),
        scalar("id", "ID"),
        scalar("isDraft", "Boolean"),
        scalar("locked", "Boolean"),
        scalar("merged", "Boolean"),
        scalar("mergedAt", "DateTime"),
        scalar("number", "Int"),
        scalar("permalink", "URI"),
        object("repository", &REPOSITORY),
        scalar("resourcePath", "URI"),
        scalar("state", "PullRequestState"),
        scalar("title", "String"),
        scalar("updatedAt", "DateTime"),
        scalar("url", "URI"),
    ],
};

/// A user. In GitHub's schema it is an interface of users, bots and others.
pub(super) static ACTOR: ObjectType = ObjectType { name: "Actor", fields: ACTOR_FIELDS };

const ACTOR_FIELDS: &[Field] =
    &[scalar("login", "String"), scalar("resourcePath", "URI"), scalar("url", "URI")];

/// A repository.
pub(super) static REPOSITORY: ObjectType = ObjectType {
    name: "Repository",
    fields: &[
        scalar("id", "ID"),
        scalar("isPrivate", "Boolean"),
        scalar("name", "String"),
        scalar("nameWithOwner", "String"),
        scalar("resourcePath", "URI"),
        scalar("url", "URI"),
    ],
};

/// The types that a fragment can be on.
pub(super) static OBJECT_TYPES: [&ObjectType; 7] =
    [&QUERY, &MUTATION, &MARK_READY_PAYLOAD, &PULL_REQUEST, &ACTOR, &USER, &REPOSITORY];

/// The types that a variable can have.
pub(super) static INPUT_TYPES: [&str; 6] =
    ["Boolean", "Float", "ID", "Int", "String", MARK_READY_INPUT.name];
