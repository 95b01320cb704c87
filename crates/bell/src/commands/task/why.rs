//! `bell task why`

use api::why::{Takers, Waits, Why};
use desk::find;
use domain::limits::PAGE_MAX;
use domain::task::lock::Mode;
use domain::task::state::State;
use domain::time::{Timestamp, show_duration};
use std::time::Duration;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::one_line;
use crate::output::theme::{self, paint};
use crate::output::{failure, time};

/// Explain why a task stands where it stands
///
/// Tells what it waits for, every part of its score, its place in line, and who could take it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task why ship")]
pub(crate) struct Args {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let view = find::typed(&engine, &self.id).await?;
        let why = desk::task::why(&engine, &view.task.id.to_string()).await?;
        let error = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
        let error = error.map(|failure| failure.message.as_str());
        context
            .ui
            .answer(&why, |why| people(why, error, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

/// What a person reads of those that are waited for.
const NAMED: usize = 20;

fn people(why: &Why, error: Option<&str>, now: Timestamp) -> String {
    let name = why.key.as_ref().map_or(why.name.as_str(), |key| key.as_str());
    let state = theme::state_text(why.state, why.reason);
    let mut text = format!("{state}  {}  {}\n", paint(theme::BOLD, &one_line(name)), why.task);
    text += &format!("  {}\n", reason(why, error, now));
    for waits in why.waits_for.iter().take(NAMED) {
        text += &format!("    {}\n", edge(waits));
    }
    if let Some(more) = why.waits_for.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text += &format!("    and {more} more: --json names them\n");
    }
    for lock in &why.locks {
        let mode = if lock.mode == Mode::Shared { "shared " } else { "" };
        let holders: Vec<String> = lock.holders.iter().map(ToString::to_string).collect();
        let held = match holders.is_empty() {
            true => "free".to_owned(),
            false => format!("held by {}", holders.join(", ")),
        };
        text += &format!("  {mode}lock {}: {held}\n", lock.name);
    }
    for curb in &why.held_back {
        text += &format!("  {curb}\n");
    }
    if !why.state.is_terminal() {
        let score = &why.score;
        text += &format!(
            "  score {} = base {} + depth {} + urgency {} + blocking {} + source {}",
            score.score, score.base, score.depth, score.urgency, score.blocking, score.source
        );
        for (name, part) in [("retry", score.retry), ("ageing", score.ageing)] {
            if part != 0.0 {
                text += &format!(" + {name} {part}");
            }
        }
        text += "\n";
        if let Some(estimate) = why.estimate {
            let span = show_duration(Duration::from_secs_f64(estimate.seconds));
            let by = match estimate.learned {
                true => ", as usual for its kind",
                false => "",
            };
            text += &format!("  is expected to take {span}{by}\n");
        }
        text += &format!("  {}\n", takers(&why.takers));
    }
    if let Some(decision) = &why.routed {
        text += &format!("  {} was chosen: {}\n", decision.selected, decision.reason);
        for candidate in &decision.candidates {
            text += &format!(
                "    {:.3}  {}: {}\n",
                candidate.score, candidate.agent, candidate.reason
            );
        }
    }
    text
}

/// The state in a sentence.
fn reason(why: &Why, error: Option<&str>, now: Timestamp) -> String {
    let because = why
        .reason
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    match why.state {
        State::Pending | State::Retrying => match why.run_at {
            Some(at) => format!("starts {}", time::relative(at, now)),
            None => "is about to start".to_owned(),
        },
        State::Blocked if why.reason == Some(domain::task::state::Reason::Joining) => {
            format!("waits for {} of its subtasks:", why.waits_for.len())
        }
        State::Blocked if why.reason == Some(domain::task::state::Reason::Replanning) => {
            "has failed for good, and waits for what takes its place:".to_owned()
        }
        State::Blocked => format!("waits for {} of its prerequisites:", why.waits_for.len()),
        State::Ready => match (&why.parked_under, why.ahead) {
            (Some(thing), _) => format!("waits for {thing}"),
            (None, Some(0)) => "is first in line".to_owned(),
            (None, Some(PAGE_MAX)) => format!("{PAGE_MAX} or more stand before it in line"),
            (None, Some(n)) => format!("{n} stand before it in line"),
            (None, None) => "is ready".to_owned(),
        },
        State::Assigned | State::Running => match &why.lease {
            Some(lease) => format!(
                "is with {}, whose lease expires {}",
                lease.worker,
                time::relative(lease.expires_at, now)
            ),
            None => "is being worked on".to_owned(),
        },
        State::Suspended => format!("was stopped by a user; `bell task resume {}`", why.task),
        State::Awaiting => format!("waits for a person{because}"),
        State::Failed => format!("has failed{because}: {}", failure::line(error, why.reason)),
        State::Completed | State::Cancelled => format!("has ended{because}"),
    }
}

fn edge(waits: &Waits) -> String {
    let name = waits
        .key
        .as_ref()
        .map_or_else(|| waits.task.to_string(), ToString::to_string);
    let state = theme::state_text(waits.state, waits.reason);
    format!("{state}  {name}, waited for: {}", waits.when.as_str())
}

fn takers(takers: &Takers) -> String {
    let needs: Vec<&str> = takers.needs.iter().map(domain::id::Capability::as_str).collect();
    let amounts = takers
        .resources
        .iter()
        .map(|(name, amount)| format!("{name}={amount}"));
    let offers: Vec<String> = needs
        .iter()
        .map(|need| (*need).to_owned())
        .chain(amounts)
        .collect();
    let with = match offers.is_empty() {
        true => String::new(),
        false => format!(" that offers {}", offers.join(", ")),
    };
    match &takers.agent {
        Some(agent) => format!("can be taken by the agent {agent} only"),
        None if takers.team.is_some() => {
            let team = takers.team.as_ref().map_or("", domain::id::TeamName::as_str);
            format!("can be taken by any member of the team {team}{with}; `bell team show {team}` names them")
        }
        None if takers.work == "breakpoint" => "is answered by a person".to_owned(),
        None => format!("can be taken by any worker{with}"),
    }
}
