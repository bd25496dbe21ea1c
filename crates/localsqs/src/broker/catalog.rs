//! Which queues there are, and their attributes and tags (the SQS API Reference, `CreateQueue`,
//! `DeleteQueue`, `SetQueueAttributes` and `TagQueue`).

use super::{Place, Queue, Queues, State};
use crate::attributes::{QueueSettings, Texts};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::store::{self, QueueRow};

const MOST_TAGS: usize = 50;

/// An attribute of a queue that is not as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The attribute, by AWS's name.
    pub attribute: String,
    /// The value that was wanted.
    pub wanted: String,
    /// The value that the queue has; nothing when the attribute is not set.
    pub there: Option<String>,
}

impl Queues {
    /// Makes a queue with these attributes, by AWS's names. It is no error when the queue is there
    /// with the same attributes.
    ///
    /// # Errors
    /// The name or an attribute is not one that SQS allows, the queue is there with other
    /// attributes, or the disk can't be written.
    pub async fn create(&self, name: &str, attributes: &Texts) -> Result<(), Error> {
        self.create_queue(name, attributes, &Texts::new(), Time::now()).await
    }

    /// Makes a queue with these attributes unless one of this name is there, which is left as it
    /// is. Returns the attributes in which that one differs.
    ///
    /// # Errors
    /// As [`create`](Self::create), but for other attributes.
    pub async fn ensure(&self, name: &str, attributes: &Texts) -> Result<Vec<Difference>, Error> {
        if let Some(there) = self.settings_of(name) {
            let wanted = QueueSettings::parse(attributes)?.shown();
            let there = there.shown();
            let differing = attributes.keys().filter(|key| wanted.get(*key) != there.get(*key));
            return Ok(differing
                .map(|key| Difference {
                    attribute: key.clone(),
                    wanted: wanted.get(key).cloned().unwrap_or_default(),
                    there: there.get(key).cloned(),
                })
                .collect());
        }
        self.create(name, attributes).await?;
        Ok(Vec::new())
    }

    fn settings_of(&self, name: &str) -> Option<QueueSettings> {
        Some(self.state().queues.get(name)?.row.settings.clone())
    }

    pub(crate) async fn create_queue(
        &self,
        name: &str,
        attributes: &Texts,
        tags: &Texts,
        now: Time,
    ) -> Result<(), Error> {
        check_name(name)?;
        let settings = QueueSettings::parse(attributes)?;
        check_tags(tags)?;
        let _catalog = self.0.catalog.lock().await;
        {
            let mut state = self.state();
            if let Some(there) = state.queues.get(name) {
                return there.check_same(&settings);
            }
            let cooldown = self.0.options.cooldown;
            state.deleted.retain(|_, deleted_at| now < deleted_at.plus(cooldown));
            if state.deleted.contains_key(name) {
                return Err(Error::new(
                    Code::QueueDeletedRecently,
                    "You must wait 60 seconds after deleting a queue before you can create \
                     another with the same name.",
                ));
            }
            self.check_redrive(&state, name, &settings)?;
        }
        let mut row = QueueRow {
            id: 0,
            name: name.to_owned(),
            created_at: now,
            modified_at: now,
            settings,
            tags: tags.clone(),
        };
        let stored = self.0.home.stored_queue(&row);
        row.id =
            self.0.store.write(move |connection| store::insert_queue(connection, &stored)).await?;
        self.state().queues.insert(name.to_owned(), Queue::new(row));
        Ok(())
    }

    /// The names that begin with `prefix`, in alphabetical order.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        state.queues.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// Fails when no queue has this name.
    pub(crate) fn exists(&self, name: &str) -> Result<(), Error> {
        self.state().queue(name).map(drop)
    }

    pub(crate) async fn delete_queue(&self, name: &str, now: Time) -> Result<(), Error> {
        let _catalog = self.0.catalog.lock().await;
        let slot = self.0.store.reserve().await?;
        let (id, written) = {
            let mut state = self.state();
            let queue = state.queues.remove(name).ok_or_else(Error::no_queue)?;
            let id = queue.row.id;
            // Receives that wait look again, and are told that the queue is gone.
            queue.changed.notify_waiters();
            state.deleting.insert(id, queue);
            (id, slot.write(move |connection| store::delete_queue(connection, id)))
        };
        let outcome = written.outcome().await;
        let mut state = self.state();
        if let Some(queue) = state.deleting.remove(&id) {
            match &outcome {
                Ok(()) => drop(state.deleted.insert(name.to_owned(), now)),
                Err(_) => drop(state.queues.insert(name.to_owned(), queue)),
            }
        }
        Ok(outcome?)
    }

