//! The service of the specification, call by call (SPEC 1.8, phase 4).

use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::graph::{Dag, Graph};
use domain::id::{RunId, Seq, TaskId, Token};
use domain::limits;
use domain::store::{Command, Filter, IntoRun, NewEdge, NewTask, On, Target as Of};
use domain::task::record::Failure;
use domain::task::state::Reason;
use engine::ids;

use super::graphs::link;
use crate::bed::{Bed, Dice, Mix, Result};
use crate::lab::Lab;
use crate::report::{Row, Stat, Target};
use crate::samples::{Samples, ms, rate};

/// A task with `count` new prerequisites, which are stored already.
pub(super) async fn waiting(bed: &Bed, count: usize) -> Result<Vec<NewTask>> {
    let prerequisites = bed.admit(bed.fresh(count, Mix::One)).await?;
    let mut task = bed.fresh(1, Mix::One);
    task[0].after = prerequisites
        .into_iter()
        .map(|id| NewEdge {
            on: On::Task(id),
            when: Default::default(),
        })
        .collect();
    Ok(task)
}

/// One task and `count` that wait for it, in one batch; returns the ids, the prerequisite first.
pub(super) async fn fan(bed: &Bed, count: usize) -> Result<Vec<TaskId>> {
    let mut tasks = bed.fresh(1 + count, Mix::One);
    for task in &mut tasks[1..] {
        task.after = vec![NewEdge {
            on: On::Batch(0),
            when: Default::default(),
        }];
    }
    bed.admit(tasks).await
}

pub(super) fn wrong(what: &str) -> Refusal {
    Refusal::new(Code::Internal, format!("a workload went wrong: {what}"))
}

pub(crate) async fn enqueue_with_deps(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let mut samples = Vec::new();
    for _ in 0..lab.samples(100) {
        let task = waiting(&bed, 5).await?;
        let start = Instant::now();
        bed.admit(task).await?;
        samples.push(start.elapsed());
    }
    Ok(vec![
        Row::latency(
            "enqueue_with_deps",
            "1.8 enqueue_with_deps",
            Stat::P50,
            &Samples::new(samples),
        )
        .workload("one task that waits for five stored ones; p50")
        .target(Target::AtMost(10.0)),
    ])
}

pub(crate) async fn enqueue_throughput(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let count = lab.tasks(100, 100);
    let start = Instant::now();
    for _ in 0..count {
        bed.admit(bed.fresh(1, Mix::One)).await?;
    }
    Ok(vec![
        Row::new(
            "enqueue_throughput",
            "1.8 enqueue_throughput",
            count,
            rate(count, start.elapsed()),
            "tasks/s",
        )
        .workload("tasks one by one in a loop")
        .target(Target::AtLeast(100.0))
        .note("one run"),
    ])
}

pub(crate) async fn get_next(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, spec, ready) in [
        ("get_next_task", "1.8 get_next_task", 100),
        ("get_next_large_queue", "1.8 get_next_large_queue", 1_000),
    ] {
        let ready = lab.tasks(ready, ready);
        let bed = lab.bed()?;
        bed.fill(ready, Mix::Ten).await?;
        let samples = next_tasks(lab, &bed).await?;
        rows.push(
            Row::latency(name, spec, Stat::P50, &samples)
                .workload(format!(
                    "one task is claimed of {ready} ready ones; p50; score mix dist 10"
                ))
                .target(Target::AtMost(5.0)),
        );
    }
    Ok(rows)
}

/// Claims one task after another, each replaced by a new one.
pub(super) async fn next_tasks(lab: &Lab, bed: &Bed) -> Result<Samples> {
    let mut samples = Vec::new();
    for _ in 0..lab.samples(100) {
        let start = Instant::now();
        let leased = bed.claim(1).await?;
        samples.push(start.elapsed());
        if leased.len() != 1 {
            return Err(wrong("nothing was ready"));
        }
        bed.fill(1, Mix::Ten).await?;
    }
    Ok(Samples::new(samples))
}

