//! The system under load (SPEC 1.8, phase 5B).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::id::WorkerId;
use domain::store::{NewEdge, On};

use super::service::{next_tasks, wrong};
use crate::bed::{Bed, Mix, Result};
use crate::lab::Lab;
use crate::machine::rss;
use crate::place::Place;
use crate::report::{Row, Stat, Target};
use crate::samples::{Samples, rate};

const SPEC: &str = "1.8 phase 5B";

pub(crate) async fn enqueue_10000(lab: &Lab) -> Result<Vec<Row>> {
    const BATCH: usize = 100;
    let bed = lab.bed()?;
    let count = lab.tasks(10_000, 10_000);
    let mut calls = Vec::new();
    for at in (0..count).step_by(BATCH) {
        let start = Instant::now();
        bed.admit(bed.fresh(BATCH.min(count - at), Mix::One)).await?;
        calls.push(start.elapsed());
    }
    let samples = Samples::new(calls);
    Ok(vec![
        Row::new(
            "enqueue_10000",
            SPEC,
            count,
            rate(count, samples.total()),
            "tasks/s",
        )
        .batch(BATCH)
        .spread(&samples)
        .workload("tasks stored in batches of 100")
        .target(Target::AtLeast(1_000.0))
        .note("one run"),
    ])
}

/// `workers` at once claim and complete one task at a time until `count` are done. Returns how long that took.
pub(super) async fn crowd(bed: &Arc<Bed>, workers: usize, count: usize) -> Result<Duration> {
    let left = Arc::new(AtomicUsize::new(count));
    let start = Instant::now();
    let crowd: Vec<_> = (0..workers)
        .map(|number| {
            let (bed, left) = (Arc::clone(bed), Arc::clone(&left));
            tokio::spawn(async move {
                let worker = WorkerId::new(&format!("bench-{number}"))?;
                let take = |n: usize| n.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let leased = bed.claim_as(worker.clone(), 1).await?;
                    let lease = leased.first().ok_or_else(|| wrong("nothing was ready"))?;
                    bed.complete(&[lease.token]).await?;
                }
                Result::Ok(())
            })
        })
        .collect();
    for worker in crowd {
        worker.await.map_err(|e| wrong(&e.to_string()))??;
    }
    Ok(start.elapsed())
}

pub(crate) async fn workers_10(lab: &Lab) -> Result<Vec<Row>> {
    let bed = Arc::new(lab.bed()?);
    let (created, executed) = (lab.tasks(1_000, 1_000), lab.tasks(500, 500));
    let start = Instant::now();
    for _ in 0..created {
        bed.admit(bed.fresh(1, Mix::One)).await?;
    }
    crowd(&bed, 10, executed).await?;
    let operations = created + 2 * executed;
    Ok(vec![
        Row::new(
            "workers_10",
            SPEC,
            operations,
            rate(operations, start.elapsed()),
            "ops/s",
        )
        .workload(format!(
            "{created} tasks stored one by one, then {executed} claimed and completed by ten workers at once"
        ))
        .note("one run; every operation is a call of its own"),
    ])
}

pub(crate) async fn workers_100(lab: &Lab) -> Result<Vec<Row>> {
    let bed = Arc::new(lab.bed()?);
    let count = lab.tasks(10_000, 3_000);
    bed.fill(count, Mix::Ten).await?;
    let took = crowd(&bed, 100, count).await?;
    Ok(vec![
        Row::new("workers_100", SPEC, count, rate(count, took), "tasks/s")
            .workload("100 agents at once claim and complete one task at a time; score mix dist 10")
            .target(Target::AtLeast(1_000.0))
            .note("one run; the specification asks for the rate over an hour, this is its start"),
    ])
}

pub(crate) async fn dequeue_p99(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let ready = lab.tasks(1_200, 1_200);
    bed.fill(ready, Mix::Ten).await?;
    Ok(vec![
        Row::latency("dequeue_p99", SPEC, Stat::P99, &next_tasks(lab, &bed).await?)
            .workload(format!(
                "one task is claimed of {ready} ready ones; p99; score mix dist 10"
            ))
            .target(Target::AtMost(5.0)),
    ])
}

pub(crate) async fn mixed_1000(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let count = lab.tasks(1_000, 1_000);
    let start = Instant::now();
    let mut held = Vec::new();
    for at in 0..count {
        match at % 4 {
            0 => {
                bed.admit(bed.fresh(1, Mix::Ten)).await?;
            }
            1 => held = bed.turn(&[], 1).await?,
            2 => {
                bed.store.status(&bed.project).await?;
            }
            _ => {
                bed.complete(&held).await?;
            }
        }
    }
    Ok(vec![
        Row::new("mixed_1000", SPEC, count, rate(count, start.elapsed()), "ops/s")
            .workload("store, claim, status and complete in turns")
            .target(Target::AtLeast(100.0))
            .note("one run"),
    ])
}

