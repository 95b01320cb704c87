//! The tries of a task, folded from its history.

use domain::event::Kind;
use domain::store::Seen;
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// One try.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub worker: Option<String>,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    /// `null` while it is under way.
    pub outcome: Option<Outcome>,
    pub error: Option<String>,
    pub usage: Option<Json>,
    /// When the next try was to begin, after a failure that is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// How long that is after the end of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Completed,
    Failed,
    /// Its worker died or did not renew in time.
    Lost,
    /// The worker handed it back; it cost no try.
    Released,
    Cancelled,
    /// It left subtasks behind and waits for them.
    Joined,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Lost => "lost",
            Outcome::Released => "released",
            Outcome::Cancelled => "cancelled",
            Outcome::Joined => "joined",
        }
    }
}

/// What an event says about an attempt.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    attempt: Option<u32>,
    error: Option<String>,
    usage: Option<Json>,
    retry_at: Option<String>,
}

/// The attempts that a task's events tell of, oldest first. A history that begins in the middle gives those that
/// it still knows.
pub fn attempts(history: &[Seen]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for seen in history {
        let Kind::TaskEntered(state) = seen.event.fact.kind else {
            continue;
        };
        match state {
            State::Assigned | State::Running => begin(&mut attempts, seen, state),
            _ => end(&mut attempts, seen, state),
        }
    }
    attempts
}

fn data(seen: &Seen) -> Data {
    let text = seen.event.fact.data.as_ref();
    text.and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default()
}

fn under_way(attempts: &mut [Attempt]) -> Option<&mut Attempt> {
    attempts.last_mut().filter(|attempt| attempt.outcome.is_none())
}

/// A lease was handed out, or its holder started; a resumed attempt only goes on.
fn begin(attempts: &mut Vec<Attempt>, seen: &Seen, state: State) {
    let at = Time(seen.event.fact.at);
    let started_at = (state == State::Running).then_some(at);
    if let Some(attempt) = under_way(attempts) {
        attempt.started_at = attempt.started_at.or(started_at);
        return;
    }
    let Some(number) = data(seen).attempt else {
        return;
    };
    attempts.push(Attempt {
        number,
        worker: seen.event.fact.actor.strip_prefix("worker:").map(str::to_owned),
        started_at,
        finished_at: None,
        outcome: None,
        error: None,
        usage: None,
        retry_at: None,
        retry_delay_ms: None,
    });
}

