//! Short words for what cases say often.

use std::fmt;

use domain::code::{Code, Refusal};
use domain::id::{TaskId, WorkerId};
use domain::store::{Command, Leased, Request, Result, Target};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::Json;

pub fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("an id")
}

pub fn worker(text: &str) -> WorkerId {
    WorkerId::new(text).expect("a name")
}

pub fn texts(ids: &[TaskId]) -> Vec<String> {
    let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

pub fn ids(leased: &[Leased]) -> Vec<String> {
    leased.iter().map(|leased| leased.task.id.to_string()).collect()
}

pub fn held(leased: &Leased, command: Command) -> Request {
    Request {
        target: Target::Holder(leased.token, None),
        command,
        actor: "worker:w".into(),
        idempotency_key: None,
    }
}

pub fn ask(task: &str, command: Command) -> Request {
    Request {
        target: Target::Id(id(task)),
        command,
        actor: "user:ann".into(),
        idempotency_key: None,
    }
}

/// The same request with an idempotency key.
pub fn keyed(request: Request, key: &str) -> Request {
    Request {
        idempotency_key: Some(key.to_owned()),
        ..request
    }
}

pub fn completion() -> Command {
    with_result(None)
}

pub fn with_result(result: Option<&str>) -> Command {
    Command::Complete {
        outcome: Outcome {
            result: result.map(|text| Json::parse(text).expect("JSON")),
            ..Outcome::default()
        },
        cached: false,
        children: None,
    }
}

pub fn failure(message: &str) -> Command {
    Command::Fail {
        failure: Failure::new(message),
        usage: None,
        timed_out: false,
        no_retry: false,
    }
}

pub fn code<T: fmt::Debug>(answer: Result<T>) -> Code {
    refusal(answer).code
}

pub fn refusal<T: fmt::Debug>(answer: Result<T>) -> Refusal {
    answer.expect_err("it should have been refused")
}
