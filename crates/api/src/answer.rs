//! What writing verbs answer. `task` is always the id; the object is embedded as `full` when asked for.

use domain::id::TaskId;
use domain::store::Reply;
use domain::task::state::{Reason, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::task::Task;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Completed {
    pub task: TaskId,
    /// Tasks that became ready by it.
    pub unblocked: Vec<TaskId>,
    /// How many more did than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Task>>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Failed {
    pub task: TaskId,
    /// `retrying` when another try follows, else `failed`.
    pub state: State,
    /// Tasks that can no longer run because of it.
    pub cancelled: Vec<TaskId>,
    pub retry_at: Option<Time>,
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Task>>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Signalled {
    pub signal: String,
    pub at: Time,
    /// How many were sent under this name.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Cancelled {
    /// The task itself first.
    pub cancelled: Vec<TaskId>,
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// After suspend, resume, retry and release.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Moved {
    pub task: TaskId,
    pub state: State,
    pub reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Task>>,
}

/// After output was sent.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Printed {
    pub task: TaskId,
    pub attempt: u32,
    /// How far the output goes: what follows belongs there.
    pub bytes: u64,
}

/// After start and progress: how long the lease now lasts.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Renewed {
    pub task: TaskId,
    pub state: State,
    pub expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Box<Task>>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<Reply> for Completed {
    fn from(reply: Reply) -> Completed {
        Completed {
            task: reply.task,
            unblocked: reply.unblocked,
            more: reply.more,
            full: None,
        }
    }
}

impl From<Reply> for Failed {
    fn from(reply: Reply) -> Failed {
        Failed {
            task: reply.task,
            state: reply.state,
            cancelled: reply.cancelled,
            retry_at: reply.retry_at.map(Time),
            more: reply.more,
            full: None,
        }
    }
}

impl From<Reply> for Cancelled {
    fn from(reply: Reply) -> Cancelled {
        Cancelled {
            cancelled: reply.cancelled,
            more: reply.more,
        }
    }
}

impl From<Reply> for Moved {
    fn from(reply: Reply) -> Moved {
        Moved {
            task: reply.task,
            state: reply.state,
            reason: reply.reason,
            full: None,
        }
    }
}

impl From<Reply> for Renewed {
    fn from(reply: Reply) -> Renewed {
        Renewed {
            task: reply.task,
            state: reply.state,
            expires_at: reply.expires_at.map(Time),
            full: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn answers_have_the_fields_of_the_contract() {
        let id = |text: &str| TaskId::new(text).unwrap();
        let reply = Reply {
            task: id("a"),
            state: State::Failed,
            reason: Some(Reason::Exhausted),
            unblocked: vec![id("c")],
            cancelled: vec![id("b")],
            more: 0,
            retry_at: None,
            expires_at: None,
        };
        assert_eq!(
            json(&Completed::from(reply.clone())),
            r#"{"task":"a","unblocked":["c"]}"#
        );
        assert_eq!(
            json(&Failed::from(reply.clone())),
            r#"{"task":"a","state":"failed","cancelled":["b"],"retry_at":null}"#
        );
        assert_eq!(json(&Cancelled::from(reply.clone())), r#"{"cancelled":["b"]}"#);
        assert_eq!(
            json(&Moved::from(reply)),
            r#"{"task":"a","state":"failed","reason":"exhausted"}"#
        );
    }
}
