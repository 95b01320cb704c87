//! When tasks came and when their attempts began, as the log tells: who has seen that need not ask the store when they end.

use domain::event::Kind;
use domain::id::Seq;
use domain::store::Seen;
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

/// Tasks that are kept in mind; the store is asked about others.
const MARKS: usize = 100_000;

/// What is known of a task that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) submitted: Timestamp,
    /// Of the attempt that is under way.
    pub(super) started: Option<Timestamp>,
    /// Somebody has it.
    pub(super) leased: bool,
    /// It went from its submission to whoever has it: it has not waited for a time that was set for it, nor for a next try.
    pub(super) straight: bool,
}

#[derive(Debug, Default)]
pub(super) struct Marks(FxHashMap<Seq, Mark>);

impl Marks {
    /// Takes note of an event. Answers what was known of its task before.
    pub(super) fn note(&mut self, seen: &Seen) -> Option<Mark> {
        let fact = &seen.event.fact;
        let task = fact.task?;
        let entered = match fact.kind {
            Kind::TaskEntered(state) => state,
            Kind::TaskSubmitted if self.0.len() < MARKS => {
                let mark = Mark {
                    submitted: fact.at,
                    started: None,
                    leased: false,
                    straight: true,
                };
                return self.0.insert(task, mark);
            }
            _ => return None,
        };
        if entered.is_terminal() {
            return self.0.remove(&task);
        }
        let mark = self.0.get_mut(&task)?;
        let before = *mark;
        match entered {
            State::Assigned => mark.leased = true,
            State::Running => {
                mark.leased = true;
                mark.started = mark.started.or(Some(fact.at));
            }
            // Whoever has it may keep it.
            State::Suspended | State::Awaiting => {}
            _ => (mark.leased, mark.started, mark.straight) = (false, None, false),
        }
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Digest, Draft, Event};
    use domain::id::EventNo;

    fn seen(kind: Kind, at: i64) -> Seen {
        Seen {
            event: Event {
                no: EventNo(at as u64),
                fact: Draft {
                    at: Timestamp(at),
                    kind,
                    task: Some(Seq(7)),
                    run: None,
                    actor: "system".into(),
                    reason: None,
                    data: None,
                },
                prev: EventNo(0),
                digest: Digest([0; 32]),
            },
            task: None,
            key: None,
            run: None,
        }
    }

    #[test]
    fn each_attempt_has_its_own_beginning() {
        let mut marks = Marks::default();
        let mut note = |kind, at| marks.note(&seen(kind, at));
        let entered = Kind::TaskEntered;
        assert_eq!(
            note(entered(State::Running), 1),
            None,
            "it came before anybody looked"
        );
        note(Kind::TaskSubmitted, 2);
        note(entered(State::Assigned), 3);
        note(entered(State::Running), 4);
        note(entered(State::Suspended), 5);
        note(entered(State::Running), 6);
        let first = note(entered(State::Retrying), 7).unwrap();
        assert_eq!(
            (first.submitted, first.started, first.leased),
            (Timestamp(2), Some(Timestamp(4)), true)
        );
        assert!(first.straight);
        let again = note(entered(State::Ready), 8).unwrap();
        assert!(!again.leased && !again.straight);
        note(entered(State::Running), 9);
        assert_eq!(
            note(entered(State::Completed), 10).unwrap().started,
            Some(Timestamp(9))
        );
        assert_eq!(note(entered(State::Completed), 11), None);
    }
}
