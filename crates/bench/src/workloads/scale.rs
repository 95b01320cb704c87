//! What a long queue costs: memory, and time per task.

use std::time::Duration;

use crate::bed::{Bed, Mix, Result};
use crate::lab::Lab;
use crate::machine::rss;
use crate::place::Place;
use crate::report::{Row, Target};
use crate::samples::{Samples, median};

const LENGTHS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BATCH: usize = 100;
/// Turns of one round; the queue is filled up again after each.
const TURNS: usize = 5;

pub(crate) async fn first_in_first_out(lab: &Lab) -> Result<Vec<Row>> {
    let names = ["cost_1k", "cost_10k", "cost_100k", "cost_1m", "cost_growth"];
    let bed = lab.bed()?;
    let mut rows = lengths(lab, &bed, Mix::One, names).await?;
    if let Some(growth) = rows.last_mut() {
        *growth = growth.clone().target(Target::AtMost(1.5));
    }
    Ok(rows)
}

pub(crate) async fn random_scores(lab: &Lab) -> Result<Vec<Row>> {
    let names = [
        "cost_random_1k",
        "cost_random_10k",
        "cost_random_100k",
        "cost_random_1m",
        "cost_random_growth",
    ];
    lengths(lab, &lab.bed()?, Mix::Thousand, names).await
}

async fn lengths(lab: &Lab, bed: &Bed, mix: Mix, names: [&'static str; 5]) -> Result<Vec<Row>> {
    let longest = lab.tasks(1_000_000, 100_000);
    let mix_name = match mix {
        Mix::One => "dist 1 (first in, first out)",
        Mix::Ten => "dist 10",
        Mix::Thousand => "dist 1000 (a thousand scores at random)",
    };
    let mut rows = Vec::new();
    let (mut queued, mut last) = (0, 0);
    let mut costs: Vec<f64> = Vec::new();
    for (length, name) in LENGTHS.into_iter().zip(names) {
        let length = length.min(longest);
        if length == last {
            break;
        }
        last = length;
        bed.fill(length - queued, mix).await?;
        queued = length;
        if mix == Mix::One && length == longest {
            rows.extend(memory(lab, length));
        }
        let (cost, turns, tasks) = cost(lab, bed, mix, length).await?;
        costs.push(cost);
        rows.push(
            Row::new(name, "DESIGN 14", tasks, cost, "µs")
                .batch(BATCH.min(length))
                .spread(&Samples::new(turns))
                .workload(format!(
                    "claim and finish of one task with {length} queued; score mix {mix_name}"
                ))
                .note("median of 20 rounds; p50 and p99 are of a turn"),
        );
    }
    if let (Some(first), Some(end)) = (costs.first(), costs.last())
        && costs.len() > 1
    {
        rows.push(
            Row::new(names[4], "DESIGN 14", last, end / first, "×")
                .batch(BATCH)
                .workload(format!(
                    "cost per task with {last} queued over that with 1000; score mix {mix_name}"
                )),
        );
    }
    Ok(rows)
}

/// Claims and finishes at an even length. Returns µs per task, the duration of each turn, and the number of tasks.
async fn cost(lab: &Lab, bed: &Bed, mix: Mix, length: usize) -> Result<(f64, Vec<Duration>, usize)> {
    let batch = BATCH.min(length);
    let tasks = (batch * TURNS).min(length);
    let (mut costs, mut turns) = (Vec::new(), Vec::new());
    for _ in 0..lab.samples(20) {
        let round = bed.drain(tasks, batch).await?;
        costs.push(round.iter().sum::<Duration>().as_secs_f64() * 1e6 / tasks as f64);
        let taken = turns.len();
        turns.extend(round);
        debug_assert!(turns.len() > taken);
        bed.fill(tasks, mix).await?;
    }
    let count = costs.len() * tasks;
    Ok((median(costs), turns, count))
}

fn memory(lab: &Lab, queued: usize) -> Option<Row> {
    let row = Row::new("memory_1m", "DESIGN 14", queued, rss()? as f64 / 1e6, "MB")
        .batch(1_000)
        .workload(format!("memory of the whole process with {queued} tasks queued"))
        .note("resident set after filling the queue in batches, this benchmark included");
    Some(match lab.place {
        Place::Disk(_) => row.target(Target::AtMost(100.0)),
        Place::Memory(_) => row,
    })
}
