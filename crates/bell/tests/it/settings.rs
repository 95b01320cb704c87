//! Settings of processes, and those that a project keeps for all.

use serde_json::{Value, json};

use crate::bench::{Bench, lease};

fn value(bench: &Bench, name: &str) -> (Value, String) {
    let shown = bench.json(&["config", "show"]);
    let lines = shown["settings"].as_array().unwrap();
    let line = lines.iter().find(|line| line["name"] == name).unwrap();
    (line["value"].clone(), line["origin"].as_str().unwrap().to_owned())
}

// proves: DESIGN 4, SPEC 4.1
#[test]
fn a_project_orders_its_line_for_everybody() {
    let bench = Bench::new();
    bench.json(&["task", "add", "plain", "--id", "plain", "--priority", "6"]);
    bench.json(&["task", "add", "far", "--id", "far", "--deadline", "30m"]);
    assert_eq!(
        value(&bench, "order.profile"),
        (json!("classic"), "default".to_owned())
    );
    bench.json(&["config", "set", "order.profile=boosts", "order.ageing=2"]);
    assert_eq!(
        value(&bench, "order.profile"),
        (json!("boosts"), "project default".to_owned())
    );
    let shown = bench.bell(&["config", "show"]).out;
    let line = shown.lines().find(|line| line.starts_with("order.profile"));
    assert!(line.unwrap().ends_with("project \"default\""), "{shown}");
    let why = bench.json(&["task", "why", "plain"]);
    assert_eq!(
        (&why["score"]["base"], &why["score"]["score"]),
        (&json!(46.154), &json!(46.154))
    );
    assert_eq!(lease(&bench.json(&["task", "claim", "--worker", "w"])).0, "far");
    let events = bench.json(&["events", "--type", "setting.changed"]);
    assert_eq!(events["events"][0]["data"]["value"]["profile"], "boosts");
    bench.json(&["config", "set", "order.profile=", "order.ageing="]);
    assert_eq!(value(&bench, "order.profile").1, "default");
    assert_eq!(bench.json(&["task", "show", "plain"])["score"], 35.5);
}

#[test]
fn weights_are_moved_together_or_not_at_all() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a"]);
    assert_eq!(
        bench.problem(&["config", "set", "order.weights.base=0.9"]),
        ("config-invalid".to_owned(), 2)
    );
    bench.json(&[
        "config",
        "set",
        "order.weights.base=0.4",
        "order.weights.depth=0.15",
    ]);
    assert_eq!(value(&bench, "order.weights.depth").0, json!(0.15));
    for bad in [
        "order.weights.base",
        "order.profile=fast",
        "retry=0",
        "order.ageing=NaN",
    ] {
        assert_eq!(bench.problem(&["config", "set", bad]).1, 2, "{bad}");
    }
    insta::assert_snapshot!(bench.shown(&["config", "set", "order.profil=classic"]), @r"
    exit 2
    -- stderr
    error[invalid-argument]: a project keeps no setting `order.profil`
    help: did you mean `order.profile`?
    ");
    insta::assert_snapshot!(bench.shown(&["config", "set", "run.jobs=3"]), @r"
    exit 2
    -- stderr
    error[invalid-argument]: a project keeps no setting `run.jobs`
    help: this one is set in bell.toml; `bell config defaults` shows how
    ");
}

#[test]
fn tasks_that_name_no_tries_have_those_of_the_project() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&["config", "set", "retry=task"]);
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    let failed = bench.json(&["task", "fail", "a", "--token", &token, "--error", "boom"]);
    assert_eq!(failed["state"], "retrying");
    assert_eq!(
        value(&bench, "retry"),
        (json!("task"), "project default".to_owned())
    );
}

// proves: DESIGN 8
#[test]
fn a_worker_is_as_the_settings_want_it() {
    let bench = Bench::new();
    bench.write(
        "home/.config/bellwether/config.toml",
        "[worker]\nlease = \"40s\"\ndrain = \"3s\"\n",
    );
    bench.write("bell.toml", "[worker]\nlease = \"50s\"\ntimeout = \"1s\"\n");
    let bell = |args: &[&str]| {
        let mut command = bench.command(args);
        command
            .env("HOME", bench.path().join("home"))
            .env_remove("XDG_CONFIG_HOME");
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let shown: Value = serde_json::from_str(&bell(&["config", "show", "--json"]).1).unwrap();
    let line = |name: &str| {
        let lines = shown["settings"].as_array().unwrap();
        let line = lines.iter().find(|line| line["name"] == name).unwrap();
        let origin = line["origin"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        (line["value"].as_str().unwrap().to_owned(), origin)
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(line("worker.lease"), pair("50s", "bell.toml"));
    assert_eq!(line("worker.drain"), pair("3s", "config.toml"));
    assert_eq!(line("worker.heartbeat"), pair("10s", "default"));
    // An attempt that takes longer than it may is ended.
    bench.write("p.yaml", "tasks: { slow: { run: \"sleep 60\" } }\n");
    assert_eq!(bell(&["run", "p.yaml"]).0, 1);
    let error = bench.json(&["task", "show", "slow"])["error"].clone();
    assert!(error.as_str().unwrap().contains("1.0s"), "{error}");
    bench.write("bell.toml", "[worker]\nlease = \"2s\"\nheartbeat = \"2s\"\n");
    assert_eq!(
        bench.problem(&["queue", "status"]),
        ("config-invalid".to_owned(), 2)
    );
}

// proves: DESIGN 4
#[test]
fn a_profile_that_is_asked_for_goes_before_that_of_the_project() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { a: { prompt: x, estimate: 1m }, b: { prompt: y, after: [a] } }",
    );
    let depth = |flags: &[&str]| {
        bench.json(&[&["submit", "plan.yaml", "--new"], flags].concat());
        bench.json(&["task", "why", "a"])["score"]["depth"].clone()
    };
    let classic = depth(&[]);
    bench.json(&["config", "set", "order.profile=critical-path"]);
    let path = depth(&[]);
    assert_ne!(path, classic);
    assert_eq!(depth(&["--profile", "classic"]), classic);
    assert_eq!(depth(&["--profile", "critical-path"]), path);
    let help = bench.bell(&["submit", "--help"]).out;
    let words: Vec<&str> = help.split_whitespace().collect();
    let default = "[default: the project's order.profile]";
    assert!(words.join(" ").contains(default), "{help}");
}
