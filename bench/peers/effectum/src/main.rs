//! effectum: one writer thread that commits whatever waits, up to 50 operations, together; workers woken in process.
//!
//! Its connection is its own. It sets synchronous=NORMAL, and means to set WAL but names a pragma that SQLite does not
//! have (`journal`), so a new file stays in the rollback journal unless it is WAL already. Hence two variants: `default`,
//! and `WAL`, a file that we switched to WAL beforehand. FULL cannot be had. What it did is in the syncs column.
//!
//! The workloads and the report are those of `workload.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use effectum::{Job, JobRunner, Queue, RunningJob, Worker};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error>;

/// Its README has 10; of 10, 25, 50, 100 and 200 this drained fastest (23,000 to 55,000 tasks/s).
const CONCURRENCY: u16 = 100;
const PAYLOAD_BYTES: usize = 150;
/// Tasks that let a fresh worker come up before start latency is taken; they are not counted.
const WARM_UP: usize = 3;

#[derive(Deserialize)]
struct Assignment {
    dir: PathBuf,
    variant: String,
    single: usize,
    bulk: usize,
    batch: usize,
    drain: usize,
    latency: usize,
    limit_s: f64,
}

#[derive(Debug)]
struct Context {
    origin: Instant,
    started: mpsc::UnboundedSender<Duration>,
}

struct Span {
    from: Instant,
    syncs: Option<u64>,
}

impl Span {
    fn start() -> Self {
        Self {
            from: Instant::now(),
            syncs: sync_count(),
        }
    }

    fn stop(self) -> (f64, Option<u64>) {
        let seconds = self.from.elapsed().as_secs_f64();
        let syncs = sync_count().zip(self.syncs).map(|(now, before)| now - before);
        (seconds, syncs)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let argument = std::env::args().nth(1).ok_or("expected one JSON argument")?;
    let assignment: Assignment = serde_json::from_str(&argument)?;
    report("enqueue_single", enqueue_single(&assignment).await);
    report("enqueue_bulk", enqueue_bulk(&assignment).await);
    report("drain", drain(&assignment).await);
    report(
        "dag_1000",
        Ok(json!({ "not_offered": "no dependencies between tasks" })),
    );
    report("start_latency", start_latency(&assignment).await);
    // Queues close in the background; everything worth keeping is printed.
    std::process::exit(0);
}

async fn enqueue_single(assignment: &Assignment) -> Result<Value, Failure> {
    let (queue, file) = open(assignment, "single").await?;
    let mut samples = Vec::with_capacity(assignment.single);
    let limit = Duration::from_secs_f64(assignment.limit_s);
    let span = Span::start();
    while samples.len() < assignment.single && span.from.elapsed() < limit {
        let before = Instant::now();
        task(payload()).add_to(&queue).await?;
        samples.push(before.elapsed());
    }
    let n = samples.len();
    row(n, span.stop(), &file, samples, "")
}

async fn enqueue_bulk(assignment: &Assignment) -> Result<Value, Failure> {
    let (queue, file) = open(assignment, "bulk").await?;
    let limit = Duration::from_secs_f64(assignment.limit_s);
    let span = Span::start();
    let mut n = 0;
    while n < assignment.bulk && span.from.elapsed() < limit {
        add_batch(&queue, assignment.batch).await?;
        n += assignment.batch;
    }
    row(n, span.stop(), &file, Vec::new(), "add_jobs")
}

async fn drain(assignment: &Assignment) -> Result<Value, Failure> {
    let (queue, file) = open(assignment, "drain").await?;
    for _ in 0..assignment.drain / assignment.batch {
        add_batch(&queue, assignment.batch).await?;
    }
    let limit = Duration::from_secs_f64(assignment.limit_s);
    // Nobody listens for starts here; the worker keeps its own count of finished tasks.
    let (started, _) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        origin: Instant::now(),
        started,
    });
    let span = Span::start();
    let worker = start_worker(&queue, context).await?;
    while worker.counts().finished < assignment.drain as u64 && span.from.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let n = worker.counts().finished as usize;
    let measured = span.stop();
    let note = format!("its worker, max_concurrency {CONCURRENCY}");
    row(n, measured, &file, Vec::new(), &note)
}