async fn claim_one(bed: &Bed) -> Result<Token> {
    let leased = bed.claim(1).await?;
    leased
        .first()
        .map(|lease| lease.token)
        .ok_or_else(|| wrong("nothing was ready"))
}

pub(crate) async fn complete_no_deps(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let mut samples = Vec::new();
    for _ in 0..lab.samples(100) {
        bed.fill(1, Mix::One).await?;
        let token = claim_one(&bed).await?;
        let start = Instant::now();
        bed.complete(&[token]).await?;
        samples.push(start.elapsed());
    }
    Ok(vec![
        Row::latency(
            "complete_no_deps",
            "1.8 complete_no_deps",
            Stat::P50,
            &Samples::new(samples),
        )
        .workload("a running task that nobody waits for is completed; p50")
        .target(Target::AtMost(10.0)),
    ])
}

pub(crate) async fn cascades(lab: &Lab) -> Result<Vec<Row>> {
    const WIDTH: usize = 10;
    let bed = lab.bed()?;
    let (mut completed, mut failed) = (Vec::new(), Vec::new());
    for _ in 0..lab.samples(100) {
        fan(&bed, WIDTH).await?;
        let token = claim_one(&bed).await?;
        let start = Instant::now();
        let reply = bed.complete(&[token]).await?;
        completed.push(start.elapsed());
        if reply[0].unblocked.len() != WIDTH {
            return Err(wrong("not all dependents became ready"));
        }
        bed.drain(WIDTH, WIDTH).await?;

        fan(&bed, WIDTH).await?;
        let token = claim_one(&bed).await?;
        let fail = Command::Fail {
            failure: Failure::new("on purpose"),
            usage: None,
            timed_out: false,
            no_retry: true,
        };
        let start = Instant::now();
        let reply = bed.finish(&[token], &fail).await?;
        failed.push(start.elapsed());
        if reply[0].cancelled.len() != WIDTH {
            return Err(wrong("not all dependents fell"));
        }
    }
    let cancelled = cancels(lab, &bed, WIDTH).await?;
    let row = |name, spec, samples: Vec<Duration>, what: &str, limit| {
        Row::latency(name, spec, Stat::P50, &Samples::new(samples))
            .workload(what)
            .target(Target::AtMost(limit))
    };
    Ok(vec![
        row(
            "complete_cascade",
            "1.8 complete_cascade",
            completed,
            "a task is completed and ten dependents become ready; p50",
            50.0,
        ),
        row(
            "fail_cascade",
            "1.8 fail / cancel",
            failed,
            "a task fails for good and ten dependents fall; p50",
            30.0,
        ),
        row(
            "cancel_cascade",
            "1.8 fail / cancel",
            cancelled,
            "a ready task is cancelled and ten dependents with it; p50",
            30.0,
        ),
    ])
}

/// Cancels ready tasks that `width` others wait for.
pub(super) async fn cancels(lab: &Lab, bed: &Bed, width: usize) -> Result<Vec<Duration>> {
    let mut samples = Vec::new();
    let cancel = Command::Cancel {
        reason: Reason::Cancelled,
    };
    for _ in 0..lab.samples(100) {
        let ids = fan(bed, width).await?;
        let target = Of::Id(ids[0].clone());
        let start = Instant::now();
        let reply = bed.command(std::iter::once(target), &cancel).await?;
        samples.push(start.elapsed());
        if reply[0].cancelled.len() != width + 1 {
            return Err(wrong("not all dependents were cancelled"));
        }
    }
    Ok(samples)
}

