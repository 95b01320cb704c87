//! A store that several machines share: what one process does, another sees.

use serde_json::json;

use crate::bench::{Bench, Said};

struct Shared {
    bench: Bench,
    url: String,
}

impl Shared {
    fn on_redis() -> Shared {
        Shared::at(rig::redis::fresh(&rig::redis::shared()))
    }

    fn on_postgres() -> Shared {
        Shared::at(rig::postgres::fresh(&rig::postgres::shared()))
    }

    fn at(url: String) -> Shared {
        Shared {
            bench: Bench::new(),
            url,
        }
    }

    /// The program on the store, with its files in the bench's folder.
    fn bell(&self, args: &[&str]) -> Said {
        let all = [&["--store", &self.url], args].concat();
        let mut command = self.bench.command(&all);
        command.env("BELLWETHER_DURABILITY", "relaxed");
        command.env("XDG_STATE_HOME", self.bench.path());
        Said::of(&mut command)
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let said = self.bell(&[args, &["--json"]].concat());
        assert_eq!(said.exit, 0, "{args:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.url.starts_with("redis") {
            rig::redis::sweep(&self.url);
        } else {
            rig::postgres::sweep(&self.url);
        }
    }
}

#[test]
fn a_plan_runs_on_redis_and_others_see_it() {
    a_plan_runs_and_others_see_it(&Shared::on_redis());
}

#[test]
fn a_plan_runs_on_postgres_and_others_see_it() {
    a_plan_runs_and_others_see_it(&Shared::on_postgres());
}

fn a_plan_runs_and_others_see_it(shared: &Shared) {
    let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart.yaml");
    assert_eq!(shared.bell(&["queue", "status"]).exit, 4, "nobody has made one");
    let said = shared.bell(&["run", quickstart]);
    assert_eq!(said.exit, 0, "{said:?}");
    let tasks = shared.json(&["task", "list"]);
    let states = tasks["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| &task["state"]);
    assert_eq!(states.collect::<Vec<_>>(), vec![&json!("completed"); 5]);
    let replayed = shared.bell(&["store", "check", "--replay"]);
    assert_eq!(replayed.exit, 0, "{replayed:?}");
    assert_eq!(shared.bell(&["audit", "verify"]).exit, 0);
}

#[test]
fn leases_end_by_the_clock_of_redis() {
    leases_end_by_the_servers_clock(&Shared::on_redis());
}

#[test]
fn leases_end_by_the_clock_of_postgres() {
    leases_end_by_the_servers_clock(&Shared::on_postgres());
}

fn leases_end_by_the_servers_clock(shared: &Shared) {
    shared.json(&["task", "add", "x"]);
    let leases = shared.json(&["task", "claim", "--worker", "w", "--ttl", "10m"]);
    let lease = &leases["leases"][0];
    let ends: jiff::Timestamp = lease["expires_at"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(jiff::Timestamp::now());
    assert!((550..=600).contains(&left.as_secs()), "{left:?}");
    let token = lease["token"].as_str().unwrap();
    let task = lease["task"].as_str().unwrap();
    shared.json(&["task", "complete", task, "--token", token]);
}

#[test]
fn weaker_persistence_is_refused_until_it_is_accepted() {
    let shared = Shared::on_redis();
    let add = ["--store", &shared.url, "task", "add", "x"];
    assert_eq!(shared.bench.problem(&add), ("store-volatile".to_owned(), 4));
    let accepted = shared.bench.bell(&[&add[..], &["--accept-volatile"]].concat());
    assert_eq!(accepted.exit, 0, "{accepted:?}");
}
