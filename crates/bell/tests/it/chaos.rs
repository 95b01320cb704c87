//! Many processes on one store, killed at random: nothing is lost, nothing is completed twice, nothing is left behind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROCESSES: usize = 8;
const LAYERS: u64 = 6;
const WIDTH: u64 = 8;

/// Kills come this far apart, and stop after a while.
const BETWEEN: Duration = Duration::from_millis(120);
const UNREST: Duration = Duration::from_secs(4);
/// Long enough for a slow machine; a round takes seconds.
const DEADLINE: Duration = Duration::from_secs(120);

fn bell(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bell"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("BELLWETHER_STORE");
    command
}

fn answer(folder: &Path, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = bell(folder, arguments).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    let values = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    (output.status.code(), values.collect())
}

fn start(folder: &Path) -> Child {
    let mut command = bell(folder, &["run", "plan.yaml", "--jobs", "3"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Layers of tasks, each after two of the layer before. A task holds a folder while it works, so two attempts at the
/// same time would be seen.
fn plan() -> String {
    let mut text =
        String::from("name: chaos\ndefaults: { retry: { attempts: 50, initial: 20ms } }\ntasks:\n");
    for layer in 0..LAYERS {
        for i in 0..WIDTH {
            let after = match layer {
                0 => String::new(),
                _ => format!(
                    ", after: [t{}x{i}, t{}x{}]",
                    layer - 1,
                    layer - 1,
                    (i + 1) % WIDTH
                ),
            };
            let pause = 10 + (layer * WIDTH + i) * 7 % 90;
            writeln!(
                text,
                "  t{layer}x{i}: {{ run: 'flock -n lock.{layer}x{i} sh -c \"echo $BELL_TASK >> begun; sleep 0.{pause:03}; echo $BELL_TASK >> ended\" || {{ echo overlap >> overlaps; exit 1; }}'{after} }}"
            )
            .unwrap();
        }
    }
    text
}

/// Processes that still carry the store of this folder in their environment.
fn left_behind(folder: &Path) -> Vec<String> {
    let needle = folder.join(".bellwether").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| {
                let variable = String::from_utf8_lossy(variable);
                variable.starts_with("BELLWETHER_STORE=") && variable.contains(&needle)
            })
        })
        .map(|entry| {
            std::fs::read_to_string(entry.path().join("cmdline"))
                .unwrap_or_default()
                .replace('\0', " ")
        })
        .collect()
}

// proves: DESIGN 7, DESIGN 8, DESIGN 15
#[test]
fn killed_processes_lose_nothing_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::write(folder.join("plan.yaml"), plan()).unwrap();
    let began = Instant::now();
    let mut processes: Vec<Child> = (0..PROCESSES).map(|_| start(&folder)).collect();
    let mut dice = 7u64;
    let mut kills = 0;
    while began.elapsed() < UNREST {
        std::thread::sleep(BETWEEN);
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let victim = &mut processes[(dice >> 33) as usize % PROCESSES];
        victim.kill().unwrap();
        victim.wait().unwrap();
        *victim = start(&folder);
        kills += 1;
    }
    for mut process in processes {
        while process.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < DEADLINE, "a process does not come to its end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // A task that was three times with a worker that died is in the dead letters: running again tries it again.
    let mut code = None;
    for _ in 0..5 {
        code = answer(&folder, &["run", "plan.yaml", "--json", "--jobs", "8"]).0;
        if code == Some(0) {
            break;
        }
    }
    assert_eq!(
        code,
        Some(0),
        "after {kills} kills the plan could not be finished"
    );
    assert!(
        !folder.join("overlaps").exists(),
        "two attempts of one task ran at the same time"
    );

    let (_, runs) = answer(&folder, &["runs", "list", "--json"]);
    let runs = runs[0]["runs"].as_array().unwrap();
    for run in runs {
        let id = run["id"].as_str().or(run["run"].as_str()).unwrap();
        let mut completed: BTreeMap<String, usize> = BTreeMap::new();
        for event in events(&folder, id) {
            if event["type"] == "task.completed" {
                *completed
                    .entry(event["key"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
        assert_eq!(completed.len() as u64, LAYERS * WIDTH, "in run {id}");
        assert!(
            completed.values().all(|times| *times == 1),
            "in run {id}: {completed:?}"
        );
    }
    assert_eq!(answer(&folder, &["audit", "verify", "--json"]).0, Some(0));
    assert_eq!(answer(&folder, &["store", "check", "--json"]).0, Some(0));
    let left = left_behind(&folder);
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The run's part of the whole log, page by page.
fn events(folder: &Path, run: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let (_, pages) = answer(folder, &["events", "--json", "--after", &after]);
        let page = pages[0]["events"].as_array().unwrap();
        let Some(cursor) = pages[0]["cursor"].as_str().filter(|_| !page.is_empty()) else {
            return all;
        };
        all.extend(page.iter().filter(|event| event["run"] == run).cloned());
        after = cursor.to_owned();
    }
}
