//! Rules about a plan, proved over every order in which it can go and every way its tasks can end.
//!
//! A rule `ship before approve and test` says what must never be: that `ship` begins while one of the others has not
//! completed. What must have happened for a task to begin follows from its edges; if that does not contain what the rule
//! asks for, a course of events that breaks it is built and played through with the same rules that stores follow.
//! Where neither succeeds, the answer is that nothing is proved.
//!
//! Locks cannot deadlock, whatever a plan says: a task takes all of its own at once or none, and lets go of them when
//! its attempt ends.

use std::str::FromStr;

use serde::Serialize;

use crate::code::{Code, Refusal, nearest};
use crate::decide::edges::{Fate, fate};
use crate::id::Key;
use crate::task::spec::{OnUpstreamFailure, When, Work};
use crate::task::state::{Reason, State};

use super::model::Plan;

/// What must never be: that `task` begins before all of `before` have completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    pub task: Key,
    pub before: Vec<Key>,
}

impl FromStr for Never {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Never, Refusal> {
        let wrong = || {
            let detail = format!("`{}` is no rule", text.escape_debug());
            Refusal::new(Code::InvalidArgument, detail).help("write it like `ship before approve and test`")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [task, "before", rest @ ..] = &words[..] else {
            return Err(wrong());
        };
        let mut before = Vec::new();
        for (i, word) in rest.iter().enumerate() {
            match (i % 2, *word) {
                (0, key) => before.push(Key::new(key)?),
                (_, "and") => {}
                _ => return Err(wrong()),
            }
        }
        if rest.len() % 2 == 0 {
            return Err(wrong());
        }
        Ok(Never {
            task: Key::new(task)?,
            before,
        })
    }
}

/// What became of a rule.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    Holds,
    /// It holds because the task can never begin.
    NeverBegins,
    /// A course of events in which `missing` has not completed when the task begins.
    Broken {
        missing: Key,
        course: Vec<Happening>,
    },
    /// Conditions are too entangled to tell.
    Unproved {
        missing: Key,
    },
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    pub task: Key,
    pub what: What,
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Completes,
    Fails,
    /// It is cancelled, because it can no longer run.
    Falls,
    Begins,
}

/// Judges a rule; refused when it names a task that the plan does not have.
pub fn verify(plan: &Plan, rule: &Never) -> Result<Verdict, Refusal> {
    let task = index(plan, &rule.task)?;
    let mut before = Vec::with_capacity(rule.before.len());
    for key in &rule.before {
        before.push(index(plan, key)?);
    }
    let Some(musts) = Musts::of(plan, task) else {
        return Ok(Verdict::NeverBegins);
    };
    let mut unproved = None;
    for missing in before {
        if musts.completed[missing as usize] {
            continue;
        }
        let key = || plan.tasks[missing as usize].key.clone();
        match counter(plan, task, missing, &musts) {
            Some(course) => {
                return Ok(Verdict::Broken {
                    missing: key(),
                    course,
                });
            }
            None => unproved = unproved.or_else(|| Some(key())),
        }
    }
    Ok(unproved.map_or(Verdict::Holds, |missing| Verdict::Unproved { missing }))
}

/// Tasks that can never begin: what they wait for contradicts itself. `budget` bounds the edges that are looked
/// at; the second answer tells whether that was enough.
pub fn unreachable(plan: &Plan, mut budget: usize) -> (Vec<u32>, bool) {
    let len = plan.tasks.len();
    // Without a condition on a failure above it, a task can begin: let everything go well.
    let mut suspect = vec![false; len];
    let mut found = Vec::new();
    for v in plan.dag.order() {
        let task = &plan.tasks[v as usize];
        let above = plan.dag.prerequisites(v).iter().any(|&p| suspect[p as usize]);
        suspect[v as usize] = above || task.after.iter().any(|on| on.when == When::Failure);
        if !suspect[v as usize] {
            continue;
        }
        if budget == 0 {
            return (found, false);
        }
        match Musts::of(plan, v) {
            None => found.push(v),
            Some(musts) => budget = budget.saturating_sub(musts.cost),
        }
    }
    (found, true)
}

/// Stops for a person: the plan waits there until somebody answers.
pub fn asks(plan: &Plan) -> impl Iterator<Item = &Key> {
    let asking = plan
        .tasks
        .iter()
        .filter(|task| matches!(task.spec.work, Work::Breakpoint(_)));
    asking.map(|task| &task.key)
}

