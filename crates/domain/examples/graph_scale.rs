//! Times the analysis of a large graph: `cargo run --release -p domain --example graph_scale [TASKS] [EDGES]`.
//!
//! Three shapes: ascending ids as plans are written, the same with ids shuffled, and one chain.

use std::time::Instant;

use domain::graph::{Dag, Graph};
use domain::task::retry::mix;

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<u32>().expect("a number"));
    let tasks = args.next().unwrap_or(1_000_000);
    let edges = args.next().unwrap_or(3_000_000);
    // Each edge leads to a task from one of the thousand before it, as in a plan of a thousand lanes.
    let ascending: Vec<(u32, u32)> = (0..edges)
        .map(|i| {
            let random = mix(u64::from(i));
            let dependent = 1 + (random >> 32) as u32 % (tasks - 1);
            (dependent - 1 - random as u32 % dependent.min(1_000), dependent)
        })
        .collect();
    let mut ids: Vec<u32> = (0..tasks).collect();
    ids.sort_by_key(|&id| mix(u64::from(id)));
    let shuffled: Vec<_> = ascending
        .iter()
        .map(|&(a, b)| (ids[a as usize], ids[b as usize]))
        .collect();
    let chain: Vec<_> = (1..tasks).map(|v| (v - 1, v)).collect();
    let durations: Vec<u64> = (0..u64::from(tasks)).map(|v| 1 + mix(v) % 60_000).collect();
    measure("ascending", tasks, &ascending, &durations);
    measure("shuffled", tasks, &shuffled, &durations);
    measure("chain", tasks, &chain, &durations);
}

fn measure(shape: &str, tasks: u32, edges: &[(u32, u32)], durations: &[u64]) {
    let start = Instant::now();
    let graph = Graph::build(tasks, edges.iter().copied());
    let built = start.elapsed();
    let dag = Dag::new(graph).expect("no circles");
    let ordered = start.elapsed();
    let levels = dag.levels();
    let parallel = levels.iter().map(Vec::len).max().unwrap_or(0);
    let batched = start.elapsed();
    let timing = dag.timing(durations);
    let path = timing.critical_path();
    let slack = (0..tasks).filter(|&v| timing.slack(v) == 0).count();
    let all = start.elapsed();
    println!(
        "{shape}: {tasks} tasks, {} edges in {all:.0?} (build {built:.0?}, order {:.0?}, levels {:.0?}, \
         critical path and slack {:.0?}); depth {}, largest level {parallel}, critical path {}, {slack} without slack",
        dag.edges(),
        ordered - built,
        batched - ordered,
        all - batched,
        levels.len() - 1,
        path.len(),
    );
}
