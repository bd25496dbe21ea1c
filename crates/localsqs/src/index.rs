//! Which messages of one queue are where: ready, delayed, or in flight. In memory, pure, with `now`
//! an argument.
//!
//! Holds a few dozen bytes a message; bodies stay on the disk. Every operation costs the logarithm
//! of the depth, and what has become due is moved as it is met, so a deep queue is as fast as an
//! empty one. Invariant: a message is in exactly one of the three sets.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Time;

/// A message's number in its store; ascending in the order of sending.
pub(crate) type Id = i64;

/// What is known of a message without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub sent_at: Time,
    /// When it may be received (again).
    pub visible_at: Time,
    pub receive_count: u32,
    pub first_received_at: Option<Time>,
    /// When it was received last: no lease is longer than twelve hours from then.
    pub received_at: Option<Time>,
    /// Says which receive was the last, and is in its receipt handle; nobody can guess it.
    pub receipt: i64,
}

impl Entry {
    /// A message that nobody has received.
    #[must_use]
    pub(crate) fn sent(sent_at: Time, visible_at: Time) -> Self {
        Self {
            sent_at,
            visible_at,
            receive_count: 0,
            first_received_at: None,
            received_at: None,
            receipt: 0,
        }
    }

    /// What it is once it was received, and is kept from others until `until`.
    #[must_use]
    pub(crate) fn received(self, until: Time, now: Time, receipt: i64) -> Self {
        Self {
            receipt,
            visible_at: until,
            receive_count: self.receive_count.saturating_add(1),
            first_received_at: self.first_received_at.or(Some(now)),
            received_at: Some(now),
            ..self
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<Id, Entry>,
    ready: BTreeSet<Id>,
    delayed: BTreeSet<(Time, Id)>,
    in_flight: BTreeSet<(Time, Id)>,
    by_age: BTreeSet<(Time, Id)>,
}

impl Index {
    pub(crate) fn insert(&mut self, id: Id, entry: Entry, now: Time) {
        self.remove(id);
        self.by_age.insert((entry.sent_at, id));
        self.entries.insert(id, entry);
        self.place(id, &entry, now);
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.by_age.remove(&(entry.sent_at, id));
        self.displace(id, &entry);
        Some(entry)
    }

    #[must_use]
    pub(crate) fn entry(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Moves what has become due, and says which is the oldest message that may be received.
    pub(crate) fn first_ready(&mut self, now: Time) -> Option<Id> {
        self.settle(now);
        self.ready.first().copied()
    }

    /// Gives a message in flight until `until`; nothing when it is not in flight.
    pub(crate) fn change_visibility(&mut self, id: Id, until: Time, now: Time) -> Option<Entry> {
        self.settle(now);
        let mut entry = *self.entries.get(&id)?;
        if !self.in_flight.contains(&(entry.visible_at, id)) {
            return None;
        }
        self.displace(id, &entry);
        entry.visible_at = until;
        self.entries.insert(id, entry);
        self.place(id, &entry, now);
        Some(entry)
    }

    /// Messages that were sent before `oldest`.
    #[must_use]
    pub(crate) fn older_than(&self, oldest: Time) -> Vec<Id> {
        self.by_age.iter().take_while(|(sent_at, _)| *sent_at < oldest).map(|(_, id)| *id).collect()
    }

    /// When the next message becomes due, if none is ready.
    #[must_use]
    pub(crate) fn next_due(&self) -> Option<Time> {
        let firsts = [self.delayed.first(), self.in_flight.first()];
        firsts.into_iter().flatten().map(|(time, _)| *time).min()
    }

    /// How many are ready, in flight and delayed.
    pub(crate) fn counts(&mut self, now: Time) -> (usize, usize, usize) {
        self.settle(now);
        (self.ready.len(), self.in_flight.len(), self.delayed.len())
    }

    #[must_use]
    pub(crate) fn ids(&self) -> Vec<Id> {
        self.by_age.iter().map(|(_, id)| *id).collect()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (Id, Entry)> + '_ {
        self.entries.iter().map(|(id, entry)| (*id, *entry))
    }

    fn settle(&mut self, now: Time) {
        for waiting in [&mut self.delayed, &mut self.in_flight] {
            while let Some(&(due, id)) = waiting.first() {
                if due > now {
                    break;
                }
                waiting.pop_first();
                self.ready.insert(id);
            }
        }
    }

    fn place(&mut self, id: Id, entry: &Entry, now: Time) {
        if entry.visible_at <= now {
            self.ready.insert(id);
        } else if entry.receive_count == 0 {
            self.delayed.insert((entry.visible_at, id));
        } else {
            self.in_flight.insert((entry.visible_at, id));
        }
    }

    fn displace(&mut self, id: Id, entry: &Entry) {
        self.ready.remove(&id);
        self.delayed.remove(&(entry.visible_at, id));
        self.in_flight.remove(&(entry.visible_at, id));
    }
}

#[cfg(test)]
mod tests;
