//! A run as a line per change.

use std::collections::HashMap;

use domain::event::Kind;
use domain::id::TaskId;
use domain::store::Seen;
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use domain::time::{Timestamp, show_duration};
use serde::Deserialize;

use crate::output::table::one_line;
use crate::output::{theme, time};

/// Remembers when attempts began, to tell how long they took.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    started: HashMap<TaskId, Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    attempt: Option<u32>,
    error: Option<String>,
}

impl Lines {
    /// What a person should see of an event: ends, failures, retries and waits, not every step between.
    pub(super) fn line(&mut self, seen: &Seen) -> Option<String> {
        let (Kind::TaskEntered(state), Some(id)) = (seen.event.fact.kind, &seen.task) else {
            return None;
        };
        let at = seen.event.fact.at;
        if state == State::Running {
            self.started.entry(id.clone()).or_insert(at);
            return None;
        }
        let reason = seen.event.fact.reason;
        let is_told = match state {
            State::Ready => reason == Some(Reason::Lost),
            State::Completed | State::Failed | State::Retrying | State::Suspended | State::Awaiting => true,
            State::Cancelled => true,
            _ => false,
        };
        let began = if state == State::Suspended {
            None
        } else {
            self.started.remove(id)
        };
        is_told.then(|| {
            let took = began.map_or_else(String::new, |began| {
                format!("  {}", show_duration(at.since(began)))
            });
            let name = seen
                .key
                .as_ref()
                .map_or_else(|| id.to_string(), ToString::to_string);
            let detail = detail(state, reason, seen.event.fact.data.as_ref());
            let sign = theme::state_sign(state);
            let clock = theme::paint(theme::DIM, &time::clock(at));
            format!("{clock} {sign} {}{took}{detail}\n", one_line(&name))
        })
    }
}

fn detail(state: State, reason: Option<Reason>, data: Option<&Json>) -> String {
    let data = data
        .and_then(|json| serde_json::from_str::<Data>(json.get()).ok())
        .unwrap_or_default();
    let error = data.error.as_deref().map(last_line).unwrap_or_default();
    let word = theme::word(state, reason);
    match (state, reason) {
        (State::Completed, Some(Reason::Cached)) => "  from the cache".to_owned(),
        (State::Completed, _) => String::new(),
        (State::Ready, _) => "  lost with its worker; it is tried again".to_owned(),
        (State::Retrying, _) => format!("  attempt {} failed: {error}", data.attempt.unwrap_or(1)),
        (State::Failed, Some(Reason::Lost)) => "  failed: lost with its worker too often".to_owned(),
        (State::Failed, _) => format!("  failed: {error}"),
        (_, Some(reason)) => format!("  {word} ({reason})"),
        (_, None) => format!("  {word}"),
    }
}

/// Where an error usually says what it was.
pub(crate) fn last_line(text: &str) -> String {
    one_line(
        text.lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Digest, Draft, Event};
    use domain::id::{EventNo, Key};

    fn told(events: &[(i64, State, Option<Reason>, &str)]) -> String {
        let mut lines = Lines::default();
        let seen = |(at, state, reason, data): &(i64, State, Option<Reason>, &str)| Seen {
            event: Event {
                no: EventNo(1),
                fact: Draft {
                    at: Timestamp(*at),
                    kind: Kind::TaskEntered(*state),
                    task: None,
                    run: None,
                    actor: "worker:w".into(),
                    reason: *reason,
                    data: (!data.is_empty()).then(|| Json::parse(data).unwrap()),
                },
                prev: EventNo(0),
                digest: Digest([0; 32]),
            },
            task: Some(TaskId::new("t").unwrap()),
            key: Some(Key::new("test").unwrap()),
            run: None,
        };
        let text: String = events
            .iter()
            .filter_map(|event| lines.line(&seen(event)))
            .collect();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_task_is_told_of_when_something_came_of_it() {
        let text = told(&[
            (0, State::Ready, None, ""),
            (1_000, State::Running, None, r#"{"attempt":1}"#),
            (
                2_500,
                State::Retrying,
                None,
                r#"{"attempt":1,"error":"compiling\nno space left\n"}"#,
            ),
            (3_000, State::Ready, None, ""),
            (3_000, State::Running, None, r#"{"attempt":2}"#),
            (6_200, State::Completed, None, r#"{"attempt":2}"#),
        ]);
        insta::assert_snapshot!(text, @r"
        00:00:02 ↻ test  1.5s  attempt 1 failed: no space left
        00:00:06 ✓ test  3.2s
        ");
    }

    #[test]
    fn ends_without_an_attempt_say_why() {
        let text = told(&[
            (0, State::Cancelled, Some(Reason::NotNeeded), ""),
            (0, State::Cancelled, Some(Reason::UpstreamFailed), ""),
            (0, State::Completed, Some(Reason::Cached), ""),
            (0, State::Awaiting, Some(Reason::Breakpoint), ""),
            (
                0,
                State::Failed,
                Some(Reason::Exhausted),
                r#"{"error":"exit status 3"}"#,
            ),
        ]);
        insta::assert_snapshot!(text, @r"
        00:00:00 ⊘ test  skipped (not_needed)
        00:00:00 ⊘ test  cancelled (upstream_failed)
        00:00:00 ✓ test  from the cache
        00:00:00 ? test  awaiting (breakpoint)
        00:00:00 ✗ test  failed: exit status 3
        ");
    }
}