    /// Every attribute, as AWS shows them. What is only read does not wait for the disk.
    pub(crate) fn attributes(&self, name: &str, now: Time) -> Result<Texts, Error> {
        let mut state = self.state();
        let queue = state.queue_mut(name)?;
        self.expire_in(queue, now);
        let (ready, in_flight, delayed) = queue.index.counts(now);
        let seconds = |time: Time| (time.millis() / 1000).to_string();
        let mut shown = queue.row.settings.shown();
        shown.extend(
            [
                ("ApproximateNumberOfMessages", ready.to_string()),
                ("ApproximateNumberOfMessagesNotVisible", in_flight.to_string()),
                ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
                ("CreatedTimestamp", seconds(queue.row.created_at)),
                ("LastModifiedTimestamp", seconds(queue.row.modified_at)),
                ("QueueArn", self.arn(name)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(shown)
    }

    pub(crate) async fn set_attributes(
        &self,
        name: &str,
        attributes: &Texts,
        now: Time,
    ) -> Result<(), Error> {
        let change = QueueSettings::parse(attributes)?;
        let _catalog = self.0.catalog.lock().await;
        let row = {
            let state = self.state();
            let row = state.queue(name)?.row.clone();
            self.check_redrive(&state, name, &change)?;
            QueueRow { settings: row.settings.changed(&change)?, modified_at: now, ..row }
        };
        self.update(name, row).await
    }

    pub(crate) fn tags(&self, name: &str) -> Result<Texts, Error> {
        Ok(self.state().queue(name)?.row.tags.clone())
    }

    /// Adds and removes tags.
    pub(crate) async fn tag(
        &self,
        name: &str,
        add: &Texts,
        remove: &[String],
    ) -> Result<(), Error> {
        let _catalog = self.0.catalog.lock().await;
        let mut row = self.state().queue(name)?.row.clone();
        row.tags.extend(add.clone());
        row.tags.retain(|key, _| !remove.contains(key));
        check_tags(&row.tags)?;
        self.update(name, row).await
    }

    /// Writes the attributes and tags that a queue has from now on. The caller holds the catalog,
    /// so the queue is neither changed nor deleted meanwhile.
    async fn update(&self, name: &str, row: QueueRow) -> Result<(), Error> {
        let written = self.0.home.stored_queue(&row);
        self.0.store.write(move |connection| store::update_queue(connection, &written)).await?;
        let mut state = self.state();
        let queue = state.queue_mut(name)?;
        queue.row = row;
        queue.changed.notify_waiters();
        Ok(())
    }

    /// The queues that name this one as their dead-letter queue.
    pub(crate) fn dead_letter_sources(&self, name: &str) -> Result<Vec<String>, Error> {
        let state = self.state();
        state.queue(name)?;
        Ok(state.dead_letter_sources_of(&self.arn(name)))
    }

    /// Checks that the redrive policy of a queue names a queue of this server, which allows it. As
    /// on AWS that may be the queue itself, once it is there.
    fn check_redrive(
        &self,
        state: &State,
        name: &str,
        settings: &QueueSettings,
    ) -> Result<(), Error> {
        let Some(redrive) = settings.redrive() else { return Ok(()) };
        let refuse = |reason: &str| {
            let policy = settings.redrive_text();
            Err(Error::value(format!(
                "Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"
            )))
        };
        let target = self.name_of(&redrive.target_arn).and_then(|name| state.queues.get(name));
        let Some(target) = target else {
            return refuse("Dead letter target does not exist.");
        };
        if !target.row.settings.allows_redrive_from(&self.arn(name)) {
            return refuse(
                "The dead letter target's RedriveAllowPolicy does not allow this queue.",
            );
        }
        Ok(())
    }

    /// Where messages of a queue go that were received too often, and how often that is. Nothing
    /// when the queue has no redrive policy, the dead-letter queue was deleted, or the queue is its
    /// own: messages are then delivered on, since a move would only bring them back.
    pub(super) fn dead_letters_of(
        &self,
        state: &State,
        name: &str,
    ) -> Result<Option<(Place, u32)>, Error> {
        let Some(redrive) = state.queue(name)?.row.settings.redrive() else { return Ok(None) };
        let target = self.name_of(&redrive.target_arn).filter(|target| *target != name);
        let target = target.and_then(|target| state.queues.get(target));
        Ok(target.map(|target| (target.place(), redrive.max_receive_count)))
    }
}

impl State {
    /// The names of the queues whose redrive policy names this ARN.
    pub(super) fn dead_letter_sources_of(&self, arn: &str) -> Vec<String> {
        let sources = self.queues.values().filter(|queue| {
            queue.row.settings.redrive().is_some_and(|redrive| redrive.target_arn == arn)
        });
        sources.map(|queue| queue.row.name.clone()).collect()
    }
}

impl Queue {
    /// Checks that a queue that is to be made has the attributes of this one.
    fn check_same(&self, settings: &QueueSettings) -> Result<(), Error> {
        let there = self.row.settings.shown();
        let differs = |(name, value): &(&String, &String)| {
            there.get(*name).map_or("", String::as_str) != value.as_str()
        };
        settings.texts().iter().find(differs).map_or(Ok(()), |(name, _)| {
            let message = format!(
                "A queue already exists with the same name and a different value for \
                 attribute {name}"
            );
            Err(Error::new(Code::QueueNameExists, message))
        })
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.strip_suffix(".fifo").is_some() {
        return Err(Error::new(
            Code::UnsupportedOperation,
            "FIFO queues are not supported here: \
             use a standard queue, whose name does not end in .fifo.",
        ));
    }
    if (1..=80).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(Error::value(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ))
    }
}

fn check_tags(tags: &Texts) -> Result<(), Error> {
    if tags.len() > MOST_TAGS {
        return Err(Error::value(format!(
            "Too many tags added for queue: at most {MOST_TAGS} are allowed."
        )));
    }
    let good = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:")
    };
    if tags.iter().all(good) {
        Ok(())
    } else {
        Err(Error::value(
            "Tag keys have 1 to 128 characters and don't begin with aws:, values have at most 256.",
        ))
    }
}
