//! What comes in: tasks with their edges, into a run or without one.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Key, RunId, TaskId};
use crate::limits;
use crate::task::record::Class;
use crate::task::spec::{Source, Spec, When, Work};
use crate::task::state::State;
use crate::time::Timestamp;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    pub tasks: Vec<NewTask>,
    pub run: IntoRun,
    /// Tasks of the run that these replace: cancelled if they have not ended, and no longer counted.
    pub supersede: Vec<TaskId>,
    pub limits: AdmitLimits,
    pub actor: Arc<str>,
    /// The same key with the same content answers as the first time; with other content it is refused.
    pub idempotency_key: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum IntoRun {
    /// Outside any run; subtasks go into the run of their parent.
    None,
    /// Refused with `run-changed` when the newest run of the plan is another than `newest`, if that is given: so
    /// two processes that submit the same plan at once do not start two runs.
    New {
        id: RunId,
        plan: String,
        digest: [u8; 32],
        newest: Option<Option<RunId>>,
    },
    /// Refused with `run-changed` when the run's plan has another digest than `from`: somebody else has edited it.
    Existing {
        id: RunId,
        digest: [u8; 32],
        from: [u8; 32],
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AdmitLimits {
    pub prerequisites: usize,
    pub children: u32,
}

impl AdmitLimits {
    /// Of what people write.
    pub const PLAN: AdmitLimits = AdmitLimits {
        prerequisites: limits::PLAN_PREREQUISITES,
        children: u32::MAX,
    };
    /// Of what agents hand in.
    pub const AGENT: AdmitLimits = AdmitLimits {
        prerequisites: limits::AGENT_PREREQUISITES,
        children: limits::AGENT_SUBTASKS,
    };

    /// People may do what agents may not.
    pub fn of(source: Source) -> AdmitLimits {
        match source {
            Source::Human => AdmitLimits::PLAN,
            _ => AdmitLimits::AGENT,
        }
    }
}

/// A new task, with everything that its row needs already taken from its spec.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewTask {
    pub id: TaskId,
    pub key: Option<Key>,
    pub class: Class,
    /// The [`Spec`] as JSON.
    pub body: Arc<str>,
    pub digest: [u8; 32],
    pub head: SpecHead,
    pub after: Vec<NewEdge>,
    pub parent: Option<TaskId>,
    pub path_share: Option<u16>,
}

/// The parts of a spec that decisions are made on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SpecHead {
    pub priority: crate::task::spec::Priority,
    pub source: Source,
    pub run_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub estimate: Option<Duration>,
    pub upstream: crate::task::spec::OnUpstreamFailure,
    pub guarded: bool,
    pub asks: bool,
}

impl NewTask {
    /// Times that count from submission are resolved against `submitted`.
    pub fn new(id: TaskId, key: Option<Key>, spec: &Spec, submitted: Timestamp) -> NewTask {
        let body = serde_json::to_string(spec).expect("a spec serialises");
        NewTask {
            id,
            key,
            class: Class::of(spec),
            digest: *blake3::hash(body.as_bytes()).as_bytes(),
            body: body.into(),
            head: SpecHead {
                priority: spec.priority,
                source: spec.source,
                run_at: spec.run_at.map(|moment| moment.resolve(submitted)),
                deadline: spec.deadline.map(|moment| moment.resolve(submitted)),
                estimate: spec.estimate,
                upstream: spec.on_upstream_failure,
                guarded: spec.is_guarded(),
                asks: matches!(spec.work, Work::Breakpoint(_)),
            },
            after: Vec::new(),
            parent: None,
            path_share: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEdge {
    pub on: On,
    pub when: When,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// The task at this index of the same batch.
    Batch(u32),
    Task(TaskId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Ids with their first states, in the order of the batch.
    pub tasks: Vec<(TaskId, State)>,
    /// The answer was repeated; nothing was written.
    pub repeated: bool,
}
