//! `bell queue stats`

use std::collections::BTreeMap;
use std::time::Duration;

use api::attempt::attempts;
use api::stats::{Spread, Stats, Story, Tally, tally};
use api::time::Time;
use domain::event::Kind;
use domain::id::{EventNo, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::Seen;
use domain::task::state::State;
use domain::time::{Timestamp, show_duration};
use engine::engine::Engine;
use rustc_hash::FxHashMap;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// Tell what became of tasks and their tries, by kind
///
/// Read from the log, the newest 100,000 events at the most. Rates are of the tasks that completed or failed in that time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell queue stats
  bell queue stats --since 7d --json | jq .kinds")]
pub(super) struct Args {
    /// Look so far back
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse::span)]
    since: Duration,
}

/// Events that are looked at.
const EVENTS: u64 = 100_000;

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let head = engine.store.chain(&engine.project).await?.last;
        let from = Timestamp(
            engine
                .now()
                .wall
                .0
                .saturating_sub(domain::time::millis(self.since)),
        );
        let first = first_since(engine, head, from).await?;
        let begin = EventNo(first.0.max(head.0.saturating_sub(EVENTS)));
        let (histories, events, since) = histories(engine, begin, head).await?;
        let kinds = kinds(engine, histories.keys()).await?;
        let mut by_kind: BTreeMap<String, Vec<Story>> = BTreeMap::new();
        for (task, history) in &histories {
            let kind = kinds.get(task).cloned().unwrap_or_default();
            by_kind.entry(kind).or_default().push(story(history));
        }
        let stats = Stats {
            since: since.map(Time),
            events,
            cut: begin > first,
            total: tally(by_kind.values().flatten()),
            kinds: by_kind
                .iter()
                .map(|(kind, stories)| (kind.clone(), tally(stories)))
                .collect(),
        };
        context.ui.answer(&stats, people)?;
        Ok(Exit::DONE)
    }
}

/// The event before the first one at or after this time: numbers grow with time, so halves are enough.
async fn first_since(engine: &Engine, head: EventNo, from: Timestamp) -> Result<EventNo> {
    let (mut low, mut high) = (0, head.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = engine.store.events(&engine.project, EventNo(middle), 1).await?;
        match page.first() {
            Some(seen) if seen.event.fact.at < from => low = seen.event.no.0,
            _ => high = middle,
        }
    }
    Ok(EventNo(low))
}

type Histories = FxHashMap<TaskId, Vec<Seen>>;

/// What happened to each task, and when the first of it did.
async fn histories(
    engine: &Engine,
    begin: EventNo,
    head: EventNo,
) -> Result<(Histories, usize, Option<Timestamp>)> {
    let mut histories = Histories::default();
    let (mut after, mut events, mut since) = (begin, 0, None);
    while after < head {
        let page = engine.store.events(&engine.project, after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = last.event.no;
        for seen in page.into_iter().filter(|seen| seen.event.no <= head) {
            events += 1;
            since.get_or_insert(seen.event.fact.at);
            if let Some(task) = seen.task.clone() {
                histories.entry(task).or_default().push(seen);
            }
        }
    }
    Ok((histories, events, since))
}

async fn kinds(engine: &Engine, tasks: impl Iterator<Item = &TaskId>) -> Result<FxHashMap<TaskId, String>> {
    let ids: Vec<TaskId> = tasks.cloned().collect();
    let mut kinds = FxHashMap::default();
    for batch in ids.chunks(PAGE_MAX) {
        let views = engine.store.views(&engine.project, batch).await?;
        kinds.extend(
            views
                .into_iter()
                .flatten()
                .map(|view| (view.task.id, view.class.kind.to_string())),
        );
    }
    Ok(kinds)
}

fn story(history: &[Seen]) -> Story {
    let mut story = Story {
        attempts: attempts(history),
        ..Story::default()
    };
    for seen in history {
        match seen.event.fact.kind {
            Kind::TaskSubmitted => story.submitted = true,
            Kind::TaskEscalated => story.dead_letter = true,
            // The latest end counts: a failed task may have got another go.
            Kind::TaskEntered(state) => {
                (story.completed, story.failed, story.cancelled) = (
                    state == State::Completed,
                    state == State::Failed,
                    state == State::Cancelled,
                );
            }
            _ => {}
        }
    }
    story
}

fn people(stats: &Stats) -> String {
    let Some(since) = stats.since else {
        return "nothing has happened in this time\n".to_owned();
    };
    let mut table = Table::new(&[
        "KIND",
        ">TASKS",
        ">DONE",
        ">FAILED",
        ">SUCCESS",
        ">TRIES",
        ">RETRIED",
        ">RECOVERED",
        ">LOST",
        ">MEAN",
        ">P95",
        ">BACK-OFF",
    ]);
    for (kind, tally) in &stats.kinds {
        row(&mut table, kind, tally);
    }
    if stats.kinds.len() > 1 {
        row(&mut table, "total", &stats.total);
    }
    let cut = if stats.cut {
        ", the newest that are looked at"
    } else {
        ""
    };
    format!(
        "{}\n{} events since {}{cut}\n",
        table.render(),
        stats.events,
        since.0
    )
}

fn row(table: &mut Table, kind: &str, tally: &Tally) {
    let span = |seconds: Option<f64>| {
        seconds.map_or_else(String::new, |seconds| {
            show_duration(Duration::from_secs_f64(seconds))
        })
    };
    let Spread { mean, p95, .. } = tally.took;
    let success = tally
        .success_rate
        .map_or_else(String::new, |rate| format!("{rate} %"));
    table.row([
        kind.into(),
        tally.submitted.to_string().into(),
        tally.completed.to_string().into(),
        tally.failed.to_string().into(),
        success.into(),
        tally.attempts.to_string().into(),
        tally.retries.to_string().into(),
        tally.recovered.to_string().into(),
        tally.attempts_lost.to_string().into(),
        span(mean).into(),
        span(p95).into(),
        span(tally.delays.mean).into(),
    ]);
}
