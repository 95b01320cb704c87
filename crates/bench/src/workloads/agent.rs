//! The calls that agents make over MCP (SPEC 1.8, MCP perf), measured on the store calls behind them: the protocol
//! around them is not in these figures.

use std::sync::Arc;
use std::time::Instant;

use domain::id::{Seq, WorkerId};
use domain::store::{Filter, NewEdge, On};

use super::service::{cancels, layered, mixed, next_tasks, plans, statuses, waiting, wrong};
use super::system::crowd;
use crate::bed::{Mix, Result};
use crate::lab::Lab;
use crate::report::{Row, Stat, Target};
use crate::samples::{Samples, rate};

const SPEC: &str = "1.8 MCP";

pub(crate) async fn single_calls(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    mixed(&bed, lab.tasks(1_000, 1_000)).await?;
    let (mut enqueue, mut five, mut get, mut list) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..lab.samples(100) {
        let start = Instant::now();
        let ids = bed.admit(bed.fresh(1, Mix::Ten)).await?;
        enqueue.push(start.elapsed());
        let start = Instant::now();
        let view = bed.store.views(&bed.project, &ids).await?;
        get.push(start.elapsed());
        if view.iter().flatten().count() != 1 {
            return Err(wrong("a stored task was not found"));
        }
        let start = Instant::now();
        let page = bed
            .store
            .list(&bed.project, Filter::default(), Seq(0), 50)
            .await?;
        list.push(start.elapsed());
        std::hint::black_box(page);
    }
    for _ in 0..lab.samples(50) {
        let task = waiting(&bed, 5).await?;
        let start = Instant::now();
        bed.admit(task).await?;
        five.push(start.elapsed());
    }
    let next = next_tasks(lab, &bed).await?;
    let row = |name, stat, samples: &Samples, what: &str, limit| {
        Row::latency(name, SPEC, stat, samples)
            .workload(format!("store call only: {what}"))
            .target(Target::AtMost(limit))
    };
    let [enqueue, five, get, list] = [enqueue, five, get, list].map(Samples::new);
    Ok(vec![
        row(
            "mcp_enqueue",
            Stat::P95,
            &enqueue,
            "one task is stored; p95",
            10.0,
        ),
        row(
            "mcp_enqueue_5",
            Stat::P95,
            &five,
            "one task with five prerequisites is stored; p95",
            20.0,
        ),
        row("mcp_get", Stat::P99, &get, "one task is read by its id; p99", 5.0),
        row("mcp_next", Stat::P99, &next, "one task is claimed; p99", 5.0),
        row(
            "mcp_list_50",
            Stat::P95,
            &list,
            "fifty tasks are listed; p95",
            20.0,
        ),
    ])
}

pub(crate) async fn status(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, count, limit) in [
        ("mcp_status_100", 100, 50.0),
        ("mcp_status_500", 500, 50.0),
        ("mcp_status_1000", 1_000, 20.0),
        ("mcp_status_5000", 5_000, 50.0),
    ] {
        let count = lab.tasks(count, count);
        rows.push(
            Row::latency(name, SPEC, Stat::P95, &statuses(lab, count).await?)
                .workload(format!(
                    "store call only: the status over {count} tasks in mixed states; p95"
                ))
                .target(Target::AtMost(limit)),
        );
    }
    Ok(rows)
}

pub(crate) async fn cancel(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let samples = Samples::new(cancels(lab, &bed, 10).await?);
    Ok(vec![
        Row::latency("mcp_cancel_10", SPEC, Stat::P95, &samples)
            .workload("store call only: a task is cancelled and ten dependents with it; p95")
            .target(Target::AtMost(50.0)),
    ])
}

pub(crate) async fn plan(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let run = layered(&bed, 10, 10).await?;
    Ok(vec![
        Row::latency("mcp_plan_100", SPEC, Stat::P95, &plans(lab, &bed, run).await?)
            .batch(100)
            .workload("store calls and analysis: the plan of 100 tasks; p95")
            .target(Target::AtMost(30.0)),
    ])
}

