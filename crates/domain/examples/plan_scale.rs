//! Times the reading of large plans: `cargo run --release -p domain --example plan_scale [TASKS]`.

use std::fmt::Write;
use std::time::Instant;

use domain::plan::{Format, analyse, read};
use domain::time::Timestamp;

fn main() {
    let tasks = std::env::args()
        .nth(1)
        .map_or(100_000, |arg| arg.parse::<usize>().expect("a number"));
    let good = yaml(tasks);
    measure("YAML", Format::Yaml, &good);
    measure("JSON", Format::Json, &json(tasks));
    measure("TOML", Format::Toml, &toml(tasks));
    measure("YAML, one chain", Format::Yaml, &chain(tasks));
    // What is wrong or hostile must not cost more than what is right.
    measure(
        "YAML, a wrong name in every task",
        Format::Yaml,
        &good.replace("[t", "[x"),
    );
    measure(
        "YAML, a wrong key in every task",
        Format::Yaml,
        &good.replace("run:", "rnu:"),
    );
    let bulk = "x".repeat(tasks * 50);
    measure(
        "YAML, a giant key",
        Format::Yaml,
        &format!("\"{bulk}\": 1\ntasks: {{}}\n"),
    );
    measure(
        "JSON, an open text",
        Format::Json,
        &format!("{{\"tasks\": {{\"a\": \"{bulk}"),
    );
    let numbers = "1,".repeat(tasks * 10);
    measure(
        "JSON, a list of numbers",
        Format::Json,
        &format!("{{\"tasks\":[{numbers}1]}}"),
    );
}

/// The task that is waited for: one of the hundred before.
fn before(i: usize) -> usize {
    i - 1 - i * 7919 % i.min(100)
}

fn yaml(tasks: usize) -> String {
    let mut text = String::from("name: scale\ntasks:\n  t0: \"true\"\n");
    for i in 1..tasks {
        writeln!(
            text,
            "  t{i}: {{ run: echo {i}, after: [t{}, t{}] }}",
            before(i),
            i - 1
        )
        .expect("memory");
    }
    text
}

fn json(tasks: usize) -> String {
    let mut text = String::from("{\"name\":\"scale\",\"tasks\":{\"t0\":\"true\"");
    for i in 1..tasks {
        write!(
            text,
            ",\"t{i}\":{{\"run\":\"echo {i}\",\"after\":[\"t{}\",\"t{}\"]}}",
            before(i),
            i - 1
        )
        .expect("memory");
    }
    text + "}}"
}

fn toml(tasks: usize) -> String {
    let mut text = String::from("name = 'scale'\n[tasks]\nt0 = 'true'\n");
    for i in 1..tasks {
        writeln!(
            text,
            "[tasks.t{i}]\nrun = 'echo {i}'\nafter = ['t{}', 't{}']",
            before(i),
            i - 1
        )
        .expect("memory");
    }
    text
}

fn chain(tasks: usize) -> String {
    let mut text = String::from("tasks:\n  t0: x\n");
    for i in 1..tasks {
        writeln!(text, "  t{i}: {{ run: x, after: t{} }}", i - 1).expect("memory");
    }
    text
}

fn measure(what: &str, format: Format, text: &str) {
    let start = Instant::now();
    let answer = read(text.as_bytes(), format, "plan");
    let took = start.elapsed();
    let size = text.len() as f64 / 1e6;
    match answer {
        Err(faults) => println!("{what}, {size:.1} MB: {} faults in {took:.0?}", faults.count()),
        Ok(plan) => {
            let start = Instant::now();
            let analysis = analyse(&plan, |task| task.spec.estimate, Timestamp(0));
            println!(
                "{what}, {size:.1} MB, {} tasks, {} edges: read in {took:.0?}, analysed in {:.0?}, {} batches{}",
                plan.tasks.len(),
                analysis.edges,
                start.elapsed(),
                analysis.batches.len(),
                peak(),
            );
        }
    }
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(String::new, |peak| format!(", peak so far {}", peak.trim()))
}
