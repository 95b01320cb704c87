//! What tasks and runs took, told to a collector of traces in its own words (OTLP over HTTP, as JSON).
//!
//! The log is where it comes from: nothing is asked of those who work, and what the collector cannot take holds up nobody. In
//! reading order: the spans of a task or run (`span`), their words (`otlp`), and how they are sent.

mod otlp;
mod span;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{EventNo, RunId, TaskId};
use domain::store::Result;
use engine::engine::Engine;
use engine::outside::{Call, Outside};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use span::Span;

/// What has ended and is not looked at yet; beyond, it is left out.
const QUEUE: usize = 8_192;
/// Looked at together.
const BATCH: usize = 256;
/// Others that end within this time go along.
const LINGER: Duration = Duration::from_millis(200);
/// How long the collector may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tries of one batch.
const TRIES: u32 = 4;
/// Between the first and the second; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// How long what is left at the end may take.
const REST: Duration = Duration::from_secs(2);

/// Where traces are sent.
#[derive(Clone, Debug)]
pub struct Collector {
    /// As `OTEL_EXPORTER_OTLP_ENDPOINT` has it, without `/v1/traces`.
    pub endpoint: String,
    /// What lets us in there, for example.
    pub headers: Vec<(String, String)>,
    /// What this service is called there.
    pub service: String,
    /// By which it is called.
    pub outside: Outside,
}

impl Collector {
    /// By its URL; what stands in its headers as the standard variable has them: `name=value,name=value`.
    pub fn new(endpoint: &str, headers: &str, service: &str) -> Result<Collector> {
        let wrong = |what: String| {
            Refusal::new(Code::ConfigInvalid, what).help("write for example http://127.0.0.1:4318")
        };
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| endpoint.strip_prefix(scheme));
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let host = authority.map(|authority| {
            let host = authority.rsplit('@').next().unwrap_or_default();
            match host.strip_prefix('[') {
                Some(literal) => literal.split(']').next().unwrap_or_default(),
                None => host.split(':').next().unwrap_or_default(),
            }
        });
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            return Err(wrong(format!(
                "`{}` is no URL of a collector",
                endpoint.escape_debug()
            )));
        };
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), decoded(value.trim())))
        };
        let pairs = headers.split(',').map(str::trim).filter(|text| !text.is_empty());
        let headers: Option<Vec<_>> = pairs.map(pair).collect();
        Ok(Collector {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            headers: headers
                .ok_or_else(|| wrong("the headers for the collector are not `name=value`".to_owned()))?,
            service: service.to_owned(),
            // Whoever names it wants it called, wherever it is.
            outside: Outside::new(host.parse()?),
        })
    }
}

/// `%20` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Debug)]
pub(crate) enum What {
    /// What this event has ended: an attempt, the task, or both.
    Task(TaskId, EventNo),
    Run(RunId),
}

#[derive(Debug)]
struct Ended {
    engine: Engine,
    what: What,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    /// Left out: there was no room, or the collector did not take them.
    pub(crate) dropped: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Tracer {
    queue: Mutex<Option<mpsc::Sender<Ended>>>,
    pub(crate) counts: Arc<Counts>,
    sender: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    pub(crate) fn begin(collector: Collector) -> Tracer {
        let (queue, queued) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let sender = tokio::spawn(send_all(collector, queued, Arc::clone(&counts)));
        Tracer {
            queue: Mutex::new(Some(queue)),
            counts,
            sender: Mutex::new(Some(sender)),
        }
    }

    /// Takes note of an end. Nobody is waited for.
    pub(crate) fn ended(&self, engine: &Engine, what: What) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = Ended {
            engine: engine.clone(),
            what,
        };
        if queue.as_ref().is_none_or(|queue| queue.try_send(ended).is_err()) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what is left, as far as that goes within a moment.
    pub(crate) async fn end(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sender) = sender
            && tokio::time::timeout(REST, &mut sender).await.is_err()
        {
            sender.abort();
        }
    }
}

async fn send_all(collector: Collector, mut queued: mpsc::Receiver<Ended>, counts: Arc<Counts>) {
    let mut ended = Vec::with_capacity(BATCH);
    while queued.recv_many(&mut ended, BATCH).await > 0 {
        if ended.len() < BATCH && !queued.is_closed() {
            tokio::time::sleep(LINGER).await;
            while ended.len() < BATCH
                && let Ok(more) = queued.try_recv()
            {
                ended.push(more);
            }
        }
        let mut spans = Vec::new();
        for ended in ended.drain(..) {
            match spans_of(&ended).await {
                Ok(more) => spans.extend(more),
                Err(refusal) => {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(error = %refusal, what = ?ended.what, "a trace could not be read from the store");
                }
            }
        }
        send(&collector, &spans, &counts).await;
    }
}

async fn spans_of(ended: &Ended) -> Result<Vec<Span>> {
    match &ended.what {
        What::Task(task, at) => span::of_task(&ended.engine, task, *at).await,
        What::Run(run) => span::of_run(&ended.engine, *run).await,
    }
}

async fn send(collector: &Collector, spans: &[Span], counts: &Counts) {
    if spans.is_empty() {
        return;
    }
    let body = otlp::request(&collector.service, spans).to_string().into_bytes();
    let url = format!("{}/v1/traces", collector.endpoint.trim_end_matches('/'));
    let mut pause = PAUSE;
    for left in (0..TRIES).rev() {
        let mut headers = collector.headers.clone();
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let call = Call {
            method: "POST",
            url: &url,
            headers,
            body: Some(body.clone()),
            timeout: PATIENCE,
            keep: 1_024,
        };
        let why = match collector.outside.call(call).await {
            Ok(answer) if answer.status < 300 => {
                counts.sent.fetch_add(spans.len() as u64, Ordering::Relaxed);
                return;
            }
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                drop_all(spans, counts, &format!("it answers {}", answer.status));
                return;
            }
            Ok(answer) => format!("it answers {}", answer.status),
            Err(trouble) if trouble.hopeless => {
                drop_all(spans, counts, &trouble.message);
                return;
            }
            Err(trouble) => trouble.message,
        };
        if left == 0 {
            drop_all(spans, counts, &why);
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

fn drop_all(spans: &[Span], counts: &Counts, why: &str) {
    counts.dropped.fetch_add(spans.len() as u64, Ordering::Relaxed);
    tracing::warn!(
        spans = spans.len(),
        why,
        "the collector of traces did not take spans"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_as_the_standard_names_it() {
        let told = Collector::new("http://localhost:4318/", "Authorization=Bearer%20x, a=b=c", "s").unwrap();
        assert_eq!(told.endpoint, "http://localhost:4318");
        assert_eq!(
            told.headers,
            [
                ("authorization".to_owned(), "Bearer x".to_owned()),
                ("a".to_owned(), "b=c".to_owned())
            ]
        );
        assert!(Collector::new("https://u:p@[::1]:4318/x", "", "s").is_ok());
        for (endpoint, headers) in [("localhost:4318", ""), ("http://", ""), ("http://a", "b")] {
            assert!(
                Collector::new(endpoint, headers, "s").is_err(),
                "{endpoint} {headers}"
            );
        }
        assert_eq!(decoded("100%"), "100%");
    }
}