/// A quarter each completed, running, ready and blocked.
pub(super) async fn mixed(bed: &Bed, count: usize) -> Result<()> {
    let part = count / 4;
    bed.fill(part, Mix::One).await?;
    bed.drain(part, part.clamp(1, 100)).await?;
    for chunk in chunks(part) {
        bed.fill(chunk, Mix::One).await?;
        bed.claim(chunk).await?;
    }
    let ready = bed.admit(bed.fresh(count - 3 * part, Mix::One)).await?;
    let mut blocked = bed.fresh(part, Mix::One);
    for (task, on) in blocked.iter_mut().zip(ready.iter().cycle()) {
        task.after = vec![NewEdge {
            on: On::Task(on.clone()),
            when: Default::default(),
        }];
    }
    bed.admit(blocked).await?;
    Ok(())
}

fn chunks(count: usize) -> impl Iterator<Item = usize> {
    (0..count)
        .step_by(limits::CLAIM_MAX)
        .map(move |at| (count - at).min(limits::CLAIM_MAX))
}

pub(super) async fn statuses(lab: &Lab, count: usize) -> Result<Samples> {
    let bed = lab.bed()?;
    mixed(&bed, count).await?;
    let mut samples = Vec::new();
    for _ in 0..lab.samples(100) {
        let start = Instant::now();
        let status = bed.store.status(&bed.project).await?;
        samples.push(start.elapsed());
        if status.counts.total() != count as u64 {
            return Err(wrong("the status counts other tasks"));
        }
    }
    Ok(Samples::new(samples))
}

pub(crate) async fn status(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, count) in [
        ("queue_status", 100),
        ("queue_status_1000", 1_000),
        ("queue_status_large", 5_000),
    ] {
        let count = lab.tasks(count, count);
        rows.push(
            Row::latency(name, "1.8 queue_status", Stat::P50, &statuses(lab, count).await?)
                .workload(format!(
                    "counts, mean score, depth and ages over {count} tasks in mixed states; p50"
                ))
                .target(Target::AtMost(20.0)),
        );
    }
    Ok(rows)
}

/// Stores a plan of layers as a run of its own.
pub(super) async fn layered(bed: &Bed, layers: usize, width: usize) -> Result<RunId> {
    let mut tasks = bed.fresh(layers * width, Mix::One);
    link(&mut tasks, width, &mut Dice::new(13));
    submit(bed, tasks).await
}

pub(super) async fn submit(bed: &Bed, tasks: Vec<NewTask>) -> Result<RunId> {
    let id = ids::run();
    let run = IntoRun::New {
        id,
        plan: "benchmark".to_owned(),
        digest: [0; 32],
        newest: None,
    };
    let admission = bed.admission(tasks, run);
    bed.store.admit(&bed.project, admission, bed.now()).await?;
    Ok(id)
}

/// Diamonds one behind another: one task, two beside each other, one.
async fn diamonds(bed: &Bed, count: usize) -> Result<RunId> {
    let mut tasks = bed.fresh(4 * count, Mix::One);
    for (at, task) in tasks.iter_mut().enumerate() {
        let on: &[usize] = match at % 4 {
            0 if at == 0 => &[],
            0 | 1 => &[1],
            2 => &[2],
            _ => &[1, 2],
        };
        task.after = on
            .iter()
            .map(|back| NewEdge {
                on: On::Batch((at - back) as u32),
                when: Default::default(),
            })
            .collect();
    }
    submit(bed, tasks).await
}

/// Reads a run's tasks and edges from the store and computes batches, critical path and slack.
pub(super) async fn plans(lab: &Lab, bed: &Bed, run: RunId) -> Result<Samples> {
    let filter = Filter {
        run: Some(run),
        ..Filter::default()
    };
    let mut samples = Vec::new();
    for _ in 0..lab.samples(100) {
        let start = Instant::now();
        let views = bed
            .store
            .list(&bed.project, filter.clone(), Seq(0), limits::PAGE_MAX)
            .await?;
        let seqs: Vec<Seq> = views.iter().map(|view| view.task.seq).collect();
        let edges = bed.store.edges(&bed.project, &seqs).await?;
        let index = |seq: Seq| seqs.binary_search(&seq).map(|at| at as u32);
        let edges = edges
            .iter()
            .filter_map(|(from, to, _)| Some((index(*from).ok()?, index(*to).ok()?)));
        let dag = Dag::new(Graph::build(seqs.len() as u32, edges))
            .map_err(|_| wrong("a stored plan has a cycle"))?;
        let durations = vec![1; seqs.len()];
        let timing = dag.timing(&durations);
        let slack: u64 = (0..dag.len()).map(|v| timing.slack(v)).sum();
        std::hint::black_box((dag.levels(), timing.critical_path(), slack));
        samples.push(start.elapsed());
    }
    Ok(Samples::new(samples))
}

