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
    let rows = lengths(lab, Mix::One, names).await?;
    let bound = |row: Row| match row.name {
        "cost_growth" => row.target(Target::AtMost(1.5)),
        _ => row,
    };
    Ok(rows.into_iter().map(bound).collect())
}

pub(crate) async fn random_scores(lab: &Lab) -> Result<Vec<Row>> {
    let names = [
        "cost_random_1k",
        "cost_random_10k",
        "cost_random_100k",
        "cost_random_1m",
        "cost_random_growth",
    ];
    lengths(lab, Mix::Thousand, names).await
}

/// One store for each length; rounds go from store to store, so that a noisy disk hits every length.
async fn lengths(lab: &Lab, mix: Mix, names: [&'static str; 5]) -> Result<Vec<Row>> {
    let longest = lab.tasks(1_000_000, 100_000);
    let mut queues = Vec::new();
    let mut rows = Vec::new();
    // The longest first, since memory is told before there are other stores.
    for (length, name) in LENGTHS.into_iter().zip(names).rev() {
        if length > longest && length > LENGTHS[0] {
            continue;
        }
        let queue = Queue::fill(lab, name, length.min(longest), mix).await?;
        if mix == Mix::One && queue.length == longest {
            rows.extend(memory(lab, longest));
        }
        queues.push(queue);
    }
    queues.reverse();
    for _ in 0..lab.samples(20) {
        for queue in &mut queues {
            queue.round(mix).await?;
        }
    }
    let mix_name = match mix {
        Mix::One => "dist 1 (first in, first out)",
        Mix::Ten => "dist 10",
        Mix::Thousand => "dist 1000 (a thousand scores at random)",
    };
    let ends = queues
        .first()
        .zip(queues.last())
        .map(|(short, long)| (short.length, long.length));
    let costs: Vec<f64> = queues.iter().map(Queue::cost).collect();
    rows.extend(queues.into_iter().map(|queue| queue.row(mix_name)));
    if let (Some((short, long)), [first, .., last]) = (ends, costs.as_slice()) {
        rows.push(
            Row::new(names[4], "DESIGN 14", long, last / first, "×")
                .batch(BATCH)
                .workload(format!(
                    "cost per task with {long} queued over that with {short}; score mix {mix_name}"
                )),
        );
    }
    Ok(rows)
}

/// A queue that is kept at its length.
struct Queue {
    bed: Bed,
    name: &'static str,
    length: usize,
    /// µs per task, of each round.
    costs: Vec<f64>,
    turns: Vec<Duration>,
}

impl Queue {
    async fn fill(lab: &Lab, name: &'static str, length: usize, mix: Mix) -> Result<Queue> {
        let bed = lab.bed()?;
        bed.fill(length, mix).await?;
        Ok(Queue {
            bed,
            name,
            length,
            costs: Vec::new(),
            turns: Vec::new(),
        })
    }

    fn batch(&self) -> usize {
        BATCH.min(self.length)
    }

    /// Claims and finishes a few batches, then fills up again.
    async fn round(&mut self, mix: Mix) -> Result<()> {
        let tasks = (self.batch() * TURNS).min(self.length);
        let turns = self.bed.drain(tasks, self.batch()).await?;
        let took: Duration = turns.iter().sum();
        self.costs.push(took.as_secs_f64() * 1e6 / tasks as f64);
        self.turns.extend(turns);
        self.bed.fill(tasks, mix).await?;
        Ok(())
    }

    fn cost(&self) -> f64 {
        median(self.costs.clone())
    }

    fn row(self, mix: &str) -> Row {
        let tasks = self.costs.len() * (self.batch() * TURNS).min(self.length);
        Row::new(self.name, "DESIGN 14", tasks, self.cost(), "µs")
            .batch(self.batch())
            .workload(format!(
                "claim and finish of one task with {} queued; score mix {mix}",
                self.length
            ))
            .note(format!(
                "median of {} rounds; p50 and p99 are of a turn",
                self.costs.len()
            ))
            .spread(&Samples::new(self.turns))
    }
}

fn memory(lab: &Lab, queued: usize) -> Option<Row> {
    let row = Row::new("memory_1m", "DESIGN 14", queued, rss()? as f64 / 1e6, "MB")
        .batch(1_000)
        .workload(format!("memory of the whole process with {queued} tasks queued"))
        .note("resident set after filling the queue in batches, this benchmark included");
    Some(match lab.place {
        Place::Disk(_) => row.target(Target::AtMost(100.0)),
        Place::Memory(_) | Place::Server(..) => row,
    })
}
