//! `bell plan check`

use std::path::PathBuf;

use domain::plan::{Analysis, Plan, analyse};
use domain::time::show_duration;

use super::file::load;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::fields;
use crate::output::theme::{self, paint};

/// Check a plan and tell what it will be like
///
/// Faults are shown at their places, all at once; then the exit status is 2.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan check plan.yaml
  bell plan check plan.yaml --json | jq .critical_path")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let plan = &loaded.plan;
        let analysis = analyse(plan, |task| task.spec.estimate, context.now().wall);
        context
            .ui
            .answer(&desk::plan::told(plan, &analysis), |_| people(plan, &analysis))?;
        for warning in &analysis.warnings {
            if !context.ui.json {
                context
                    .ui
                    .note(&format!("{} {warning}\n", paint(theme::WARN, "warning:")))?;
            }
        }
        if plan.unsupported.is_empty() {
            context
                .ui
                .hint(&format!("`bell run {}` runs it", self.plan.display()))?;
        }
        Ok(Exit::DONE)
    }
}

/// Batches shown with their tasks; larger plans are drawn better than listed.
const BATCHES: usize = 20;
const KEYS: usize = 8;

fn people(plan: &Plan, analysis: &Analysis) -> String {
    let key = |v: &u32| plan.tasks[*v as usize].key.as_str();
    let estimated = plan.tasks.iter().any(|task| task.spec.estimate.is_some());
    let length = match estimated {
        true => format!(" ({})", show_duration(analysis.total)),
        false => String::new(),
    };
    let path: Vec<&str> = analysis.critical_path.iter().map(key).collect();
    let mut text = fields(&[
        ("plan", plan.name.clone()),
        ("tasks", Some(plan.tasks.len().to_string())),
        ("edges", Some(analysis.edges.to_string())),
        ("depth", Some(analysis.depth.to_string())),
        (
            "side by side",
            Some(format!("at most {}", analysis.max_parallelism)),
        ),
        (
            "critical path",
            Some(format!("{}{length}", shortened(&path, " → "))),
        ),
    ]);
    if !analysis.batches.is_empty() {
        text += &format!("\n{}\n", paint(theme::DIM, "batches"));
    }
    for (number, batch) in analysis.batches.iter().take(BATCHES).enumerate() {
        let keys: Vec<&str> = batch.iter().map(key).collect();
        text += &format!("{:>4}  {}\n", number + 1, shortened(&keys, "  "));
    }
    match analysis.batches.len().saturating_sub(BATCHES) {
        0 => text,
        more => format!("{text}      and {more} more\n"),
    }
}

/// The first few, and how many there are beside.
fn shortened(keys: &[&str], between: &str) -> String {
    let shown = keys.iter().take(KEYS).copied().collect::<Vec<_>>().join(between);
    match keys.len().saturating_sub(KEYS) {
        0 => shown,
        more => format!("{shown}{between}… and {more} more"),
    }
}
