//! `bell agent export` and `bell agent advise`

use api::ask;
use api::performance::{Advised, Performance};
use api::time::Moment;
use domain::id::AgentName;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// Tell what to do about agents that fail or are full, and about skills that nobody has
///
/// Looks and changes nothing. The exit status is 1 when there is something to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell agent advise")]
pub(super) struct Advise {}

/// Tell what agents did, record by record, as JSON lines
///
/// Registrations, choices of agents, attempts with how they ended and how long they took, and outcomes told from outside, as long
/// as the project keeps its log. Never titles, prompts, results and errors. With --json it is one document, with statistics.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell agent export --since 7d > records.jsonl
  bell agent export --anonymous --json | jq .stats")]
pub(super) struct Export {
    /// What happened since: a time, or a duration back from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    since: Option<domain::task::spec::Moment>,
    /// Only of this agent
    #[arg(long, value_name = "NAME", value_parser = parse::name::<AgentName>)]
    agent: Option<AgentName>,
    /// Tell names as digests that nobody can trace
    #[arg(long)]
    anonymous: bool,
    /// Make digests with this key, so that those of several exports are equal
    #[arg(long, value_name = "TEXT", requires = "anonymous")]
    key: Option<String>,
    /// Tell at most this many
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// Begin after this event: the cursor of the part before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl Advise {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let advised = desk::performance::advise(&engine).await?;
        context.ui.answer(&advised, advice)?;
        Ok(Exit::of(advised.count == 0))
    }
}

fn advice(advised: &Advised) -> String {
    if advised.advice.is_empty() {
        return "nothing to do\n".to_owned();
    }
    let mut table = Table::new(&["ABOUT", "CAUSE", "CURE"]);
    for advice in &advised.advice {
        table.row([
            advice.subject.as_str().into(),
            advice.cause.as_str().into(),
            advice.cure.as_str().into(),
        ]);
    }
    table.render()
}

impl Export {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let asked = ask::Performance {
            since: self.since.map(Moment),
            agent: self.agent,
            anonymous: self.anonymous,
            key: self.key,
            limit: Some(self.limit),
            cursor: self.cursor,
        };
        let told = desk::performance::export(&engine, &asked).await?;
        context.ui.answer(&told, lines)?;
        if let Some(cursor) = &told.cursor {
            context.ui.hint(&format!("there is more: --cursor {cursor}"))?;
        }
        Ok(Exit::DONE)
    }
}

fn lines(told: &Performance) -> String {
    let line = |record| serde_json::to_string(record).unwrap_or_default() + "\n";
    told.records.iter().map(line).collect()
}
