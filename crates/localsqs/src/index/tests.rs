use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn sent(at_millis: i64, visible: i64) -> Entry {
    Entry::sent(at(at_millis), at(visible))
}

/// Changes the visibility timeout of a message in flight, as a change does whose write succeeds.
fn change_visibility(index: &mut Index, id: Id, until: i64, now: i64) -> Option<Entry> {
    let before = index.hold_in_flight(id, at(now))?;
    let after = Entry { visible_at: at(until), ..before };
    assert!(index.settle(id, Some(after), at(now)));
    Some(after)
}

#[test]
fn a_message_goes_from_delayed_to_ready_to_in_flight_and_back() {
    let mut index = Index::default();
    index.insert(1, sent(0, 100), at(0));
    assert_eq!(index.first_ready(at(99)), None);
    assert_eq!(index.next_due(), Some(at(100)));
    assert_eq!(index.first_ready(at(100)), Some(1));
    index.insert(1, index.entry(1).unwrap().received(at(200), at(100), 7), at(100));
    assert_eq!(index.entry(1).unwrap().receive_count, 1);
    assert_eq!(index.counts(at(150)), (0, 1, 0));
    assert!(change_visibility(&mut index, 1, 300, 150).is_some());
    assert_eq!(index.first_ready(at(299)), None);
    assert_eq!(index.first_ready(at(300)), Some(1));
    assert_eq!(change_visibility(&mut index, 1, 400, 300), None, "it is not in flight any more");
    assert_eq!(
        index.entry(1).unwrap().received(at(400), at(301), 7).first_received_at,
        Some(at(100))
    );
    assert!(index.remove(1).is_some());
    assert_eq!(index.counts(at(500)), (0, 0, 0));
}

/// The same rules in the simplest form.
#[derive(Default)]
struct Model(BTreeMap<Id, Entry>);

impl Model {
    fn first_ready(&self, now: Time) -> Option<Id> {
        self.0.iter().find(|(_, entry)| entry.visible_at <= now).map(|(id, _)| *id)
    }

    fn counts(&self, now: Time) -> (usize, usize, usize) {
        let count =
            |keep: &dyn Fn(&Entry) -> bool| self.0.values().filter(|entry| keep(entry)).count();
        (
            count(&|entry| entry.visible_at <= now),
            count(&|entry| entry.visible_at > now && entry.receive_count > 0),
            count(&|entry| entry.visible_at > now && entry.receive_count == 0),
        )
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send { delay: i64 },
    Receive { visibility: i64 },
    Change { which: usize, visibility: i64 },
    Delete { which: usize },
    Wait { millis: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..50_i64).prop_map(|delay| Step::Send { delay }),
        (0..50_i64).prop_map(|visibility| Step::Receive { visibility }),
        (any::<usize>(), 0..50_i64)
            .prop_map(|(which, visibility)| Step::Change { which, visibility }),
        any::<usize>().prop_map(|which| Step::Delete { which }),
        (0..40_i64).prop_map(|millis| Step::Wait { millis }),
    ]
}

proptest! {
    #[test]
    fn the_index_behaves_like_the_model(steps in proptest::collection::vec(step(), 1..200)) {
        let (mut index, mut model, mut now, mut next) = (Index::default(), Model::default(), 0, 0);
        for step in steps {
            let pick = |which: usize, model: &Model| {
                let ids: Vec<Id> = model.0.keys().copied().collect();
                (!ids.is_empty()).then(|| ids[which % ids.len()])
            };
            match step {
                Step::Send { delay } => {
                    next += 1;
                    let entry = sent(now, now + delay);
                    index.insert(next, entry, at(now));
                    model.0.insert(next, entry);
                }
                Step::Receive { visibility } => {
                    let ready = index.first_ready(at(now));
                    prop_assert_eq!(ready, model.first_ready(at(now)));
                    if let Some(id) = ready {
                        let entry = model.0.get_mut(&id).unwrap();
                        entry.visible_at = at(now + visibility);
                        entry.receive_count += 1;
                        entry.first_received_at.get_or_insert(at(now));
                        entry.received_at = Some(at(now));
                        entry.receipt = 7;
                        let before = *index.entry(id).unwrap();
                        let received = before.received(at(now + visibility), at(now), 7);
                        prop_assert_eq!(received, *entry);
                        index.insert(id, received, at(now));
                    }
                }
                Step::Change { which, visibility } => {
                    if let Some(id) = pick(which, &model) {
                        let entry = model.0.get_mut(&id).unwrap();
                        let in_flight = entry.visible_at > at(now) && entry.receive_count > 0;
                        if in_flight {
                            entry.visible_at = at(now + visibility);
                        }
                        let changed = change_visibility(&mut index, id, now + visibility, now);
                        prop_assert_eq!(changed.is_some(), in_flight);
                    }
                }
                Step::Delete { which } => {
                    if let Some(id) = pick(which, &model) {
                        prop_assert_eq!(index.remove(id), model.0.remove(&id));
                    }
                }
                Step::Wait { millis } => now += millis,
            }
            prop_assert_eq!(index.counts(at(now)), model.counts(at(now)));
        }
    }
}

#[test]
fn a_held_message_is_not_received_until_its_write_is_done() {
    let mut index = Index::default();
    index.insert(1, sent(0, 0), at(0));
    index.insert(2, sent(0, 0), at(0));
    let before = index.hold(1).unwrap();
    assert!(index.is_held(1));
    assert_eq!(index.hold(1), None, "it is held already");
    assert_eq!(index.first_ready(at(1)), Some(2));
    assert_eq!(index.counts(at(1)), (1, 1, 0));
    assert_eq!(index.take_older_than(at(1)), [2], "a held message stays until its hold ends");
    assert!(index.settle(1, Some(before), at(1)));
    assert!(!index.settle(1, None, at(1)), "the hold has ended");
    assert_eq!(index.first_ready(at(1)), Some(1));
    index.hold(1).unwrap();
    assert!(index.settle(1, None, at(1)));
    assert_eq!(index.entry(1), None);
    assert_eq!(index.counts(at(1)), (0, 0, 0));
}

#[test]
fn an_index_that_takes_another_in_keeps_its_holds() {
    let (mut index, mut other) = (Index::default(), Index::default());
    other.insert(1, sent(0, 0), at(0));
    other.insert(2, sent(0, 50), at(0));
    other.hold(1).unwrap();
    index.insert(3, sent(1, 1), at(1));
    index.absorb(other, at(10));
    assert_eq!(index.counts(at(10)), (1, 1, 1));
    assert!(index.is_held(1) && !index.is_held(2));
    assert_eq!(index.ids(), [1, 2, 3]);
}
