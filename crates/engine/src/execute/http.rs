//! The executor `http`: one call of an endpoint.

use domain::limits;
use domain::task::outside::Call;
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Work};
use serde_json::{Value, json};
use std::time::Duration;

use super::command::set_aside;
use super::files::Input;
use super::{Finish, Job};
use crate::engine::Engine;
use crate::outside::{self, Answer, Outside, Trouble, secret};
use crate::trace;

/// Characters of an answer that a failure quotes.
const QUOTED: usize = 300;

/// Runs one attempt to its end.
pub async fn run(engine: &Engine, outside: &Outside, timeout: Duration, job: &Job) -> Finish {
    let asked = match call(job) {
        Ok(asked) => asked,
        Err(failure) => return Finish::failed(failure),
    };
    let body = body(engine, &asked, job);
    match answered(engine, outside, timeout, job, &asked, body).await {
        Ok(answer) => completed(engine, job, Json::of(&document(&answer)), None),
        Err(finish) => finish,
    }
}

/// The answer of an endpoint, if it is the one that was expected; else how the attempt ends.
pub(super) async fn answered(
    engine: &Engine,
    outside: &Outside,
    timeout: Duration,
    job: &Job,
    asked: &Call,
    body: Option<Vec<u8>>,
) -> Result<Answer, Finish> {
    let timeout = job.spec.timeout.unwrap_or(timeout);
    let keep = limits::RESULT_FILE_BYTES as usize;
    let place = job.trace.map(|context| (trace::HEADER, context.to_string()));
    let said = std::iter::once(("idempotency-key", key(engine, job))).chain(place);
    let answer = tokio::select! {
        answer = ask(outside, asked, body, said, timeout, keep) => answer.map_err(failure),
        () = job.steering.cancelled() => return Err(Finish::Stopped),
    };
    let answer = answer.map_err(|failure| Finish::Failed {
        timed_out: failure.class.as_deref() == Some("timeout"),
        failure,
        usage: None,
    })?;
    match refusal(asked, &answer) {
        Some(failure) => Err(Finish::failed(failure)),
        None => Ok(answer),
    }
}

fn call(job: &Job) -> Result<Call, Failure> {
    let Work::Http(call) = &job.spec.work else {
        unreachable!("{} is no call", job.spec.work.name());
    };
    serde_json::from_str(call.get()).map_err(|e| Failure {
        message: format!("the call cannot be read: {e}"),
        class: Some("validation".into()),
        exit: None,
    })
}

/// The same for every attempt, so that an endpoint can tell a repetition.
fn key(engine: &Engine, job: &Job) -> String {
    format!("{}:{}", engine.project, job.leased.task.id)
}

fn body(engine: &Engine, asked: &Call, job: &Job) -> Option<Vec<u8>> {
    match &asked.body {
        Some(body) => Some(sent(body)),
        None if matches!(asked.method(), "POST" | "PUT" | "PATCH") => {
            Some(Input::of(job, engine.project.as_str()).document())
        }
        None => None,
    }
}

/// Text as it is, everything else as JSON.
pub(super) fn sent(body: &Json) -> Vec<u8> {
    match serde_json::from_str::<String>(body.get()) {
        Ok(text) => text.into_bytes(),
        Err(_) => body.get().as_bytes().to_vec(),
    }
}

/// One call, with what every call carries and what is `said` beside, unless it says that itself.
pub(super) async fn ask(
    outside: &Outside,
    asked: &Call,
    body: Option<Vec<u8>>,
    said: impl IntoIterator<Item = (&'static str, String)>,
    timeout: Duration,
    keep: usize,
) -> Result<Answer, Trouble> {
    let mut headers = Vec::new();
    for (name, value) in &asked.headers {
        headers.push((name.to_ascii_lowercase(), secret(value)?));
    }
    let has = |headers: &[(String, String)], name: &str| headers.iter().any(|(known, _)| known == name);
    for (name, value) in said {
        if !has(&headers, name) {
            headers.push((name.to_owned(), value));
        }
    }
    if body
        .as_ref()
        .is_some_and(|body| serde_json::from_slice::<Value>(body).is_ok())
        && !has(&headers, "content-type")
    {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let call = outside::Call {
        method: asked.method(),
        url: &asked.url,
        headers,
        body,
        timeout,
        keep,
    };
    outside.call(call).await
}

pub(super) fn failure(trouble: Trouble) -> Failure {
    let class = match () {
        () if trouble.hopeless => "invalid",
        () if trouble.timed_out => "timeout",
        () => "unavailable",
    };
    Failure {
        message: trouble.message,
        class: Some(class.into()),
        exit: None,
    }
}

/// Why an answer is not the one that was expected.
pub(super) fn refusal(asked: &Call, answer: &Answer) -> Option<Failure> {
    let text = String::from_utf8_lossy(&answer.body);
    let failure = |class: &str, message: String| {
        Some(Failure {
            message,
            class: Some(class.into()),
            exit: None,
        })
    };
    if !asked.expects(answer.status) {
        let said: String = text.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
        let gap = if said.is_empty() { "" } else { ": " };
        let message = format!("the endpoint answered {}{gap}{said}", answer.status);
        return failure(Call::class(answer.status), message);
    }
    match &asked.contains {
        Some(wanted) if !text.contains(wanted.as_str()) => {
            let wanted: String = wanted.chars().take(QUOTED).collect();
            failure(
                "unavailable",
                format!("the answer does not hold `{}`", wanted.escape_debug()),
            )
        }
        _ => None,
    }
}

/// What an answer is as a result: its body as JSON where it is some.
pub(super) fn document(answer: &Answer) -> Value {
    let body = serde_json::from_slice::<Value>(&answer.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into_owned().into());
    match answer.cut {
        false => json!({ "status": answer.status, "body": body }),
        true => json!({ "status": answer.status, "body": body, "cut": true }),
    }
}

pub(super) fn completed(engine: &Engine, job: &Job, mut result: Json, usage: Option<Json>) -> Finish {
    if result.get().len() > limits::RESULT_BYTES {
        match set_aside(engine, job, &result) {
            Ok(aside) => result = aside,
            Err(failure) => return Finish::failed(failure),
        }
    }
    Finish::Completed {
        outcome: Outcome {
            result: Some(result),
            error: None,
            usage,
        },
        cached: false,
        children: None,
    }
}
