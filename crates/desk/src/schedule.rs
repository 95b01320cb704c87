//! Schedules: list, add, remove, tell the next times.

use api::ask;
use api::schedule::{Schedule, Schedules, Times};
use api::time::{Moment, Span, Time};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::id::ScheduleName;
use domain::limits::PAGE_MAX;
use domain::plan::{Format, request};
use domain::schedule::{self, CatchUp, Cron, Overlap, Timing, Work};
use domain::store::Result;
use domain::task::spec::Json;
use domain::time::Timestamp;
use engine::engine::Engine;
use serde_json::json;

use crate::{invalid, limit};

pub async fn list(engine: &Engine, asked: &ask::Page) -> Result<Schedules> {
    let (store, project, limit) = (&engine.store, &engine.project, limit(asked.limit)?);
    let after = asked.cursor.as_deref().unwrap_or("");
    let entries = store.entries(project, Book::Schedule, after, limit).await?;
    let cursor = entries.last().filter(|_| entries.len() == limit);
    let cursor = cursor.map(|entry| entry.key.to_string());
    let schedules = entries.iter().map(Schedule::read).collect::<Result<Vec<_>>>()?;
    Ok(Schedules {
        count: schedules.len(),
        schedules,
        cursor,
    })
}

pub async fn show(engine: &Engine, name: &ScheduleName) -> Result<Schedule> {
    let (_, found) = existing(engine, name).await?;
    Ok(Schedule::new(name.as_str(), &found))
}

pub async fn next(engine: &Engine, name: &ScheduleName, asked: &ask::Times) -> Result<Times> {
    let (_, found) = existing(engine, name).await?;
    let count = asked.count.unwrap_or(5);
    limit(Some(count))?;
    let times = found
        .next
        .into_iter()
        .flat_map(|next| found.when.from(next).take(count));
    Ok(Times {
        name: name.to_string(),
        times: times.map(Time).collect(),
    })
}

pub async fn add(engine: &Engine, asked: &ask::Schedule) -> Result<Schedule> {
    let now = engine.now().wall;
    let when = timing(
        asked.cron.as_deref(),
        asked.tz.as_deref(),
        asked.every,
        asked.at,
        now,
    )?;
    let work = work(&asked.name, asked.task.as_ref(), asked.plan.as_deref())?;
    let mut made = schedule::Schedule::new(when, work, now);
    if made.next.is_none() {
        return Err(invalid("the time has passed already"));
    }
    made.catch_up = asked.catch_up.map_or(CatchUp::One, catch_up);
    made.overlap = asked.overlap.map_or(Overlap::Allow, overlap);
    let name = &asked.name;
    if find(engine, name).await?.is_some() {
        let detail = format!("there is a schedule `{name}` already");
        return Err(Refusal::new(Code::ScheduleExists, detail));
    }
    write(engine, name, None, Some(&made), Kind::ScheduleAdded).await?;
    Ok(Schedule::new(name.as_str(), &made))
}

/// Changes what is named. With new times it fires next at the first of them from now on.
pub async fn edit(engine: &Engine, name: &ScheduleName, asked: &ask::ScheduleEdit) -> Result<Schedule> {
    let (entry, before) = existing(engine, name).await?;
    let (now, mut made) = (engine.now().wall, before.clone());
    if let Some(when) = new_timing(asked, &made.when, now)? {
        made = made.at_times(when, now);
        if made.next.is_none() {
            return Err(invalid("the time has passed already"));
        }
    }
    made.catch_up = asked.catch_up.map_or(made.catch_up, catch_up);
    made.overlap = asked.overlap.map_or(made.overlap, overlap);
    if asked.task.is_some() || asked.plan.is_some() {
        made.work = work(name, asked.task.as_ref(), asked.plan.as_deref())?;
    }
    if made != before {
        write(engine, name, Some(&entry), Some(&made), Kind::ScheduleEdited).await?;
    }
    Ok(Schedule::new(name.as_str(), &made))
}

/// A zone alone moves the expression there is into that zone.
fn new_timing(asked: &ask::ScheduleEdit, before: &Timing, now: Timestamp) -> Result<Option<Timing>> {
    let (cron, zone) = match (&asked.cron, &asked.tz, before) {
        (None, None, _) => (None, None),
        (Some(cron), Some(zone), _) => (Some(cron.as_str()), Some(zone.as_str())),
        (Some(cron), None, Timing::Cron(had)) => (Some(cron.as_str()), Some(had.zone())),
        (Some(cron), None, _) => (Some(cron.as_str()), None),
        (None, Some(zone), Timing::Cron(had)) => (Some(had.expression()), Some(zone.as_str())),
        (None, Some(zone), _) => (None, Some(zone.as_str())),
    };
    match (cron, zone, asked.every, asked.at) {
        (None, None, None, None) => Ok(None),
        (cron, zone, every, at) => timing(cron, zone, every, at, now).map(Some),
    }
}

