//! Dead letters in groups, and what happens to many at once.

use domain::id::TaskId;
use domain::task::signature::Tally;
use domain::task::state::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::Moved;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Groups {
    pub groups: Vec<Group>,
    pub count: usize,
}

/// Dead letters with one cause.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Group {
    /// Its name; `other` holds what is too various to be told apart.
    pub signature: String,
    pub count: u64,
    /// Tasks that cannot run because of them, counted as they fell.
    pub fell: u64,
    pub first_seen: Time,
    pub last_seen: Time,
    /// The latest of them.
    pub example: TaskId,
    pub reason: Option<Reason>,
    pub class: Option<String>,
    pub exit: Option<i32>,
    /// With numbers, paths, times and identifiers replaced by what they are.
    pub message: String,
}

impl Group {
    pub fn new(key: &str, tally: Tally) -> Group {
        let cause = tally.signature;
        Group {
            signature: key.to_owned(),
            count: tally.count,
            fell: tally.fell,
            first_seen: Time(tally.first_seen),
            last_seen: Time(tally.last_seen),
            example: tally.example,
            reason: cause.reason,
            class: cause.class,
            exit: cause.exit,
            message: cause.message,
        }
    }
}

/// What happened to each of many.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Changed {
    /// At most a thousand.
    pub tasks: Vec<Moved>,
    pub count: usize,
    /// Somebody else had changed these in the meantime.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: usize,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Preview {
    pub dry_run: bool,
    /// At most a thousand.
    pub tasks: Vec<TaskId>,
    pub count: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
