//! A stored task: the narrow row that decisions are made on. Texts and payloads live beside it in [`Body`] and
//! [`Outcome`], so that loading a row to decide never drags them along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentName, Capability, EventNo, Key, Kind, Seq, TaskId, TeamName, Token, WorkerId};
use crate::run::RunNo;
use crate::task::score::{Facts, Score};
use crate::task::spec::{Json, OnUpstreamFailure, Priority, Source, Spec, When, Work};
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub seq: Seq,
    pub id: TaskId,
    pub class: ClassNo,
    pub run: Option<RunNo>,
    pub parent: Option<Seq>,

    pub state: State,
    pub reason: Option<Reason>,
    /// The state a suspended task left.
    pub left: Option<State>,
    /// In the dead letters; only while failed.
    pub dead_letter: bool,
    /// Replaced by a newer version of its plan: it no longer counts in its run.
    pub superseded: bool,

    pub priority: Priority,
    pub source: Source,
    pub depth: u32,
    /// Under the profile `critical-path`: the remaining critical path over the longest, in thousandths.
    pub path_share: Option<u16>,
    /// As of the last time it was computed; see `timer`.
    pub score: Score,

    pub submitted_at: Timestamp,
    /// Not before this time; while retrying, the time of the next try.
    pub run_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub estimate: Option<Duration>,
    /// Of the latest attempt.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When the row changes by itself: `run_at` while it waits, the next change of its score while ready.
    pub timer: Option<Timestamp>,

    /// Prerequisites that have not ended.
    pub open: u32,
    /// Prerequisites that ended so that their edge can no longer hold.
    pub dead: u32,
    pub upstream: OnUpstreamFailure,
    /// Direct dependents that were ever added.
    pub dependents: u32,
    pub children: u32,
    pub join: Option<Join>,

    /// Attempts begun, counting the one of the present lease only after it ended.
    pub attempts: u32,
    /// Failed attempts that count against the retry policy.
    pub failures: u32,
    /// Attempts lost with their worker.
    pub lost: u32,

    /// A claim has locks or limits to acquire; of a task that a person answers: its deadline does so in the end.
    pub guarded: bool,
    /// A person answers instead of a worker.
    pub asks: bool,
    pub wait: Wait,

    /// The latest event of this task: the head of its history.
    pub last_event: EventNo,
    pub lease: Option<Lease>,
}

/// A time-boxed, fenced claim. While a task has one, its state is Assigned, Running or Suspended; or Cancelled,
/// while the worker has not yet confirmed that the work has stopped, so that locks stay held until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    pub fence: EventNo,
    pub secret: u64,
    pub worker: WorkerId,
    pub attempt: u32,
    pub claimed_at: Timestamp,
    /// On the store's lease clock ([`crate::time::Now::mono`]).
    pub expires: i64,
    pub ttl: Duration,
    pub progress: Option<Json>,
}

/// What a parent that waits for its children does when all have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// It completes with their results.
    Complete,
    /// It is ready again and finds their results among its inputs.
    Continue,
}

/// How a ready task stands to the locks and limits it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    #[default]
    No,
    /// Kept out of the line under the one thing that it waits for.
    Parked(Arc<str>),
    /// In line, let out from under that thing; when it leaves the line, the next one is let out.
    Baton(Arc<str>),
    /// In line for the key that it shares with others, with the place of this moment.
    Turn(Arc<str>, Timestamp),
}

impl Wait {
    /// As stores keep it: a number and a text.
    pub fn parts(&self) -> (u8, Option<Cow<'_, str>>) {
        match self {
            Wait::No => (0, None),
            Wait::Parked(thing) => (1, Some(Cow::Borrowed(thing))),
            Wait::Baton(thing) => (2, Some(Cow::Borrowed(thing))),
            Wait::Turn(thing, at) => (3, Some(Cow::Owned(format!("{} {thing}", at.0)))),
        }
    }

    pub fn of_parts(number: u8, text: Option<&str>) -> Option<Wait> {
        Some(match (number, text) {
            (0, None) => Wait::No,
            (1, Some(thing)) => Wait::Parked(thing.into()),
            (2, Some(thing)) => Wait::Baton(thing.into()),
            (3, Some(text)) => {
                let (at, thing) = text.split_once(' ')?;
                Wait::Turn(thing.into(), Timestamp(at.parse().ok()?))
            }
            _ => return None,
        })
    }
}

/// A task's place in line: rows are handed out in the order of these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The score, negated: higher scores sort first.
    pub rank: i32,
    pub at: Timestamp,
    pub seq: Seq,
}

