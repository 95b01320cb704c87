//! `bell plan verify`

use std::path::PathBuf;

use api::project::{Judged, Verified};
use domain::id::Key;
use domain::plan::{Happening, Never, Verdict, What};

use super::file::load;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Prove rules about a plan over every order in which it can go
///
/// A rule names a task that must never begin before others have completed, whatever fails and whatever comes first. A
/// rule that does not hold is shown with a course of events that breaks it. Tasks that can never begin are found
/// too. Locks are taken all at once or not at all, so they cannot deadlock.
///
/// The exit status is 1 when a rule is broken or not proved, or a task can never begin.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan verify plan.yaml
  bell plan verify plan.yaml --never 'ship before approve and test'")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// What must never be: `TASK before TASK [and TASK]…`; may be repeated
    #[arg(long, value_name = "RULE", value_parser = parse::name::<Never>)]
    never: Vec<Never>,
}

/// Edges looked at for tasks that can never begin: some seconds of work.
const EDGES: usize = 200_000_000;

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let plan = load(context, &self.plan)?.plan;
        let told = desk::plan::verify(&plan, &self.never, EDGES)?;
        context.ui.answer(&told, people)?;
        Ok(if told.sound { Exit::DONE } else { Exit::NO })
    }
}

/// Happenings shown of a course; the last ones matter most.
const SHOWN: usize = 30;

fn people(told: &Verified) -> String {
    let mut text = String::new();
    for Judged { rule, result } in &told.rules {
        match result {
            Verdict::Holds => text += &format!("proved    {rule}\n"),
            Verdict::NeverBegins => text += &format!("proved    {rule}, since it never begins\n"),
            Verdict::Unproved { missing } => {
                text += &format!("unproved  {rule}: the conditions about {missing} are too entangled\n");
            }
            Verdict::Broken { missing, course } => {
                text += &format!("broken    {rule}: {missing} has not completed when\n");
                text += &events(course);
            }
        }
    }
    for key in &told.unreachable {
        text += &format!("never     {key} can begin: what it waits for contradicts itself\n");
    }
    if !told.whole {
        text += "the plan is too large to look at every task for whether it can begin\n";
    } else if told.unreachable.is_empty() {
        text += "every task can begin; no lock can deadlock\n";
    }
    if !told.asks.is_empty() {
        let asks: Vec<&str> = told.asks.iter().map(Key::as_str).collect();
        text += &format!("waits for a person at {}\n", asks.join(", "));
    }
    text
}

fn events(course: &[Happening]) -> String {
    let mut text = match course.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("            ({more} before)\n"),
    };
    for (number, event) in course.iter().enumerate().skip(course.len().saturating_sub(SHOWN)) {
        let what = match event.what {
            What::Completes => "completes",
            What::Fails => "fails",
            What::Falls => "is cancelled, since it can no longer run",
            What::Begins => "begins",
        };
        text += &format!("{:>10}  {} {what}\n", number + 1, event.task);
    }
    text
}
