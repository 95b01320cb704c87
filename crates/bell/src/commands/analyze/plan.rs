//! A plan over a tree, checked before it is handed out.

use std::path::Path;

use analyze::Tree;
use analyze::plan as planned;
use analyze::units::Units;
use clap::ValueEnum;
use domain::code::{Code, Refusal};
use domain::limits;
use domain::plan::{Format, Plan, document};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Result, invalid};
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
    pub(super) priorities: Priorities,
    /// Only what is affected.
    pub(super) only: Option<&'a [u32]>,
}

pub(super) fn write(
    context: &Context,
    tree: &Tree,
    units: &Units,
    template: &Path,
    wanted: &Wanted<'_>,
) -> Result {
    let template = read(template)?;
    let options = planned::Options {
        name: &planned::name(&tree.root),
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
    check(&text)?;
    context.ui.line(&text)?;
    Ok(Exit::DONE)
}

/// What every task has in common. Refused as a plan would be, at its place.
fn read(path: &Path) -> Result<Map<String, Value>> {
    let unreadable = |error: std::io::Error| {
        Refusal::new(
            Code::PlanUnreadable,
            format!("{} cannot be read: {error}", path.display()),
        )
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > limits::TEXT_BYTES as u64 {
        let detail = format!("{} has more than {} bytes", path.display(), limits::TEXT_BYTES);
        return Err(Refusal::new(Code::PlanLimit, detail).into());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let name = path.display().to_string();
    let json = document(&bytes, Format::of(path, &bytes), &name).map_err(Refusal::from)?;
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
