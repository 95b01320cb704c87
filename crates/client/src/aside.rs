//! Results that are too large for a store: they travel whole, and each machine keeps its own copy.

use std::fmt;

use domain::id::{Project, Seq, TaskId};
use domain::limits::RESULT_BYTES;
use domain::store::{Command, Request, Upstream};
use domain::task::spec::Json;
use serde::Deserialize;

use crate::link::Link;

/// Bytes of results that travel in one request, so that it stays well below what a server takes.
const TOGETHER: usize = 24 * 1024 * 1024;

/// Where this machine keeps large results.
pub trait Aside: fmt::Debug + Send + Sync {
    /// The result that is meant, when this one stands for one that is kept here.
    fn whole(&self, project: &Project, result: &Json) -> Option<Json>;
    /// Keeps what a task ended with for as long as an attempt may need it, and gives what stands for it here.
    fn keep(&self, project: &Project, task: Seq, result: &Json) -> Option<Json>;
}

/// Puts what is meant in the place of what stands for it on this machine, and parts the requests by how much that is.
pub(crate) fn send(aside: &dyn Aside, project: &Project, requests: Vec<Request>) -> Vec<Vec<Request>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for mut request in requests {
        if let Command::Complete { outcome, .. } = &mut request.command
            && let Some(result) = &mut outcome.result
        {
            if let Some(whole) = aside.whole(project, result) {
                *result = whole;
            }
            bytes += result.get().len();
            if bytes > TOGETHER && parts.last().is_some_and(|part| !part.is_empty()) {
                parts.push(Vec::new());
                bytes = result.get().len();
            }
        }
        if let Some(part) = parts.last_mut() {
            part.push(request);
        }
    }
    parts
}

#[derive(Deserialize)]
struct StandsFor {
    #[serde(rename = "file")]
    _file: String,
    bytes: usize,
}

/// Fetches what is kept beside the server.
pub(crate) async fn fetch(aside: &dyn Aside, link: &Link, project: &Project, upstream: &mut [Upstream]) {
    for upstream in upstream {
        let outcome = upstream.outcome.as_mut();
        let Some(result) = outcome.and_then(|outcome| outcome.result.as_mut()) else {
            continue;
        };
        let stands = serde_json::from_str::<StandsFor>(result.get());
        if stands.is_ok_and(|stands| stands.bytes > RESULT_BYTES)
            && let Some(whole) = whole(link, project, &upstream.id).await
            && let Some(here) = aside.keep(project, upstream.seq, &whole)
        {
            *result = here;
        }
    }
}

async fn whole(link: &Link, project: &Project, task: &TaskId) -> Option<Json> {
    let query = [("project", project.as_str())];
    match link.get_of_task::<Json>(task, "result", &query).await {
        Ok(whole) if whole.get().len() > RESULT_BYTES => Some(whole),
        Ok(_) => None,
        Err(refusal) => {
            tracing::warn!(%task, error = %refusal, "a large result could not be fetched");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Token;
    use domain::store::Target;
    use domain::task::record::Outcome;

    use super::*;

    #[derive(Debug)]
    struct Grows;

    impl Aside for Grows {
        fn whole(&self, _: &Project, result: &Json) -> Option<Json> {
            let text = "x".repeat(10 * 1024 * 1024);
            (result.get() == "1").then(|| Json::of(&text))
        }

        fn keep(&self, _: &Project, _: Seq, _: &Json) -> Option<Json> {
            None
        }
    }

    #[test]
    fn large_results_do_not_all_travel_at_once() {
        let request = |result: u32| Request {
            target: Target::Holder("1.1.1".parse::<Token>().unwrap(), None),
            command: Command::Complete {
                outcome: Outcome {
                    result: Some(Json::of(&result)),
                    ..Outcome::default()
                },
                cached: false,
                children: None,
            },
            actor: "worker:w".into(),
            idempotency_key: None,
        };
        let requests = [1, 2, 1, 1, 1, 2].map(request).to_vec();
        let parts = send(&Grows, &Project::default(), requests);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(send(&Grows, &Project::default(), Vec::new()).len(), 1);
    }
}