async fn start_latency(assignment: &Assignment) -> Result<Value, Failure> {
    let (queue, file) = open(assignment, "latency").await?;
    let (sender, mut started) = mpsc::unbounded_channel();
    let origin = Instant::now();
    let context = Arc::new(Context {
        origin,
        started: sender,
    });
    let _worker = start_worker(&queue, context).await?;
    for _ in 0..WARM_UP {
        one_start(&queue, origin, &mut started).await?;
    }
    let limit = Duration::from_secs_f64(assignment.limit_s);
    let mut samples = Vec::with_capacity(assignment.latency);
    let span = Span::start();
    while samples.len() < assignment.latency && span.from.elapsed() < limit {
        samples.push(one_start(&queue, origin, &mut started).await?);
    }
    let (n, measured) = (samples.len(), span.stop());
    row(
        n,
        measured,
        &file,
        samples,
        "its worker in the same process, woken at once",
    )
}

/// Enqueues one task after a pause of 4 to 8 ms (the spread is the clock's own jitter) and waits for its start.
async fn one_start(
    queue: &Queue,
    origin: Instant,
    started: &mut mpsc::UnboundedReceiver<Duration>,
) -> Result<Duration, Failure> {
    let pause = 4_000 + u64::from(origin.elapsed().subsec_nanos()) % 4_000;
    tokio::time::sleep(Duration::from_micros(pause)).await;
    let before = origin.elapsed();
    task(payload()).add_to(queue).await?;
    let begun = started.recv().await.ok_or("worker is gone")?;
    Ok(begun.saturating_sub(before))
}

async fn open(assignment: &Assignment, name: &str) -> Result<(Queue, PathBuf), Failure> {
    let dir = assignment.dir.join(name);
    std::fs::create_dir_all(&dir)?;
    let file = dir.join("effectum.db");
    if assignment.variant == "WAL" {
        let connection = rusqlite::Connection::open(&file)?;
        connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
    }
    Ok((Queue::new(&file).await?, file))
}

async fn start_worker(queue: &Queue, context: Arc<Context>) -> Result<Worker, Failure> {
    let noop = JobRunner::builder("noop", run).build();
    let worker = Worker::builder(queue, context)
        .jobs([noop])
        .max_concurrency(CONCURRENCY)
        .min_concurrency(CONCURRENCY / 2)
        .build()
        .await?;
    Ok(worker)
}

async fn run(_job: RunningJob, context: Arc<Context>) -> Result<(), String> {
    let _ = context.started.send(context.origin.elapsed());
    Ok(())
}

async fn add_batch(queue: &Queue, n: usize) -> Result<(), Failure> {
    let jobs = (0..n).map(|_| task(payload()).build()).collect();
    queue.add_jobs(jobs).await?;
    Ok(())
}

fn task(payload: Vec<u8>) -> effectum::JobBuilder {
    Job::builder("noop").payload(payload)
}

fn payload() -> Vec<u8> {
    vec![b'x'; PAYLOAD_BYTES]
}

fn row(
    n: usize,
    measured: (f64, Option<u64>),
    file: &Path,
    samples: Vec<Duration>,
    note: &str,
) -> Result<Value, Failure> {
    let (seconds, syncs) = measured;
    let mut row =
        json!({ "n": n, "seconds": seconds, "syncs": syncs, "storage": storage(file)?, "note": note });
    if let Some(p50) = percentile(&samples, 0.50) {
        row["p50_ms"] = json!(p50);
        row["p99_ms"] = json!(percentile(&samples, 0.99));
    }
    Ok(row)
}

/// The journal mode is the file's, so any connection can read it; synchronous belongs to effectum's own connection.
fn storage(file: &Path) -> Result<String, Failure> {
    let connection = rusqlite::Connection::open(file)?;
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let version = rusqlite::version();
    let journal = journal.to_uppercase();
    Ok(format!(
        "SQLite {version}, {journal}, synchronous=NORMAL by its source, not readable"
    ))
}

fn percentile(samples: &[Duration], q: f64) -> Option<f64> {
    let mut ordered = samples.to_vec();
    ordered.sort();
    let last = ordered.len().checked_sub(1)?;
    let rank = ((q * ordered.len() as f64) as usize).min(last);
    Some(ordered[rank].as_secs_f64() * 1000.0)
}

fn sync_count() -> Option<u64> {
    let bytes = std::fs::read(std::env::var_os("PEERS_SYNC_COUNTER")?).ok()?;
    Some(u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?))
}

fn report(workload: &str, outcome: Result<Value, Failure>) {
    let mut row = outcome.unwrap_or_else(|error| json!({ "failed": error.to_string() }));
    row["workload"] = json!(workload);
    println!("{row}");
}