pub async fn remove(engine: &Engine, name: &ScheduleName) -> Result<Schedule> {
    let (entry, found) = existing(engine, name).await?;
    write(engine, name, Some(&entry), None, Kind::ScheduleRemoved).await?;
    Ok(Schedule::new(name.as_str(), &found))
}

fn timing(
    cron: Option<&str>,
    zone: Option<&str>,
    every: Option<Span>,
    at: Option<Moment>,
    now: Timestamp,
) -> Result<Timing> {
    if zone.is_some() && cron.is_none() {
        return Err(invalid("a time zone belongs to `cron`"));
    }
    match (cron, every, at) {
        (Some(expression), None, None) => Ok(Timing::Cron(Cron::new(expression, zone.unwrap_or("UTC"))?)),
        (None, Some(span), None) => Timing::every(span.0, now),
        (None, None, Some(moment)) => Ok(Timing::At(moment.0.resolve(now))),
        _ => {
            Err(invalid("it is not said when the schedule fires")
                .help("send one of `cron`, `every` and `at`"))
        }
    }
}

fn catch_up(asked: ask::CatchUp) -> CatchUp {
    match asked {
        ask::CatchUp::Skip => CatchUp::Skip,
        ask::CatchUp::One => CatchUp::One,
        ask::CatchUp::All => CatchUp::All,
    }
}

fn overlap(asked: ask::Overlap) -> Overlap {
    match asked {
        ask::Overlap::Allow => Overlap::Allow,
        ask::Overlap::Skip => Overlap::Skip,
    }
}

fn work(name: &ScheduleName, task: Option<&Json>, plan: Option<&str>) -> Result<Work> {
    match (task, plan) {
        (Some(task), None) => {
            let task = request(task.get().as_bytes())?;
            if !task.after.is_empty() || task.parent.is_some() || task.id.is_some() {
                return Err(invalid("a scheduled task has no `id`, `after` and `parent`")
                    .help("each firing makes a fresh task; schedule a plan for several"));
            }
            Ok(Work::Task(Box::new(task.spec)))
        }
        (None, Some(text)) => {
            let file = format!("{name}.plan");
            let plan =
                domain::plan::read(text.as_bytes(), Format::of(file.as_ref(), text.as_bytes()), &file)?;
            match plan.unsupported.is_empty() {
                true => Ok(Work::Plan {
                    file,
                    text: text.to_owned(),
                }),
                false => Err(Refusal::from(plan.unsupported)),
            }
        }
        _ => Err(invalid("it is not said what is handed in").help("send one of `task` and `plan`")),
    }
}

async fn find(engine: &Engine, name: &ScheduleName) -> Result<Option<Entry>> {
    let keys = [name.as_str().into()];
    let mut found = engine
        .store
        .entries_of(&engine.project, Book::Schedule, &keys)
        .await?;
    Ok(found.pop())
}

async fn existing(engine: &Engine, name: &ScheduleName) -> Result<(Entry, schedule::Schedule)> {
    if let Some(entry) = find(engine, name).await? {
        let found = entry.read()?;
        return Ok((entry, found));
    }
    let (store, project) = (&engine.store, &engine.project);
    let page = store.entries(project, Book::Schedule, "", PAGE_MAX).await?;
    let refusal = Refusal::new(
        Code::ScheduleNotFound,
        format!("project {project} has no schedule `{name}`"),
    );
    Err(
        match nearest(name.as_str(), page.iter().map(|entry| &*entry.key)) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help("`bell schedule list` shows the schedules"),
        },
    )
}

/// Writes a schedule in place of what was read, or takes it away.
async fn write(
    engine: &Engine,
    name: &ScheduleName,
    before: Option<&Entry>,
    then: Option<&schedule::Schedule>,
    kind: Kind,
) -> Result<()> {
    let edit = match then {
        Some(made) => Edit::put(Entry::new(Book::Schedule, name.as_str(), made).due(made.next)),
        None => Edit::remove(Book::Schedule, name.as_str()),
    };
    let data = json!({ "schedule": name, "when": then.map(|made| made.when.to_string()) });
    let edits = vec![edit.instead_of(before).with_event(kind, &data)];
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await
}
