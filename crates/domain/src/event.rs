//! Events: immutable, numbered facts, each chained to the one before by its digest.

pub mod pattern;

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{EventNo, Project, Seq};
use crate::run::RunNo;
use crate::task::spec::Json;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

/// Each kind that is not a task's move: its name in the code, its number, and how it is written.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// What happened. Tasks' moves are named after the state entered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            TaskEntered(State),
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            pub fn all() -> impl Iterator<Item = Kind> {
                State::ALL.into_iter().map(Kind::TaskEntered).chain([$(Kind::$name),*])
            }

            pub fn as_str(self) -> &'static str {
                match self {
                    Kind::TaskEntered(state) => entered(state),
                    $(Kind::$name => $text,)*
                }
            }

            /// The number under which stores keep it and digests cover it; never changed, never reused.
            pub fn number(self) -> u8 {
                match self {
                    Kind::TaskEntered(state) => state as u8,
                    $(Kind::$name => $number,)*
                }
            }
        }
    };
}

kinds! {
    TaskSubmitted = 32 "task.submitted",
    /// A newer version of its plan replaced it.
    TaskSuperseded = 33 "task.superseded",
    /// It was taken out of the dead letters for good.
    TaskDropped = 34 "task.dropped",
    /// It has come among the dead letters: somebody should look.
    TaskEscalated = 35 "task.escalated",
    /// Its place in line was changed by a rule or a person.
    TaskReprioritized = 36 "task.reprioritized",
    /// A fragment of plan took its place.
    TaskReplanned = 37 "task.replanned",
    /// It was given to an agent.
    TaskPinned = 38 "task.pinned",
    /// An agent was chosen for it, or the choice was taken back; the data tells why.
    TaskRouted = 39 "task.routed",
    RunSubmitted = 64 "run.submitted",
    /// A finished or interrupted run goes on.
    RunResumed = 65 "run.resumed",
    RunFinished = 66 "run.finished",
    RunCancelled = 67 "run.cancelled",
    BreakerOpened = 96 "breaker.opened",
    BreakerHalfOpened = 97 "breaker.half_opened",
    BreakerClosed = 98 "breaker.closed",
    BudgetSet = 100 "budget.set",
    /// A soft limit was passed.
    BudgetWarned = 101 "budget.warned",
    /// A hard limit was reached.
    BudgetExhausted = 102 "budget.exhausted",
    LimitSet = 104 "limit.set",
    ScheduleAdded = 108 "schedule.added",
    ScheduleEdited = 109 "schedule.edited",
    ScheduleRemoved = 110 "schedule.removed",
    ScheduleFired = 111 "schedule.fired",
    /// Its time passed while nobody was there to see it.
    ScheduleMissed = 112 "schedule.missed",
    RuleAdded = 116 "rule.added",
    RuleRemoved = 117 "rule.removed",
    RuleFired = 118 "rule.fired",
    /// Its action has been given up.
    RuleFailed = 119 "rule.failed",
    PoolSet = 124 "pool.set",
    PoolScaled = 125 "pool.scaled",
    SignalSent = 128 "signal.sent",
    LockBroken = 132 "lock.broken",
    TokenCreated = 200 "token.created",
    TokenRevoked = 201 "token.revoked",
    /// Of the project, for all who work in it.
    SettingChanged = 160 "setting.changed",
    /// What ended long ago was taken out; the data counts it.
    ProjectPruned = 164 "project.pruned",
    /// The log begins later now; the data names the last event that is gone, with its digest.
    LogCut = 165 "log.cut",
    AgentRegistered = 136 "agent.registered",
    AgentEdited = 137 "agent.edited",
    AgentDeregistered = 138 "agent.deregistered",
    /// An outcome of its work was told from outside.
    AgentReported = 139 "agent.reported",
    /// A team was named, found or changed.
    TeamSet = 140 "team.set",
    TeamRemoved = 141 "team.removed",
}

impl Kind {
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::all().find(|kind| kind.number() == number)
    }
}

fn entered(state: State) -> &'static str {
    match state {
        State::Pending => "task.pending",
        State::Blocked => "task.blocked",
        State::Ready => "task.ready",
        State::Assigned => "task.assigned",
        State::Running => "task.running",
        State::Suspended => "task.suspended",
        State::Awaiting => "task.awaiting",
        State::Retrying => "task.retrying",
        State::Completed => "task.completed",
        State::Failed => "task.failed",
        State::Cancelled => "task.cancelled",
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Kind, D::Error> {
        let text = String::deserialize(d)?;
        let found = Kind::all().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| D::Error::custom(format!("`{text}` is no kind of event")))
    }
}

/// An event before it has its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub at: Timestamp,
    pub kind: Kind,
    pub task: Option<Seq>,
    pub run: Option<RunNo>,
    /// Who caused it: `user:NAME`, `worker:ID` or `system`.
    pub actor: Arc<str>,
    pub reason: Option<Reason>,
    pub data: Option<Json>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub no: EventNo,
    pub fact: Draft,
    /// The event of the same task before this one; 0 when it is the first.
    pub prev: EventNo,
    pub digest: Digest,
}

