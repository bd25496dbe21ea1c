use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn sent(at_millis: i64, visible: i64) -> Entry {
    Entry::sent(at(at_millis), at(visible))
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
    assert!(index.change_visibility(1, at(300), at(150)).is_some());
    assert_eq!(index.first_ready(at(299)), None);
    assert_eq!(index.first_ready(at(300)), Some(1));
    assert_eq!(index.change_visibility(1, at(400), at(300)), None, "it is not in flight any more");
    assert_eq!(
        index.entry(1).unwrap().received(at(400), at(301), 7).first_received_at,
        Some(at(100))
    );
    assert!(index.remove(1).is_some());
    assert_eq!(index.counts(at(500)), (0, 0, 0));
}

/// The same rules, written as plainly as they can be.
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
    fn the_index_does_as_the_model(steps in proptest::collection::vec(step(), 1..200)) {
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
                        let received = index.entry(id).unwrap().received(at(now + visibility), at(now), 7);
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
                        prop_assert_eq!(index.change_visibility(id, at(now + visibility), at(now)).is_some(), in_flight);
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
