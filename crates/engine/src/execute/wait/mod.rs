//! The executor `wait`: sensors, many at once, that find a file, an answer or a signal.
//!
//! A wait holds a lease like any other attempt, and none of the slots of real work. It is carried on from the start by
//! whoever takes it over: all that it goes by is outside, or in the store.

mod file;
mod signal;

use std::path::PathBuf;
use std::time::Duration;

use domain::limits;
use domain::task::outside::{Awaited, Call};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Work};
use serde_json::Value;

use super::{Finish, Job, http};
use crate::engine::Engine;
use crate::outside::Outside;

pub use signal::Signals;

/// Waits of one worker at the same time.
pub const WAITS_MAX: usize = 1_000;
/// One call of an endpoint that is waited for.
const CALL: Duration = Duration::from_secs(10);
/// Bytes of its answer that are kept.
const ANSWER: usize = 8 * 1024;

/// What the waits of one worker share.
#[derive(Clone, Debug)]
pub struct Waits {
    pub outside: Outside,
    pub signals: Signals,
    /// For tasks that name none.
    pub timeout: Duration,
}

impl Waits {
    /// Runs one attempt to its end.
    pub async fn run(&self, engine: &Engine, job: &Job) -> Finish {
        let Work::Wait(awaited) = &job.spec.work else {
            unreachable!("{} is no wait", job.spec.work.name());
        };
        let awaited = match serde_json::from_str::<Awaited>(awaited.get()) {
            Ok(awaited) => awaited,
            Err(e) => {
                let class = Some("validation".into());
                let message = format!("what to wait for cannot be read: {e}");
                return Finish::failed(Failure {
                    message,
                    class,
                    exit: None,
                });
            }
        };
        let timeout = job.spec.timeout.unwrap_or(self.timeout);
        tokio::select! {
            found = self.find(engine, job, &awaited) => match found {
                Ok(found) => completed(&found),
                Err(failure) => Finish::failed(failure),
            },
            () = job.steering.cancelled() => Finish::Stopped,
            () = tokio::time::sleep(timeout) => {
                let span = domain::time::show_duration(timeout);
                let message = format!("{} did not come within {span}", shown(&awaited));
                let failure = Failure { message, class: Some("timeout".into()), exit: None };
                Finish::Failed { failure, usage: None, timed_out: true }
            }
        }
    }

    async fn find(&self, engine: &Engine, job: &Job, awaited: &Awaited) -> Result<Value, Failure> {
        match awaited {
            Awaited::File { glob, stable } => {
                let folder = job
                    .spec
                    .cwd
                    .as_ref()
                    .map_or_else(|| PathBuf::from("."), PathBuf::from);
                file::find(folder, glob, Duration::from_millis(*stable)).await
            }
            Awaited::Http { call, interval } => self.answer(call, Duration::from_millis(*interval)).await,
            Awaited::Signal { name, earlier } => self.signals.find(engine, job, name, *earlier).await,
        }
    }

    /// Asks until the endpoint answers as expected. That it does not answer is what is waited through; only what no
    /// waiting can change is a failure.
    async fn answer(&self, call: &Call, interval: Duration) -> Result<Value, Failure> {
        loop {
            match http::ask(
                &self.outside,
                call,
                call.body.as_ref().map(http::sent),
                None::<(&str, String)>,
                CALL,
                ANSWER,
            )
            .await
            {
                Ok(answer) if http::refusal(call, &answer).is_none() => return Ok(http::document(&answer)),
                Err(trouble) if trouble.hopeless => return Err(http::failure(trouble)),
                Ok(_) | Err(_) => tokio::time::sleep(interval).await,
            }
        }
    }
}

fn shown(awaited: &Awaited) -> String {
    match awaited {
        Awaited::File { glob, .. } => format!("a file `{glob}`"),
        Awaited::Http { call, .. } => format!("the answer of {}", call.url),
        Awaited::Signal { name, .. } => format!("the signal `{name}`"),
    }
}

fn completed(found: &Value) -> Finish {
    let mut result = Json::of(found);
    if result.get().len() > limits::RESULT_BYTES {
        result = Json::of(&serde_json::json!({ "cut": true }));
    }
    Finish::Completed {
        outcome: Outcome {
            result: Some(result),
            error: None,
            usage: None,
        },
        cached: false,
        children: None,
    }
}
