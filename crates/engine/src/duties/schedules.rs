//! Fires schedules: the admission first, under a key that is used once, then the schedule's entry as it is after it.
//!
//! A leader may die between the two, or believe too long that it leads: the next one repeats the admission, finds it
//! done, and writes the entry.

use std::path::Path;

use async_trait::async_trait;
use domain::book::{Book, Edit, Entry};
use domain::code::{self, Code};
use domain::event::Kind;
use domain::id::{RunId, TaskId};
use domain::plan::{self, Format};
use domain::schedule::{Made, Missed, Overlap, Schedule, Step, Why, Work, idempotency_key};
use domain::store::{Admission, AdmitLimits, IntoRun, NewTask, Result};
use domain::time::Timestamp;
use serde::Serialize;

use super::{Duty, Lead};
use crate::engine::Engine;
use crate::{ids, submit};

#[derive(Clone, Copy, Debug)]
pub struct Schedules;

/// Entries of one round; the next follows at once.
const ROUND: usize = 100;

#[async_trait]
impl Duty for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    async fn wanted(&self, engine: &Engine, until: Timestamp) -> Result<bool> {
        Ok(!due(engine, until, 1).await?.is_empty())
    }

    async fn run(&mut self, engine: &Engine, lead: &Lead) -> Result<Option<Timestamp>> {
        let entries = due(engine, engine.now().wall, ROUND).await?;
        let mut moved = false;
        for entry in &entries {
            if !lead.holds(engine) {
                return Ok(None);
            }
            match entry.read::<Schedule>() {
                Ok(schedule) => {
                    step(engine, entry, &schedule).await?;
                    moved = true;
                }
                Err(refusal) => tracing::warn!(error = %refusal, "a schedule cannot be read"),
            }
        }
        if moved {
            return Ok(Some(engine.now().wall));
        }
        let next = due(engine, Timestamp(i64::MAX), 1).await?;
        Ok(next
            .first()
            .and_then(|entry| entry.due)
            .filter(|_| entries.is_empty()))
    }
}

async fn due(engine: &Engine, at: Timestamp, limit: usize) -> Result<Vec<Entry>> {
    let (store, project) = (&engine.store, &engine.project);
    store.entries_due(project, Book::Schedule, at, limit).await
}

/// What an event tells of a firing.
#[derive(Debug, Serialize)]
struct FiredData<'a> {
    schedule: &'a str,
    at: String,
    #[serde(flatten)]
    made: &'a Made,
}

#[derive(Debug, Serialize)]
struct MissedData<'a> {
    schedule: &'a str,
    first: String,
    last: String,
    count: usize,
    /// There were more than were counted.
    more: bool,
    why: Why,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

async fn step(engine: &Engine, entry: &Entry, schedule: &Schedule) -> Result<()> {
    match schedule.step(engine.now().wall) {
        None => Ok(()),
        Some(Step::Miss(missed)) => miss(engine, entry, schedule, &missed, None).await,
        Some(Step::Fire { at, next }) => {
            if schedule.overlap == Overlap::Skip && still_runs(engine, schedule).await? {
                let missed = Missed::instead(at, next, Why::Overlap);
                return miss(engine, entry, schedule, &missed, None).await;
            }
            fire(engine, entry, schedule, at, next).await
        }
    }
}

async fn still_runs(engine: &Engine, schedule: &Schedule) -> Result<bool> {
    let (store, project) = (&engine.store, &engine.project);
    Ok(match schedule.last.as_ref().map(|last| &last.made) {
        None => false,
        Some(Made::Task(id)) => {
            let found = store.views(project, std::slice::from_ref(id)).await?;
            let view = found.into_iter().flatten().next();
            view.is_some_and(|view| !view.task.state.is_terminal())
        }
        Some(Made::Run(id)) => {
            let run = store.run(project, *id).await?;
            run.is_some_and(|run| run.finished_at.is_none())
        }
    })
}

async fn fire(
    engine: &Engine,
    entry: &Entry,
    schedule: &Schedule,
    at: Timestamp,
    next: Option<Timestamp>,
) -> Result<()> {
    let made = match hand_in(engine, &entry.key, &schedule.work, at).await {
        Ok(made) => made,
        Err(refusal) if refusal.code.kind() == code::Kind::Store => return Err(refusal),
        // Trying again would not help, and must not keep the other times waiting.
        Err(refusal) => {
            let missed = Missed::instead(at, next, Why::Refused);
            return miss(engine, entry, schedule, &missed, Some(&refusal.detail)).await;
        }
    };
    let data = FiredData {
        schedule: &entry.key,
        at: at.to_string(),
        made: &made,
    };
    let then = schedule.after_fire(at, next, made.clone());
    let edit = edit(entry, &then).with_event(Kind::ScheduleFired, &data);
    write(engine, edit).await
}

async fn miss(
    engine: &Engine,
    entry: &Entry,
    schedule: &Schedule,
    missed: &Missed,
    detail: Option<&str>,
) -> Result<()> {
    let data = MissedData {
        schedule: &entry.key,
        first: missed.first.to_string(),
        last: missed.last.to_string(),
        count: missed.count,
        more: missed.more,
        why: missed.why,
        detail,
    };
    let then = schedule.after_miss(missed);
    write(engine, edit(entry, &then).with_event(Kind::ScheduleMissed, &data)).await
}

fn edit(before: &Entry, then: &Schedule) -> Edit {
    let entry = Entry::new(Book::Schedule, &before.key, then).due(then.next);
    Edit::put(entry).instead_of(Some(before))
}

async fn write(engine: &Engine, edit: Edit) -> Result<()> {
    // Where somebody has changed or removed the schedule meanwhile, what is due by it now is seen in the next round.
    engine.write(vec![edit]).await.map(drop)
}

/// Stores the work of one firing. The ids follow from name and time, so whoever repeats it names the same.
async fn hand_in(engine: &Engine, name: &str, work: &Work, at: Timestamp) -> Result<Made> {
    let key = idempotency_key(name, at);
    let id = ids::derived(&engine.project, &key, at);
    let engine = Engine {
        actor: format!("schedule:{name}").into(),
        ..engine.clone()
    };
    let (made, stored) = match work {
        Work::Task(spec) => {
            let id = TaskId::Uuid(id);
            let admission = Admission {
                tasks: vec![NewTask::new(id.clone(), None, spec, at)],
                run: IntoRun::None,
                supersede: Vec::new(),
                limits: AdmitLimits::PLAN,
                actor: engine.actor.clone(),
                idempotency_key: Some(key),
            };
            let stored = engine.store.admit(&engine.project, admission, engine.now()).await;
            (Made::Task(id), stored.map(drop))
        }
        Work::Plan { file, text } => {
            let path = Path::new(file);
            let plan = plan::read(text.as_bytes(), Format::of(path, text.as_bytes()), file)?;
            let run = RunId(id);
            let stored = submit::submit_once(&engine, &plan, path, run, key).await;
            (Made::Run(run), stored)
        }
    };
    match stored {
        // It was fired before, and the schedule has been edited since.
        Err(refusal) if matches!(refusal.code, Code::IdempotencyConflict | Code::TaskExists) => Ok(made),
        stored => stored.map(|()| made),
    }
}
