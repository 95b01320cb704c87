//! What a claim answers.

use domain::id::{TaskId, Token};
use domain::store::Leased;
use domain::task::spec::{Json, Spec, Work};
use domain::task::state::State;
use domain::time::Now;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::problem::Problem;
use crate::task::Task;
use crate::time::Time;

/// Empty when nothing is ready.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Leases {
    pub leases: Vec<Lease>,
}

/// Work handed out, with the proof that it is yours.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Lease {
    pub task: TaskId,
    #[serde(serialize_with = "as_text")]
    pub token: Token,
    pub expires_at: Time,
    pub attempt: u32,
    /// There when the work is a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// There when the work is a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Command>,
    pub inputs: Option<Json>,
    /// The attempt in its trace, when the task was handed in from within one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The whole task, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Task>>,
}

/// A line for `sh -c`, or a program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum Command {
    Line(String),
    Argv(Vec<String>),
}

impl Lease {
    pub fn new(leased: &Leased, spec: Spec, now: Now) -> Lease {
        let lease = leased.task.lease.as_ref();
        let (prompt, run) = match spec.work {
            Work::Prompt(prompt) => (Some(prompt), None),
            Work::Shell(line) => (None, Some(Command::Line(line))),
            Work::Argv(argv) => (None, Some(Command::Argv(argv))),
            _ => (None, None),
        };
        Lease {
            task: leased.task.id.clone(),
            token: leased.token,
            expires_at: Time::of_lease(lease.map_or(now.mono, |lease| lease.expires), now),
            attempt: leased.task.attempt(),
            prompt,
            run,
            inputs: spec.inputs,
            traceparent: None,
            full: None,
        }
    }
}

/// What became of a worker's leases.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Beats {
    pub leases: Vec<Beat>,
}

/// One lease after a heartbeat.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Beat {
    #[serde(serialize_with = "as_text")]
    pub token: Token,
    pub task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    pub wish: Wish,
    pub expires_at: Option<Time>,
    /// Why the lease was not renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What is wished of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    GoOn,
    /// Halt, and keep the lease: a later heartbeat says when to go on.
    Suspend,
    /// Stop: the task was cancelled or is with somebody else.
    Cancel,
}

/// What became of ends, in the order asked.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Settled {
    pub ends: Vec<Settlement>,
}

/// The task as it now stands, or why nothing was changed.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Settlement {
    pub task: Option<TaskId>,
    pub state: Option<State>,
    /// Tasks that became ready by it.
    pub unblocked: Vec<TaskId>,
    pub retry_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

fn as_text<S: Serializer>(token: &Token, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, view};

    #[test]
    fn a_lease_tells_what_to_do_and_until_when() {
        let view = view();
        let leased = Leased {
            token: view.task.token().unwrap(),
            task: view.task,
            body: view.body,
        };
        let lease = Lease::new(&leased, leased.body.read_spec().unwrap(), NOW);
        assert_eq!(
            serde_json::to_string(&Leases { leases: vec![lease] }).unwrap(),
            concat!(
                r#"{"leases":[{"task":"test","token":"1.2.00000000005ec2e7","#,
                r#""expires_at":"1970-01-01T00:00:40.000Z","attempt":1,"run":"cargo test","inputs":null}]}"#
            )
        );
    }
}
