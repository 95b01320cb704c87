//! `for_each`: tasks that are done for each item of a list.

use serde_json::json;

use crate::bench::Bench;

// proves: DESIGN 4
#[test]
fn a_task_is_done_for_each_item_of_a_result() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        r#"name: fan
tasks:
  scan:
    run: |
      echo '{"parts": [{"name": "a b", "n": 2}, {"name": "$(touch oops)", "n": 3}]}' > $BELL_RESULT
  setup: { run: "echo 10 > $BELL_RESULT" }
  square:
    for_each: { task: scan, at: /parts }
    after: [setup]
    run: [sh, -c, 'echo "{\"name\": \"$1\", \"all\": $(($2 * $2 + BELL_RESULT_SETUP + BELL_INDEX))}" > $BELL_RESULT', x, "{item.name}", "{item.n}"]
    locks: ["path:parts/{index}"]
  sum:
    after: [square]
    run: cp $BELL_INPUT input.json
"#,
    );
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(
        bench.json(&["task", "show", "square"])["result"],
        json!({
            "square[0]": { "name": "a b", "all": 14 },
            "square[1]": { "name": "$(touch oops)", "all": 20 },
        })
    );
    let shard = bench.json(&["task", "show", "square[1]"]);
    assert_eq!(shard["state"], "completed");
    let shown = bench.bell(&["task", "show", "square[1]"]).out;
    assert!(shown.contains("path:parts/1"), "{shown}");
    assert!(!bench.path().join("oops").exists());
    let input: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path().join("input.json")).unwrap()).unwrap();
    assert_eq!(input["results"]["square"]["result"]["square[0]"]["all"], 14);
}

#[test]
fn one_that_fails_can_be_tried_again_alone() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks:
  deploy: { for_each: [eu, us], run: 'test $BELL_ITEM != us || test -e fixed', retry: 1 }
  tell: { after: [deploy], run: 'true' }
",
    );
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 1);
    let state = |key: &str| bench.json(&["task", "show", key])["state"].clone();
    assert_eq!(
        ["deploy[eu]", "deploy[us]", "deploy", "tell"].map(state),
        ["completed", "failed", "cancelled", "cancelled"]
    );
    let why = bench.json(&["task", "why", "deploy"]);
    assert_eq!(why["waits_for"][0]["key"], "deploy[us]", "{why}");
    bench.write("fixed", "");
    bench.json(&["task", "retry", "deploy[us]"]);
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(state("tell"), "completed");
    // What failed is tried again by the run itself, too.
    std::fs::remove_file(bench.path().join("fixed")).unwrap();
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 1, "a new run");
    bench.write("fixed", "");
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(
        bench.json(&["task", "show", "deploy[eu]"])["attempts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_list_of_thousands_and_one_of_none_are_lists() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        r#"tasks:
  none: { run: "echo '[]' > $BELL_RESULT" }
  nothing: { for_each: none, run: "false" }
  many: { run: "seq -s, 1 1500 | sed 's/.*/[&]/' > $BELL_RESULT" }
  # Without a worker of its own: what is measured is not how fast processes start.
  wait: { for_each: many, wait: { file: "{item}*", stable: 0s }, after: [made] }
  made: { run: "seq 1 1500 | xargs touch" }
"#,
    );
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(bench.json(&["task", "show", "nothing"])["result"], json!({}));
    let all = bench.json(&["task", "show", "wait"])["result"].clone();
    assert_eq!(all.as_object().unwrap().len(), 1_500);
}

#[test]
fn what_cannot_be_done_for_each_is_said() {
    let bench = Bench::new();
    let problem = |plan: &str| {
        bench.write("bad.yaml", plan);
        let said = bench.bell(&["plan", "check", "bad.yaml"]);
        assert_eq!(said.exit, 2, "{said:?}");
        said.err
    };
    let err = problem("tasks:\n  a: { for_each: [], run: 'true' }\n");
    assert!(err.contains("2:18") && err.contains("the list is empty"), "{err}");
    let err = problem("tasks:\n  scan: { run: 'true' }\n  a: { for_each: scam, run: 'true' }\n");
    assert!(
        err.contains("scam") && err.contains("did you mean `scan`?"),
        "{err}"
    );
    let err =
        problem("tasks:\n  a: { run: 'true' }\n  b: { for_each: { task: a, at: files }, run: 'true' }\n");
    assert!(err.contains("begin with a slash"), "{err}");
    bench.write(
        "warn.yaml",
        "tasks:\n  a: { for_each: [x], run: 'echo {item}' }\n",
    );
    let said = bench.bell(&["plan", "check", "warn.yaml"]);
    assert!(
        said.exit == 0 && format!("{}{}", said.out, said.err).contains("$BELL_ITEM"),
        "{said:?}"
    );
    bench.write(
        "plan.yaml",
        "tasks:\n  scan: { run: 'echo 7 > $BELL_RESULT' }\n  a: { for_each: scan, run: 'true' }\n",
    );
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 1);
    let task = bench.json(&["task", "show", "a"]);
    assert_eq!(task["state"], "failed");
    assert_eq!(
        task["error"], "the result of `scan` is a single value, and for_each takes a list",
        "{task}"
    );
}
