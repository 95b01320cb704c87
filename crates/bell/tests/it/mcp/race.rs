//! Thirty agents on one store at once, by pipes and over HTTP; `cargo xtask soak` does the same for longer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::client::Client;
use super::far::Far;
use crate::bench::Bench;
use crate::schedules::end;
use crate::serve::Served;

const AGENTS: usize = 30;
const EACH: usize = 100;
/// One in so many speaks HTTP.
const FAR: usize = 5;

/// Some agent has failed: the others would wait for ever for what it has not done.
static FAILED: AtomicBool = AtomicBool::new(false);

struct Tells;

impl Drop for Tells {
    fn drop(&mut self) {
        FAILED.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

/// Adds its share, then takes whatever is there until all is done. Returns what it took.
fn work(agent: usize, does: &mut dyn FnMut(&str, Value) -> Value) -> Vec<String> {
    let _tells = Tells;
    for number in 0..EACH {
        does(
            "task_add",
            json!({ "prompt": format!("task {number} of agent {agent}") }),
        );
    }
    let mut taken = Vec::new();
    loop {
        let claimed = does("task_claim", json!({ "wait": 1 }));
        let Some(lease) = claimed["leases"].get(0) else {
            let queue = does("task_why", json!({}))["queue"].clone();
            if queue["completed"] == AGENTS * EACH || FAILED.load(Ordering::Relaxed) {
                return taken;
            }
            continue;
        };
        does("task_complete", json!({ "task": lease["task"], "result": agent }));
        taken.push(lease["task"].as_str().unwrap().to_owned());
    }
}

// proves: DESIGN 9, DESIGN 15
#[test]
fn nothing_is_lost_done_twice_or_locked() {
    let bench = Bench::new();
    let served = Served::new(&bench, &["--tools", "core"]);
    let start = |agent: usize| -> Vec<String> {
        if agent.is_multiple_of(FAR) {
            let mut far = Far::start(&served);
            return work(agent, &mut |tool, arguments| far.does(tool, &arguments));
        }
        let name = format!("agent-{agent}");
        let mut client = Client::start(&bench, &["--tools", "core", "--agent", &name]);
        work(agent, &mut |tool, arguments| client.does(tool, arguments))
    };
    let taken: Vec<String> = std::thread::scope(|scope| {
        let start = &start;
        let agents: Vec<_> = (0..AGENTS)
            .map(|agent| scope.spawn(move || start(agent)))
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
    end(served.child);
}
