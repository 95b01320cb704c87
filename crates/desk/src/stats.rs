//! What became of tasks and their tries, read from the log.

use std::collections::BTreeMap;
use std::time::Duration;

use api::attempt::attempts;
use api::stats::{Stats, Story, tally};
use api::time::Time;
use domain::event::Kind;
use domain::id::{EventNo, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Result, Seen};
use domain::task::state::State;
use domain::time::{Timestamp, millis};
use engine::engine::Engine;
use rustc_hash::FxHashMap;

/// Events that are looked at.
const EVENTS: u64 = 100_000;
/// How far is looked back when nobody says.
const SINCE: Duration = Duration::from_secs(24 * 3_600);

pub async fn stats(engine: &Engine, since: Option<Duration>) -> Result<Stats> {
    let head = engine.store.chain(&engine.project).await?.last;
    let now = engine.now().wall;
    let from = Timestamp(now.0.saturating_sub(millis(since.unwrap_or(SINCE))));
    let first = first_since(engine, head, from).await?;
    let begin = EventNo(first.0.max(head.0.saturating_sub(EVENTS)));
    let (histories, events, since) = histories(engine, begin, head).await?;
    let kinds = kinds(engine, histories.keys()).await?;
    let mut by_kind: BTreeMap<String, Vec<Story>> = BTreeMap::new();
    for (task, history) in &histories {
        let kind = kinds.get(task).cloned().unwrap_or_default();
        by_kind.entry(kind).or_default().push(story(history));
    }
    Ok(Stats {
        since: since.map(Time),
        events,
        cut: begin > first,
        total: tally(by_kind.values().flatten()),
        kinds: by_kind
            .iter()
            .map(|(kind, stories)| (kind.clone(), tally(stories)))
            .collect(),
    })
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