/// The digest of an event: BLAKE3 over its predecessor's digest and all its fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What the first event of a project follows.
    pub fn root(project: &Project) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(b"bellwether events 1\0")
            .update(project.as_str().as_bytes());
        Digest(*hasher.finalize().as_bytes())
    }

    /// The digest of an event that follows one with digest `self`. Fields are written with fixed widths or
    /// behind their length, so no two events share an encoding.
    pub fn next(&self, no: EventNo, prev: EventNo, fact: &Draft) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let data = fact.data.as_ref().map_or("", Json::get);
        let mut head = [0u8; 86];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.0);
        put(&no.0.to_le_bytes());
        put(&prev.0.to_le_bytes());
        put(&fact.at.0.to_le_bytes());
        put(&fact.task.map_or(0, |seq| seq.0).to_le_bytes());
        put(&fact.run.map_or(0, |no| no.0).to_le_bytes());
        put(&[
            fact.kind.number(),
            fact.reason.map_or(u8::MAX, |reason| reason as u8),
        ]);
        put(&(fact.actor.len() as u32).to_le_bytes());
        put(&(data.len() as u64).to_le_bytes());
        hasher
            .update(&head)
            .update(fact.actor.as_bytes())
            .update(data.as_bytes());
        Digest(*hasher.finalize().as_bytes())
    }
}

impl Digest {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Digest> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Digest(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Where the chain of a project stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    pub last: EventNo,
    pub digest: Digest,
}

/// Follows the chain event by event and stops at the first that does not follow.
#[derive(Clone, Debug)]
pub struct Verifier {
    head: ChainHead,
}

/// Why an event does not follow from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// This number is missing, or stands elsewhere.
    Missing(EventNo),
    /// The event with this number is not what was written.
    Edited(EventNo),
    /// The log ends here, before the head that is kept apart.
    CutOff { last: EventNo, head: EventNo },
}

impl Verifier {
    pub fn new(project: &Project) -> Verifier {
        Verifier::after(ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        })
    }

    /// Of a log whose beginning is gone, up to and with this event.
    pub fn after(head: ChainHead) -> Verifier {
        Verifier { head }
    }

    pub fn follow(&mut self, event: &Event) -> Result<(), Broken> {
        let expected = EventNo(self.head.last.0 + 1);
        if event.no != expected {
            return Err(Broken::Missing(expected));
        }
        let digest = self.head.digest.next(event.no, event.prev, &event.fact);
        if digest != event.digest {
            return Err(Broken::Edited(event.no));
        }
        self.head = ChainHead {
            last: event.no,
            digest,
        };
        Ok(())
    }

    /// Compares with the head that the store keeps apart from the log.
    pub fn finish(&self, head: &ChainHead) -> Result<ChainHead, Broken> {
        if self.head.last < head.last {
            return Err(Broken::CutOff {
                last: self.head.last,
                head: head.last,
            });
        }
        if self.head != *head {
            return Err(Broken::Edited(head.last));
        }
        Ok(self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(n: u64) -> (Vec<Event>, ChainHead) {
        let project = Project::default();
        let mut digest = Digest::root(&project);
        let mut events = Vec::new();
        for no in 1..=n {
            let fact = Draft {
                at: Timestamp(no as i64),
                kind: Kind::TaskEntered(State::Ready),
                task: Some(Seq(no)),
                run: None,
                actor: "system".into(),
                reason: None,
                data: Some(Json::of(&no)),
            };
            digest = digest.next(EventNo(no), EventNo(0), &fact);
            events.push(Event {
                no: EventNo(no),
                fact,
                prev: EventNo(0),
                digest,
            });
        }
        (
            events,
            ChainHead {
                last: EventNo(n),
                digest,
            },
        )
    }

    fn verify(events: &[Event], head: &ChainHead) -> Result<ChainHead, Broken> {
        let mut verifier = Verifier::new(&Project::default());
        for event in events {
            verifier.follow(event)?;
        }
        verifier.finish(head)
    }

    #[test]
    fn an_untouched_log_is_proven_to_its_end() {
        let (events, head) = log(5);
        assert_eq!(verify(&events, &head), Ok(head));
        assert!(verify(&[], &log(0).1).is_ok());
    }

    // proves: DESIGN 10
    #[test]
    fn edits_removals_reorders_and_cuts_are_named() {
        let (events, head) = log(5);
        let with = |change: fn(&mut Vec<Event>)| {
            let mut events = events.clone();
            change(&mut events);
            verify(&events, &head).unwrap_err()
        };
        assert_eq!(
            with(|e| e[2].fact.actor = "user:eve".into()),
            Broken::Edited(EventNo(3))
        );
        assert_eq!(with(|e| e[2].fact.data = None), Broken::Edited(EventNo(3)));
        assert_eq!(with(|e| e[2].prev = EventNo(1)), Broken::Edited(EventNo(3)));
        assert_eq!(with(|e| drop(e.remove(2))), Broken::Missing(EventNo(3)));
        assert_eq!(with(|e| e.swap(1, 2)), Broken::Missing(EventNo(2)));
        assert_eq!(
            with(|e| e.truncate(3)),
            Broken::CutOff {
                last: EventNo(3),
                head: EventNo(5)
            }
        );
        let renumbered = |e: &mut Vec<Event>| {
            e.remove(1);
            e.iter_mut()
                .zip(1..)
                .for_each(|(event, no)| event.no = EventNo(no));
        };
        assert_eq!(with(renumbered), Broken::Edited(EventNo(2)));
    }

    #[test]
    fn kinds_come_back_from_their_numbers() {
        for kind in Kind::all() {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
            if let Kind::TaskEntered(state) = kind {
                assert_eq!(kind.as_str(), format!("task.{state}"));
            }
        }
    }
}
