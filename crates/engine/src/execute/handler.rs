//! The executor `handler`: async functions of the program that embeds the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::limits;
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Work};

use super::{Finish, Job};

type Answer = Pin<Box<dyn Future<Output = Result<Option<Json>, Failure>> + Send>>;
type Function = Arc<dyn Fn(Job) -> Answer + Send + Sync>;

/// Named functions that tasks with `handler: NAME` call.
///
/// A function is dropped at its next await when its task is cancelled, when it takes longer than its timeout, or when
/// the worker stops; [`Job::attempt_key`] makes its outside effects idempotent. A panic is a failed attempt.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Function>);

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Handlers {
    /// Adds a function; one of the same name is replaced. `Ok(Some(json))` is the task's result.
    #[must_use]
    pub fn with<F, A>(mut self, name: &str, function: F) -> Handlers
    where
        F: Fn(Job) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Option<Json>, Failure>> + Send + 'static,
    {
        self.0
            .insert(name.to_owned(), Arc::new(move |job| Box::pin(function(job))));
        self
    }

    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Runs one attempt to its end.
    pub async fn run(&self, job: &Job, timeout: Duration) -> Finish {
        let Work::Handler(name) = &job.spec.work else {
            unreachable!("{} is not a handler", job.spec.work.name());
        };
        let Some(function) = self.0.get(name).cloned() else {
            let message = format!("no handler `{name}` is registered in this worker");
            return Finish::failed(Failure {
                message,
                class: Some("not found".into()),
                exit: None,
            });
        };
        let timeout = job.spec.timeout.unwrap_or(timeout);
        let call = tokio::spawn(function(job.clone()));
        let stop = call.abort_handle();
        let steering = job.steering.clone();
        tokio::select! {
            ended = call => match ended {
                Ok(Ok(result)) => completed(result),
                Ok(Err(failure)) => Finish::failed(failure),
                Err(error) => Finish::failed(Failure::new(format!("the handler `{name}` panicked: {error}"))),
            },
            () = steering.cancelled() => {
                stop.abort();
                Finish::Stopped
            }
            () = tokio::time::sleep(timeout) => {
                stop.abort();
                let message = format!("no end within {}", domain::time::show_duration(timeout));
                let failure = Failure { message, class: Some("timeout".into()), exit: None };
                Finish::Failed { failure, usage: None, timed_out: true }
            }
        }
    }
}

fn completed(result: Option<Json>) -> Finish {
    if let Some(result) = result
        .as_ref()
        .filter(|result| result.get().len() > limits::RESULT_BYTES)
    {
        let message = format!(
            "the result has {} bytes, the limit is {}",
            result.get().len(),
            limits::RESULT_BYTES
        );
        return Finish::failed(Failure {
            message,
            class: Some("validation".into()),
            exit: None,
        });
    }
    Finish::Completed {
        outcome: Outcome {
            result,
            error: None,
            usage: None,
        },
        cached: false,
        children: None,
    }
}
