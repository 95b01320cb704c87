//! A pattern as a plan.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::time::Duration;

use domain::mine::Pattern;
use domain::plan::{self, Format};
use domain::task::outside::Awaited;
use domain::task::spec::{Spec, Work};
use serde_json::json;

use super::read::{Course, Done};

/// A plan that nobody has written yet.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub name: String,
    /// Runs that went like this, and plans that they are of.
    pub support: usize,
    pub plans: Vec<String>,
    pub steps: Vec<Step>,
    /// As a file.
    pub yaml: String,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub key: String,
    pub kind: String,
    pub after: Vec<String>,
    /// The median.
    pub took: Option<Duration>,
    /// What was asked for differed from run to run: the plan has the latest.
    pub varies: bool,
}

/// Plans that are named beside a proposal.
const PLANS: usize = 10;

/// Writes a pattern down, in a form that can be run; `None` if that cannot be, since a step is of a sort that only its own
/// run could do.
pub(super) fn propose(pattern: &Pattern, courses: &[Course], taken: &BTreeSet<String>) -> Option<Proposal> {
    let runs: Vec<&Course> = pattern.seen.iter().map(|at| &courses[*at]).collect();
    let places: Vec<Vec<usize>> = runs.iter().map(|run| places(run, &pattern.steps)).collect();
    let keys = keys(&runs, &places);
    let before = before(&runs, &places, pattern.steps.len());
    let mut steps = Vec::with_capacity(keys.len());
    let mut bodies = Vec::with_capacity(keys.len());
    for (at, key) in keys.iter().enumerate() {
        let all: Vec<&Done> = runs
            .iter()
            .zip(&places)
            .map(|(run, of)| &run.steps[of[at]])
            .collect();
        // Runs come the newest first.
        let latest = &all.first()?.spec;
        let after = direct(&before, at).map(|on| keys[on].clone()).collect();
        let step = Step {
            key: key.clone(),
            kind: latest.kind.to_string(),
            after,
            took: median(all.iter().filter_map(|done| done.took)),
            varies: all.iter().any(|done| done.spec.work != latest.work),
        };
        bodies.push(body(&step, latest, &all)?);
        steps.push(step);
    }
    let mut plans: Vec<String> = runs.iter().map(|run| run.plan.clone()).collect();
    plans.sort_unstable();
    plans.dedup();
    let name = name(&keys, taken);
    let mut yaml = format!(
        "# {} successful runs of {} went like this",
        runs.len(),
        counted(plans.len(), "plan")
    );
    yaml += if steps.iter().any(|step| step.varies) {
        ".\n# Where a comment says so, what was asked for differed: the latest stands here.\n"
    } else {
        ".\n"
    };
    let _ = write!(yaml, "name: {}\ntasks:\n", quoted(&name));
    for (step, body) in steps.iter().zip(bodies) {
        let _ = write!(
            yaml,
            "  {}:{}\n{body}",
            quoted(&step.key),
            if step.varies { " # differed" } else { "" }
        );
    }
    if let Err(faults) = plan::read(yaml.as_bytes(), Format::Yaml, "mined.yaml") {
        tracing::warn!(%faults, "a mined plan cannot be read and is left out");
        return None;
    }
    plans.truncate(PLANS);
    Some(Proposal {
        name,
        support: runs.len(),
        plans,
        steps,
        yaml,
    })
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("one {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Where in a run the steps of a pattern are.
fn places(run: &Course, steps: &[u32]) -> Vec<usize> {
    let index: HashMap<u32, usize> = run.labels.iter().copied().zip(0..).collect();
    steps.iter().filter_map(|step| index.get(step).copied()).collect()
}

/// Keys as the newest run has them, told apart by numbers where need be.
fn keys(runs: &[&Course], places: &[Vec<usize>]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let (Some(run), Some(places)) = (runs.first(), places.first()) else {
        return keys;
    };
    for at in places {
        let stem = &run.steps[*at].key;
        let numbered = (2..).map(|n| format!("{stem}-{n}"));
        let mut names = std::iter::once(stem.clone()).chain(numbered);
        let free = names.find(|name| !keys.contains(name));
        keys.extend(free);
    }
    keys
}

/// A step waits for another one if it did in every run.
fn before(runs: &[&Course], places: &[Vec<usize>], count: usize) -> Vec<Vec<bool>> {
    let always = |of: usize, on: usize| {
        let mut each = runs.iter().zip(places);
        each.all(|(run, places)| run.before[places[of]][places[on]])
    };
    (0..count)
        .map(|of| (0..count).map(|on| always(of, on)).collect())
        .collect()
}

/// What a step waits for, without what that waits for itself.
fn direct(before: &[Vec<bool>], of: usize) -> impl Iterator<Item = usize> {
    let waits = move |on: &usize| before[of][*on];
    let by_way = move |on: &usize| (0..before.len()).any(|via| before[of][via] && before[via][*on]);
    (0..before.len()).filter(waits).filter(move |on| !by_way(on))
}

fn median(spans: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut spans: Vec<Duration> = spans.collect();
    spans.sort_unstable();
    spans.get(spans.len().checked_sub(1)? / 2).copied()
}

/// The lines of a task: what it does, as the latest run had it, and what all runs asked alike.
fn body(step: &Step, latest: &Spec, all: &[&Done]) -> Option<String> {
    let mut text = String::new();
    let mut line = |key: &str, value: serde_json::Value| {
        let _ = writeln!(text, "    {key}: {value}");
    };
    match &latest.work {
        Work::Shell(command) => line("run", json!(command)),
        Work::Argv(argv) => line("run", json!(argv)),
        Work::Prompt(prompt) => line("prompt", json!(prompt)),
        Work::Handler(name) => line("handler", json!(name)),
        Work::Breakpoint(ask) => line("breakpoint", json!(ask)),
        // As it is stored is as a plan says it.
        Work::Http(call) => line("http", json!(call)),
        Work::Wait(wait) => line(
            "wait",
            serde_json::from_str::<Awaited>(wait.get()).ok()?.in_plan(),
        ),
        // It is no step: see `read`.
        Work::Each(_) => return None,
    }
    if latest.kind.as_str() != latest.work.name() {
        line("kind", json!(latest.kind));
    }
    if !step.after.is_empty() {
        line("after", json!(step.after));
    }
    if let Some(Some(agent)) = alike(all, |spec| spec.agent.as_ref()) {
        line("agent", json!(agent));
    }
    if let Some(Some(team)) = alike(all, |spec| spec.team.as_ref()) {
        line("team", json!(team));
    }
    if let Some(needs) = alike(all, |spec| &spec.needs).filter(|needs| !needs.is_empty()) {
        line("needs", json!(needs));
    }
    if let Some(Some(timeout)) = alike(all, |spec| spec.timeout) {
        line("timeout", millis(timeout));
    }
    if let (Some(Some(cwd)), Work::Shell(_) | Work::Argv(_)) =
        (alike(all, |spec| spec.cwd.as_ref()), &latest.work)
    {
        line("cwd", json!(cwd));
    }
    if let Some(took) = step.took.filter(|took| took.as_millis() > 0) {
        line("estimate", millis(took));
    }
    Some(text)
}

/// What all of them asked alike.
fn alike<'a, T: PartialEq>(all: &[&'a Done], of: impl Fn(&'a Spec) -> T) -> Option<T> {
    let first = of(&all.first()?.spec);
    all.iter().all(|done| of(&done.spec) == first).then_some(first)
}

fn millis(span: Duration) -> serde_json::Value {
    json!(format!("{}ms", span.as_millis()))
}

/// Text that YAML reads as it is: JSON's form of it.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn name(keys: &[String], taken: &BTreeSet<String>) -> String {
    let ends: Vec<&str> = match keys {
        [first, .., last] => vec![first, last],
        keys => keys.iter().map(String::as_str).collect(),
    };
    let stem: String = format!("mined-{}", ends.join("-to-")).chars().take(48).collect();
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    let mut names = std::iter::once(stem.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(stem)
}
