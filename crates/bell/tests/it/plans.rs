//! Plans before they run.

use serde_json::json;

use crate::bench::Bench;

const RELEASE: &str = "
name: release
tasks:
  lint: { run: 'true' }
  test: { run: 'true', after: [lint], estimate: 3m }
  ship: { run: 'true', after: [test] }
  alert: { run: 'true', after: [{ task: ship, when: failure }] }
";

#[test]
fn a_sound_plan_is_described() {
    let bench = Bench::new();
    bench.write("plan.yaml", RELEASE);
    insta::assert_snapshot!(bench.shown(&["plan", "check", "plan.yaml"]), @r"
    exit 0
    plan           release
    tasks          4
    edges          3
    depth          3
    side by side   at most 1
    critical path  lint → test → ship → alert (12m00s)

    batches
       1  lint
       2  test
       3  ship
       4  alert
    -- stderr
    hint: `bell run plan.yaml` runs it
    ");
    let report = bench.json(&["plan", "check", "plan.yaml"]);
    assert_eq!(
        report["batches"],
        json!([["lint"], ["test"], ["ship"], ["alert"]])
    );
    assert_eq!(
        (&report["tasks"], &report["edges"], &report["depth"]),
        (&json!(4), &json!(3), &json!(3))
    );
    assert!(!bench.path().join(".bellwether").exists());
}

#[test]
fn faults_are_shown_at_their_places_all_at_once() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks:\n  lint: { run: x, aftre: [a] }\n  test: { run: y, after: [lnt] }\n",
    );
    insta::assert_snapshot!(bench.shown(&["plan", "check", "plan.yaml"]), @r"
    exit 2
    -- stderr
    error[plan-unknown-key]: unknown key `aftre` in task `lint`
     --> plan.yaml:2:19
    2 |   lint: { run: x, aftre: [a] }
      |                   ^
    help: did you mean `after`?

    error[plan-unknown-task]: task `test` waits for `lnt`, which is no task of this plan
     --> plan.yaml:3:27
    3 |   test: { run: y, after: [lnt] }
      |                           ^
    help: did you mean `lint`?
    ");
    assert_eq!(
        bench.problem(&["plan", "check", "plan.yaml"]),
        ("plan-unknown-key".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["plan", "check", "none.yaml"]),
        ("plan-unreadable".to_owned(), 2)
    );
    assert_eq!(bench.problem(&["run", "plan.yaml"]).1, 2);
    assert!(!bench.path().join(".bellwether").exists());
}

