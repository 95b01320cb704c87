//! `bell plan conflicts`

use std::path::PathBuf;

use ::analyze::conflict::{Conflict, Forecast, Kind, Top, forecast};
use domain::code::{Code, Refusal};

use super::file::load;
use crate::commands::analyze;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::one_line;
use crate::output::theme::{self, paint};

/// Forecast which tasks of a plan would touch the same thing at the same time
///
/// A task touches what it says: its locks, the files named in `inputs`, the files that `cache` reads, the folder it works in. With
/// --source the files of a tree count too: those that need each other belong together, and a file should be done before one
/// that needs it. Pairs that an order or a lock keeps apart are safe; of the others the exit status is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan conflicts plan.yaml
  bell plan conflicts plan.yaml --source src --json | jq '.conflicts[0]'")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// Read the source tree in this folder; paths begin there [default: the plan's folder, and no source is read]
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
}

/// Conflicts that people are shown; `--json` has more.
const LINES: usize = 20;

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let folder = loaded.path.parent().unwrap_or(&context.cwd);
        let folder = folder.canonicalize().map_err(|error| {
            let detail = format!("{} cannot be read: {error}", folder.display());
            Refusal::new(Code::PlanUnreadable, detail)
        })?;
        let tree = match &self.source {
            Some(source) => Some(analyze::tree(context, source)?),
            None => None,
        };
        let top = Top {
            top: tree
                .as_ref()
                .map_or_else(|| folder.clone(), |tree| tree.root.clone()),
            plan: folder,
        };
        let forecast = forecast(&loaded.plan, &top, tree.as_ref());
        context.ui.answer(&forecast, people)?;
        Ok(Exit::of(forecast.open == 0))
    }
}

fn people(forecast: &Forecast<'_>) -> String {
    let least = if forecast.whole { "" } else { "at least " };
    let mut text = match (forecast.open, forecast.locked) {
        (0, 0) => "no two tasks that may go at the same time touch the same thing\n".to_owned(),
        (open, locked) => {
            let pairs = if open == 1 { "pair" } else { "pairs" };
            format!("{least}{open} {pairs} that nothing keeps apart, {locked} that only a lock does\n")
        }
    };
    if forecast.silent > 0 {
        let (silent, tasks) = (forecast.silent, forecast.tasks);
        text += &format!("{silent} of {tasks} tasks do not say what they touch\n");
    }
    for conflict in forecast.conflicts.iter().take(LINES) {
        text += &lines(conflict);
    }
    match forecast.conflicts.len().saturating_sub(LINES) + forecast.more {
        0 => text,
        more => format!("{text}\nand {more} more\n"),
    }
}

fn lines(conflict: &Conflict<'_>) -> String {
    let what = match conflict.kind {
        Kind::Same => "",
        Kind::Circle => " (files that need each other)",
        Kind::Needs => " (it is needed by what the others touch, and nothing says which goes first)",
    };
    let head = paint(theme::BOLD, &one_line(&conflict.component));
    let mut text = format!("\n{head}{what}\n");
    let more = match conflict.count.saturating_sub(conflict.tasks.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    text += &format!("  {}{more}\n", one_line(&conflict.tasks.join("  ")));
    let counts = [(conflict.open, "open"), (conflict.locked, "kept apart by a lock")];
    let counts = counts.iter().filter(|(pairs, _)| *pairs > 0);
    let counts: Vec<String> = counts.map(|(pairs, how)| format!("{pairs} {how}")).collect();
    text += &format!("  pairs: {}", counts.join(", "));
    match conflict.example {
        Some((a, b)) => text + &format!(", such as {} and {}\n", one_line(a), one_line(b)),
        None => text + "\n",
    }
}
