//! Teams as people meet them.

use serde_json::{Value, json};

use crate::bench::{Bench, lease};

fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().unwrap();
    items
        .iter()
        .map(|item| item[key].as_str().unwrap().to_owned())
        .collect()
}

// proves: DESIGN 9, DESIGN 5
#[test]
fn a_team_is_named_and_does_its_work() {
    let bench = Bench::new();
    bench.json(&[
        "agent",
        "register",
        "ann",
        "--capability",
        "css",
        "--capacity",
        "2",
    ]);
    let web = bench.json(&[
        "team", "set", "web", "--member", "bob", "--member", "ann", "--about", "pages",
    ]);
    assert_eq!(texts(&web["members"], "agent"), ["ann", "bob"]);
    assert_eq!((&web["found"], &web["capacity"]), (&json!(false), &json!(2)));
    assert_eq!(web["skills"][0]["name"], "css");
    bench.json(&["task", "add", "make it faster", "--id", "fast", "--team", "web"]);
    let answer = bench.json(&["task", "claim", "--worker", "eve"]);
    assert_eq!(answer["leases"], json!([]), "eve is in no team");
    bench.json(&["task", "add", "something else"]);
    let listed = bench.json(&["task", "list", "--team", "web"]);
    assert_eq!(texts(&listed["tasks"], "id"), ["fast"]);
    bench.json(&["task", "claim", "--worker", "eve"]);
    let why = bench.json(&["task", "why", "fast"]);
    assert_eq!(why["takers"]["team"], "web");
    assert!(
        bench
            .shown(&["task", "why", "fast"])
            .contains("any member of the team web")
    );
    let routed = bench.json(&["route", "fast"]);
    assert_eq!(
        (&routed["selected"], &routed["team"]),
        (&json!("ann"), &json!("web"))
    );
    let (task, token) = lease(&bench.json(&["task", "claim", "--worker", "bob"]));
    bench.json(&["task", "complete", &task, "--token", &token]);
    let web = bench.json(&["team", "show", "web"]);
    assert_eq!(
        (&web["record"]["completed"], &web["together"]["completed"]),
        (&json!(1), &json!(0))
    );
    let web = bench.json(&["team", "set", "web", "--add", "eve", "--drop", "bob"]);
    assert_eq!(texts(&web["members"], "agent"), ["ann", "eve"]);
    assert_eq!(texts(&bench.json(&["team", "list"])["teams"], "name"), ["web"]);
    let unknown = bench.problem(&["team", "show", "wbe"]);
    assert_eq!(unknown, ("team-not-found".to_owned(), 2));
    assert_eq!(bench.problem(&["team", "set", "web"]).1, 2);
    bench.json(&["team", "remove", "web"]);
    assert_eq!(bench.json(&["team", "list"])["count"], 0);
}

// proves: DESIGN 6
#[test]
fn a_run_waits_for_its_team_and_says_so() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  page: { prompt: Make it., team: web }\n",
    );
    let waits = bench.shown(&["run", "plan.yaml"]);
    assert!(waits.starts_with("exit 3"), "{waits}");
    assert!(
        waits.contains("a member of the team web has to take it"),
        "{waits}"
    );
    bench.json(&["team", "set", "web", "--member", "ann"]);
    let (task, token) = lease(&bench.json(&["task", "claim", "--worker", "ann"]));
    bench.json(&["task", "complete", &task, "--token", &token]);
    assert_eq!(bench.json(&["runs", "show", "p"])["run"]["state"], "succeeded");
}
