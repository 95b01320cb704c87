//! Many agents on one store at once; `cargo xtask soak` does the same with thirty and thousands of tasks.

use std::collections::BTreeSet;

use serde_json::json;

use super::client::Client;
use crate::bench::Bench;

const AGENTS: usize = 6;
const EACH: usize = 20;

/// Adds its share, then takes whatever is there until all is done. Returns what it took.
fn work(bench: &Bench, agent: usize) -> Vec<String> {
    let mut client = Client::start(bench, &["--tools", "core", "--agent", &format!("agent-{agent}")]);
    for number in 0..EACH {
        client.does(
            "task_add",
            json!({ "prompt": format!("task {number} of agent {agent}") }),
        );
    }
    let mut taken = Vec::new();
    loop {
        let claimed = client.does("task_claim", json!({}));
        let Some(lease) = claimed["leases"].get(0) else {
            let queue = client.does("task_why", json!({}))["queue"].clone();
            if queue["completed"] == AGENTS * EACH {
                return taken;
            }
            continue;
        };
        client.does("task_complete", json!({ "task": lease["task"], "result": agent }));
        taken.push(lease["task"].as_str().unwrap().to_owned());
    }
}

// proves: DESIGN 15
#[test]
fn nothing_is_lost_done_twice_or_locked() {
    let bench = Bench::new();
    bench.json(&["task", "add", "warm up", "--id", "first"]);
    bench.json(&["task", "cancel", "first"]);
    let taken: Vec<String> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..AGENTS)
            .map(|agent| {
                scope.spawn({
                    let bench = &bench;
                    move || work(bench, agent)
                })
            })
            .collect();
        agents
            .into_iter()
            .flat_map(|agent| agent.join().unwrap())
            .collect()
    });
    let distinct: BTreeSet<&String> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (AGENTS * EACH, AGENTS * EACH));
    assert_eq!(bench.json(&["queue", "status"])["completed"], AGENTS * EACH);
    assert_eq!(bench.bell(&["store", "check"]).exit, 0);
    assert_eq!(bench.bell(&["audit", "verify"]).exit, 0);
}
