//! Labels of a repository, and adding them to issues and removing them.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{FieldError, Forge, Refusal, admit, found, refuse_if_any};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::events::{self, Change};
use crate::store::issues::{self, Issue};
use crate::store::labels::{self, Label};
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{Page, Paged};

/// The color of a label that is created because an issue gets it.
const DEFAULT_COLOR: &str = "ededed";

/// What a caller wants to change of a label. `None` leaves a field as it is.
#[derive(Debug, Default)]
pub(crate) struct LabelChange {
    pub(crate) name: Option<String>,
    pub(crate) color: Option<String>,
    pub(crate) description: Option<Option<String>>,
}

impl Forge {
    /// The labels of a repository, by name.
    pub(crate) fn labels(
        &self,
        actor: &User,
        name: &RepositoryName,
        page: Page,
    ) -> Result<Paged<Label>, Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            Ok(labels::of_repository(tx, repository.id, page)?)
        })
    }

    /// One label.
    pub(crate) fn label(
        &self,
        actor: &User,
        name: &RepositoryName,
        label: &str,
    ) -> Result<Label, Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            labels::by_name(tx, repository.id, label)?.ok_or(Refusal::NOT_FOUND)
        })
    }

    /// Adds a label to a repository. `color` is six hexadecimal digits.
    pub(crate) fn create_label(
        &self,
        actor: &User,
        name: &RepositoryName,
        label: &str,
        color: Option<&str>,
        description: Option<&str>,
    ) -> Result<Label, Refusal> {
        let color = color.unwrap_or(DEFAULT_COLOR).to_ascii_lowercase();
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            check(label, &color, description)?;
            if labels::by_name(tx, repository.id, label)?.is_some() {
                return Err(Refusal::invalid(FieldError::new("Label", "name", "already_exists")));
            }
            Ok(labels::insert(tx, repository.id, label, &color, description)?)
        })
    }

    /// Changes a label, also where issues have it.
    pub(crate) fn change_label(
        &self,
        actor: &User,
        name: &RepositoryName,
        label: &str,
        change: LabelChange,
    ) -> Result<Label, Refusal> {
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            let mut changed =
                labels::by_name(tx, repository.id, label)?.ok_or(Refusal::NOT_FOUND)?;
            changed.name = change.name.unwrap_or(changed.name);
            changed.color = change.color.map_or(changed.color, |color| color.to_ascii_lowercase());
            changed.description = change.description.unwrap_or(changed.description);
            check(&changed.name, &changed.color, changed.description.as_deref())?;
            match labels::by_name(tx, repository.id, &changed.name)? {
                Some(other) if other.id != changed.id => {
                    return Err(Refusal::invalid(FieldError::new(
                        "Label",
                        "name",
                        "already_exists",
                    )));
                }
                Some(_) | None => labels::update(tx, &changed)?,
            }
            Ok(changed)
        })
    }

    /// Deletes a label, also from the issues that have it.
    pub(crate) fn delete_label(
        &self,
        actor: &User,
        name: &RepositoryName,
        label: &str,
    ) -> Result<(), Refusal> {
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            let label = labels::by_name(tx, repository.id, label)?.ok_or(Refusal::NOT_FOUND)?;
            Ok(labels::delete(tx, label.id)?)
        })
    }

    /// Adds labels to an issue, or with `replace` makes them its only ones. A label that the
    /// repository does not have is created. Returns all labels of the issue.
    pub(crate) fn label_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        wanted: &[String],
        replace: bool,
        now: Timestamp,
    ) -> Result<Vec<Label>, Refusal> {
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Triage)?;
            let issue = found(tx, &repository, number)?;
            if replace {
                set(tx, &repository, &issue, actor, wanted, now)?;
            } else {
                add(tx, &repository, &issue, actor, wanted, now)?;
            }
            issues::touch(tx, issue.id, now)?;
            Ok(labels::of_issue(tx, issue.id)?)
        })
    }

    /// Removes one label from an issue. Returns the labels that are left.
    pub(crate) fn unlabel_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        label: &str,
        now: Timestamp,
    ) -> Result<Vec<Label>, Refusal> {
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Triage)?;
            let issue = found(tx, &repository, number)?;
            let has = issue.labels.iter().find(|has| has.name.eq_ignore_ascii_case(label));
            let has = has.ok_or(Refusal::NotFound("Label does not exist"))?;
            remove(tx, &issue, actor, has, now)?;
            issues::touch(tx, issue.id, now)?;
            Ok(labels::of_issue(tx, issue.id)?)
        })
    }
}

fn check(name: &str, color: &str, description: Option<&str>) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    check_name(name, &mut errors);
    if color.len() != 6 || !color.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        errors.push(FieldError::new("Label", "color", "invalid"));
    }
    if description.is_some_and(|text| text.chars().count() > 100) {
        let message = "description is too long (maximum is 100 characters)";
        errors.push(FieldError::custom("Label", "description", message));
    }
    refuse_if_any(errors)
}

fn check_name(name: &str, errors: &mut Vec<FieldError>) {
    if name.trim().is_empty() {
        errors.push(FieldError::new("Label", "name", "missing_field"));
    } else if name.chars().count() > 50 {
        errors.push(FieldError::custom(
            "Label",
            "name",
            "name is too long (maximum is 50 characters)",
        ));
    }
}

/// Adds labels to an issue.
pub(super) fn add(
    tx: &Transaction<'_>,
    repository: &Repository,
    issue: &Issue,
    actor: &User,
    wanted: &[String],
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    wanted.iter().for_each(|name| check_name(name, &mut errors));
    refuse_if_any(errors)?;
    for name in wanted {
        let label = match labels::by_name(tx, repository.id, name)? {
            Some(label) => label,
            None => labels::insert(tx, repository.id, name, DEFAULT_COLOR, None)?,
        };
        if labels::attach(tx, issue.id, label.id)? {
            let labeled = Change::Labeled { name: label.name, color: label.color };
            events::insert(tx, issue.id, actor.id, &labeled, now)?;
        }
    }
    Ok(())
}

/// Makes these the only labels of an issue.
pub(super) fn set(
    tx: &Transaction<'_>,
    repository: &Repository,
    issue: &Issue,
    actor: &User,
    wanted: &[String],
    now: Timestamp,
) -> Result<(), Refusal> {
    for label in &issue.labels {
        if !wanted.iter().any(|name| name.eq_ignore_ascii_case(&label.name)) {
            remove(tx, issue, actor, label, now)?;
        }
    }
    add(tx, repository, issue, actor, wanted, now)
}

fn remove(
    tx: &Transaction<'_>,
    issue: &Issue,
    actor: &User,
    label: &Label,
    now: Timestamp,
) -> Result<(), Refusal> {
    if labels::detach(tx, issue.id, label.id)? {
        let unlabeled = Change::Unlabeled { name: label.name.clone(), color: label.color.clone() };
        events::insert(tx, issue.id, actor.id, &unlabeled, now)?;
    }
    Ok(())
}
