//! Plans that are right: what they become.

use std::time::Duration;

use domain::plan::{Format, Plan, analyse, read};
use domain::task::replan::{OnExhausted, Planner};
use domain::task::retry::{Backoff, Retry};
use domain::task::spec::{Json, Moment, Priority, Spec, When, Work};
use domain::time::Timestamp;

pub(crate) const DESIGN: &str = include_str!("samples/design.yaml");
pub(crate) const EVERY_KEY: &str = include_str!("samples/every_key.yaml");

pub(crate) fn plan(text: &str, format: Format) -> Plan {
    read(text.as_bytes(), format, "plan").unwrap_or_else(|faults| panic!("{faults}\nin {text}"))
}

fn yaml(text: &str) -> Plan {
    plan(text, Format::Yaml)
}

/// The one task of a plan, written as YAML.
fn task(keys: &str) -> Spec {
    yaml(&format!("tasks: {{ t: {{ run: x, {keys} }} }}")).tasks[0]
        .spec
        .clone()
}

// proves: DESIGN 5
#[test]
fn the_example_of_the_design_is_read_as_it_is_meant() {
    let plan = yaml(DESIGN);
    assert_eq!(plan.name.as_deref(), Some("release"));
    let keys: Vec<_> = plan.tasks.iter().map(|task| task.key.as_str()).collect();
    assert_eq!(keys, ["lint", "test", "review", "approve", "ship", "alert"]);
    let [lint, test, review, approve, ship, alert] = &plan.tasks[..] else {
        panic!()
    };
    assert_eq!(lint.spec.work, Work::Shell("npm run lint".into()));
    assert_eq!(lint.spec.timeout, Some(Duration::from_secs(600)));
    assert_eq!(lint.spec.retry.as_ref().unwrap().attempts, 2);
    let retry = test.spec.retry.clone().unwrap();
    assert_eq!(
        (retry.attempts, retry.backoff, retry.jitter),
        (3, Backoff::Exponential, 0.5)
    );
    assert_eq!(retry.not_on, ["validation"]);
    assert_eq!(review.spec.agent.as_ref().unwrap().as_str(), "reviewer");
    assert_eq!(review.spec.priority, Priority::HIGH);
    assert_eq!(review.spec.deadline, Some(Moment::In(Duration::from_secs(7200))));
    assert_eq!(review.spec.kind.as_str(), "agent");
    assert_eq!(approve.spec.work, Work::Breakpoint("milestone_completion".into()));
    assert_eq!(
        ship.spec.cache.as_ref().unwrap().ttl,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(
        (alert.after[0].task.as_str(), alert.after[0].when),
        ("ship", When::Failure)
    );
    insta::assert_snapshot!(plan.unsupported, @r"
    plan:8:105: `gate` of task `ship` is not in this version (help: remove it, or use a version that has it)
    ");
}

// proves: DESIGN 5
#[test]
fn every_key_is_understood() {
    let plan = yaml(EVERY_KEY);
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan.tasks[1].spec).unwrap(), @r#"
    {
      "name": "full",
      "kind": "test",
      "work": {
        "argv": [
          "cargo",
          "test",
          "--",
          "--nocapture"
        ]
      },
      "needs": [
        "linux",
        "rust"
      ],
      "priority": 7,
      "source": "agent_planner",
      "deadline": {
        "at": 1893456000000
      },
      "estimate": 90000,
      "run_at": {
        "in": 600000
      },
      "timeout": 5400000,
      "retry": {
        "attempts": 5,
        "backoff": "linear",
        "initial": 2000,
        "factor": 1.5,
        "cap": 60000,
        "jitter": 0.0,
        "not_on": [
          "quota"
        ],
        "not_on_exit": [
          64,
          65
        ]
      },
      "on_upstream_failure": "block",
      "on_exhausted": "dead_letter",
      "locks": [
        {
          "name": "db:main",
          "mode": "shared"
        },
        {
          "name": "path:lib",
          "mode": "exclusive"
        }
      ],
      "concurrency": {
        "key": "gpu",
        "limit": 2
      },
      "cache": {
        "files": [
          "src/**"
        ],
        "env": [
          "TARGET"
        ],
        "ttl": 86400000
      },
      "env": {
        "CI": "true",
        "LEVEL": "debug",
        "VERSION": "1.10"
      },
      "secrets": [
        "TOKEN"
      ],
      "cwd": "elsewhere",
      "inputs": {"big":12345678901234567890123,"list":[1,16,true,null,"text"]},
      "summary": "Tests everything.",
      "session": "s-1",
      "spec_ref": "SPEC-7"
    }
    "#);
    insta::assert_snapshot!(plan.unsupported, @r"
    plan:50:5: `gate` of task `fetched` is not in this version (help: remove it, or use a version that has it)
    ");
    let fetched = plan
        .tasks
        .iter()
        .find(|task| task.key.as_str() == "fetched")
        .unwrap();
    let Some(OnExhausted::Replan(replan)) = &fetched.spec.on_exhausted else {
        panic!("{:?}", fetched.spec.on_exhausted);
    };
    assert_eq!(replan.planner.work, Work::Prompt("Find another way.".into()));
    assert_eq!(replan.planner.agent.as_ref().unwrap().as_str(), "architect");
    assert_eq!((replan.times, replan.planner.secrets.len()), (0, 1));
}

/// Who plans is said once, for all tasks, and need not be said.
#[test]
fn planners_are_commands_or_agents() {
    let planner = |text: &str| {
        let spec = yaml(text).tasks.remove(0).spec;
        match spec.on_exhausted {
            Some(OnExhausted::Replan(replan)) => replan.planner,
            other => panic!("{other:?}"),
        }
    };
    let tasks = "defaults: { on_exhausted: replan }\ntasks: { t: { run: x } }\n";
    assert_eq!(planner(tasks), Planner::default());
    let command = planner(&format!("{tasks}planner: {{ run: ./plan.sh, timeout: 5m }}"));
    assert_eq!(command.work, Work::Shell("./plan.sh".into()));
    assert_eq!(command.timeout, Some(Duration::from_secs(300)));
    let agent = planner(&format!("{tasks}planner: {{ agent: architect }}"));
    assert_eq!(agent.work, Planner::default().work);
    assert_eq!(agent.agent.unwrap().as_str(), "architect");
    let kept =
        yaml("defaults: { on_exhausted: replan }\ntasks: { t: { run: x, on_exhausted: dead_letter } }");
    assert_eq!(kept.tasks[0].spec.on_exhausted, Some(OnExhausted::Letter));
}

#[test]
fn the_three_formats_say_the_same() {
    let yaml = yaml(
        "
name: same
defaults: { env: { A: '1' }, timeout: 5m }
tasks:
  b: { run: [echo, \"\\u00e4 😀\"], priority: 7, env: { B: '2' }, inputs: { x: [1, 2.5, true], n: 10 } }
  a: { run: date, after: [{ task: b, when: finished }], deadline: 2030-01-01T00:00:00Z }
",
    );
    let json = plan(
        r#"{"name": "same", "defaults": {"env": {"A": "1"}, "timeout": "5m"}, "tasks": {
            "b": {"run": ["echo", "\u00e4 \uD83D\uDE00"], "priority": 7, "env": {"B": "2"},
                  "inputs": {"n": 10, "x": [1, 2.5, true]}},
            "a": {"run": "date", "after": [{"task": "b", "when": "finished"}],
                  "deadline": "2030-01-01T00:00:00Z"}}}"#,
        Format::Json,
    );
    let toml = plan(
        r#"name = "same"
        [tasks.b]
        run = ["echo", "ä 😀"]
        priority = 7
        env = { B = "2" }
        inputs = { x = [1, 2.5, true], n = 0b1010 }
        [tasks.a]
        run = "date"
        deadline = 2030-01-01T00:00:00Z
        [[tasks.a.after]]
        task = "b"
        when = "finished"
        [defaults]
        timeout = "5m"
        env.A = "1"
        "#,
        Format::Toml,
    );
    for other in [&json, &toml] {
        assert_eq!(other.digest, yaml.digest);
        for (theirs, ours) in other.tasks.iter().zip(&yaml.tasks) {
            assert_eq!(
                (&theirs.key, &theirs.spec, &theirs.after),
                (&ours.key, &ours.spec, &ours.after)
            );
        }
    }
    assert_eq!(toml.tasks[1].place.to_string(), "7:16");
}

#[test]
fn yaml_texts_need_no_quotes() {
    assert_eq!(task("cwd: 1.10").cwd.as_deref(), Some("1.10"));
    let plan = yaml("name: 2024\ntasks: { 7: 'true', yes: no, t: { run: true } }");
    assert_eq!(plan.name.as_deref(), Some("2024"));
    let work: Vec<_> = plan
        .tasks
        .iter()
        .map(|t| (t.key.as_str(), t.spec.work.clone()))
        .collect();
    let shell = |text: &str| Work::Shell(text.into());
    assert_eq!(
        work,
        [("7", shell("true")), ("yes", shell("no")), ("t", shell("true"))]
    );
}

#[test]
fn anchors_and_merges_are_followed() {
    let plan = yaml(
        "
defaults: { env: &base { A: '1', B: '2' } }
tasks:
  a: &a { run: x, env: { <<: *base, B: '3' }, needs: &n [p, q] }
  b: { <<: [{ run: y, cwd: here }, *a], timeout: 1m, after: a }
  c: { run: *cmd0, needs: *n }
"
        .replace("*cmd0", "z")
        .as_str(),
    );
    let b = &plan.tasks[1].spec;
    assert_eq!(b.work, Work::Shell("y".into()));
    assert_eq!(b.cwd.as_deref(), Some("here"));
    assert_eq!(
        b.env.iter().map(|(k, v)| format!("{k}{v}")).collect::<Vec<_>>(),
        ["A1", "B3"]
    );
    assert_eq!(plan.tasks[2].spec.needs.len(), 2);
}

#[test]
fn defaults_are_replaced_except_env_and_retry_which_merge() {
    let plan = yaml(
        "
tasks:
  plain: x
  own: { run: x, retry: { cap: 5s }, env: { B: '3' }, needs: c, timeout: 1s }
  count: { run: x, retry: 7 }
  preset: { run: x, retry: event }
defaults: { retry: { preset: task, jitter: 0.25 }, env: { A: '1', B: '2' }, needs: [a, b], timeout: 1m }
",
    );
    let [plain, own, count, preset] = &plan.tasks[..] else {
        panic!()
    };
    let base = Retry {
        jitter: 0.25,
        ..Retry::task()
    };
    assert_eq!(plain.spec.retry.as_ref(), Some(&base));
    let cap = Duration::from_secs(5);
    assert_eq!(own.spec.retry, Some(Retry { cap, ..base.clone() }));
    assert_eq!(count.spec.retry, Some(Retry { attempts: 7, ..base }));
    assert_eq!(preset.spec.retry, Some(Retry::event()));
    assert_eq!(own.spec.env["A"], "1");
    assert_eq!(own.spec.env["B"], "3");
    assert_eq!(own.spec.needs.len(), 1);
    assert_eq!(own.spec.timeout, Some(Duration::from_secs(1)));
}

#[test]
fn tasks_may_be_a_list() {
    let plan = yaml("tasks:\n- { key: b, run: x }\n- key: a\n  run: y\n  after: b\n");
    assert_eq!(plan.tasks[1].key.as_str(), "a");
    assert_eq!(plan.tasks[1].place.to_string(), "3:3");
    assert_eq!(plan.dag.prerequisites(1), [0]);
}

#[test]
fn duplicate_prerequisites_become_the_narrower_one() {
    let plan = yaml(
        "tasks: { a: x, b: { run: y, after: [a, { task: a, when: finished }, a] },
        c: { run: z, after: [{ task: a, when: finished }, { task: a, when: failure }] } }",
    );
    let when = |task: usize| {
        plan.tasks[task]
            .after
            .iter()
            .map(|after| after.when)
            .collect::<Vec<_>>()
    };
    assert_eq!((when(1), when(2)), (vec![When::Success], vec![When::Failure]));
    assert_eq!(plan.dag.edges(), 2);
}

#[test]
fn digests_tell_what_a_task_is_and_not_where_it_stands() {
    let base = yaml("name: n\ntasks: { a: x, b: { run: y, after: [a, c] }, c: z }");
    let moved = yaml("# moved\ntasks:\n  c: z\n  b:\n    after: [c, a]\n    run: y\n  a: x\nname: n\n");
    assert_eq!(base.digest, moved.digest);
    assert_eq!(base.tasks[1].digest, moved.tasks[1].digest);
    for other in [
        "name: n\ntasks: { a: x, b: { run: y2, after: [a, c] }, c: z }",
        "name: n\ntasks: { a: x, b: { run: y, after: [a] }, c: z }",
        "name: n\ntasks: { a: x, b: { run: y, after: [a, { task: c, when: finished }] }, c: z }",
    ] {
        let other = yaml(other);
        assert_ne!(base.digest, other.digest);
        assert_eq!(base.tasks[0].digest, other.tasks[0].digest);
        assert_ne!(base.tasks[1].digest, other.tasks[1].digest);
    }
    assert_ne!(
        base.digest,
        yaml("tasks: { a: x, b: { run: y, after: [a, c] }, c: z }").digest
    );
}

/// The list that `docs/plans.md` gives.
#[test]
fn an_edit_of_the_schedule_leaves_the_work_the_same() {
    let read = |options: &str| {
        let text = format!("tasks: {{ a: {{ run: x, after: b{options} }}, b: y }}");
        yaml(&text).tasks.swap_remove(0)
    };
    let stored = read(", retry: 2, locks: [l], timeout: 1m, priority: low");
    let same = |options: &str| read(options).does_the_same_as(&stored.digest, &stored.spec);
    for options in [
        "",
        ", priority: high",
        ", deadline: 2h",
        ", estimate: 5m",
        ", run_at: 1h",
        ", timeout: 5m",
        ", retry: 7",
        ", on_upstream_failure: continue",
        ", locks: [m]",
        ", concurrency: { key: k, limit: 1 }",
        ", breaker: b",
        ", resources: { gpu: 1 }",
        ", budget: { tokens: 5 }",
        ", source: agent_planner",
    ] {
        assert_ne!(read(options).digest, stored.digest, "{options}");
        assert!(same(options), "{options}");
    }
    for options in [
        ", env: { A: b }",
        ", cwd: c",
        ", inputs: 1",
        ", needs: [rust]",
        ", kind: test",
        ", secrets: [S]",
        ", summary: s",
    ] {
        assert!(!same(options), "{options}");
    }
    let other = yaml("tasks: { a: { run: x }, b: y }").tasks.swap_remove(0);
    assert!(
        !other.does_the_same_as(&stored.digest, &stored.spec),
        "it waits for nobody"
    );
}

#[test]
fn inputs_are_any_json() {
    let inputs = |text: &str| task(&format!("inputs: {text}")).inputs.unwrap();
    assert_eq!(inputs("null"), Json::parse("null").unwrap());
    assert_eq!(
        inputs("{ b: 1, a: [~, 0o17, +3, .5] }").get(),
        r#"{"a":[null,15,3,0.5],"b":1}"#
    );
    assert_eq!(
        inputs("123456789012345678901234567890").get(),
        "123456789012345678901234567890"
    );
    assert_eq!(inputs(r#""\u0000\n""#).get(), r#""\u0000\n""#);
}

#[test]
fn formats_go_by_extension_and_else_by_their_look() {
    for (path, text, format) in [
        ("a.YML", "{}", Format::Yaml),
        ("a.json", "a: b", Format::Json),
        ("dir.json/a.toml", "", Format::Toml),
        ("-", "\u{feff}{ \"tasks\": {} }", Format::Json),
        ("-", "{tasks: {}}", Format::Yaml),
        ("-", "# c\n\nname = 'x'", Format::Toml),
        ("-", "[tasks.a]\nrun = 'x'", Format::Toml),
        ("plan", "tasks:\n  a: b=c", Format::Yaml),
        ("plan", "", Format::Yaml),
    ] {
        assert_eq!(
            Format::of(path.as_ref(), text.as_bytes()),
            format,
            "{path} {text}"
        );
    }
}

#[test]
fn an_analysis_names_batches_and_the_critical_path() {
    let plan = yaml(DESIGN);
    let analysis = analyse(&plan, |task| task.spec.estimate, Timestamp(0));
    let json = serde_json::to_string_pretty(&analysis.report(&plan)).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "tasks": 6,
      "edges": 5,
      "batches": [
        [
          "lint"
        ],
        [
          "test"
        ],
        [
          "review"
        ],
        [
          "approve"
        ],
        [
          "ship"
        ],
        [
          "alert"
        ]
      ],
      "depth": 5,
      "max_parallelism": 1,
      "critical_path": {
        "tasks": [
          "lint",
          "test",
          "review",
          "approve",
          "ship",
          "alert"
        ],
        "seconds": 1080.0
      },
      "warnings": [
        "plan:8:105: `gate` of task `ship` is not in this version (help: remove it, or use a version that has it)"
      ]
    }
    "#);
}

#[test]
fn unknown_durations_are_the_median_of_the_known() {
    let total = |text: &str| {
        let plan = yaml(text);
        analyse(&plan, |task| task.spec.estimate, Timestamp(0))
            .total
            .as_secs()
    };
    assert_eq!(total("tasks: { a: x, b: { run: x, after: a }, c: x }"), 2);
    let estimated = "tasks: { a: x, b: { run: x, after: a, estimate: 3s }, c: { run: x, estimate: 9s },
        d: { run: x, estimate: 5s } }";
    assert_eq!(total(estimated), 9);
    assert_eq!(total("tasks: {}"), 0);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let plan = yaml(
        "
tasks:
  slow: { run: x, estimate: 2h, timeout: 1h, deadline: 90m }
  late: { run: x, deadline: 2020-01-01T00:00:00Z }
  never: { run: x, run_at: 2h, deadline: 1h }
  once: { run: x, retry: { backoff: fixed } }
  cold: { run: x, cache: { ttl: 1h } }
  gate: { run: x, gate: {} }
",
    );
    let analysis = analyse(&plan, |_| None, Timestamp(1_700_000_000_000));
    insta::assert_snapshot!(analysis.warnings.join("\n"), @r"
    plan:8:19: `gate` of task `gate` is not in this version (help: remove it, or use a version that has it)
    plan:3:9: task `slow`: is expected to take longer than its timeout allows
    plan:3:9: task `slow`: is expected to take longer than its deadline allows
    plan:5:10: task `never`: may not start before its deadline has passed
    plan:6:26: `retry` of task `once`: says how to try again, but `attempts` is 1
    plan:7:26: `cache` of task `cold`: names neither files nor variables, so nothing is cached
    plan:4:3: the deadline of task `late` has passed
    ");
}

/// SPEC 1.9, service: the plans of a line, of parallel tasks, of a diamond and of nothing.
#[test]
fn plans_have_the_batches_of_the_specification() {
    let batches = |text: &str| {
        let plan = yaml(text);
        let analysis = analyse(&plan, |_| None, Timestamp(0));
        let sizes: Vec<_> = analysis.batches.iter().map(Vec::len).collect();
        (sizes, analysis.depth, analysis.max_parallelism)
    };
    assert_eq!(
        batches("tasks: { a: x, b: { run: x, after: a }, c: { run: x, after: b } }"),
        (vec![1, 1, 1], 2, 1)
    );
    assert_eq!(batches("tasks: { a: x, b: x, c: x }"), (vec![3], 0, 3));
    let diamond =
        "tasks: { a: x, b: { run: x, after: a }, c: { run: x, after: a }, d: { run: x, after: [b, c] } }";
    assert_eq!(batches(diamond), (vec![1, 2, 1], 2, 2));
    assert_eq!(batches("tasks: {}"), (vec![], 0, 0));
}

// proves: DESIGN 4
#[test]
fn a_chain_of_a_hundred_thousand_is_a_plan() {
    let task = |i: usize| format!("  t{i}: {{ run: x, after: t{} }}\r\n", i + 1);
    let tasks: String = (0..99_999).map(task).collect();
    let plan = yaml(&format!("tasks:\r\n{tasks}  t99999: x\r\n"));
    let analysis = analyse(&plan, |_| None, Timestamp(0));
    assert_eq!((analysis.depth, analysis.max_parallelism), (99_999, 1));
    assert_eq!(analysis.critical_path[0], 99_999);
    assert_eq!(plan.tasks[99_999].place.to_string(), "100001:3");
}
