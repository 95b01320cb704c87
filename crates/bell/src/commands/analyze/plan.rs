//! A plan over a tree, checked before it is handed out.

use std::path::Path;

use analyze::Tree;
use analyze::plan as planned;
use analyze::report::{Statistics, statistics};
use analyze::units::Units;
use clap::ValueEnum;
use domain::code::{Code, Refusal};
use domain::id::RunId;
use domain::limits;
use domain::plan::{Format, Plan, body};
use serde::Serialize;
use serde_json::{Map, Value};

use super::text::counted;
use crate::app::wait;
use crate::commands::plan::file::{self, Loaded};
use crate::commands::submit::{HandIn, describe, hand_in, hint};
use crate::context::Context;
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Priorities {
    /// High on the critical path
    CriticalPath,
    /// By words in the names of files: configuration first, tests last
    Keywords,
    /// As the template says
    Template,
}

pub(super) struct Wanted<'a> {
    pub(super) template: &'a Path,
    /// The list of what is planned.
    pub(super) list: Option<&'a Path>,
    pub(super) priorities: Priorities,
    /// Only these files.
    pub(super) only: Option<&'a [u32]>,
}

/// A plan, and the text that it was read from.
pub(super) struct Made {
    text: String,
    loaded: Loaded,
}

pub(super) fn make(context: &Context, tree: &Tree, units: &Units, wanted: &Wanted<'_>) -> Result<Made> {
    let template = read(context, wanted.template)?;
    let options = planned::Options {
        name: &planned::name(&tree.root, wanted.list, wanted.template),
        template: &template,
        priorities: match wanted.priorities {
            Priorities::CriticalPath => planned::Priorities::CriticalPath,
            Priorities::Keywords => planned::Priorities::Keywords,
            Priorities::Template => planned::Priorities::Template,
        },
        only: wanted.only,
    };
    let plan = planned::plan(tree, units, &options).map_err(|error| {
        Refusal::new(Code::InvalidArgument, error.to_string())
            .help("`--by` chooses other units, the template says the rest")
    })?;
    let text = serde_json::to_string_pretty(&plan).expect("a plan serialises");
    let loaded = Loaded {
        plan: check(&text)?,
        path: context.cwd.join(wanted.template),
    };
    Ok(Made { text, loaded })
}

pub(super) fn write(context: &Context, made: &Made) -> Result {
    context.ui.line(&made.text)?;
    Ok(Exit::DONE)
}

/// What was handed in.
#[derive(Serialize)]
struct Answer<'a> {
    batches: usize,
    tasks: usize,
    stats: Statistics<'a>,
    /// Nothing, when there was nothing to hand in.
    run: Option<RunId>,
    plan: Option<&'a str>,
}

/// Hands a plan in, as `bell submit` would.
pub(super) fn submit(context: &Context, tree: &Tree, made: Made, new: bool) -> Result {
    let order = tree.order();
    let stats = statistics(tree, &order, &order.dag.levels());
    let loaded = made.loaded;
    if loaded.plan.tasks.is_empty() {
        let answer = Answer {
            batches: 0,
            tasks: 0,
            stats,
            run: None,
            plan: None,
        };
        context.ui.answer(&answer, |_| {
            "there is nothing to do, and nothing was handed in\n".to_owned()
        })?;
        return Ok(Exit::DONE);
    }
    let levels = loaded.plan.dag.levels();
    let (batches, tasks) = (levels.len(), loaded.plan.tasks.len());
    let widest = levels.iter().map(Vec::len).max().unwrap_or(0);
    let how = HandIn {
        new,
        resume: None,
        profile: None,
    };
    let (submitted, run) = wait(hand_in(context, loaded, &how))?;
    let answer = Answer {
        batches,
        tasks,
        stats,
        run: Some(run.id),
        plan: Some(&run.plan),
    };
    context.ui.answer(&answer, |_| {
        let batches = counted(batches, "batch", "batches");
        format!(
            "{}\n{batches}, the widest of {}\n",
            describe(&submitted, tasks),
            counted(widest, "task", "tasks")
        )
    })?;
    hint(context, &run)?;
    Ok(Exit::DONE)
}

/// What every task has in common. Its faults are told at their places.
fn read(context: &Context, path: &Path) -> Result<Map<String, Value>> {
    let bytes = file::read(path)?;
    let name = file::shown(path);
    if bytes.len() > limits::TEXT_BYTES {
        let detail = format!("{name} has more than {} bytes", limits::TEXT_BYTES);
        let refusal = Refusal::new(Code::PlanLimit, detail);
        return Err(refusal.help("write the keys that one task has").into());
    }
    let json = body(&bytes, Format::of(path, &bytes), &name).or_else(|faults| {
        file::tell(context, &faults, &bytes)?;
        Err(Error::Told(Exit::USAGE))
    })?;
    match serde_json::from_str(&json) {
        Ok(Value::Object(body)) => Ok(body),
        _ => {
            let refusal = invalid(format!("{name} is not the body of a task"));
            Err(refusal
                .help("write the keys of one task, such as `run: ./check.sh`")
                .into())
        }
    }
}

fn check(text: &str) -> Result<Plan> {
    if text.len() as u64 > limits::PLAN_BYTES {
        let detail = format!("the plan would have more than {} bytes", limits::PLAN_BYTES);
        let refusal = Refusal::new(Code::PlanLimit, detail);
        return Err(refusal.help("choose larger units with `--by package`").into());
    }
    let plan = domain::plan::read(text.as_bytes(), Format::Json, "the plan made of the template");
    Ok(plan.map_err(Refusal::from)?)
}