pub(crate) async fn rates(lab: &Lab) -> Result<Vec<Row>> {
    let bed = Arc::new(lab.bed()?);
    let count = lab.tasks(250, 250);
    let start = Instant::now();
    for _ in 0..count {
        bed.fill(1, Mix::Ten).await?;
    }
    let enqueued = rate(count, start.elapsed());
    let start = Instant::now();
    for _ in 0..count {
        bed.store
            .list(&bed.project, Filter::default(), Seq(0), 50)
            .await?;
    }
    let queried = rate(count, start.elapsed());
    let agents = rate(count, crowd(&bed, 50, count).await?);
    let row = |name, n, value, unit, what: &str, limit| {
        Row::new(name, SPEC, n, value, unit)
            .workload(format!("store calls only: {what}"))
            .target(Target::AtLeast(limit))
            .note("one run")
    };
    let (dequeues, dequeued) = dequeues(lab).await?;
    let (mixed, operations) = mixture(lab).await?;
    Ok(vec![
        row(
            "mcp_enqueue_rate",
            count,
            enqueued,
            "tasks/s",
            "tasks stored one by one",
            50.0,
        ),
        row(
            "mcp_query_rate",
            count,
            queried,
            "queries/s",
            "fifty tasks listed, again and again",
            100.0,
        ),
        row(
            "mcp_agents_50x5",
            count,
            agents,
            "tasks/s",
            "50 agents at once, five tasks each",
            40.0,
        ),
        Row::new("mcp_dequeue_concurrent", SPEC, dequeues, dequeued, "tasks/s")
            .workload(
                "store calls only: as many callers at once claim one task each; none is handed out twice",
            )
            .note("one run; a duplicate would end the benchmark"),
        Row::new("mcp_mixed", SPEC, operations, mixed, "ops/s")
            .workload("store calls only: store, read, claim and complete in turns, without an error")
            .note("one run; an error would end the benchmark"),
    ])
}

async fn dequeues(lab: &Lab) -> Result<(usize, f64)> {
    let bed = Arc::new(lab.bed()?);
    let count = lab.tasks(100, 100);
    bed.fill(count, Mix::Ten).await?;
    let start = Instant::now();
    let claims: Vec<_> = (0..count)
        .map(|number| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move { bed.claim_as(WorkerId::new(&format!("bench-{number}"))?, 1).await })
        })
        .collect();
    let mut seen = Vec::new();
    for claim in claims {
        let leased = claim.await.map_err(|e| wrong(&e.to_string()))??;
        seen.extend(leased.iter().map(|lease| lease.task.seq));
    }
    let took = start.elapsed();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() != count {
        return Err(wrong("a task was handed out twice, or not at all"));
    }
    Ok((count, rate(count, took)))
}

async fn mixture(lab: &Lab) -> Result<(f64, usize)> {
    let bed = lab.bed()?;
    let rounds = lab.tasks(100, 100).div_ceil(4);
    let start = Instant::now();
    for _ in 0..rounds {
        let ids = bed.admit(bed.fresh(1, Mix::Ten)).await?;
        bed.store.views(&bed.project, &ids).await?;
        let held = bed.turn(&[], 1).await?;
        bed.complete(&held).await?;
    }
    Ok((rate(4 * rounds, start.elapsed()), 4 * rounds))
}

pub(crate) async fn depths(lab: &Lab) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, length) in [("mcp_depth_10", 10), ("mcp_depth_20", 20), ("mcp_depth_50", 50)] {
        let mut samples = Vec::new();
        for _ in 0..lab.samples(10) {
            let bed = lab.bed()?;
            let mut tasks = bed.fresh(length, Mix::One);
            for (at, task) in tasks.iter_mut().enumerate().skip(1) {
                task.after = vec![NewEdge {
                    on: On::Batch(at as u32 - 1),
                    when: Default::default(),
                }];
            }
            let start = Instant::now();
            bed.admit(tasks).await?;
            let status = bed.store.status(&bed.project).await?;
            samples.push(start.elapsed());
            if status.max_depth as usize != length - 1 {
                return Err(wrong("a chain has another depth"));
            }
        }
        rows.push(
            Row::latency(name, SPEC, Stat::P50, &Samples::new(samples))
                .batch(length)
                .workload(format!(
                    "store calls only: a chain of {length} is stored, its depth read and found right; p50"
                )),
        );
    }
    Ok(rows)
}
