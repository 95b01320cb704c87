//! Plans that are wrong: every fault at its place, with its cure.

use domain::code::{Code, Refusal};
use domain::plan::{FAULTS_MAX, Faults, Format, read};

fn faults_of(text: &[u8], format: Format) -> Faults {
    let file = match format {
        Format::Yaml => "plan.yaml",
        Format::Json => "plan.json",
        Format::Toml => "plan.toml",
    };
    read(text, format, file).expect_err("the plan is wrong")
}

fn yaml(text: &str) -> String {
    faults_of(text.as_bytes(), Format::Yaml).to_string()
}

fn json(text: &str) -> String {
    faults_of(text.as_bytes(), Format::Json).to_string()
}

fn toml(text: &str) -> String {
    faults_of(text.as_bytes(), Format::Toml).to_string()
}

/// Faults of the value of one key of a task.
fn key(entry: &str) -> String {
    yaml(&format!("tasks:\n  t:\n    run: x\n    {entry}\n"))
}

// proves: DESIGN 5
#[test]
fn many_faults_come_together_in_the_order_of_the_file() {
    insta::assert_snapshot!(yaml("
nmae: release
defaults: { timout: 5m, run: x }
env: { A: b }
tasks:
  lint: { runn: npm run lint }
  test: { run: npm test, after: [lnt, test], priority: 11, timeout: -5s }
  ship:
    run: ./ship.sh
    prompt: Ship it.
    after: [{ task: test, whn: failure }]
    retry: { atempts: 3, backoff: exponental }
"), @r"
    plan.yaml:2:1: unknown key `nmae` in the plan (help: did you mean `name`?)
    plan.yaml:3:13: unknown key `timout` in `defaults` (help: did you mean `timeout`?)
    plan.yaml:3:25: unknown key `run` in `defaults` (help: write `run` in each task that needs it)
    plan.yaml:4:1: unknown key `env` in the plan (help: write `env` in a task or in `defaults`)
    plan.yaml:6:11: unknown key `runn` in task `lint` (help: did you mean `run`?)
    plan.yaml:7:34: task `test` waits for `lnt`, which is no task of this plan (help: did you mean `lint`?)
    plan.yaml:7:39: task `test` waits for itself: test -> test (help: remove this entry of `after`)
    plan.yaml:7:56: `priority` of task `test`: priority 11 is not between 0 and 10 (help: 10 is the most urgent; or write low, normal, high or critical)
    plan.yaml:7:69: `timeout` of task `test`: `-5s` is negative; a duration cannot be
    plan.yaml:9:5: task `ship`: more than one kind of work: `run`, `prompt` (help: split it into several tasks)
    plan.yaml:11:27: unknown key `whn` in `after[0]` of task `ship` (help: did you mean `when`?)
    plan.yaml:12:14: unknown key `atempts` in `retry` of task `ship` (help: did you mean `attempts`?)
    plan.yaml:12:35: `retry.backoff` of task `ship`: `exponental` is no back-off (help: did you mean `exponential`? known are fixed, linear, exponential)
    ");
}

#[test]
fn values_are_refused_with_the_form_they_should_have() {
    insta::assert_snapshot!(key("timeout: -5"), @"plan.yaml:4:14: `timeout` of task `t`: `-5` is negative; a duration cannot be");
    insta::assert_snapshot!(key("timeout: 0"), @"plan.yaml:4:14: `timeout` of task `t`: must be at least one millisecond (help: write a longer time, or remove the key)");
    insta::assert_snapshot!(key("timeout: [5]"), @"plan.yaml:4:14: `timeout` of task `t`: expected a duration, found a list (help: see `bell plan schema` for the form of every key)");
    insta::assert_snapshot!(key("timeout:"), @"plan.yaml:4:12: `timeout` of task `t`: expected a duration, found nothing (help: give it a value, or remove the key)");
    insta::assert_snapshot!(key("timeout: 5 apples"), @"plan.yaml:4:14: `timeout` of task `t`: `5 apples` is not a duration; write for example 500ms, 30s, 10m, 1h30m or 2d");
    insta::assert_snapshot!(key("deadline: tomorrow"), @"plan.yaml:4:15: `deadline` of task `t`: `tomorrow` is neither a time such as 2026-05-01T12:00:00Z nor a duration such as 2h");
    insta::assert_snapshot!(key("deadline: -2h"), @"plan.yaml:4:15: `deadline` of task `t`: `-2h` is negative; a duration cannot be");
    insta::assert_snapshot!(key("priority: hihg"), @"plan.yaml:4:15: `priority` of task `t`: `hihg` is no priority (help: did you mean `high`? known are low, normal, medium, high, fix, critical)");
    insta::assert_snapshot!(key("priority: 2.5"), @"plan.yaml:4:15: `priority` of task `t`: `2.5` is no priority (help: known are low, normal, medium, high, fix, critical)");
    insta::assert_snapshot!(key("source: agnet_planner"), @"plan.yaml:4:13: `source` of task `t`: `agnet_planner` is no source (help: did you mean `agent_planner`? known are human, agent_requirements, agent_planner, agent_implementation)");
    insta::assert_snapshot!(key("retry: 0"), @"plan.yaml:4:12: `retry` of task `t`: expected a whole number from 1 to 1000, found the number 0 (help: write a number as expected)");
    insta::assert_snapshot!(key("retry: 1001"), @"plan.yaml:4:12: `retry` of task `t`: expected a whole number from 1 to 1000, found the number 1001 (help: write a number as expected)");
    insta::assert_snapshot!(key("retry: opertion"), @"plan.yaml:4:12: `retry` of task `t`: `opertion` is no preset (help: did you mean `operation`? known are operation, task, event)");
    insta::assert_snapshot!(key("retry: [3]"), @"plan.yaml:4:12: `retry` of task `t`: expected a preset, the number of tries, or a mapping, found a list (help: see `bell plan schema` for the form of every key)");
    insta::assert_snapshot!(key("retry: { attempts: 2.5, factor: .inf, jitter: 2, not_on_exit: [256] }"), @r"
    plan.yaml:4:24: `retry.attempts` of task `t`: expected a whole number from 1 to 1000, found the number 2.5 (help: write a number as expected)
    plan.yaml:4:37: `retry.factor` of task `t`: expected a number from 1 to 1000, found the number .inf (help: write a number as expected)
    plan.yaml:4:51: `retry.jitter` of task `t`: expected a number from 0 to 1, found the number 2 (help: write a number as expected)
    plan.yaml:4:68: `retry.not_on_exit[0]` of task `t`: expected a whole number from 0 to 255, found the number 256 (help: write a number as expected)
    ");
    insta::assert_snapshot!(key("after: { when: failure }"), @"plan.yaml:4:5: `after` of task `t` does not name its task (help: add `task`)");
    insta::assert_snapshot!(key("after: [{ task: t, when: sometimes }]"), @r"
    plan.yaml:4:13: task `t` waits for itself: t -> t (help: remove this entry of `after`)
    plan.yaml:4:30: `after[0].when` of task `t`: `sometimes` is no condition (help: known are success, failure, finished)
    ");
    insta::assert_snapshot!(key("after: [a b]"), @r#"plan.yaml:4:13: `after[0]` of task `t`: a key must not contain " ": `a b`"#);
    insta::assert_snapshot!(key("needs: [3, '', { a: b }]"), @r"
    plan.yaml:4:16: `needs[1]` of task `t`: a capability must not be empty
    plan.yaml:4:20: `needs[2]` of task `t`: expected text, found a mapping (help: see `bell plan schema` for the form of every key)
    ");
    insta::assert_snapshot!(key("locks: [path:../x, { shared: yes }]"), @r"
    plan.yaml:4:13: `locks[0]` of task `t`: the lock `path:../x` leaves its root (help: write a path inside the project, without `..` above its root)
    plan.yaml:4:24: `locks[1]` of task `t` has no name (help: add `name`)
    plan.yaml:4:34: `locks[1].shared` of task `t`: expected true or false, found the text `yes` (help: see `bell plan schema` for the form of every key)
    ");
    insta::assert_snapshot!(key("concurrency: { limit: 0 }"), @r"
    plan.yaml:4:5: `concurrency` of task `t` has no key (help: add `key`)
    plan.yaml:4:27: `concurrency.limit` of task `t`: expected a whole number of at least 1, found the number 0 (help: write a number as expected)
    ");
    insta::assert_snapshot!(key("cache: { file: x }"), @"plan.yaml:4:14: unknown key `file` in `cache` of task `t` (help: did you mean `files`?)");
    insta::assert_snapshot!(key("env: { 'A=B': x, EMPTY: , LIST: [1] }"), @r#"
    plan.yaml:4:19: `env.A=B` of task `t`: this is no name of a variable (help: use a name without `=`)
    plan.yaml:4:27: `env.EMPTY` of task `t`: expected text (`""` for none), found nothing (help: give it a value, or remove the key)
    plan.yaml:4:37: `env.LIST` of task `t`: expected text (`""` for none), found a list (help: see `bell plan schema` for the form of every key)
    "#);
    insta::assert_snapshot!(key("env: A=b"), @"plan.yaml:4:10: `env` of task `t`: expected a mapping of variables, found the text `A=b` (help: see `bell plan schema` for the form of every key)");
    insta::assert_snapshot!(key("inputs: { a: .nan }"), @"plan.yaml:4:18: `inputs` of task `t`: `.nan` cannot be written as a JSON number (help: quote it)");
    insta::assert_snapshot!(key(&format!("summary: {}", "x".repeat(201))), @"plan.yaml:4:14: `summary` of task `t`: 201 characters are more than the limit of 200 (help: shorten it; `prompt` and `inputs` hold the long text)");
    insta::assert_snapshot!(key(r#"session: "a\nb""#), @"plan.yaml:4:14: `session` of task `t`: this is too long or has control characters (help: write one line of at most 512 bytes)");
    insta::assert_snapshot!(key("on_upstream_failure: continu"), @"plan.yaml:4:26: `on_upstream_failure` of task `t`: `continu` is no on_upstream_failure (help: did you mean `continue`? known are cancel, block, continue)");
    insta::assert_snapshot!(key("on_exhausted: retry"), @"plan.yaml:4:19: `on_exhausted` of task `t`: `retry` is no answer to the last failure (help: known are dead_letter, replan)");
    insta::assert_snapshot!(key("on_exhausted: replan\n    on_upstream_failure: continue"), @"plan.yaml:3:5: task `t`: `on_exhausted: replan` does not go with `on_upstream_failure: continue` (help: remove one of them)");
    insta::assert_snapshot!(key("agent: bob"), @"plan.yaml:3:5: task `t`: `agent` goes with `prompt`, not with `run` (help: remove one of them)");
    insta::assert_snapshot!(key("kind: 'a b'"), @r#"plan.yaml:4:11: `kind` of task `t`: a kind must not contain " ": `a b`"#);
}

#[test]
fn a_task_does_exactly_one_thing() {
    insta::assert_snapshot!(yaml("tasks: { a: {} }"), @"plan.yaml:1:10: task `a` does not say what to do (help: add one of `run`, `prompt`, `handler`, `breakpoint`, `http` and `wait`)");
    insta::assert_snapshot!(yaml("tasks: { a: { agent: bob } }"), @"plan.yaml:1:10: task `a` names the agent `bob` but no prompt (help: add `prompt` with what the agent shall do)");
    insta::assert_snapshot!(yaml("tasks: { a: { run: x, handler: y, breakpoint: z } }"), @"plan.yaml:1:13: task `a`: more than one kind of work: `run`, `handler`, `breakpoint` (help: split it into several tasks)");
    insta::assert_snapshot!(yaml("tasks: { a: { run: [] } }"), @"plan.yaml:1:20: `run` of task `a`: the list is empty (help: name at least the program)");
    insta::assert_snapshot!(yaml("tasks: { a: { run: ' ' } }"), @"plan.yaml:1:20: `run` of task `a`: the text is empty (help: write something, or remove the key)");
    insta::assert_snapshot!(yaml("tasks: { a: { wait: { file: x, signal: y } } }"), @"plan.yaml:1:21: `wait` of task `a`: expected one of `file`, `http` and `signal`, found 2 (help: name the one thing to wait for)");
    insta::assert_snapshot!(yaml("tasks: { a: { http: { method: GET } } }"), @"plan.yaml:1:15: `http` of task `a` has no `url` (help: add `url`)");
    insta::assert_snapshot!(yaml("tasks: { a: [x], b: , 'c d': x }"), @r#"
    plan.yaml:1:13: task `a`: expected a mapping of task keys, or a command line as text, found a list (help: see `bell plan schema` for the form of every key)
    plan.yaml:1:19: task `b`: expected a mapping of task keys, or a command line as text, found nothing (help: give it a value, or remove the key)
    plan.yaml:1:30: task `c d`: a key must not contain " ": `c d`
    "#);
}

#[test]
fn the_whole_must_be_a_plan() {
    insta::assert_snapshot!(yaml(""), @r#"plan.yaml:1:1: the plan is empty (help: write for example `tasks: { hello: { run: "echo hello" } }`)"#);
    insta::assert_snapshot!(json("  \n"), @r#"plan.json:1:1: the plan is empty (help: write for example `tasks: { hello: { run: "echo hello" } }`)"#);
    insta::assert_snapshot!(toml("# nothing\n"), @r#"plan.toml:1:1: the plan is empty (help: write for example `tasks: { hello: { run: "echo hello" } }`)"#);
    insta::assert_snapshot!(yaml("[a, b]"), @"plan.yaml:1:1: the plan: expected a mapping with `tasks`, found a list (help: see `bell plan schema` for the form of every key)");
    insta::assert_snapshot!(yaml("name: x"), @"plan.yaml:1:1: the plan has no tasks (help: add `tasks`, a mapping of keys to tasks)");
    insta::assert_snapshot!(yaml("tasks:"), @"plan.yaml:1:6: `tasks`: expected a mapping of keys to tasks, found nothing (help: give it a value, or remove the key)");
    insta::assert_snapshot!(yaml("tasks: [{ run: x }, y, { key: a, run: x }, { key: a, run: y }]"), @r"
    plan.yaml:1:9: task number 1 has no key (help: add `key: NAME`)
    plan.yaml:1:21: task number 2: expected a mapping with a `key`, found the text `y` (help: see `bell plan schema` for the form of every key)
    plan.yaml:1:46: the task `a` stands twice, first at 1:26 (help: rename one of them)
    ");
    insta::assert_snapshot!(yaml("version: 2\ntasks: {}"), @"plan.yaml:1:10: `version`: expected the number 1, found the number 2 (help: write a number as expected)");
}

#[test]
fn syntax_is_reported_where_it_breaks() {
    insta::assert_snapshot!(yaml("tasks:\n\ta: x"), @"plan.yaml:2:2: tabs disallowed within this context (block indentation) (help: indent by spaces; YAML allows no tabs there)");
    insta::assert_snapshot!(yaml("tasks: { a: x"), @"plan.yaml:2:1: while parsing a flow mapping, did not find expected ',' or '}' (help: look at the indentation and quotes here and on the line above)");
    insta::assert_snapshot!(yaml("tasks: {}\n---\ntasks: {}"), @"plan.yaml:2:1: a second document begins here (help: keep one plan in a file; remove the `---`)");
    insta::assert_snapshot!(yaml("tasks: { a: *none }"), @"plan.yaml:1:13: while parsing node, found unknown anchor (help: define the anchor above, or quote a text that begins with `*`)");
    insta::assert_snapshot!(yaml("tasks: &a { b: *a }"), @"plan.yaml:1:16: an alias stands inside its own anchor (help: write the value out)");
    insta::assert_snapshot!(yaml("tasks: { a: !shell x, b: !!int y }"), @r"
    plan.yaml:1:13: the tag `!shell` means nothing in a plan (help: remove the tag)
    plan.yaml:1:26: `y` is no !!int (help: correct it or remove the tag)
    ");
    insta::assert_snapshot!(yaml("? [a]\n: b"), @"plan.yaml:1:3: a key must be text (help: write `key: value`)");
    insta::assert_snapshot!(json("{\"tasks\": {\"a\": \"x\",}}"), @"plan.json:1:20: trailing commas are not allowed (help: write strict JSON, or name the file .yaml)");
    insta::assert_snapshot!(json("{\"tasks\": {'a': 1}}"), @"plan.json:1:12: single-quoted strings are not allowed (help: write strict JSON, or name the file .yaml)");
    insta::assert_snapshot!(json("{\"tasks\": {}} // end"), @"plan.json:1:15: comments are not allowed (help: write strict JSON, or name the file .yaml)");
    insta::assert_snapshot!(json("{\"tasks\": {\"a\": {\"priority\": 01}}}"), @"plan.json:1:31: expected comma (help: write strict JSON, or name the file .yaml)");
    insta::assert_snapshot!(json("{\"tasks\": {\"a\": \"x\ny\"}}"), @r"plan.json:1:19: a line break or tab stands in a string (help: write it as \n or \t)");
    insta::assert_snapshot!(json(r#"{"tasks": {"a": "\ud83d"}}"#), @"plan.json:1:18: invalid unicode escape sequence. 'd83d (unpaired high surrogate)' is not a valid UTF8 character (help: write strict JSON, or name the file .yaml)");
    insta::assert_snapshot!(json(r#"{"tasks": {"a": {"run": true}}}"#), @"plan.json:1:25: `run` of task `a`: expected text, found `true` (help: put it in quotes)");
    insta::assert_snapshot!(toml("[tasks.a\nrun = 1"), @"plan.toml:1:9: unclosed table, expected `]` (help: see https://toml.io for the form)");
    insta::assert_snapshot!(toml("[tasks.a]\nrun = x\ntimeout = \n"), @r"
    plan.toml:2:7: string values must be quoted, expected literal string (help: see https://toml.io for the form)
    plan.toml:3:11: string values must be quoted, expected literal string (help: see https://toml.io for the form)
    ");
}

#[test]
fn a_key_that_stands_twice_names_both_places() {
    insta::assert_snapshot!(yaml("tasks:\n  a: x\n  b: y\n  a: z"), @"plan.yaml:4:3: the key `a` stands twice, first at 2:3 (help: rename or remove one of them)");
    insta::assert_snapshot!(json("{\"tasks\": {\"a\": {\"run\": \"x\",\n \"run\": \"y\"}}}"), @"plan.json:2:2: the key `run` stands twice, first at 1:18 (help: rename or remove one of them)");
    insta::assert_snapshot!(toml("[tasks.a]\nrun = 'x'\nrun = 'y'\n[tasks.a]\n"), @r"
    plan.toml:3:1: the key `run` stands twice, first at 2:1 (help: rename or remove one of them)
    plan.toml:4:8: the key `a` stands twice, first at 1:8 (help: rename or remove one of them)
    ");
    let many: String = (0..40).map(|i| format!("  t{}: x\n", i % 30)).collect();
    assert_eq!(
        faults_of(format!("tasks:\n{many}").as_bytes(), Format::Yaml).count(),
        10
    );
}

#[test]
fn what_nests_or_expands_without_end_is_refused() {
    let deep =
        |open: &str, close: &str| format!("{{\"tasks\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
    insta::assert_snapshot!(json(&deep("[", "]")), @"plan.json:1:520: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(json(&deep("{\"a\":", "}")), @"plan.json:1:1286: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(json(&format!("{{\"tasks\":{}1{}}}", "[".repeat(80), "]".repeat(80))), @"plan.json:1:73: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(yaml(&deep("[", "]")), @"plan.yaml:1:264: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(yaml(&format!("tasks:\n{}", "- ".repeat(100_000))), @"plan.yaml:2:127: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(toml(&format!("tasks = {}1{}", "[".repeat(100_000), "]".repeat(100_000))), @"plan.toml:1:89: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    insta::assert_snapshot!(toml(&format!("{}x = 1", "a.".repeat(70))), @"plan.toml:1:127: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
    let mut laughs = "a0: &a0 [lol, lol]\n".to_owned();
    for i in 1..60 {
        laughs += &format!("a{i}: &a{i} [*a{p}, *a{p}, *a{p}]\n", p = i - 1);
    }
    insta::assert_snapshot!(yaml(&laughs), @"plan.yaml:12:18: anchors and aliases expand to more than 67108864 bytes (help: use fewer or smaller aliases)");
    let mut tower = "a0: &a0 [[[[[[[[x]]]]]]]]\n".to_owned();
    for i in 1..60 {
        tower += &format!("a{i}: &a{i} [[[[[[[[*a{}]]]]]]]]\n", i - 1);
    }
    insta::assert_snapshot!(yaml(&tower), @"plan.yaml:7:5: lists and mappings stand more than 64 deep inside each other (help: flatten the value, or hand it over as a file)");
}

/// SPEC 1.9, resolver: simple, complex, diamond and transitive circles, self-edges, none on a line.
#[test]
fn circles_are_shown_with_their_path() {
    insta::assert_snapshot!(yaml("tasks: { a: { run: x, after: b }, b: { run: x, after: a } }"), @"plan.yaml:1:30: tasks wait for each other: a -> b -> a (help: remove one of these entries of `after`; `a -> b` says that a waits for b)");
    insta::assert_snapshot!(yaml("tasks: { a: { run: x, after: a } }"), @"plan.yaml:1:30: task `a` waits for itself: a -> a (help: remove this entry of `after`)");
    insta::assert_snapshot!(yaml("
tasks:
  a: { run: x, after: [b] }
  b: { run: x, after: [c, d] }
  c: { run: x, after: [e] }
  d: { run: x, after: [e] }
  e: { run: x, after: [a] }
  line: { run: x, after: [a] }
  p: { run: x, after: [q] }
  q: { run: x, after: [{ task: p, when: finished }, q] }
"), @r"
    plan.yaml:3:24: tasks wait for each other: a -> b -> c -> e -> a (5 tasks hang together in circles like this) (help: remove one of these entries of `after`; `a -> b` says that a waits for b)
    plan.yaml:9:24: tasks wait for each other: p -> q -> p (help: remove one of these entries of `after`; `a -> b` says that a waits for b)
    plan.yaml:10:53: task `q` waits for itself: q -> q (help: remove this entry of `after`)
    ");
    let ring = |n: usize| {
        let task = |i: usize| format!("  t{i}: {{ run: x, after: [t{}] }}\n", (i + 1) % n);
        format!("tasks:\n{}", (0..n).map(task).collect::<String>())
    };
    insta::assert_snapshot!(yaml(&ring(1000)), @"plan.yaml:2:25: tasks wait for each other: t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> t6 -> t7 -> t8 -> t9 -> t10 -> t11 -> (976 more) -> t988 -> t989 -> t990 -> t991 -> t992 -> t993 -> t994 -> t995 -> t996 -> t997 -> t998 -> t999 -> t0 (help: remove one of these entries of `after`; `a -> b` says that a waits for b)");
}

#[test]
fn an_edge_cannot_ask_for_both_ends() {
    insta::assert_snapshot!(yaml("
tasks:
  a: x
  b: { run: x, after: [a, { task: a, when: failure }] }
"), @"plan.yaml:4:6: task `b`: waits for both success and failure of `a` (help: use `when: finished` for either, or split the task)");
}

#[test]
fn prerequisites_have_a_limit() {
    let tasks: String = (0..10_001).map(|i| format!("  t{i}: x\n")).collect();
    let names: Vec<_> = (0..10_001).map(|i| format!("t{i}")).collect();
    let text = format!(
        "tasks:\n{tasks}  all: {{ run: x, after: [{}] }}\n",
        names.join(", ")
    );
    insta::assert_snapshot!(yaml(&text), @"plan.yaml:10003:8: task `all` has 10001 prerequisites, the limit is 10000 (help: let a task in between gather some of them)");
    let text = text.replace("t10000]", "t0]");
    assert!(read(text.as_bytes(), Format::Yaml, "plan.yaml").is_ok());
}

#[test]
fn faults_are_bounded_and_the_first_speaks_for_all() {
    let tasks: String = (0..250).map(|i| format!("  t{i}: {{ rnu: x }}\n")).collect();
    let faults = faults_of(format!("tasks:\n{tasks}").as_bytes(), Format::Yaml);
    assert_eq!((faults.faults.len(), faults.count()), (FAULTS_MAX, 250));
    assert!(faults.to_string().ends_with("plan.yaml: and 150 more"));
    let refusal = Refusal::from(faults);
    assert_eq!(refusal.code, Code::PlanUnknownKey);
    insta::assert_snapshot!(refusal, @"plan.yaml:2:9: unknown key `rnu` in task `t0` (and 249 more faults)");
}

#[test]
fn programs_get_the_same_as_people() {
    let faults = faults_of(b"tasks: { test: { run: x, timeot: 5m } }", Format::Yaml);
    insta::assert_snapshot!(serde_json::to_string_pretty(&faults).unwrap(), @r#"
    {
      "file": "plan.yaml",
      "faults": [
        {
          "code": "plan-unknown-key",
          "line": 1,
          "column": 26,
          "path": "tasks.test.timeot",
          "detail": "unknown key `timeot` in task `test`",
          "help": "did you mean `timeout`?"
        }
      ],
      "more": 0
    }
    "#);
}

/// Found by damaging plans: refusals quote what they were given.
#[test]
fn a_fault_stays_on_one_line_and_short() {
    insta::assert_snapshot!(key(r#"timeout: ".\ndef1d""#), @r"plan.yaml:4:14: `timeout` of task `t`: `.\ndef1d` is not a duration; write for example 500ms, 30s, 10m, 1h30m or 2d");
    let giant = "x".repeat(1 << 22);
    for entry in [
        "timeout", "priority", "source", "deadline", "retry", "locks", "kind", "after", "needs", "env",
    ] {
        assert!(key(&format!("{entry}: {giant}")).len() < 1_000, "{entry}");
    }
    assert!(key(&format!("{giant}: x")).len() < 1_000);
}

#[test]
fn a_team_goes_with_work_and_without_an_agent() {
    insta::assert_snapshot!(yaml("tasks:
  a: { prompt: x, agent: ann, team: web }
  b: { breakpoint: x, team: web }
  c: { run: x, team: web }
  d: { prompt: x, team: 'two words' }
"), @r#"
    plan.yaml:2:6: task `a`: names the agent `ann` and a team (help: remove one of them: an agent is chosen within its team)
    plan.yaml:3:6: task `b`: `team` goes with what somebody does, not with `breakpoint` (help: remove one of them)
    plan.yaml:5:25: `team` of task `d`: a team must not contain " ": `two words`
    "#);
}
