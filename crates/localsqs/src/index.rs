//! Which messages of one queue are ready, delayed or in flight. Kept in memory, without I/O, and
//! with the time as an argument.
//!
//! The index holds a few dozen bytes for each message; bodies stay on the disk. Every operation
//! costs the logarithm of the number of messages, and a message that has become due is moved to
//! the ready ones when somebody looks, so a deep queue is as fast as an empty one.
//!
//! While a write about a message is pending the message is *held*: nobody receives it, and
//! whoever wants to change it waits. A message therefore changes in memory only when the disk has
//! changed, and a write that fails leaves nothing to undo but the hold itself. Invariant: a
//! message is in exactly one of the sets ready, delayed, in flight and held.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::clock::Time;

/// The number of a message in its store. Messages that were sent later have larger numbers.
pub(crate) type Id = i64;

/// What is known about a message without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sent_at: Time,
    /// From when on the message may be received: the end of its delay or of its visibility
    /// timeout.
    pub(crate) visible_at: Time,
    pub(crate) receive_count: u32,
    pub(crate) first_received_at: Option<Time>,
    /// When the message was last received. SQS extends no visibility timeout beyond twelve hours
    /// from then.
    pub(crate) received_at: Option<Time>,
    /// A random number that the last receive drew. It is part of the receipt handle, so a handle
    /// of an earlier receive does not fit any more, and nobody can guess one.
    pub(crate) receipt: i64,
}

impl Entry {
    /// A message that nobody has received.
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

    /// The entry after a receive at `now` that hides the message until `until`.
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

/// The messages of one queue, by what may be done with them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<Id, Entry>,
    ready: BTreeSet<Id>,
    delayed: BTreeSet<(Time, Id)>,
    in_flight: BTreeSet<(Time, Id)>,
    held: HashSet<Id>,
    /// All messages by the time of their send, the held ones too.
    by_age: BTreeSet<(Time, Id)>,
}

impl Index {
    /// Adds a message, or replaces what is known about it.
    pub(crate) fn insert(&mut self, id: Id, entry: Entry, now: Time) {
        self.remove(id);
        self.by_age.insert((entry.sent_at, id));
        self.entries.insert(id, entry);
        self.place(id, &entry, now);
    }

    /// Takes a message out, whether it is held or not.
    pub(crate) fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.by_age.remove(&(entry.sent_at, id));
        self.held.remove(&id);
        self.displace(id, &entry);
        Some(entry)
    }

    /// A message as the disk has it, as far as the writes that are done are concerned.
    pub(crate) fn entry(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The oldest message that may be received.
    pub(crate) fn first_ready(&mut self, now: Time) -> Option<Id> {
        self.promote_due(now);
        self.ready.first().copied()
    }

    /// Holds a message because a write about it is pending, and returns it as it is. Nothing when
    /// it is not there or held already.
    pub(crate) fn hold(&mut self, id: Id) -> Option<Entry> {
        let entry = *self.entries.get(&id)?;
        if !self.held.insert(id) {
            return None;
        }
        self.displace(id, &entry);
        Some(entry)
    }

    /// Holds a message that is in flight; nothing when it is not.
    pub(crate) fn hold_in_flight(&mut self, id: Id, now: Time) -> Option<Entry> {
        self.promote_due(now);
        let entry = self.entries.get(&id)?;
        if self.in_flight.contains(&(entry.visible_at, id)) { self.hold(id) } else { None }
    }

    /// Whether a write about a message is pending.
    pub(crate) fn is_held(&self, id: Id) -> bool {
        self.held.contains(&id)
    }

    /// Ends the hold on a message: the message is what `outcome` says from now on, and gone when
    /// that is nothing. Returns whether the message was held here.
    pub(crate) fn settle(&mut self, id: Id, outcome: Option<Entry>, now: Time) -> bool {
        let held = self.held.remove(&id);
        if held {
            match outcome {
                Some(entry) => self.insert(id, entry, now),
                None => drop(self.remove(id)),
            }
        }
        held
    }

    /// Takes in all messages of another index. Those that are held there are held here.
    pub(crate) fn absorb(&mut self, other: Self, now: Time) {
        for (id, entry) in other.entries {
            self.insert(id, entry, now);
            if other.held.contains(&id) {
                self.hold(id);
            }
        }
    }

    /// Takes out the messages that were sent before `oldest`. Those that are held stay, since a
    /// write about them is pending; the next call finds them.
    pub(crate) fn take_older_than(&mut self, oldest: Time) -> Vec<Id> {
        let old = self.by_age.iter().take_while(|(sent_at, _)| *sent_at < oldest);
        let old: Vec<Id> = old.map(|(_, id)| *id).filter(|id| !self.held.contains(id)).collect();
        for id in &old {
            self.remove(*id);
        }
        old
    }

    /// When the next message becomes due, if none is ready. A held message is not counted:
    /// whoever waits is woken when its hold ends.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let firsts = [self.delayed.first(), self.in_flight.first()];
        firsts.into_iter().flatten().map(|(time, _)| *time).min()
    }

    /// How many messages are ready, in flight and delayed. A held message counts as in flight:
    /// nobody can receive it.
    pub(crate) fn counts(&mut self, now: Time) -> (usize, usize, usize) {
        self.promote_due(now);
        (self.ready.len(), self.in_flight.len() + self.held.len(), self.delayed.len())
    }

    /// The numbers of all messages, the oldest first.
    pub(crate) fn ids(&self) -> Vec<Id> {
        self.by_age.iter().map(|(_, id)| *id).collect()
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> std::collections::BTreeMap<Id, Entry> {
        self.entries.iter().map(|(id, entry)| (*id, *entry)).collect()
    }

    /// Makes ready what has become due by `now`.
    fn promote_due(&mut self, now: Time) {
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

    /// A message that becomes visible later is delayed when nobody has received it yet, and in
    /// flight otherwise: AWS counts the two apart (the SQS Developer Guide, "Amazon SQS delay
    /// queues").
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
