//! Agents as people and shells meet them.

use serde_json::{Value, json};

use crate::bench::Bench;

fn leases(bench: &Bench, agent: &str, max: &str) -> Vec<Value> {
    let answer = bench.json(&["task", "claim", "--worker", agent, "--max", max]);
    answer["leases"].as_array().unwrap().clone()
}

fn end(bench: &Bench, verb: &str, lease: &Value, more: &[&str]) {
    let (task, token) = (lease["task"].as_str().unwrap(), lease["token"].as_str().unwrap());
    bench.json(&[&["task", verb, task, "--token", token][..], more].concat());
}

fn names(list: &Value) -> Vec<&str> {
    let agents = list["agents"].as_array().unwrap();
    agents
        .iter()
        .map(|agent| agent["name"].as_str().unwrap())
        .collect()
}

// proves: SPEC 2.8, SPEC 3.5
#[test]
fn what_agents_did_is_told_without_names_and_what_to_do_about_it() {
    let bench = Bench::new();
    bench.json(&[
        "agent",
        "register",
        "secret-ann",
        "--capability",
        "python",
        "--capacity",
        "1",
    ]);
    for id in ["t1", "t2"] {
        bench.json(&["task", "add", "hush", "--id", id, "--needs", "python"]);
        let lease = leases(&bench, "secret-ann", "1")[0].clone();
        end(&bench, "complete", &lease, &[]);
    }
    bench.json(&["agent", "report", "secret-ann", "--failure", "--duration", "5m"]);
    let told = bench.json(&["agent", "export"]);
    let stats = &told["stats"];
    assert_eq!(
        (
            &stats["by"]["task_execution"],
            &stats["by"]["agent_registration"],
            &stats["by"]["evaluation_outcome"]
        ),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        stats["overall_success_rate"]
            .as_f64()
            .map(|rate| (rate * 3.0).round()),
        Some(2.0)
    );
    assert_eq!(told["records"][1]["agent"], "secret-ann");
    let hidden = bench.bell(&["agent", "export", "--anonymous"]);
    assert_eq!((hidden.exit, hidden.out.lines().count()), (0, 4), "{hidden:?}");
    for name in ["secret", "hush", "\"t1\""] {
        assert!(!hidden.out.contains(name), "{name}: {}", hidden.out);
    }
    assert!(hidden.out.contains("python"), "sorts are not names");
    let keyed = |cursor: &str| {
        let all = [
            "agent",
            "export",
            "--anonymous",
            "--key",
            "k",
            "--limit",
            "2",
            "--cursor",
            cursor,
        ];
        bench.json(&all)
    };
    let (first, again) = (keyed("0"), keyed("0"));
    assert_eq!(first, again);
    let rest = keyed(first["cursor"].as_str().unwrap());
    assert_eq!(rest["records"][0]["agent"], first["records"][0]["agent"]);
    assert_eq!((&first["count"], &rest["count"]), (&json!(2), &json!(2)));
    assert_eq!(bench.json(&["agent", "export", "--since", "1h"])["count"], 4);
    assert_eq!(bench.problem(&["agent", "export", "--limit", "0"]).1, 2);
    assert!(bench.shown(&["agent", "advise"]).starts_with("exit 0"));
    bench.json(&["task", "add", "x", "--needs", "cobol"]);
    let said = bench.bell(&["agent", "advise", "--json"]);
    let advised: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (
            said.exit,
            &advised["advice"][0]["kind"],
            &advised["advice"][0]["subject"]
        ),
        (1, &json!("skill_missing"), &json!("cobol"))
    );
}

