//! `bell task claim`

use std::time::Duration;

use api::lease::{Command, Lease, Leases};
use desk::find;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, Kind, WorkerId};
use domain::limits::CLAIM_MAX;
use domain::store::{Claim, Wants};
use domain::time::Timestamp;
use engine::ids;

use super::Full;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::fields;
use crate::output::theme::{self, paint};
use crate::output::time;
use crate::parse;

/// Take the next tasks in line and start them
///
/// Nothing ready is an empty answer, not an error. The lease belongs to the name given; once it has expired, the
/// next claim of anybody may take the task.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task claim --worker me
  bell task claim --worker ci-3 --capability python --kind test --max 10 --ttl 5m --json")]
pub(crate) struct Args {
    /// Take them under this name
    #[arg(long, value_name = "NAME", value_parser = parse::name::<WorkerId>)]
    worker: WorkerId,
    /// Offer this capability
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    capability: Vec<Capability>,
    /// Offer an amount for tasks that take `resources`, such as gpu=2
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse::offer)]
    offer: Vec<(String, u64)>,
    /// Take only this kind of work
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Vec<Kind>,
    /// Take what is pinned to this agent too [default: the worker's name]
    #[arg(long, value_parser = parse::name::<AgentName>)]
    agent: Option<AgentName>,
    /// Take at most this many
    #[arg(long, default_value_t = 1, value_parser = max)]
    max: usize,
    /// Keep them this long without a renewal [default: 30m]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    ttl: Option<Duration>,
    /// Only take them; `bell task start` starts one
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    full: Full,
}

fn max(text: &str) -> std::result::Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=CLAIM_MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {CLAIM_MAX}"))
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        find::catch_up(&engine).await?;
        let agent = self.agent.or_else(|| AgentName::new(self.worker.as_str()).ok());
        let claim = Claim {
            worker: self.worker,
            wants: Wants {
                capabilities: self.capability,
                kinds: self.kind,
                agent,
                free: self.offer.into_iter().collect(),
                // Calls and waits are done by workers.
                works: vec!["agent", "command"],
                ..Wants::default()
            },
            max: self.max,
            ahead: 0,
            ttl: self.ttl.unwrap_or(context.settings.claim_ttl()),
            start: !self.no_start,
            seed: ids::seed(),
        };
        let now = engine.now();
        let taken = engine.store.claim(&engine.project, claim, now).await?;
        let mut leases = Vec::with_capacity(taken.len());
        for leased in &taken {
            let spec = leased.body.read_spec().map_err(|e| {
                let id = &leased.task.id;
                Refusal::new(
                    Code::StoreCorrupt,
                    format!("the specification of task {id} cannot be read: {e}"),
                )
            })?;
            let mut lease = Lease::new(leased, spec, now);
            lease.full = find::full(&engine, &lease.task, self.full.full).await?;
            leases.push(lease);
        }
        let answer = Leases { leases };
        context.ui.answer(&answer, |answer| people(answer, now.wall))?;
        if let Some(lease) = answer.leases.first() {
            context.ui.hint(&format!(
                "when it is done: bell task complete {} --token {}",
                lease.task, lease.token
            ))?;
        }
        Ok(Exit::DONE)
    }
}

fn people(answer: &Leases, now: Timestamp) -> String {
    if answer.leases.is_empty() {
        return "nothing is ready\n".to_owned();
    }
    answer
        .leases
        .iter()
        .map(|lease| one(lease, now))
        .collect::<Vec<_>>()
        .join("\n")
}

fn one(lease: &Lease, now: Timestamp) -> String {
    let run = lease.run.as_ref().map(|command| match command {
        Command::Line(line) => line.clone(),
        Command::Argv(argv) => argv.join(" "),
    });
    let rows = [
        ("task", Some(paint(theme::BOLD, &lease.task.to_string()))),
        ("token", Some(lease.token.to_string())),
        ("expires", Some(time::both(lease.expires_at, now))),
        ("attempt", Some(lease.attempt.to_string())),
        ("prompt", lease.prompt.clone()),
        ("run", run),
        ("inputs", lease.inputs.as_ref().map(|json| json.get().to_owned())),
    ];
    fields(&rows)
}
