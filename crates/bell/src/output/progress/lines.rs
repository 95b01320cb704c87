//! A run as a line per change.

use std::collections::HashMap;

use domain::event::{Draft, Kind};
use domain::id::TaskId;
use domain::store::{Seen, View};
use domain::task::record::Task;
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use domain::time::{Timestamp, show_duration};
use serde::Deserialize;

use crate::output::table::one_line;
use crate::output::{failure, theme, time};

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
        let fact = &seen.event.fact;
        let (Some(state), Some(id)) = (entered(fact), &seen.task) else {
            return None;
        };
        let (at, reason) = (fact.at, fact.reason);
        if state == State::Running {
            self.started.entry(id.clone()).or_insert(at);
            return None;
        }
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
            let detail = detail(id, state, reason, fact.data.as_ref());
            written(at, state, &name, &format!("{took}{detail}"))
        })
    }
}

/// What a person should see of a task that waits for somebody already.
pub(super) fn standing(view: &View, now: Timestamp) -> String {
    let Task {
        id, state, reason, ..
    } = &view.task;
    let name = match &view.body.key {
        Some(key) => key.to_string(),
        None => id.to_string(),
    };
    written(now, *state, &name, &detail(id, *state, *reason, None))
}

fn written(at: Timestamp, state: State, name: &str, detail: &str) -> String {
    let sign = theme::state_sign(state);
    let clock = theme::paint(theme::DIM, &time::clock(at));
    format!("{clock} {sign} {}{detail}\n", one_line(name))
}

/// The state that an event tells of. Of a new task nothing is told but that somebody is asked from the beginning.
fn entered(fact: &Draft) -> Option<State> {
    match (fact.kind, fact.reason) {
        (Kind::TaskEntered(state), _) => Some(state),
        (Kind::TaskSubmitted, Some(Reason::Breakpoint)) => Some(State::Awaiting),
        _ => None,
    }
}

fn detail(id: &TaskId, state: State, reason: Option<Reason>, data: Option<&Json>) -> String {
    let data = data
        .and_then(|json| serde_json::from_str::<Data>(json.get()).ok())
        .unwrap_or_default();
    let error = data.error.as_deref();
    let word = theme::word(state, reason);
    match (state, reason) {
        (State::Completed, Some(Reason::Cached)) => "  from the cache".to_owned(),
        (State::Completed, _) => String::new(),
        (State::Ready, _) => "  lost with its worker; it is tried again".to_owned(),
        (State::Retrying, _) => format!(
            "  attempt {} failed: {}",
            data.attempt.unwrap_or(1),
            error.map(failure::last_line).unwrap_or_default()
        ),
        (State::Failed, _) => format!("  failed: {}", failure::line(error, reason)),
        (State::Suspended, _) => format!("  {word}: `bell task resume {id}` lets it go on"),
        (_, Some(reason)) => format!("  {word} ({reason})"),
        (_, None) => format!("  {word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Digest, Event};
    use domain::id::{EventNo, Key};

    fn seen(at: i64, kind: Kind, reason: Option<Reason>, data: &str) -> Seen {
        Seen {
            event: Event {
                no: EventNo(1),
                fact: Draft {
                    at: Timestamp(at),
                    kind,
                    task: None,
                    run: None,
                    actor: "worker:w".into(),
                    reason,
                    data: (!data.is_empty()).then(|| Json::parse(data).unwrap()),
                },
                prev: EventNo(0),
                digest: Digest([0; 32]),
            },
            task: Some(TaskId::new("t").unwrap()),
            key: Some(Key::new("test").unwrap()),
            run: None,
        }
    }

    fn said(events: impl IntoIterator<Item = Seen>) -> String {
        let mut lines = Lines::default();
        let text: String = events.into_iter().filter_map(|seen| lines.line(&seen)).collect();
        anstream::adapter::strip_str(&text).to_string()
    }

    fn told(events: &[(i64, State, Option<Reason>, &str)]) -> String {
        said(
            events
                .iter()
                .map(|(at, state, reason, data)| seen(*at, Kind::TaskEntered(*state), *reason, data)),
        )
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

    #[test]
    fn a_failure_without_an_error_says_its_reason() {
        let text = told(&[
            (0, State::Failed, Some(Reason::Lost), r#"{"attempt":3}"#),
            (0, State::Failed, Some(Reason::Timeout), ""),
            (0, State::Failed, Some(Reason::Rejected), ""),
        ]);
        insta::assert_snapshot!(text, @r"
        00:00:00 ✗ test  failed: lost with its worker too often
        00:00:00 ✗ test  failed: nobody answered in time
        00:00:00 ✗ test  failed: rejected
        ");
    }

    #[test]
    fn what_stands_still_until_somebody_comes_is_told() {
        let text = said([
            seen(0, Kind::TaskSubmitted, None, r#"{"state":"ready"}"#),
            seen(
                0,
                Kind::TaskSubmitted,
                Some(Reason::Breakpoint),
                r#"{"state":"awaiting"}"#,
            ),
            seen(
                0,
                Kind::TaskEntered(State::Suspended),
                Some(Reason::Suspended),
                "",
            ),
        ]);
        insta::assert_snapshot!(text, @r"
        00:00:00 ? test  awaiting (breakpoint)
        00:00:00 ‖ test  suspended: `bell task resume t` lets it go on
        ");
    }
}
