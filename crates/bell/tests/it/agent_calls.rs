//! Agents as programs: how they are called, what they answer, and what becomes of what they write.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Said};

/// A scripted agent: it does what its prompt says, as lines of shell.
const AGENT: &str = "#!/bin/sh
set -e
prompt=\"$1\"
[ -n \"$prompt\" ] || prompt=$(cat)
printf '%s' \"$prompt\" | sed -n 's/^do: //p' > \"$0.$BELL_TASK.todo\"
. \"$0.$BELL_TASK.todo\"
";

/// A repository with one commit, a scripted agent beside it, and `bell.toml` that says how it is called.
struct Shop {
    bench: Bench,
}

impl Shop {
    fn new(worktree: bool) -> Shop {
        let bench = Bench::new();
        bench.write("tools/agent", AGENT);
        let agent = bench.path().join("tools/agent");
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = json!([agent, "{prompt}"]);
        let toml = format!("[agents.coder]\ncommand = {command}\nworktree = {worktree}\njobs = 4\n");
        bench.write("bell.toml", &toml);
        bench.write(".gitignore", ".bellwether\ntools\n");
        bench.write("code/a.txt", "one\ntwo\nthree\n");
        let shop = Shop { bench };
        for args in [
            &["init", "--quiet", "--initial-branch", "main"][..],
            &["add", "--all"],
            &["commit", "--quiet", "-m", "first"],
        ] {
            shop.git(args);
        }
        shop
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        let author = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"];
        let said = Said::of(
            Command::new("git")
                .args(author)
                .args(args)
                .current_dir(self.bench.path()),
        );
        assert_eq!(said.exit, 0, "git {args:?}: {said:?}");
        said.out.trim().to_owned()
    }

    fn run(&self, plan: &str) -> Said {
        self.bench.write("plan.yaml", plan);
        self.again()
    }

    fn again(&self) -> Said {
        self.bench.bell(&["run", "plan.yaml"])
    }

    fn task(&self, key: &str) -> Value {
        self.bench.json(&["task", "show", key])
    }

    /// The branch that the newest run is merged into.
    fn branch(&self) -> String {
        let runs = self.bench.json(&["runs", "list"]);
        format!("bell/run-{}", runs["runs"][0]["id"].as_str().unwrap())
    }

    /// How often something was merged into any branch of ours.
    fn merges(&self) -> usize {
        let all = self.git(&["log", "--merges", "--format=%H", "--branches=bell/*"]);
        all.lines().count()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1);
        assert_eq!(self.git(&["status", "--porcelain", "code"]), "");
        assert_eq!(self.git(&["branch", "--show-current"]), "main");
    }
}