// proves: SPEC 2.5, SPEC 3.3, DESIGN 9
#[test]
fn an_agent_registers_works_and_leaves() {
    let bench = Bench::new();
    let said = [
        "--capability",
        "review",
        "--language",
        "python",
        "--capacity",
        "2",
    ];
    let ann = bench.json(&[&["agent", "register", "ann"][..], &said].concat());
    assert_eq!(
        (&ann["capacity"], &ann["status"]),
        (&json!(2), &json!("available"))
    );
    assert_eq!(ann["record"]["success_rate"], Value::Null);
    assert_eq!(
        bench.json(&["agent", "health", "ann"])["success_rate"],
        Value::Null
    );
    assert_eq!(
        bench.bell(&["agent", "health", "ann"]).out,
        "ann is healthy: nothing is known of its work yet\n"
    );
    for id in ["t1", "t2", "t3"] {
        bench.json(&["task", "add", "x", "--id", id, "--needs", "python"]);
    }
    bench.json(&["task", "add", "x", "--id", "java", "--needs", "java"]);
    bench.json(&[
        "task",
        "add",
        "x",
        "--id",
        "hers",
        "--agent",
        "ann",
        "--priority",
        "low",
    ]);
    assert!(
        leases(&bench, "bob", "9").is_empty(),
        "nobody says that bob can do anything"
    );
    let held = leases(&bench, "ann", "9");
    assert_eq!(held.len(), 2);
    assert_eq!(bench.json(&["task", "show", "t1"])["agent"], "ann");
    let ann = bench.json(&["agent", "show", "ann"]);
    assert_eq!(
        (&ann["status"], &ann["load"]["active"]),
        (&json!("offline"), &json!(2))
    );
    end(&bench, "complete", &held[0], &[]);
    let ann = bench.json(&["agent", "show", "ann"]);
    assert_eq!(
        (&ann["record"]["completed"], &ann["record"]["by_skill"][0]["name"]),
        (&json!(1), &json!("python"))
    );
    bench.json(&["agent", "report", "ann", "--failure", "--duration", "1s"]);
    let health = bench.json(&["agent", "health", "ann"]);
    assert_eq!(
        (&health["status"], &health["success_rate"]),
        (&json!("degraded"), &json!(0.5))
    );
    let gone = bench.json(&["agent", "deregister", "ann"]);
    assert_eq!(
        (&gone["returned"], &gone["orphaned"]),
        (&json!(["t2"]), &json!(["hers"]))
    );
    assert_eq!(bench.json(&["task", "show", "t2"])["agent"], Value::Null);
    assert_eq!(
        bench.problem(&["agent", "show", "ann"]),
        ("agent-not-found".to_owned(), 2)
    );
    let again = bench.json(&[
        "task",
        "claim",
        "--worker",
        "eve",
        "--capability",
        "python",
        "--max",
        "9",
    ]);
    assert_eq!(again["leases"].as_array().unwrap().len(), 2);
}