pub(crate) async fn writes_100(lab: &Lab) -> Result<Vec<Row>> {
    let bed = Arc::new(lab.bed()?);
    let count = lab.tasks(100, 100);
    let start = Instant::now();
    let writes: Vec<_> = (0..count)
        .map(|_| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move { bed.admit(bed.fresh(1, Mix::One)).await })
        })
        .collect();
    let mut ids = Vec::new();
    for write in writes {
        ids.extend(write.await.map_err(|e| wrong(&e.to_string()))??);
    }
    let took = start.elapsed();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != count {
        return Err(wrong("two tasks have one id"));
    }
    Ok(vec![
        Row::new("concurrent_writes_100", SPEC, count, rate(count, took), "tasks/s")
            .workload("tasks stored by as many callers at once, each with an id of its own")
            .note("one run; callers share commits"),
    ])
}

pub(crate) async fn chains(lab: &Lab) -> Result<Vec<Row>> {
    const CHAINS: usize = 10;
    let bed = lab.bed()?;
    let length = lab.tasks(1_000, 1_000).div_ceil(CHAINS);
    let count = CHAINS * length;
    let start = Instant::now();
    for _ in 0..CHAINS {
        let mut tasks = bed.fresh(length, Mix::One);
        for (at, task) in tasks.iter_mut().enumerate().skip(1) {
            task.after = vec![NewEdge {
                on: On::Batch(at as u32 - 1),
                when: Default::default(),
            }];
        }
        bed.admit(tasks).await?;
    }
    let (mut held, mut done) = (Vec::new(), 0);
    while done < count {
        done += held.len();
        held = bed.turn(&held, CHAINS).await?;
        if held.is_empty() && done < count {
            return Err(wrong("a chain has come to a halt"));
        }
    }
    Ok(vec![
        Row::new(
            "chains_10x100",
            SPEC,
            count,
            rate(count, start.elapsed()),
            "tasks/s",
        )
        .batch(CHAINS)
        .workload(format!(
            "{CHAINS} chains of {length} tasks stored and worked to the end, side by side"
        ))
        .note("one run"),
    ])
}

pub(crate) async fn memory_10000(lab: &Lab) -> Result<Vec<Row>> {
    const WARM_UP: usize = 50_000;
    let bed = lab.bed()?;
    let count = lab.tasks(10_000, 10_000);
    bed.fill(lab.tasks(WARM_UP, WARM_UP), Mix::One).await?;
    let before = rss();
    bed.fill(count, Mix::One).await?;
    let (Some(before), Some(after)) = (before, rss()) else {
        return Ok(Vec::new());
    };
    let growth = Row::new(
        "memory_growth_10000",
        "1.8 MCP",
        count,
        (after as f64 - before as f64).max(0.0) / 1e6,
        "MB",
    )
    .batch(1_000)
    .workload("growth of the process while 10,000 more tasks are stored, with 50,000 stored before");
    Ok(vec![
        Row::new("memory_10000", SPEC, count, after as f64 / 1e6, "MB")
            .batch(1_000)
            .workload("memory of the whole process after 10,000 tasks and more were stored")
            .target(Target::AtMost(500.0)),
        match lab.place {
            Place::Disk(_) | Place::Server(..) => growth.target(Target::AtMost(1.0)),
            Place::Memory(_) => growth.note("a store in memory keeps every task there"),
        },
    ])
}

pub(crate) async fn memory_cycles(lab: &Lab) -> Result<Vec<Row>> {
    let bed = lab.bed()?;
    let count = lab.tasks(1_000, 1_000);
    cycle(&bed, count).await?;
    let before = rss();
    cycle(&bed, count).await?;
    let (Some(before), Some(after)) = (before, rss()) else {
        return Ok(Vec::new());
    };
    Ok(vec![
        Row::new(
            "memory_cycles",
            SPEC,
            count,
            (after as f64 / before as f64 - 1.0) * 100.0,
            "%",
        )
        .workload(
            "growth of the process over 1000 cycles of store, claim and complete, after as many to warm up",
        )
        .target(Target::AtMost(10.0)),
    ])
}

async fn cycle(bed: &Bed, count: usize) -> Result<()> {
    for _ in 0..count {
        bed.fill(1, Mix::One).await?;
        bed.drain(1, 1).await?;
    }
    Ok(())
}
