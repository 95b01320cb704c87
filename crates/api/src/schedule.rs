//! Schedules and their times.

use domain::book::Entry;
use domain::code::Refusal;
use domain::id::{Kind, RunId, TaskId};
use domain::schedule::{self, Made, Timing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::lease::Command;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Schedules {
    pub schedules: Vec<Schedule>,
    pub count: usize,
    /// Pass it to get the next page; `null` on the last.
    pub cursor: Option<String>,
}

/// One of `cron`, `every` and `at` is there, and one of `task` and `plan`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Schedule {
    pub name: String,
    pub cron: Option<String>,
    /// The time zone of `cron`.
    pub tz: Option<String>,
    /// Seconds.
    pub every: Option<f64>,
    pub at: Option<Time>,
    pub catch_up: &'static str,
    pub overlap: &'static str,
    pub task: Option<Work>,
    /// The plan's file when it was read.
    pub plan: Option<String>,
    /// `null` when no time is left.
    pub next: Option<Time>,
    pub last: Option<Fired>,
    pub fired: u64,
    pub missed: u64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Work {
    pub name: String,
    pub kind: Kind,
    pub run: Option<Command>,
    pub prompt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Fired {
    pub at: Time,
    pub task: Option<TaskId>,
    pub run: Option<RunId>,
}

/// The times to come.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Times {
    pub name: String,
    pub times: Vec<Time>,
}

impl Schedule {
    pub fn read(entry: &Entry) -> Result<Schedule, Refusal> {
        Ok(Schedule::new(&entry.key, &entry.read()?))
    }

    pub fn new(name: &str, schedule: &schedule::Schedule) -> Schedule {
        let (mut cron, mut tz, mut every, mut at) = (None, None, None, None);
        match &schedule.when {
            Timing::Cron(found) => {
                cron = Some(found.expression().to_owned());
                tz = Some(found.zone().to_owned());
            }
            Timing::Every { ms, .. } => every = Some(*ms as f64 / 1_000.0),
            Timing::At(found) => at = Some(Time(*found)),
        }
        let (task, plan) = match &schedule.work {
            schedule::Work::Task(spec) => (Some(Work::of(spec)), None),
            schedule::Work::Plan { file, .. } => (None, Some(file.clone())),
        };
        Schedule {
            name: name.to_owned(),
            cron,
            tz,
            every,
            at,
            catch_up: schedule.catch_up.as_str(),
            overlap: schedule.overlap.as_str(),
            task,
            plan,
            next: schedule.next.map(Time),
            last: schedule.last.as_ref().map(Fired::of),
            fired: schedule.fired,
            missed: schedule.missed,
        }
    }
}

impl Work {
    fn of(spec: &domain::task::spec::Spec) -> Work {
        use domain::task::spec::Work as Does;
        let (run, prompt) = match &spec.work {
            Does::Shell(line) => (Some(Command::Line(line.clone())), None),
            Does::Argv(argv) => (Some(Command::Argv(argv.clone())), None),
            Does::Prompt(prompt) => (None, Some(prompt.clone())),
            _ => (None, None),
        };
        Work {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            run,
            prompt,
        }
    }
}

impl Fired {
    fn of(fired: &schedule::Fired) -> Fired {
        let (task, run) = match &fired.made {
            Made::Task(id) => (Some(id.clone()), None),
            Made::Run(id) => (None, Some(*id)),
        };
        Fired {
            at: Time(fired.at),
            task,
            run,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::task::spec::{Spec, Work as Does};
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_schedule_tells_when_and_what() {
        let when = Timing::every(Duration::from_secs(90), Timestamp(0)).unwrap();
        let work = schedule::Work::Task(Box::new(Spec::new("n", Does::Shell("make".into()))));
        let schedule = schedule::Schedule::new(when, work, Timestamp(0));
        let then = schedule.after_fire(Timestamp(90_000), None, Made::Task(TaskId::new("t").unwrap()));
        assert_eq!(
            serde_json::to_string(&Schedule::new("n", &then)).unwrap(),
            concat!(
                r#"{"name":"n","cron":null,"tz":null,"every":90.0,"at":null,"catch_up":"one","overlap":"allow","#,
                r#""task":{"name":"n","kind":"command","run":"make","prompt":null},"plan":null,"next":null,"#,
                r#""last":{"at":"1970-01-01T00:01:30.000Z","task":"t","run":null},"fired":1,"missed":0}"#
            )
        );
    }
}