fn end(attempts: &mut [Attempt], seen: &Seen, state: State) {
    let Some(attempt) = under_way(attempts) else {
        return;
    };
    let outcome = match (state, seen.event.fact.reason) {
        (State::Completed, _) => Outcome::Completed,
        (State::Failed | State::Ready, Some(Reason::Lost)) => Outcome::Lost,
        (State::Failed | State::Retrying, _) => Outcome::Failed,
        (State::Blocked, Some(Reason::Replanning)) => Outcome::Failed,
        (State::Blocked, _) => Outcome::Joined,
        (State::Ready, _) => Outcome::Released,
        (State::Cancelled, _) => Outcome::Cancelled,
        // Nothing had begun, so its lease went back.
        (State::Suspended, _) if attempt.started_at.is_none() => Outcome::Released,
        _ => return,
    };
    let (data, at) = (data(seen), seen.event.fact.at);
    let retry_at = data.retry_at.and_then(|text| Timestamp::parse(&text, at).ok());
    attempt.retry_at = retry_at.map(Time);
    attempt.retry_delay_ms = retry_at.map(|then| then.since(at).as_millis() as u64);
    attempt.finished_at = Some(Time(at));
    attempt.outcome = Some(outcome);
    attempt.error = data.error;
    attempt.usage = data.usage;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::entered;

    /// `number outcome started..finished`, one attempt a line.
    fn fold(history: &[Seen]) -> Vec<String> {
        let at = |time: Option<Time>| time.map_or_else(String::new, |time| time.0.0.to_string());
        attempts(history)
            .iter()
            .map(|attempt| {
                let outcome = attempt.outcome.map_or("running", Outcome::as_str);
                format!(
                    "{} {} {outcome} {}..{}",
                    attempt.number,
                    attempt.worker.as_deref().unwrap_or("-"),
                    at(attempt.started_at),
                    at(attempt.finished_at)
                )
            })
            .collect()
    }

    #[test]
    fn a_failure_and_a_success_are_two_attempts() {
        let history = [
            entered(1, State::Ready, None, ""),
            entered(2, State::Running, None, r#"{"attempt":1}"#),
            entered(
                3,
                State::Retrying,
                None,
                r#"{"attempt":1,"error":"boom","retry_at":"1970-01-01T00:00:02.003Z"}"#,
            ),
            entered(4, State::Ready, None, ""),
            entered(5, State::Assigned, None, r#"{"attempt":2}"#),
            entered(6, State::Running, None, r#"{"attempt":2}"#),
            entered(7, State::Completed, None, r#"{"attempt":2,"usage":{"tokens":9}}"#),
        ];
        assert_eq!(fold(&history), ["1 w failed 2..3", "2 w completed 6..7"]);
        let attempts = attempts(&history);
        assert_eq!(attempts[0].error.as_deref(), Some("boom"));
        assert_eq!(attempts[0].retry_delay_ms, Some(2_000));
        assert_eq!(attempts[1].retry_at, None);
        assert_eq!(attempts[1].usage.as_ref().unwrap().get(), r#"{"tokens":9}"#);
    }

    #[test]
    fn every_way_out_has_its_outcome() {
        let out = |state, reason| {
            let history = [
                entered(1, State::Running, None, r#"{"attempt":1}"#),
                entered(2, state, reason, ""),
            ];
            fold(&history).remove(0)
        };
        assert_eq!(out(State::Ready, Some(Reason::Released)), "1 w released 1..2");
        assert_eq!(out(State::Ready, Some(Reason::Lost)), "1 w lost 1..2");
        assert_eq!(out(State::Failed, Some(Reason::Lost)), "1 w lost 1..2");
        assert_eq!(out(State::Failed, Some(Reason::Timeout)), "1 w failed 1..2");
        assert_eq!(
            out(State::Cancelled, Some(Reason::Cancelled)),
            "1 w cancelled 1..2"
        );
        assert_eq!(out(State::Blocked, Some(Reason::Joining)), "1 w joined 1..2");
        assert_eq!(out(State::Blocked, Some(Reason::Replanning)), "1 w failed 1..2");
        assert_eq!(out(State::Suspended, Some(Reason::Suspended)), "1 w running 1..");
    }

    #[test]
    fn moves_outside_an_attempt_are_none() {
        let history = [
            entered(1, State::Assigned, None, r#"{"attempt":1}"#),
            entered(2, State::Suspended, Some(Reason::Suspended), ""),
            entered(3, State::Ready, None, ""),
            entered(4, State::Cancelled, Some(Reason::Cancelled), ""),
        ];
        assert_eq!(fold(&history), ["1 w released ..2"]);
    }

    #[test]
    fn a_resumed_attempt_goes_on() {
        let history = [
            entered(1, State::Running, None, r#"{"attempt":1}"#),
            entered(2, State::Suspended, Some(Reason::Suspended), ""),
            entered(3, State::Running, None, ""),
            entered(4, State::Completed, None, r#"{"attempt":1}"#),
        ];
        assert_eq!(fold(&history), ["1 w completed 1..4"]);
    }

    #[test]
    fn a_history_without_its_beginning_gives_what_it_knows() {
        let history = [
            entered(4, State::Completed, None, r#"{"attempt":7}"#),
            entered(5, State::Running, None, r#"{"attempt":8}"#),
        ];
        assert_eq!(fold(&history), ["8 w running 5.."]);
    }
}
