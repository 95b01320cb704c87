//! Whole workers of the engine: latency, graphs, commands (DESIGN 14).

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::id::RunId;
use domain::plan::{self, Format};
use domain::run::RunState;
use domain::store::NewTask;
use engine::execute::handler::Handlers;
use engine::runner::{self, How};
use engine::submit::{self, Into};
use engine::worker::{self, Activity, Pace};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::graphs::link;
use super::queue::ROUNDS;
use super::service::{submit as admit_run, wrong};
use crate::bed::{Bed, Dice, HANDLER, Mix, Result};
use crate::lab::Lab;
use crate::report::{Row, Stat, Target};
use crate::samples::{Samples, median, ms, rate};

/// A worker of the engine at work on a bed.
struct Crew {
    pace: watch::Sender<Pace>,
    activity: watch::Receiver<Activity>,
    work: JoinHandle<domain::store::Result<()>>,
    /// When each task started.
    started: mpsc::UnboundedReceiver<Instant>,
}

impl Crew {
    fn start(bed: &Bed, jobs: usize) -> Crew {
        let (begun, started) = mpsc::unbounded_channel();
        let handlers = Handlers::default().with(HANDLER, move |_| {
            let _ = begun.send(Instant::now());
            async { Ok(None) }
        });
        let options = worker::Options {
            jobs,
            handlers,
            commands: false,
            store_url: bed.url.clone(),
            ..worker::Options::default()
        };
        let (pace, paced) = watch::channel(Pace::Work);
        let (doing, activity) = watch::channel(Activity::default());
        let work = tokio::spawn(worker::work(bed.engine(), options, paced, doing));
        Crew {
            pace,
            activity,
            work,
            started,
        }
    }

    async fn idle(&mut self) -> Result<()> {
        let idle = self.activity.wait_for(|activity| activity.idle).await;
        idle.map(drop).map_err(|_| wrong("the worker has ended"))
    }

    async fn next_start(&mut self) -> Result<Instant> {
        self.started
            .recv()
            .await
            .ok_or_else(|| wrong("the worker has ended"))
    }

    async fn stop(self) -> Result<()> {
        self.pace.send_replace(Pace::Drain);
        self.work.await.map_err(|e| wrong(&e.to_string()))?
    }
}

pub(crate) async fn start_latency(lab: &Lab) -> Result<Vec<Row>> {
    const WARM_UP: usize = 10;
    let (bed, mut raw) = (lab.bed()?, lab.raw()?);
    lab.wear_in(&bed, raw.as_mut()).await?;
    let queued = lab.tasks(30_000, 30_000);
    bed.drain(queued, 1_000.min(queued)).await?;
    let mut crew = Crew::start(&bed, 4);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for i in 0..lab.samples(if lab.quick { 200 } else { 1_000 }) + WARM_UP {
        crew.idle().await?;
        let commits = match &mut raw {
            Some(raw) => Some(raw.commit()? + raw.commit()?),
            None => None,
        };
        let enqueued = Instant::now();
        bed.admit(bed.fresh(1, Mix::One)).await?;
        let started = crew.next_start().await?;
        if i >= WARM_UP {
            ours.push(started.duration_since(enqueued));
            theirs.extend(commits);
        }
    }
    crew.stop().await?;
    let ours = Samples::new(ours);
    let raw = (!theirs.is_empty()).then(|| Samples::new(theirs));
    let what = "from before the call that stores a task to its first line, with an idle worker";
    let mut rows = vec![
        Row::latency("start_latency", "DESIGN 14", Stat::P50, &ours)
            .workload(format!("{what}; p50"))
            .raw(raw.as_ref().map(|raw| ms(raw.p50())))
            .note("raw: the two commits it needs, one to store and one to claim"),
    ];
    let beyond = raw.as_ref().map_or(Duration::ZERO, Samples::p99);
    rows.push(
        Row::new(
            "start_latency_beyond",
            "DESIGN 14",
            ours.len(),
            ms(ours.p99().saturating_sub(beyond)),
            "ms",
        )
        .spread(&ours)
        .workload(format!("{what}; p99, less the p99 of two raw commits"))
        .target(Target::AtMost(2.0)),
    );
    Ok(rows)
}

/// Works a plan to its end with an idle worker that waits from the start. Returns how long it took from before
/// the plan was stored until its run was finished.
async fn makespan(lab: &Lab, jobs: usize, tasks: impl FnOnce(&Bed) -> Vec<NewTask>) -> Result<Duration> {
    let bed = lab.bed()?;
    let mut crew = Crew::start(&bed, jobs);
    crew.idle().await?;
    let tasks = tasks(&bed);
    let count = tasks.len();
    let start = Instant::now();
    let run = admit_run(&bed, tasks).await?;
    for _ in 0..count {
        crew.next_start().await?;
    }
    finished(&bed, run).await?;
    let took = start.elapsed();
    crew.stop().await?;
    Ok(took)
}

/// Waits until the run has succeeded; called when its last tasks have begun.
async fn finished(bed: &Bed, run: RunId) -> Result<()> {
    let mut seen = 0;
    loop {
        let stored = bed.store.run(&bed.project, run).await?;
        match stored.map(|run| run.state) {
            Some(RunState::Succeeded) => return Ok(()),
            Some(RunState::Active) => seen = bed.store.changed(seen).await,
            _ => return Err(wrong("the run did not succeed")),
        }
    }
}

