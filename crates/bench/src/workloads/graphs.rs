//! Pure computation: graphs and scores, without a store.

use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::graph::{Dag, Graph};
use domain::store::NewTask;
use domain::task::score::{Facts, Weights, score};
use domain::task::spec::{Priority, Source};
use domain::time::Timestamp;

use crate::bed::{Dice, Result};
use crate::lab::Lab;
use crate::machine::{forget_peak, rss_peak};
use crate::report::{Row, Stat, Target};
use crate::samples::Samples;

/// Runs of `work` in one sample: a clock is too coarse for a single one.
const TOGETHER: u32 = 100;

/// Times `work` a hundred times, or as often as asked, after a first sample to warm up.
fn repeat<T>(lab: &Lab, mut work: impl FnMut() -> T) -> Samples {
    let mut sample = || {
        let start = Instant::now();
        for _ in 0..TOGETHER {
            black_box(work());
        }
        start.elapsed() / TOGETHER
    };
    sample();
    Samples::new((0..lab.samples(100)).map(|_| sample()).collect())
}

fn dag(graph: Graph) -> Dag {
    Dag::new(graph).expect("edges go forward")
}

fn chain(len: u32) -> Vec<(u32, u32)> {
    (1..len).map(|v| (v - 1, v)).collect()
}

pub(crate) async fn cycle_check(lab: &Lab) -> Result<Vec<Row>> {
    let mut line = chain(100);
    line.extend((10..100).step_by(10).map(|v| (v - 10, v)));
    let mut dice = Dice::new(3);
    let random: Vec<(u32, u32)> = (0..200)
        .map(|_| {
            let v = 1 + dice.below(99);
            (dice.below(v) as u32, v as u32)
        })
        .collect();
    let check =
        |edges: &Vec<(u32, u32)>| repeat(lab, || Graph::build(100, edges.iter().copied()).cycles().len());
    Ok(vec![
        Row::latency("cycle_check_chain", "1.8 phase 2/3", Stat::P50, &check(&line))
            .batch(100)
            .workload(
                "graph of 100 tasks built and searched for cycles: a chain and every tenth edge more; p50",
            )
            .target(Target::AtMost(10.0)),
        Row::latency("cycle_check_random", "1.8 phase 2/3", Stat::P50, &check(&random))
            .batch(100)
            .workload("the same with 200 random forward edges; p50")
            .target(Target::AtMost(10.0)),
    ])
}

pub(crate) async fn sorts(lab: &Lab) -> Result<Vec<Row>> {
    // Backwards, so that the order has to be found.
    let backwards = |len: u32| -> Vec<(u32, u32)> { (1..len).map(|v| (v, v - 1)).collect() };
    let sort = |len: u32| {
        let edges = backwards(len);
        repeat(lab, || {
            dag(Graph::build(len, edges.iter().copied())).order().last()
        })
    };
    let build = |len: u32| {
        let edges = backwards(len);
        repeat(lab, || dag(Graph::build(len, edges.iter().copied())))
    };
    let line = dag(Graph::build(10, chain(10)));
    let depth = repeat(lab, || line.depths());
    if line.depths().last() != Some(&9) {
        return Err(domain::code::Refusal::new(
            domain::code::Code::Internal,
            "a chain of ten is not 9 deep",
        ));
    }
    let row = |name, samples: &Samples, size: usize, what: &str, limit| {
        Row::latency(name, "1.8 phase 2/3", Stat::P50, samples)
            .batch(size)
            .workload(what)
            .target(Target::AtMost(limit))
    };
    Ok(vec![
        row(
            "topological_sort_100",
            &sort(100),
            100,
            "a chain of 100 built and sorted; p50",
            10.0,
        ),
        row(
            "topological_sort_1000",
            &sort(1_000),
            1_000,
            "a chain of 1000 built and sorted; p50",
            50.0,
        ),
        row(
            "depth_10",
            &depth,
            10,
            "depths of a chain of ten, whose last is 9; p50",
            5.0,
        ),
        row(
            "graph_build_50",
            &build(50),
            50,
            "a graph of 50 tasks ready for questions; p50 (there is no cache: it is built anew each time)",
            1.0,
        ),
        row(
            "graph_build_1000",
            &build(1_000),
            1_000,
            "a graph of 1000 tasks ready for questions; p50",
            50.0,
        ),
    ])
}

