//! What may happen to a task: pure functions from a row and an input to a [`Change`] or a refusal.
//!
//! [`edges`] says what the end of one task means for those that wait for it, [`command()`] what a request does,
//! [`lease`] how work is handed out and taken back.

mod command;
pub mod edges;
pub mod lease;

pub use command::{Context, command};

use crate::code::{Code, Refusal};
use crate::task::record::{Outcome, Task};
use crate::task::spec::Json;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

/// The new row, the moves that led to it (each becomes an event), and an outcome to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub task: Task,
    pub moves: Vec<Move>,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub to: State,
    pub reason: Option<Reason>,
    pub data: Option<Json>,
}

impl Change {
    /// Nothing changes; the row may still be edited before it is saved.
    pub fn none(task: &Task) -> Change {
        Change {
            task: task.clone(),
            moves: Vec::new(),
            outcome: None,
        }
    }

    /// Moves on to `to`, if the table allows it. Every state a task is ever in was entered here or at admission.
    pub fn enter(&mut self, to: State, reason: Option<Reason>, data: Option<Json>) -> Result<(), Refusal> {
        if !self.task.state.may_become(to) {
            return Err(refuse(&self.task, to));
        }
        self.task.state = to;
        self.task.reason = reason;
        self.moves.push(Move { to, reason, data });
        Ok(())
    }
}

/// The typed "no" to a move: names task, state, asked move and what is allowed.
pub fn refuse(task: &Task, to: State) -> Refusal {
    let allowed: Vec<_> = task.state.next().map(State::as_str).collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join(", ")
    };
    Refusal::new(
        Code::InvalidTransition,
        format!(
            "task {} is {} and cannot become {to}; allowed from there: {allowed}",
            task.id, task.state
        ),
    )
    .help(format!("`bell task history {}` shows how it came there", task.id))
}

/// Where a task belongs that nobody works on: the one place that reads edges, times and questions together.
pub fn derive(task: &Task, now: Timestamp) -> (State, Option<Reason>) {
    if task.run_at.is_some_and(|at| at > now) {
        let state = if task.attempts > 0 {
            State::Retrying
        } else {
            State::Pending
        };
        return (state, None);
    }
    if edges::matter(task) && (task.open > 0 || task.dead > 0) {
        return (State::Blocked, task.join.map(|_| Reason::Joining));
    }
    if task.asks {
        return (State::Awaiting, Some(Reason::Breakpoint));
    }
    (State::Ready, None)
}
