//! `bell plan check`

use std::path::PathBuf;

use domain::plan::{Analysis, Plan, analyse};
use domain::time::show_duration;
use engine::expect::{Expected, Sources};
use engine::submit::identity;

use super::file::{Loaded, load};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::fields;
use crate::output::theme::{self, paint};

/// Check a plan and tell what it will be like
///
/// Faults are shown at their places, all at once; then the exit status is 2. Tasks without an estimate take what they took in
/// earlier runs, or what tasks of their kind usually take, if there is a store here that knows.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan check plan.yaml
  bell plan check plan.yaml --json | jq .critical_path")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let plan = &loaded.plan;
        let expected = expected(context, &loaded).await;
        let analysis = analyse(plan, |task| expected.duration(task), context.now().wall);
        let sources = expected.sources(plan);
        let told = desk::plan::told(plan, &analysis, sources);
        context.ui.answer(&told, |_| people(plan, &analysis, sources))?;
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

/// What the store of this machine knows of a plan's tasks, if it can be asked.
pub(super) async fn expected(context: &Context, loaded: &Loaded) -> Expected {
    let says_all = loaded.plan.tasks.iter().all(|task| task.spec.estimate.is_some());
    match context.near().await.filter(|_| !says_all) {
        Some(engine) => {
            let identity = identity(&loaded.plan, &loaded.path);
            Expected::of(&engine, &identity).await.unwrap_or_default()
        }
        None => Expected::default(),
    }
}

fn people(plan: &Plan, analysis: &Analysis, sources: Sources) -> String {
    let key = |v: &u32| plan.tasks[*v as usize].key.as_str();
    let learned = sources.runs + sources.kinds > 0;
    let parts = [
        (sources.estimates, "as the plan says"),
        (sources.runs, "as in earlier runs"),
        (sources.kinds, "as usual for their kind"),
        (sources.unknown, "unknown"),
    ];
    let durations = parts.iter().filter(|(count, _)| *count > 0);
    let durations: Vec<String> = durations.map(|(count, by)| format!("{count} {by}")).collect();
    let length = match learned || sources.estimates > 0 {
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
        ("durations", learned.then(|| durations.join(", "))),
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