// proves: SPEC 1.10
#[test]
fn a_plan_is_drawn() {
    let bench = Bench::new();
    bench.write("plan.yaml", RELEASE);
    insta::assert_snapshot!(bench.shown(&["plan", "graph", "plan.yaml"]), @r#"
    exit 0
    ---
    title: "release"
    ---
    graph LR
      n0["lint"]
      n1["test<br/>3m00s"]
      n2["ship"]
      n3["alert"]
      n0 ==> n1
      n1 ==> n2
      n2 -.->|"failure"| n3
      linkStyle 0,1,2 stroke:#2563eb,stroke-width:3px
      classDef critical stroke:#2563eb,stroke-width:3px
      class n0,n1,n2,n3 critical
    "#);
    for (format, begins) in [("dot", "digraph"), ("svg", "<svg"), ("json", "{")] {
        let said = bench.bell(&["plan", "graph", "plan.yaml", "--format", format]);
        assert!(
            said.out.trim_start().starts_with(begins),
            "{format}: {}",
            said.out
        );
    }
}

#[test]
fn the_schema_is_json() {
    let bench = Bench::new();
    assert!(bench.json(&["plan", "schema"]).is_object());
}

#[test]
fn a_forecast_knows_estimates_and_what_if() {
    let bench = Bench::new();
    bench.write("plan.yaml", RELEASE);
    let forecast = bench.json(&["plan", "simulate", "plan.yaml", "--samples", "5"]);
    assert_eq!(
        (&forecast["samples"], &forecast["succeeded"]),
        (&json!(5), &json!(5))
    );
    assert!(forecast["p90_seconds"].as_f64().unwrap() >= 180.0, "{forecast}");
    let failing = bench.json(&[
        "plan",
        "simulate",
        "plan.yaml",
        "--samples",
        "5",
        "--fail",
        "test",
    ]);
    assert_eq!(failing["succeeded"], 0);
    let said = bench.bell(&["plan", "simulate", "plan.yaml", "--without", "tset"]);
    assert!(
        said.err.contains("did you mean `test`?") && said.exit == 2,
        "{said:?}"
    );
}

// proves: DESIGN 4
#[test]
fn rules_are_proved_or_broken_by_an_order() {
    let bench = Bench::new();
    let plan = "tasks: { test: { run: x }, approve: { breakpoint: may it go? },
        ship: { run: x, after: [test, { task: approve, when: finished }] } }";
    bench.write("plan.yaml", plan);
    let verify = |rule: &str| bench.shown(&["plan", "verify", "plan.yaml", "--never", rule]);
    insta::assert_snapshot!(verify("ship before test"), @r"
    exit 0
    proved    never ship before test
    every task can begin; no lock can deadlock
    waits for a person at approve
    ");
    insta::assert_snapshot!(verify("ship before test and approve"), @r"
    exit 1
    broken    never ship before test and approve: approve has not completed when
             1  test completes
             2  approve fails
             3  ship begins
    every task can begin; no lock can deadlock
    waits for a person at approve
    ");
    let never = [
        "plan",
        "verify",
        "plan.yaml",
        "--json",
        "--never",
        "test before ship",
    ];
    let told: serde_json::Value = serde_json::from_str(&bench.bell(&never).out).unwrap();
    assert_eq!(
        told["rules"][0]["result"]["course"],
        json!([{ "task": "test", "what": "begins" }])
    );
    assert_eq!(
        bench
            .problem(&["plan", "verify", "plan.yaml", "--never", "ship before tset"])
            .1,
        2
    );
    assert_eq!(
        bench
            .bell(&["plan", "verify", "plan.yaml", "--never", "ship first"])
            .exit,
        2
    );
}

// proves: DESIGN 8, SPEC 3.6
#[test]
fn how_long_things_take_is_learned_by_kind() {
    let bench = Bench::new();
    let tasks = |names: &[&str]| {
        let task = |name: &&str| format!("  {name}: {{ run: \"sleep 0.05\", kind: nap }}\n");
        names.iter().map(task).collect::<String>()
    };
    bench.write(
        "first.yaml",
        &format!("name: first\ntasks:\n{}", tasks(&["a", "b", "c"])),
    );
    bench.write(
        "second.yaml",
        &format!("name: second\ntasks:\n{}", tasks(&["d", "e"])),
    );
    let durations = |plan: &str| bench.json(&["plan", "check", plan])["durations"].clone();
    let known = |runs: u32, kinds: u32, unknown: u32| json!({ "estimates": 0, "runs": runs, "kinds": kinds, "unknown": unknown });
    assert_eq!(durations("second.yaml"), known(0, 0, 2), "there is no store");
    assert_eq!(bench.bell(&["run", "first.yaml"]).exit, 0);
    assert_eq!(durations("first.yaml"), known(3, 0, 0));
    assert_eq!(durations("second.yaml"), known(0, 2, 0));
    let path = bench.json(&["plan", "check", "second.yaml"])["critical_path"].clone();
    let seconds = path["seconds"].as_f64().unwrap();
    assert!((0.05..1.0).contains(&seconds), "{path}");
    assert!(
        bench
            .shown(&["plan", "check", "second.yaml"])
            .contains("2 as usual for their kind")
    );
    let forecast = bench.json(&["plan", "simulate", "second.yaml", "--samples", "5"]);
    assert_eq!(
        (&forecast["by_kind"], &forecast["learned"]),
        (&json!(2), &json!(0))
    );
    bench.json(&[
        "task",
        "add",
        "x",
        "--id",
        "due",
        "--kind",
        "nap",
        "--deadline",
        "1h",
    ]);
    let why = bench.json(&["task", "why", "due"]);
    assert_eq!(
        (&why["estimate"], &why["score"]["urgency"]),
        (&json!(null), &json!(20.0)),
        "what takes no time is no less pressing for it"
    );
}