fn layers(bed: &Bed, count: usize, width: usize) -> Vec<NewTask> {
    let mut tasks = bed.fresh(count, Mix::One);
    link(&mut tasks, width, &mut Dice::new(17));
    tasks
}

pub(crate) async fn dag_1000(lab: &Lab) -> Result<Vec<Row>> {
    let count = lab.tasks(1_000, 1_000);
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        spans.push(makespan(lab, 10, |bed| layers(bed, count, 10)).await?);
    }
    let samples = Samples::new(spans);
    let rate = rate(count, samples.p50());
    Ok(vec![
        Row::new("dag_1000", "DESIGN 14", count, ms(samples.p50()), "ms")
            .batch(10)
            .workload("100 layers of 10 tasks, each on 2–3 of the layer before, through a worker with 10 jobs that waits")
            .note(format!(
                "from storing the plan to the end of its run; {rate:.0} tasks/s; peers are measured by bench/peers"
            )),
    ])
}

pub(crate) async fn dag_10000(lab: &Lab) -> Result<Vec<Row>> {
    let count = lab.tasks(10_000, 5_000);
    let rounds = if lab.quick { 1 } else { ROUNDS };
    let mut rows = Vec::new();
    for (name, width, shape) in [
        ("dag_10000", 10, "layers of 10"),
        ("dag_10000_wide", 100, "layers of 100"),
    ] {
        let (mut layered, mut flat) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            layered.push(rate(
                count,
                makespan(lab, width, |bed| layers(bed, count, width)).await?,
            ));
            flat.push(rate(
                count,
                makespan(lab, width, |bed| bed.fresh(count, Mix::One)).await?,
            ));
        }
        rows.push(
            Row::new(name, "DESIGN 14", count, median(layered), "tasks/s")
                .batch(width)
                .workload(format!(
                    "{count} tasks in {shape}, each on 2–3 of the layer before, {width} jobs"
                ))
                .raw(Some(median(flat)))
                .target(Target::RatioAtLeast(0.6))
                .note(format!(
                    "raw: our own flat queue of {count} tasks with the same worker; median of {rounds}"
                )),
        );
    }
    Ok(rows)
}

const NOTHING: &str = "true";
const JOBS: usize = 10;

pub(crate) async fn commands(lab: &Lab) -> Result<Vec<Row>> {
    let count = lab.tasks(10_000, 1_000);
    spawn(count.min(100))?;
    let before = spawn(count / 2)?;
    let ours = run_commands(lab, count).await?;
    let after = spawn(count - count / 2)?;
    let guarded = if lab.guard.is_some() {
        "guarded"
    } else {
        "unguarded"
    };
    Ok(vec![
        Row::new("commands_10000", "DESIGN 14", count, ours.as_secs_f64(), "s")
            .batch(JOBS)
            .workload(format!("a plan of {count} commands that do nothing (`{NOTHING}`), {JOBS} jobs, {guarded}"))
            .raw(Some((before + after).as_secs_f64()))
            .target(Target::RatioAtMost(1.5))
            .note(format!(
                "raw: the same programs started and waited for by {JOBS} threads, half before and half after ours"
            )),
    ])
}

async fn run_commands(lab: &Lab, count: usize) -> Result<Duration> {
    let bed = lab.bed()?;
    let tasks: serde_json::Map<String, serde_json::Value> = (0..count)
        .map(|i| (format!("t{i}"), serde_json::json!({ "run": [NOTHING] })))
        .collect();
    let text = serde_json::json!({ "name": "commands", "tasks": tasks }).to_string();
    let plan = plan::read(text.as_bytes(), Format::Json, "plan.json")
        .map_err(|faults| wrong(&faults.to_string()))?;
    let options = runner::Options {
        agents: Vec::new(),
        submit: submit::Options {
            into: Into::New,
            profile: None,
            joins: |_, _| false,
        },
        worker: worker::Options {
            jobs: JOBS,
            guard: lab.guard.clone(),
            store_url: bed.url.clone(),
            ..worker::Options::default()
        },
        wait: false,
        refresh: Duration::from_millis(50),
    };
    let folder = lab.place.subfolder()?;
    let file: &Path = &folder.path().join("plan.json");
    let (_pace, paced) = watch::channel(Pace::Work);
    let start = Instant::now();
    let ended = runner::run(&bed.engine(), &plan, file, options, paced, &mut |_| {}).await?;
    let took = start.elapsed();
    match ended.how {
        How::Finished(RunState::Succeeded) => Ok(took),
        how => Err(wrong(&format!("the commands ended with {how:?}"))),
    }
}

/// Starts and waits for `count` programs that do nothing, by as many threads as there are jobs.
fn spawn(count: usize) -> Result<Duration> {
    let left = Arc::new(AtomicUsize::new(count));
    let start = Instant::now();
    let threads: Vec<_> = (0..JOBS)
        .map(|_| {
            let left = Arc::clone(&left);
            std::thread::spawn(move || -> std::io::Result<()> {
                let take = |n: usize| n.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let mut command = std::process::Command::new(NOTHING);
                    command
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null());
                    command.status()?;
                }
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        let ended = thread.join().map_err(|_| wrong("a thread panicked"))?;
        ended.map_err(|e| wrong(&format!("`{NOTHING}` does not start: {e}")))?;
    }
    Ok(start.elapsed())
}