impl Task {
    /// A ready task at the very beginning: no edges, no attempts, no events, not yet scored.
    pub fn new(seq: Seq, id: TaskId, class: ClassNo, submitted_at: Timestamp) -> Task {
        Task {
            seq,
            id,
            class,
            run: None,
            parent: None,
            state: State::Ready,
            reason: None,
            left: None,
            dead_letter: false,
            superseded: false,
            priority: Priority::default(),
            source: Source::default(),
            depth: 0,
            path_share: None,
            score: Score::default(),
            submitted_at,
            run_at: None,
            deadline: None,
            estimate: None,
            started_at: None,
            finished_at: None,
            timer: None,
            open: 0,
            dead: 0,
            upstream: OnUpstreamFailure::default(),
            dependents: 0,
            children: 0,
            join: None,
            attempts: 0,
            failures: 0,
            lost: 0,
            guarded: false,
            asks: false,
            wait: Wait::No,
            last_event: EventNo(0),
            lease: None,
        }
    }

    pub fn token(&self) -> Option<Token> {
        let lease = self.lease.as_ref()?;
        Some(Token {
            seq: self.seq,
            fence: lease.fence,
            secret: lease.secret,
        })
    }

    /// The number of the attempt that is under way, or of the latest one.
    pub fn attempt(&self) -> u32 {
        self.lease.as_ref().map_or(self.attempts, |lease| lease.attempt)
    }

    pub fn place(&self) -> Place {
        Place {
            rank: -self.score.0,
            at: match &self.wait {
                Wait::Turn(_, at) => *at,
                _ => self.submitted_at,
            },
            seq: self.seq,
        }
    }

    pub fn is_skipped(&self) -> bool {
        self.state.is_skipped(self.reason)
    }

    /// In line: a claim can find it.
    pub fn in_line(&self) -> bool {
        self.state == State::Ready && !matches!(self.wait, Wait::Parked(_))
    }

    pub fn parked_under(&self) -> Option<&Arc<str>> {
        match &self.wait {
            Wait::Parked(thing) if self.state == State::Ready => Some(thing),
            _ => None,
        }
    }

    /// Listed among the tasks that neither run nor are finished well: those are few and are looked for by state.
    pub fn is_aside(&self) -> bool {
        self.lease.is_none() && is_aside(self.state)
    }

    pub fn facts(&self) -> Facts {
        Facts {
            priority: self.priority,
            source: self.source,
            depth: self.depth,
            path_share: self.path_share.map(|share| f64::from(share) / 1_000.0),
            deadline: self.deadline,
            estimate: self.estimate,
            dependents: self.dependents,
            failures: self.failures,
            submitted_at: self.submitted_at,
        }
    }
}

/// See [`Task::is_aside`].
pub fn is_aside(state: State) -> bool {
    matches!(
        state,
        State::Pending
            | State::Blocked
            | State::Suspended
            | State::Awaiting
            | State::Retrying
            | State::Failed
    )
}

/// A class of tasks that the same doers can take: claims choose classes, then take the first in line of each.
/// Stored once and named by a small number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Class {
    pub kind: Kind,
    /// [`Work::name`].
    pub work: String,
    /// The handler's name, when the work is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The agent was chosen for it, by routing or because it asked: any other will do as well once it gives the task up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// The breaker that the task names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// Amounts that it takes from its worker, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

impl Class {
    pub fn of(spec: &Spec) -> Class {
        Class {
            kind: spec.kind.clone(),
            work: spec.work.name().to_owned(),
            handler: match &spec.work {
                Work::Handler(name) => Some(name.clone()),
                _ => None,
            },
            agent: spec.agent.clone(),
            routed: false,
            team: spec.team.clone(),
            needs: spec.needs.clone(),
            breaker: spec.breaker.clone(),
            resources: spec.resources.clone(),
        }
    }

    /// The same, given to this agent by choice.
    pub fn routed_to(&self, agent: &AgentName) -> Class {
        Class {
            agent: Some(agent.clone()),
            routed: true,
            ..self.clone()
        }
    }

    /// The same for any agent again, if only a choice has given it to one.
    pub fn unrouted(&self) -> Class {
        let agent = self.agent.clone().filter(|_| !self.routed);
        Class {
            agent,
            routed: false,
            ..self.clone()
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClassNo(pub u32);

/// What is written once at admission and read when the work is handed out or shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    pub key: Option<Key>,
    /// A [`Spec`] as JSON.
    pub spec: Arc<str>,
    /// The prerequisites it was admitted with.
    pub after: Vec<(Seq, When)>,
    /// Of the spec and its edges; equal digests mean the same work in the same place.
    pub digest: [u8; 32],
}

impl Body {
    pub fn read_spec(&self) -> Result<Spec, serde_json::Error> {
        serde_json::from_str(&self.spec)
    }
}

/// How the latest finished attempt ended: its result, or its error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Json>,
}

/// Why an attempt failed, as its executor tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    /// The executor's own name for the sort of error, for example `timeout` or `validation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            ..Failure::default()
        }
    }
}