fn index(plan: &Plan, key: &Key) -> Result<u32, Refusal> {
    if let Some(at) = plan.tasks.iter().position(|task| task.key == *key) {
        return Ok(at as u32);
    }
    let refusal = Refusal::new(Code::InvalidArgument, format!("the plan has no task `{key}`"));
    let known = plan.tasks.iter().map(|task| task.key.as_str());
    Err(match nearest(key.as_str(), known) {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal,
    })
}

/// The edges of a task: prerequisite and condition. `Finished` stands for edges that a failure does not break.
fn edges(plan: &Plan, v: u32) -> impl Iterator<Item = (u32, When)> + '_ {
    let task = &plan.tasks[v as usize];
    let lenient = task.spec.on_upstream_failure == OnUpstreamFailure::Continue;
    // Most tasks have one condition for all their edges; then none has to be looked for.
    let first = task.after.first().map(|after| after.when);
    let common = first.filter(|first| task.after.iter().all(|after| after.when == *first));
    let mut own: Vec<(&Key, When)> = Vec::new();
    if common.is_none() {
        own.extend(task.after.iter().map(|after| (&after.task, after.when)));
        own.sort_unstable_by_key(|(key, _)| *key);
    }
    plan.dag.prerequisites(v).iter().filter_map(move |&p| {
        let own = || {
            let key = &plan.tasks[p as usize].key;
            let at = own.binary_search_by_key(&key, |(key, _)| *key);
            at.ok().map(|at| own[at].1)
        };
        let when = match common.or_else(own)? {
            When::Success if lenient => When::Finished,
            when => when,
        };
        Some((p, when))
    })
}

/// What is so in every course of events in which a task begins.
struct Musts {
    completed: Vec<bool>,
    failed: Vec<bool>,
    /// Edges looked at.
    cost: usize,
}

impl Musts {
    /// `None` when it contradicts itself: the task can never begin.
    fn of(plan: &Plan, task: u32) -> Option<Musts> {
        let len = plan.tasks.len();
        let mut musts = Musts {
            completed: vec![false; len],
            failed: vec![false; len],
            cost: len,
        };
        let mut begun = vec![false; len];
        let mut work = vec![task];
        while let Some(v) = work.pop() {
            if std::mem::replace(&mut begun[v as usize], true) {
                continue;
            }
            for (p, when) in edges(plan, v) {
                musts.cost += 1;
                match when {
                    When::Success => {
                        musts.completed[p as usize] = true;
                        work.push(p);
                    }
                    When::Failure => {
                        musts.failed[p as usize] = true;
                        // With nothing whose failure it could fall with, it has run itself.
                        if edges(plan, p).all(|(_, when)| when != When::Success) {
                            work.push(p);
                        }
                    }
                    When::Finished => {}
                }
            }
        }
        let clash = (0..len).any(|v| musts.completed[v] && musts.failed[v]);
        (!clash).then_some(musts)
    }
}

/// A course of events in which `task` begins and `missing` has not completed.
fn counter(plan: &Plan, task: u32, missing: u32, musts: &Musts) -> Option<Vec<Happening>> {
    let mut above: Vec<bool> = vec![false; plan.tasks.len()];
    plan.dag
        .all_prerequisites(task)
        .for_each(|p| above[p as usize] = true);
    // First as little going wrong as possible, then as much.
    let gentle = |v: u32| !musts.failed[v as usize] && v != missing;
    let harsh = |v: u32| musts.completed[v as usize];
    play(plan, task, &above, gentle).or_else(|| play(plan, task, &above, harsh))
}

