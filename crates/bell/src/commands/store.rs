//! `bell store`

use clap::Subcommand;
use domain::id::Project;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Look after the store itself
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Compare everything that the store keeps twice
///
/// Lists what contradicts itself; then the exit status is 1. Covers every project, unless --project names one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell store check")]
struct Check {}

#[derive(Debug, Serialize)]
struct Report {
    sound: bool,
    projects: Vec<Findings>,
}

#[derive(Debug, Serialize)]
struct Findings {
    project: Project,
    findings: Vec<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let Command::Check(_) = self.command;
        let engine = context.engine().await?;
        let projects = match context.settings.is_default("project") {
            true => engine.store.projects().await?,
            false => vec![engine.project.clone()],
        };
        let mut checked = Vec::with_capacity(projects.len());
        for project in projects {
            let findings = engine.store.check(&project).await?;
            checked.push(Findings { project, findings });
        }
        let report = Report {
            sound: checked.iter().all(|checked| checked.findings.is_empty()),
            projects: checked,
        };
        context.ui.answer(&report, people)?;
        Ok(Exit::of(report.sound))
    }
}

fn people(report: &Report) -> String {
    if report.projects.is_empty() {
        return format!("{}  empty\n", paint(theme::GOOD, "✓ sound"));
    }
    let mut text = String::new();
    for checked in &report.projects {
        let verdict = match checked.findings.is_empty() {
            true => paint(theme::GOOD, "✓ sound"),
            false => paint(theme::BAD, "✗ contradicts itself"),
        };
        text += &format!("{verdict}  {}\n", checked.project);
        for finding in &checked.findings {
            text += &format!("    {finding}\n");
        }
    }
    text
}