#[test]
fn agents_are_found_by_what_they_can_do() {
    let bench = Bench::new();
    for (name, rate, skills) in [
        ("java", "0.9", &["--capability", "java"][..]),
        ("script", "0.7", &["--capability", "javascript"]),
        (
            "versed",
            "0.8",
            &["--specialisation", "auth:expert", "--capability", "java"],
        ),
    ] {
        let prior = ["--success-rate", rate, "--tasks", "100"];
        bench.json(&[&["agent", "register", name][..], skills, &prior].concat());
    }
    assert_eq!(
        names(&bench.json(&["agent", "list"])),
        ["java", "versed", "script"]
    );
    assert_eq!(
        names(&bench.json(&["agent", "list", "--capability", "java"])),
        ["java", "versed"]
    );
    assert_eq!(
        names(&bench.json(&["agent", "list", "--specialisation", "auth:expert"])),
        ["versed"]
    );
    assert_eq!(
        names(&bench.json(&["agent", "list", "--specialisation", "auth:master"])),
        [""; 0]
    );
    assert_eq!(
        names(&bench.json(&["agent", "list", "--min-success", "85%"])),
        ["java"]
    );
    let flock = bench.json(&["agent", "health"]);
    assert_eq!(
        flock["skill_distribution"],
        json!({ "auth": 1, "java": 2, "javascript": 1 })
    );
    let table = bench.bell(&["agent", "list"]).out;
    assert!(table.contains("auth:expert"), "{table}");
    bench.json(&["agent", "learn", "script", "java", "--confidence", "0.6"]);
    assert_eq!(bench.json(&["agent", "list", "--capability", "java"])["count"], 3);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way() {
    let bench = Bench::new();
    assert_eq!(
        bench.problem(&["agent", "register", "ann", "--capacity", "0"]).1,
        2
    );
    assert!(
        !bench.path().join(".bellwether").exists(),
        "a mistake leaves nothing behind"
    );
    bench.json(&["agent", "register", "ann"]);
    let (code, exit) = bench.problem(&["agent", "register", "ann"]);
    assert_eq!((code.as_str(), exit), ("agent-exists", 2));
    let said = bench.bell(&["agent", "show", "anm"]);
    assert!(said.err.contains("did you mean `ann`?"), "{}", said.err);
    for bad in [
        &["agent", "edit", "ann"][..],
        &["agent", "learn", "ann", "x", "--confidence", "2"],
        &["agent", "register", "bob", "--specialisation", "a b:expert"],
        &["agent", "heartbeat", "eve"],
        &["agent", "report", "ann", "--duration", "1s"],
    ] {
        assert_eq!(bench.problem(bad).1, 2, "{bad:?}");
    }
    bench.json(&["agent", "edit", "ann", "--capacity", "9", "--language", "go"]);
    let ann = bench.json(&["agent", "show", "ann"]);
    assert_eq!((&ann["capacity"], &ann["languages"]), (&json!(9), &json!(["go"])));
}

// proves: SPEC 3.4, SPEC 2.6, DESIGN 9
#[test]
fn a_task_is_routed_with_its_reasons() {
    let bench = Bench::new();
    for (name, rate) in [("ann", "0.9"), ("bob", "0.6")] {
        let said = [
            "--capability",
            "python",
            "--capacity",
            "1",
            "--success-rate",
            rate,
            "--tasks",
            "50",
        ];
        bench.json(&[&["agent", "register", name][..], &said].concat());
    }
    for id in ["a", "b", "c"] {
        bench.json(&["task", "add", "x", "--id", id, "--needs", "python"]);
    }
    bench.json(&["task", "add", "x", "--id", "rust", "--needs", "rust"]);
    let routed = bench.json(&["route", "a"]);
    let candidates = routed["candidates"].as_array().unwrap();
    assert_eq!(
        (&routed["selected"], &routed["assigned"]),
        (&json!("ann"), &json!(false))
    );
    assert_eq!(
        (&candidates[1]["agent"], &candidates[1]["score"]),
        (&json!("bob"), &json!(0.6))
    );
    assert_eq!(bench.json(&["route", "a", "--exclude", "ann"])["selected"], "bob");
    assert_eq!(bench.json(&["route", "a", "--assign"])["selected"], "ann");
    assert_eq!(
        bench.json(&["route", "b", "--assign", "--strategy", "bandit"])["selected"],
        "bob"
    );
    assert_eq!(
        bench.problem(&["route", "c"]),
        ("no-available-agent".to_owned(), 3)
    );
    assert_eq!(
        bench.problem(&["route", "rust"]),
        ("no-capable-agent".to_owned(), 3)
    );
    assert_eq!(bench.problem(&["route", "a", "--strategy", "best"]).1, 2);
    let why = bench.json(&["task", "why", "a"]);
    assert_eq!(
        (&why["routed"]["selected"], &why["takers"]["agent"]),
        (&json!("ann"), &json!("ann"))
    );
    let text = bench.bell(&["task", "why", "a"]).out;
    assert!(
        text.contains("ann was chosen: the best of 2 that are free"),
        "{text}"
    );
    let other = bench.json(&[
        "task",
        "claim",
        "--worker",
        "eve",
        "--capability",
        "python",
        "--max",
        "9",
    ]);
    assert_eq!(
        other["leases"].as_array().unwrap().len(),
        1,
        "only c is for anybody"
    );
    bench.json(&["task", "assign", "b", "--anybody"]);
    assert_eq!(bench.json(&["agent", "show", "bob"])["load"]["queued"], 0);
    assert_eq!(bench.json(&["route", "--rebalance"])["count"], 0);
}
