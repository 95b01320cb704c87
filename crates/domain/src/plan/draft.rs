//! A task while its keys are read: what it inherits from `defaults`, what it says itself, and what both make.

use std::collections::HashMap;
use std::sync::Arc;

use crate::code::Code;
use crate::id::{Key, Kind};
use crate::limits;
use crate::task::each::Over;
use crate::task::replan::Planner;
use crate::task::spec::{After, Moment, Spec, When, Work};

use super::at::{At, Findings};
use super::fault::Place;
use super::holds;
use super::keys::TASK;
use super::model::PlanTask;
use super::node::{Scalar, Value};
use super::{each, work};

#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Everything but name, kind and work.
    pub(super) spec: Spec,
    pub(super) kind: Option<Kind>,
    /// The keys that say what to do, in the order they came; more than one is a fault.
    pub(super) works: Vec<&'static str>,
    pub(super) work: Option<Work>,
    pub(super) after: Vec<Link>,
    /// The list that it is done for.
    pub(super) over: Option<Over>,
    /// The plan's, for `on_exhausted`.
    pub(super) planner: Option<Arc<Planner>>,
}

/// An entry of `after` with its place.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) after: After,
    pub(super) place: Place,
}

/// A task as read, before its prerequisites are looked up.
#[derive(Debug)]
pub(super) struct Read {
    /// Its digest is not yet known.
    pub(super) task: PlanTask,
    /// Where each entry of `after` stands.
    pub(super) places: Vec<Place>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft {
            spec: Spec::new("", Work::Shell(String::new())),
            kind: None,
            works: Vec::new(),
            work: None,
            after: Vec::new(),
            over: None,
            planner: None,
        }
    }

    /// Takes over what `defaults` says. Faults in there are noted once, not for every task.
    pub(super) fn defaults(&mut self, at: At<'_>, found: &mut Findings) {
        let Some(entries) = at.entries(found, "a mapping of task keys") else {
            return;
        };
        for entry in entries {
            match TASK.iter().find(|key| key.name == entry.key) {
                Some(key) if key.default => at.entry(entry).read(key, self, found),
                Some(key) => {
                    let help = format!("write `{}` in each task that needs it", key.name);
                    at.unknown_key(found, entry, help);
                }
                None => at.unknown(found, entry, TASK),
            }
        }
    }

    /// Reads one task; text alone is its command line. In a list the entry `key` names the task.
    ///
    /// A task with faults is returned too, so that others may name it; no plan comes of it.
    pub(super) fn task(mut self, at: At<'_>, in_list: bool, found: &mut Findings) -> Option<Read> {
        let key = at.accept(found, Key::new(at.key()))?;
        let mut mistyped = false;
        match &at.node.value {
            Value::Scalar(Scalar::Text, _) => work::run(&mut self, at, found),
            Value::Mapping(entries) => {
                for entry in entries {
                    match TASK.iter().find(|key| key.name == entry.key) {
                        Some(key) => at.entry(entry).read(key, &mut self, found),
                        None if in_list && entry.key == "key" => {}
                        None => {
                            mistyped = true;
                            at.unknown(found, entry, TASK);
                        }
                    }
                }
            }
            _ => {
                at.entries(found, "a mapping of task keys, or a command line as text");
                mistyped = true;
            }
        }
        if !(mistyped && self.works.is_empty()) {
            self.check_work(at, found);
        }
        self.check_times(at, found);
        self.check_end(at, found);
        let (after, places) = self.collapse(at, found);
        // Without work there is a fault, and the empty command goes no further.
        let work = self.work.unwrap_or(Work::Shell(String::new()));
        let fresh = Spec::new(key.as_str(), work);
        let mut spec = Spec {
            name: fresh.name,
            kind: self.kind.unwrap_or(fresh.kind),
            work: fresh.work,
            ..self.spec
        };
        holds::fill_key(&mut spec, at, found);
        let spec = match self.over {
            Some(over) => each::split(over, spec, at, found),
            None => spec,
        };
        let task = PlanTask {
            key,
            spec,
            after,
            place: at.key_place,
            digest: [0; 32],
        };
        Some(Read { task, places })
    }

    pub(super) fn check_work(&self, at: At<'_>, found: &mut Findings) {
        match (&self.works[..], &self.spec.agent) {
            ([], Some(agent)) => at.missing(
                found,
                format!("names the agent `{agent}` but no prompt"),
                "add `prompt` with what the agent shall do",
            ),
            ([], None) => at.missing(
                found,
                "does not say what to do",
                "add one of `run`, `prompt`, `handler`, `breakpoint`, `http` and `wait`",
            ),
            ([_], Some(agent)) if self.spec.team.is_some() => at.wrong(
                found,
                format!("names the agent `{agent}` and a team"),
                "remove one of them: an agent is chosen within its team",
            ),
            ([work @ ("breakpoint" | "wait")], _) if self.spec.team.is_some() => at.wrong(
                found,
                format!("`team` goes with what somebody does, not with `{work}`"),
                "remove one of them",
            ),
            ([work], Some(_)) if *work != "prompt" => at.wrong(
                found,
                format!("`agent` goes with `prompt`, not with `{work}`"),
                "remove one of them",
            ),
            ([work], None) if !self.spec.secrets.is_empty() && !["run", "prompt"].contains(work) => at.wrong(
                found,
                format!("`secrets` go with `run` and `prompt`, not with `{work}`"),
                "remove them; in the headers of a call `env:NAME` takes a variable of the worker",
            ),
            ([_], _) => {}
            (works, _) => at.wrong(
                found,
                format!("more than one kind of work: `{}`", works.join("`, `")),
                "split it into several tasks",
            ),
        }
    }

    /// Times that are allowed and contradict each other.
    pub(super) fn check_times(&self, at: At<'_>, found: &mut Findings) {
        let spec = &self.spec;
        if let (Some(estimate), Some(timeout)) = (spec.estimate, spec.timeout)
            && estimate > timeout
        {
            at.warn(found, "is expected to take longer than its timeout allows");
        }
        if let (Some(estimate), Some(Moment::In(deadline))) = (spec.estimate, spec.deadline)
            && estimate > deadline
        {
            at.warn(found, "is expected to take longer than its deadline allows");
        }
        match (spec.run_at, spec.deadline) {
            (Some(Moment::In(start)), Some(Moment::In(end))) if start >= end => {
                at.warn(found, "may not start before its deadline has passed");
            }
            (Some(Moment::At(start)), Some(Moment::At(end))) if start >= end => {
                at.warn(found, "may not start before its deadline has passed");
            }
            _ => {}
        }
    }

    /// Makes one entry of those that name the same task: both must hold, so the narrower condition stays.
    pub(super) fn collapse(&mut self, at: At<'_>, found: &mut Findings) -> (Vec<After>, Vec<Place>) {
        let links = std::mem::take(&mut self.after);
        if links.len() < 2 {
            return links.into_iter().map(|link| (link.after, link.place)).unzip();
        }
        let mut index: HashMap<Key, usize> = HashMap::with_capacity(links.len());
        let mut kept: Vec<Link> = Vec::with_capacity(links.len());
        for link in links {
            let Some(&first) = index.get(&link.after.task) else {
                index.insert(link.after.task.clone(), kept.len());
                kept.push(link);
                continue;
            };
            let first = &mut kept[first].after;
            match (first.when, link.after.when) {
                (a, b) if a == b => {}
                (_, When::Finished) => {}
                (When::Finished, narrower) => first.when = narrower,
                _ => at.wrong(
                    found,
                    format!("waits for both success and failure of `{}`", first.task),
                    "use `when: finished` for either, or split the task",
                ),
            }
        }
        if kept.len() > limits::PLAN_PREREQUISITES {
            let detail = format!(
                "{} has {} prerequisites, the limit is {}",
                at.whereabouts(),
                kept.len(),
                limits::PLAN_PREREQUISITES
            );
            let fault = at.fault(Code::PlanLimit, detail);
            found
                .faults
                .push(fault.help("let a task in between gather some of them"));
        }
        kept.into_iter().map(|link| (link.after, link.place)).unzip()
    }
}
