//! What the log says, read as it grows.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Who worked on a task last, in which attempt, and where in the log that was begun.
struct Attempt {
    worker: String,
    number: u64,
    begun: u64,
}

#[derive(Default)]
pub(super) struct Ledger {
    /// Number of the last event that was read.
    pub(super) read: u64,
    running: HashMap<String, Attempt>,
    completed: HashSet<String>,
    /// Attempts that did not come to their end.
    pub(super) lost: usize,
    /// The last completion of a task that was begun at or after this number.
    newest: u64,
}

impl Ledger {
    /// Takes a page in; an error is what must not be.
    pub(super) fn take(&mut self, events: &[Value]) -> Result<()> {
        for event in events {
            let number = event["number"].as_u64().context("an event has no number")?;
            ensure!(
                number == self.read + 1,
                "after event {} comes {number}",
                self.read
            );
            self.read = number;
            let Some(task) = event["task"].as_str() else {
                continue;
            };
            self.event(event, number, task)
                .with_context(|| format!("event {event}"))?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Value, number: u64, task: &str) -> Result<()> {
        let actor = event["actor"].as_str().unwrap_or_default();
        let attempt = event["data"]["attempt"].as_u64();
        match event["type"].as_str().unwrap_or_default() {
            "task.running" => {
                ensure!(
                    !self.completed.contains(task),
                    "a task begins again that is completed"
                );
                let attempt = Attempt {
                    worker: actor.to_owned(),
                    number: attempt.context("an attempt without a number")?,
                    begun: number,
                };
                let before = self.running.insert(task.to_owned(), attempt);
                ensure!(before.is_none(), "two attempts at the same time");
            }
            "task.completed" => {
                ensure!(self.completed.insert(task.to_owned()), "completed twice");
                let held = self.running.remove(task).context("nobody worked on it")?;
                ensure!(
                    held.worker == actor && attempt == Some(held.number),
                    "it was attempt {} of {} that held the lease",
                    held.number,
                    held.worker
                );
                self.newest = self.newest.max(held.begun);
            }
            "task.ready" | "task.retrying" | "task.failed" | "task.blocked" | "task.pending" => {
                self.lost += usize::from(self.running.remove(task).is_some());
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn completed(&self) -> usize {
        self.completed.len()
    }

    /// Whether a task was completed that was begun after this event.
    pub(super) fn went_on_after(&self, number: u64) -> bool {
        self.newest > number
    }

    /// Whether this process still has a task in its hands, as far as the log tells. A worker's name holds the number
    /// of its process.
    pub(super) fn holds(&self, process: u32) -> bool {
        let mark = format!("-{process}-");
        self.running
            .values()
            .any(|attempt| attempt.worker.contains(&mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log(events: &[(&str, &str, u64)]) -> Result<Ledger> {
        let events: Vec<Value> = (1..)
            .zip(events)
            .map(|(number, (kind, actor, attempt))| {
                json!({ "number": number, "type": kind, "task": "t", "actor": actor, "data": { "attempt": attempt } })
            })
            .collect();
        let mut ledger = Ledger::default();
        ledger.take(&events)?;
        Ok(ledger)
    }

    #[test]
    fn one_completion_by_the_last_holder_is_right_and_all_else_is_not() {
        let (begun, done, back) = ("task.running", "task.completed", "task.ready");
        let ledger = log(&[
            (begun, "a-1-x", 1),
            (back, "rescue", 1),
            (begun, "b-2-x", 2),
            (done, "b-2-x", 2),
        ]);
        let ledger = ledger.unwrap();
        assert_eq!((ledger.completed(), ledger.lost), (1, 1));
        assert!(ledger.went_on_after(2) && !ledger.went_on_after(3));
        for wrong in [
            &[(begun, "a", 1), (back, "r", 1), (begun, "b", 2), (done, "a", 1)][..],
            &[(begun, "a", 1), (done, "a", 1), (done, "a", 1)],
            &[(begun, "a", 1), (begun, "b", 2)],
            &[(begun, "a", 1), (done, "a", 1), (begun, "a", 2)],
            &[(done, "a", 1)],
        ] {
            assert!(log(wrong).is_err(), "{wrong:?}");
        }
    }
}