// proves: DESIGN 8
#[test]
fn an_agent_gets_its_prompt_and_what_came_before() {
    let shop = Shop::new(false);
    let said = shop.run(
        "name: talk
tasks:
  ask: { agent: coder, prompt: \"do: echo '{\\\"answer\\\": 42}'\" }
  tell: { prompt: \"do: printf '%s' \\\"$prompt\\\" | grep -v '^do'\", after: [ask] }
  left: { agent: coder, prompt: \"do: echo noise; echo '\\\"by file\\\"' > $BELL_RESULT\" }
",
    );
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(shop.task("ask")["result"], json!({ "answer": 42 }));
    assert_eq!(
        shop.task("tell")["result"],
        "Results of what came before:\n- ask: {\"answer\":42}"
    );
    assert_eq!(shop.task("left")["result"], "by file");
}

#[test]
fn a_prompt_may_come_on_stdin_or_in_a_file() {
    let shop = Shop::new(false);
    let agent = shop.bench.path().join("tools/agent");
    let agent = agent.to_str().unwrap();
    let add = |id: &str| {
        shop.bench
            .json(&["task", "add", id, "--id", id, "--prompt", "do: echo '\"heard\"'"]);
    };
    let work = |command: &[&str], id: &str| {
        let mut worker = shop
            .bench
            .spawn(&[&["worker", "--agent", "reader", "--"], command].concat());
        let began = Instant::now();
        while shop.task(id)["state"] != "completed" && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(50));
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert_eq!(shop.task(id)["result"], "heard", "{command:?}");
    };
    add("a");
    work(&[agent], "a");
    add("b");
    work(&["sh", "-c", "exec \"$0\" < \"$1\"", agent, "{prompt_file}"], "b");
    let (code, exit) = shop.bench.problem(&["worker", "--agent", "codr"]);
    assert_eq!((code.as_str(), exit), ("invalid-argument", 2));
    let said = shop.bench.bell(&["worker", "--agent", "codr"]);
    assert!(said.err.contains("did you mean `coder`?"), "{}", said.err);
}

#[test]
fn an_agent_may_not_hand_in_commands() {
    let shop = Shop::new(false);
    let inside = [
        r#""run": "true""#,
        r#""for_each": [1], "run": "true""#,
        r#""wait": {"http": {"url": "http://127.0.0.1:9/"}}"#,
        r#""prompt": "do: echo 1", "env": {"PATH": "/tmp"}"#,
    ];
    for (number, own) in inside.iter().enumerate() {
        let line = format!(r#"{{"key": "x", {own}}}"#);
        let prompt = serde_json::to_string(&format!("do: echo '{line}' > $BELL_SUBTASKS")).unwrap();
        let said = shop.run(&format!(
            "name: guard{number}\ntasks:\n  free{number}: {{ agent: coder, retry: {{ attempts: 1 }}, prompt: {prompt} }}\n"
        ));
        assert_eq!(said.exit, 1, "{said:?}");
        let error = shop.task(&format!("free{number}"))["error"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(error.contains("neither commands nor calls"), "{error}");
    }
    let said = shop.run(
        "name: ask-more
tasks:
  more: { agent: coder, prompt: \"do: echo '{\\\"key\\\": \\\"sub\\\", \\\"prompt\\\": \\\"do: echo 7\\\"}' > $BELL_SUBTASKS\" }
",
    );
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(shop.task("sub")["result"], 7);
}

#[test]
fn an_endpoint_may_be_an_agent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = r#"{"result": {"verdict": "good"}, "usage": {"tokens": 12}}"#;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    });
    let bench = Bench::new();
    let toml = format!("[http]\nallow = \"127.0.0.0/8\"\n[agents.judge]\nurl = \"http://{address}/ask\"\n");
    bench.write("bell.toml", &toml);
    bench.write(
        "plan.yaml",
        "name: judge\ntasks:\n  look: { agent: judge, prompt: is it good?, inputs: { file: a } }\n",
    );
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let asked = endpoint.join().unwrap();
    assert!(
        asked["prompt"].as_str().unwrap().starts_with("is it good?"),
        "{asked}"
    );
    assert_eq!(
        (&asked["key"], &asked["inputs"]),
        (&json!("look"), &json!({ "file": "a" }))
    );
    assert!(asked.get("store").is_none());
    let task = bench.json(&["task", "show", "look"]);
    assert_eq!(task["result"], json!({ "verdict": "good" }));
    assert_eq!(task["attempts"][0]["usage"], json!({ "tokens": 12 }));
}

// proves: DESIGN 9
#[test]
fn what_agents_write_is_merged_into_a_branch_of_the_run() {
    let shop = Shop::new(true);
    let said = shop.run(
        "name: feature
defaults: { cwd: code }
tasks:
  one: { agent: coder, prompt: \"do: sed -i 's/one/ONE/' a.txt; echo '\\\"done\\\"'\" }
  two: { agent: coder, prompt: \"do: echo new > b.txt\" }
  idle: { agent: coder, prompt: \"do: true\" }
  see: { agent: coder, prompt: \"do: cat a.txt b.txt | tr '\\\\n' ' '\", after: [one, two] }
",
    );
    assert_eq!(said.exit, 0, "{said:?}");
    shop.assert_clean();
    let branch = shop.branch();
    let one = shop.task("one")["result"].clone();
    assert_eq!(
        (&one["answer"], &one["files"], &one["into"]),
        (&json!("done"), &json!(["code/a.txt"]), &json!(branch))
    );
    assert_eq!(shop.task("see")["result"]["answer"], "ONE two three new");
    assert_eq!(shop.task("idle")["result"]["files"], json!([]));
    assert_eq!(shop.git(&["show", &format!("{branch}:code/b.txt")]), "new");
    assert_eq!(shop.git(&["branch", "--list", "bell-task/*"]), "");
    // The checkout of whoever looks on is as it was; the work is taken over when they say so.
    assert_eq!(shop.git(&["show", "HEAD:code/a.txt"]), "one\ntwo\nthree");
    shop.git(&["merge", "--quiet", &branch]);
    assert_eq!(shop.git(&["show", "HEAD:code/a.txt"]), "ONE\ntwo\nthree");
}

#[test]
fn a_crowd_writes_to_one_repository() {
    const CROWD: usize = 24;
    let shop = Shop::new(true);
    let toml = std::fs::read_to_string(shop.bench.path().join("bell.toml")).unwrap();
    shop.bench
        .write("bell.toml", &toml.replace("jobs = 4", "jobs = 12"));
    let task = |n: usize| {
        format!(
            "  t{n}: {{ agent: coder, retry: {{ attempts: 1 }}, prompt: \"do: echo {n} > f{n}.txt; echo {n}\" }}\n"
        )
    };
    let tasks: String = (0..CROWD).map(task).collect();
    let said = shop.run(&format!("name: crowd\ntasks:\n{tasks}"));
    assert_eq!(said.exit, 0, "{said:?}");
    let files = shop.git(&["ls-tree", "--name-only", &shop.branch()]);
    assert_eq!(files.lines().filter(|name| name.starts_with('f')).count(), CROWD);
    for n in 0..CROWD {
        assert_eq!(shop.task(&format!("t{n}"))["result"]["answer"], n);
    }
    assert_eq!(
        shop.git(&["for-each-ref", "refs/bell", "refs/heads/bell-task"]),
        ""
    );
    shop.assert_clean();
}

#[test]
fn a_conflict_asks_and_goes_on_when_it_is_settled() {
    let shop = Shop::new(true);
    let wait = "while [ ! -e $0.go ]; do sleep 0.05; done";
    let plan = format!(
        "name: clash
defaults: {{ cwd: code }}
tasks:
  quick: {{ agent: coder, prompt: \"do: sed -i 's/two/quick/' a.txt\" }}
  slow: {{ agent: coder, prompt: \"do: {wait}; sed -i 's/two/slow/' a.txt; echo '\\\"slowly\\\"'\" }}
  open: {{ run: 'touch ../tools/agent.go', after: [quick] }}
"
    );
    let said = shop.run(&plan);
    assert_eq!(said.exit, 3, "somebody has to decide: {said:?}");
    shop.assert_clean();
    let waiting = shop.bench.json(&["breakpoint", "list"]);
    let asks = waiting["breakpoints"][0]["asks"].as_str().unwrap().to_owned();
    assert!(asks.contains("both changed code/a.txt"), "{asks}");
    assert_eq!(shop.task("slow")["state"], "blocked");

    let branch = shop.branch();
    let side = shop.git(&["branch", "--list", "--format=%(refname:short)", "bell-task/*"]);
    shop.git(&["switch", "--quiet", &branch]);
    shop.git(&["merge", "--quiet", "-X", "theirs", &side]);
    shop.git(&["switch", "--quiet", "main"]);
    shop.bench.json(&["breakpoint", "resolve", "merge-conflict"]);
    let said = shop.again();
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(shop.task("slow")["result"]["answer"], "slowly");
    assert_eq!(
        shop.git(&["show", &format!("{branch}:code/a.txt")]),
        "one\nslow\nthree"
    );
    shop.assert_clean();
}

#[test]
fn a_conflict_that_nobody_settles_fails_the_task() {
    let shop = Shop::new(true);
    let wait = "while [ ! -e $0.go ]; do sleep 0.05; done";
    let plan = format!(
        "name: clash
tasks:
  quick: {{ agent: coder, prompt: \"do: echo quick > new.txt\" }}
  slow: {{ agent: coder, retry: {{ attempts: 1 }}, prompt: \"do: {wait}; echo slow > new.txt\" }}
  open: {{ run: 'touch tools/agent.go', after: [quick] }}
"
    );
    assert_eq!(shop.run(&plan).exit, 3);
    shop.bench
        .json(&["breakpoint", "resolve", "merge-conflict", "--reject"]);
    assert_eq!(shop.again().exit, 1);
    let error = shop.task("slow")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("was not settled"), "{error}");
    assert_eq!(
        shop.git(&["show", &format!("{}:new.txt", shop.branch())]),
        "quick"
    );
}

#[test]
fn a_killed_worker_leaves_no_tree_and_its_work_is_done_again() {
    let shop = Shop::new(true);
    shop.bench.write(
        "plan.yaml",
        "name: crash
tasks:
  long: { agent: coder, prompt: \"do: echo half > half.txt; touch $0.$BELL_ATTEMPT; [ $BELL_ATTEMPT != 1 ] || sleep 60; echo whole > whole.txt\" }
  late: { agent: coder, retry: { attempts: 1 }, timeout: 2s, prompt: \"do: echo late > late.txt; sleep 60\" }
",
    );
    let mut first = shop.bench.spawn(&["run", "plan.yaml"]);
    let began = Instant::now();
    while !shop.bench.path().join("tools/agent.1").exists() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the agent was never called"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let said = shop.again();
    assert_eq!(said.exit, 1, "{said:?}");
    let long = shop.task("long");
    assert_eq!(
        (&long["state"], long["attempts"].as_array().unwrap().len()),
        (&json!("completed"), 2)
    );
    assert_eq!(long["result"]["files"], json!(["half.txt", "whole.txt"]));
    let late = shop.task("late");
    assert_eq!(
        (&late["state"], &late["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
    shop.assert_clean();
    // What a failed attempt has written is there to be looked at.
    let left = shop.git(&["branch", "--list", "--format=%(refname:short)", "bell-task/*"]);
    assert_eq!(shop.git(&["show", &format!("{left}:late.txt")]), "late");
}

// proves: DESIGN 15
#[test]
fn what_was_handed_back_is_not_merged() {
    let shop = Shop::new(true);
    let bell = env!("CARGO_BIN_EXE_bell");
    let said = shop.run(&format!(
        "name: back
tasks:
  twice: {{ agent: coder, prompt: \"do: if [ -e $0.back ]; then echo second > second.txt; else touch $0.back; \
         echo first > first.txt; {bell} task release $BELL_TASK --token $BELL_TOKEN; fi\" }}
"
    ));
    assert_eq!(said.exit, 0, "{said:?}");
    let twice = shop.task("twice");
    assert_eq!(twice["result"]["files"], json!(["second.txt"]), "{twice}");
    assert_eq!(shop.merges(), 1);
    shop.assert_clean();
}

// proves: DESIGN 15
#[test]
fn an_agent_of_a_frozen_worker_changes_nothing_any_more() {
    let shop = Shop::new(true);
    let toml = std::fs::read_to_string(shop.bench.path().join("bell.toml")).unwrap();
    shop.bench.write(
        "bell.toml",
        &format!("{toml}\n[worker]\nlease = \"2s\"\nheartbeat = \"500ms\"\n"),
    );
    let tools = shop.bench.path().join("tools");
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let signal = |worker: &std::process::Child, signal: &str| {
        let told = Command::new("kill")
            .args([signal, &worker.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    };
    shop.bench.json(&[
        "task",
        "add",
        "race",
        "--id",
        "race",
        "--prompt",
        "do: if [ -e $0.called ]; then echo fresh > who.txt; else touch $0.called; \
         until [ -e $0.go ]; do sleep 0.05; done; echo stale > who.txt; fi",
    ]);
    let work = || shop.bench.spawn(&["worker", "--agent", "coder"]);
    let mut frozen = work();
    until("the first call", &|| tools.join("agent.called").exists());
    signal(&frozen, "-STOP");
    let mut other = work();
    until("the second call", &|| shop.task("race")["state"] == "completed");
    std::fs::write(tools.join("agent.go"), "").unwrap();
    signal(&frozen, "-CONT");
    until("the end of the first attempt", &|| {
        shop.git(&["worktree", "list"]).lines().count() == 1
    });
    for worker in [&mut frozen, &mut other] {
        signal(worker, "-TERM");
        worker.wait().unwrap();
    }
    assert_eq!(shop.git(&["show", "bell/default:who.txt"]), "fresh");
    assert_eq!(shop.merges(), 1);
    assert_eq!(
        shop.git(&["for-each-ref", "refs/bell", "refs/heads/bell-task"]),
        ""
    );
    shop.assert_clean();
}

#[test]
fn what_an_agent_needs_and_has_not_is_said() {
    let shop = Shop::new(true);
    let bare = Bench::new();
    let toml = std::fs::read_to_string(shop.bench.path().join("bell.toml")).unwrap();
    bare.write("bell.toml", &toml);
    bare.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { agent: coder, retry: { attempts: 1 }, prompt: hello }\n",
    );
    assert_eq!(bare.bell(&["run", "plan.yaml"]).exit, 1);
    let error = bare.json(&["task", "show", "a"])["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(error.contains("is in no git repository"), "{error}");

    bare.write("bell.toml", "[agents.coder]\ncomand = [\"x\"]\n");
    let said = bare.bell(&["queue", "status"]);
    assert_eq!(said.exit, 2);
    assert!(
        said.err.contains("[agents.coder]") && said.err.contains("comand"),
        "{}",
        said.err
    );
    bare.write("bell.toml", "[agents.coder]\ncommand = [\"no-such-agent\"]\n");
    assert_eq!(bare.bell(&["run", "plan.yaml", "--new"]).exit, 1);
    let error = bare.json(&["task", "show", "a"])["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(error.contains("no-such-agent"), "{error}");
}
