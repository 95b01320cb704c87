//! An immutable numbered fact, and patterns that choose among kinds of them.

use domain::id::{EventNo, Key, RunId, TaskId};
use domain::store::Seen;
use domain::task::spec::Json;
use domain::task::state::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Event {
    /// Its place in the project's log: from 1, without gaps. Streams resume after a number.
    pub number: EventNo,
    /// For example `task.completed`.
    #[serde(rename = "type")]
    pub kind: String,
    pub at: Time,
    pub task: Option<TaskId>,
    pub key: Option<Key>,
    pub run: Option<RunId>,
    /// Who caused it: `user:NAME`, `worker:ID` or `system`.
    pub actor: String,
    pub reason: Option<Reason>,
    pub data: Option<Json>,
}

impl From<Seen> for Event {
    fn from(seen: Seen) -> Event {
        let fact = seen.event.fact;
        Event {
            number: seen.event.no,
            kind: fact.kind.as_str().to_owned(),
            at: Time(fact.at),
            task: seen.task,
            key: seen.key,
            run: seen.run,
            actor: fact.actor.to_string(),
            reason: fact.reason,
            data: fact.data,
        }
    }
}

/// A glob over event types: `*` stands for any text, and `:` and `_` for the dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        Pattern(dotted(text))
    }

    pub fn matches(&self, kind: &str) -> bool {
        glob(&self.0, &dotted(kind))
    }
}

fn dotted(text: &str) -> String {
    text.replace([':', '_'], ".")
}

fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::entered;
    use domain::task::state::State;

    #[test]
    fn patterns_take_every_spelling() {
        for (pattern, kind, expected) in [
            ("task.completed", "task.completed", true),
            ("task:completed", "task.completed", true),
            ("task_completed", "task.completed", true),
            ("task.*", "task.completed", true),
            ("*", "run.finished", true),
            ("*.finished", "run.finished", true),
            ("*.f*d", "run.finished", true),
            ("r*fin*", "run.finished", true),
            ("task.*", "run.finished", false),
            ("task", "task.completed", false),
            ("*.f*x*d", "run.finished", false),
            ("", "run.finished", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(kind), expected, "{pattern} {kind}");
        }
    }

    #[test]
    fn an_event_is_flat() {
        let event = Event::from(entered(7, State::Ready, None, r#"{"attempt":1}"#));
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"number":7,"type":"task.ready","at":"1970-01-01T00:00:00.007Z","task":"test","key":null,"#,
                r#""run":null,"actor":"worker:w","reason":null,"data":{"attempt":1}}"#
            )
        );
    }
}