/// Plays what is above `task` through, tasks ending well where `well` says so.
fn play(plan: &Plan, task: u32, above: &[bool], well: impl Fn(u32) -> bool) -> Option<Vec<Happening>> {
    let mut ends: Vec<Option<(State, Option<Reason>)>> = vec![None; plan.tasks.len()];
    let mut course = Vec::new();
    for v in plan.dag.order().filter(|&v| v == task || above[v as usize]) {
        let happens = |what| Happening {
            task: plan.tasks[v as usize].key.clone(),
            what,
        };
        let fates: Vec<Fate> = edges(plan, v)
            .map(|(p, when)| {
                let (state, reason) = ends[p as usize].unwrap_or((State::Pending, None));
                fate(
                    when,
                    state,
                    reason,
                    plan.tasks[v as usize].spec.on_upstream_failure,
                )
            })
            .collect();
        let runs = fates.iter().all(|fate| *fate == Fate::Holds);
        if v == task {
            course.push(happens(What::Begins));
            return runs.then_some(course);
        }
        let blocks = plan.tasks[v as usize].spec.on_upstream_failure == OnUpstreamFailure::Block;
        let dead = fates.iter().filter_map(|fate| match fate {
            Fate::Dead(Reason::UpstreamFailed) if blocks => None,
            Fate::Dead(reason) => Some(*reason),
            _ => None,
        });
        // Of several dead edges the first to die decides, and that may be any.
        let fell = dead.min_by_key(|reason| *reason != Reason::UpstreamFailed);
        ends[v as usize] = match (runs, fell) {
            (true, _) if well(v) => {
                course.push(happens(What::Completes));
                Some((State::Completed, None))
            }
            (true, _) => {
                course.push(happens(What::Fails));
                Some((State::Failed, None))
            }
            (false, Some(reason)) => {
                course.push(happens(What::Falls));
                Some((State::Cancelled, Some(reason)))
            }
            (false, None) => None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Format;

    fn plan(text: &str) -> Plan {
        crate::plan::read(text.as_bytes(), Format::Yaml, "plan.yaml").unwrap()
    }

    fn judged(text: &str, rule: &str) -> Verdict {
        verify(&plan(text), &rule.parse().unwrap()).unwrap()
    }

    fn course(verdict: &Verdict) -> Vec<String> {
        let Verdict::Broken { course, .. } = verdict else {
            panic!("not broken: {verdict:?}");
        };
        let tell = |event: &Happening| format!("{} {:?}", event.task, event.what).to_lowercase();
        course.iter().map(tell).collect()
    }

    // proves: DESIGN 4
    #[test]
    fn what_edges_force_is_proved() {
        let text = "tasks: { test: { run: x }, approve: { run: x, after: [test] }, ship: { run: x, after: [approve] } }";
        assert_eq!(judged(text, "ship before approve and test"), Verdict::Holds);
        assert_eq!(judged(text, "approve before test"), Verdict::Holds);
        let broken = judged(text, "test before ship");
        assert_eq!(course(&broken), ["test begins"]);
    }

    #[test]
    fn a_missing_edge_is_shown_by_an_order() {
        let text = "tasks: { test: { run: x }, approve: { run: x }, ship: { run: x, after: [test] } }";
        let broken = judged(text, "ship before test and approve");
        assert_eq!(course(&broken), ["test completes", "ship begins"]);
    }

    #[test]
    fn an_end_is_not_a_success() {
        for edge in [
            "after: [{ task: approve, when: finished }]",
            "after: [approve], on_upstream_failure: continue",
        ] {
            let text = format!("tasks: {{ approve: {{ run: x }}, ship: {{ run: x, {edge} }} }}");
            let broken = judged(&text, "ship before approve");
            assert_eq!(course(&broken), ["approve fails", "ship begins"], "{edge}");
        }
        let text = "tasks: { test: { run: x }, fix: { run: x, after: [{ task: test, when: failure }] },
            ship: { run: x, after: [{ task: fix, when: finished }] } }";
        let broken = judged(text, "ship before fix");
        assert_eq!(course(&broken), ["test completes", "fix falls", "ship begins"]);
    }

    #[test]
    fn what_contradicts_itself_never_begins() {
        let text = "tasks: { test: { run: x }, good: { run: x, after: [test] }, bad: { run: x, after: [{ task: test, when: failure }] },
            both: { run: x, after: [good, bad] }, after: { run: x, after: [both] }, fine: { run: x, after: [bad] } }";
        let plan = plan(text);
        let named = |tasks: Vec<u32>| -> Vec<String> {
            let name = |v: &u32| plan.tasks[*v as usize].key.to_string();
            tasks.iter().map(name).collect()
        };
        let (found, whole) = unreachable(&plan, usize::MAX);
        assert_eq!(
            (named(found), whole),
            (vec!["both".to_owned(), "after".to_owned()], true)
        );
        assert!(!unreachable(&plan, 0).1);
        assert_eq!(judged(text, "both before fine"), Verdict::NeverBegins);
    }

    #[test]
    fn rules_are_read_and_their_names_looked_up() {
        for text in ["", "a", "a before", "a before b c", "a before b and", "a after b"] {
            assert!(text.parse::<Never>().is_err(), "{text}");
        }
        let refusal = verify(
            &plan("tasks: { test: { run: x } }"),
            &"test before tset".parse().unwrap(),
        );
        assert!(refusal.unwrap_err().help.is_some());
    }
}
