//! `bell events`

use api::event::Event;
use api::list::Events;
use domain::event::pattern::Pattern;
use domain::id::EventNo;
use domain::limits::PAGE_MAX;
use domain::store::Seen;
use engine::engine::Engine;
use serde::Deserialize;

use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::output::table::one_line;
use crate::output::{theme, time};
use crate::parse;

/// List what happened, or watch it happen
///
/// Without --after the list begins with the newest ones that fit the limit. With --follow and --json every event
/// is a line of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell events --follow
  bell events --after 120 --json
  bell events --type 'task.failed' --type 'run.*' --follow
  bell events --type task:completed      (`:` and `_` stand for the dot)")]
pub(crate) struct Args {
    /// Go on with events as they happen
    #[arg(long, short)]
    follow: bool,
    /// Begin after the event with this number
    #[arg(long, value_name = "NUMBER", value_parser = parse::event_number, allow_negative_numbers = true)]
    after: Option<u64>,
    /// Only events whose type matches; `*` stands for any text; may be repeated
    #[arg(long = "type", value_name = "GLOB", value_parser = pattern)]
    types: Vec<Pattern>,
    /// List at most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

/// The list shows events without their tasks, so a name that is about tasks of one kind cannot be told from the others.
fn pattern(text: &str) -> std::result::Result<Pattern, String> {
    let pattern: Pattern = parse::name(text)?;
    match pattern.of() {
        None => Ok(pattern),
        Some(kind) => Err(format!(
            "`{text}` is about tasks of kind {kind}; rules understand it"
        )),
    }
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let last = engine.store.chain(&engine.project).await?.last.0;
        let newest = last.saturating_sub(self.limit as u64);
        if self.after.is_some_and(|after| after > last) && !self.follow {
            return Err(invalid(format!(
                "there is no event {}; the last one is {last}",
                self.after.unwrap_or(0)
            ))
            .into());
        }
        let after = EventNo(self.after.unwrap_or(newest));
        match self.follow {
            true => self.follow(context, &engine, after).await,
            false => self.list(context, &engine, after).await,
        }
    }

    fn wants(&self, seen: &Seen) -> bool {
        let kind = seen.event.fact.kind.as_str();
        self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(kind))
    }

    async fn list(self, context: &Context, engine: &Engine, mut after: EventNo) -> Result {
        let mut events = Vec::new();
        loop {
            let page = engine.store.events(&engine.project, after, PAGE_MAX).await?;
            let whole = page.len() < PAGE_MAX;
            for seen in page {
                if events.len() == self.limit {
                    break;
                }
                after = seen.event.no;
                if self.wants(&seen) {
                    events.push(Event::from(seen));
                }
            }
            if whole || events.len() == self.limit {
                break;
            }
        }
        let list = Events {
            count: events.len(),
            events,
            cursor: Some(after.0.to_string()),
        };
        context
            .ui
            .answer(&list, |list| list.events.iter().map(line).collect())?;
        Ok(Exit::DONE)
    }

    async fn follow(self, context: &Context, engine: &Engine, mut after: EventNo) -> Result {
        let mut moment = 0;
        loop {
            loop {
                let page = engine.store.events(&engine.project, after, PAGE_MAX).await?;
                let whole = page.len() < PAGE_MAX;
                after = page.last().map_or(after, |seen| seen.event.no);
                for event in page.into_iter().filter(|seen| self.wants(seen)).map(Event::from) {
                    match context.ui.json {
                        true => context.ui.json_line(&event)?,
                        false => context.ui.text(&line(&event))?,
                    }
                }
                if whole {
                    break;
                }
            }
            moment = engine.store.changed(moment).await;
        }
    }
}

/// One event in one line.
fn line(event: &Event) -> String {
    let number = theme::paint(theme::DIM, &format!("{:>6}", event.number.0));
    let at = theme::paint(theme::DIM, &time::clock(event.at.0));
    let who = event.key.as_ref().map(ToString::to_string);
    let who = who.or_else(|| event.task.as_ref().map(ToString::to_string));
    let who = who
        .or_else(|| event.run.as_ref().map(|run| format!("run {run}")))
        .or_else(|| schedule(event))
        .unwrap_or_default();
    let detail = describe(event);
    let gap = if detail.is_empty() { "" } else { "  " };
    format!(
        "{number}  {at}  {:<16}  {}{gap}{detail}\n",
        event.kind,
        one_line(&who)
    )
}

/// The name of the schedule that an event is about.
fn schedule(event: &Event) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        schedule: String,
    }
    let data = event.data.as_ref()?;
    let named = serde_json::from_str::<Named>(data.get()).ok()?;
    Some(named.schedule)
}

/// What an event says beside its type: reason, attempt, error.
pub(crate) fn describe(event: &Event) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Data {
        attempt: Option<u32>,
        error: Option<String>,
        retry_at: Option<String>,
    }
    let data = event
        .data
        .as_ref()
        .and_then(|json| serde_json::from_str::<Data>(json.get()).ok())
        .unwrap_or_default();
    let parts = [
        event.reason.map(|reason| reason.to_string()),
        data.attempt.map(|number| format!("attempt {number}")),
        data.retry_at.map(|at| format!("next try {at}")),
        data.error.map(|error| one_line(&error)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