pub(crate) async fn execution_plan(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let simple = layered(&bed, 10, 10).await?;
    let complex = diamonds(&bed, 25).await?;
    let row = |name, spec, samples: &Samples, what: &str| {
        Row::latency(name, spec, Stat::P50, samples)
            .batch(100)
            .workload(format!(
                "{what}: read from the store, batches, critical path and slack; p50"
            ))
            .target(Target::AtMost(30.0))
    };
    Ok(vec![
        row(
            "execution_plan",
            "1.8 execution_plan",
            &plans(lab, &bed, simple).await?,
            "ten layers of ten tasks, each on 2–3 of the layer before",
        ),
        row(
            "execution_plan_complex",
            "1.8 execution_plan_complex",
            &plans(lab, &bed, complex).await?,
            "25 diamonds one behind another",
        ),
    ])
}

pub(crate) async fn full_workflow(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let count = lab.tasks(200, 200);
    let start = Instant::now();
    for _ in 0..count {
        bed.admit(bed.fresh(1, Mix::One)).await?;
        let token = claim_one(&bed).await?;
        bed.complete(&[token]).await?;
    }
    Ok(vec![
        Row::new(
            "full_workflow_throughput",
            "1.8 full_workflow_throughput",
            count,
            rate(count, start.elapsed()),
            "tasks/s",
        )
        .workload("one task after another is stored, claimed and completed: three commits each")
        .target(Target::AtLeast(50.0))
        .note("one run"),
    ])
}

pub(crate) async fn scalability(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let count = lab.tasks(1_000, 1_000);
    let start = Instant::now();
    for _ in 0..count {
        bed.admit(bed.fresh(1, Mix::One)).await?;
    }
    let enqueue = start.elapsed();
    let mut reads = Vec::new();
    for _ in 0..lab.samples(100) {
        let start = Instant::now();
        bed.store.status(&bed.project).await?;
        reads.push(start.elapsed());
    }
    let claims = next_tasks(lab, &bed).await?;
    let spec = "1.8 scalability_1000";
    Ok(vec![
        Row::new("scalability_1000_enqueue", spec, count, ms(enqueue), "ms")
            .workload(format!("{count} tasks stored one by one"))
            .note("one run"),
        Row::latency("scalability_1000_status", spec, Stat::P50, &Samples::new(reads))
            .workload(format!("the status with {count} tasks; p50")),
        Row::latency("scalability_1000_dequeue", spec, Stat::P50, &claims)
            .workload(format!("one task is claimed of {count}; p50")),
    ])
}

pub(crate) async fn levels(lab: &Lab) -> Result<Vec<Row>> {
    const WIDTH: usize = 5;
    let bed = lab.bed()?;
    let mut samples = Vec::new();
    for _ in 0..lab.samples(20) {
        layered(&bed, 10, WIDTH).await?;
        let start = Instant::now();
        bed.drain(10 * WIDTH, WIDTH).await?;
        samples.push(start.elapsed());
    }
    Ok(vec![
        Row::latency("cascade_10x5", "1.8 phase 2/3", Stat::P50, &Samples::new(samples))
            .batch(WIDTH)
            .workload("ten levels of five tasks claimed and completed level by level; p50 of the whole")
            .target(Target::AtMost(100.0)),
    ])
}