pub(crate) async fn scores(lab: &Lab) -> Result<Vec<Row>> {
    let facts = |i: usize, dependents: u32| Facts {
        priority: Priority::number((i % 11) as i64).expect("at most ten"),
        source: Source::Human,
        depth: i as u32 % 12,
        path_share: None,
        deadline: Some(Timestamp(i as i64 * 60_000)),
        estimate: Some(Duration::from_secs(600)),
        dependents,
        failures: 0,
        submitted_at: Timestamp(0),
    };
    let weights = Weights::default();
    let one = |i: usize, dependents| score(black_box(&facts(i, dependents)), &weights, Timestamp(1_000_000));
    let single = repeat(lab, || one(5, 3));
    let batch = repeat(lab, || (0..100).map(|i| i64::from(one(i, 3).0)).sum::<i64>());
    let blocking = repeat(lab, || one(5, 50));
    Ok(vec![
        Row::latency("score_single", "1.8 phase 2/3", Stat::Mean, &single)
            .workload("one score; mean of all samples")
            .target(Target::AtMost(5.0)),
        Row::latency("score_batch_100", "1.8 phase 2/3", Stat::P50, &batch)
            .batch(100)
            .workload("a hundred scores; p50")
            .target(Target::AtMost(50.0)),
        Row::latency("score_blocking_50", "1.8 phase 2/3", Stat::P50, &blocking)
            .workload("the score of a task that 50 wait for; p50")
            .target(Target::AtMost(5.0)),
    ])
}

/// Layers of 1,000, each task on three different ones of the layer before.
pub(crate) async fn plan_1m(lab: &Lab) -> Result<Vec<Row>> {
    let count = lab.tasks(1_000_000, 1_000_000);
    let width = 1_000.min(count);
    let mut dice = Dice::new(5);
    let mut edges: Vec<(u32, u32)> = Vec::with_capacity(3 * count);
    for v in width..count {
        let layer = (v / width - 1) * width;
        let first = dice.below(width);
        let step = 1 + dice.below(width / 3);
        edges.extend((0..3).map(|i| ((layer + (first + i * step) % width) as u32, v as u32)));
    }
    let durations: Vec<u64> = (0..count).map(|_| 1 + dice.below(1_000) as u64).collect();
    forget_peak();
    let given = edges.len();
    let start = Instant::now();
    let dag = dag(Graph::build(count as u32, edges));
    let levels = dag.levels();
    let timing = dag.timing(&durations);
    let path = timing.critical_path();
    let slack: Vec<u64> = (0..count as u32).map(|v| timing.slack(v)).collect();
    let took = start.elapsed();
    let peak = rss_peak();
    black_box((&levels, &path, &slack));
    let memory = peak.map_or_else(String::new, |peak| {
        format!(
            "; at most {:.0} MB of memory in the whole process (target ≤ 600 MB)",
            peak as f64 / 1e6
        )
    });
    Ok(vec![
        Row::new("plan_1m", "DESIGN 14", count, took.as_secs_f64(), "s")
            .batch(count)
            .workload(format!(
                "graph of {count} tasks and {given} edges built; levels, critical path and slack of every task"
            ))
            .target(Target::AtMost(2.0))
            .note(format!("one run; {} levels, {} tasks on the critical path{memory}", levels.len(), path.len())),
    ])
}

/// Of whole plans: makes each task of `layer` wait for two or three of the layer before it.
pub(crate) fn link(tasks: &mut [NewTask], width: usize, dice: &mut Dice) {
    use domain::store::{NewEdge, On};
    for (at, task) in tasks.iter_mut().enumerate().skip(width) {
        let layer = (at / width - 1) * width;
        let count = (2 + dice.below(2)).min(width);
        let first = dice.below(width);
        let edge = |i| NewEdge {
            on: On::Batch((layer + (first + i) % width) as u32),
            when: Default::default(),
        };
        task.after = (0..count).map(edge).collect();
    }
}
