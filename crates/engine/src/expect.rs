//! How long tasks are expected to take: as the plan says, else as the same tasks took in earlier runs of the plan, else as
//! tasks of their kind usually take ([`domain::lesson::Practice`]).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::code::Code;
use domain::id::{Key, Kind};
use domain::lesson::Practice;
use domain::plan::{Plan, PlanTask};
use domain::store::Result;
use domain::task::state::State;
use rustc_hash::FxHashMap;

use crate::agents::learn;
use crate::engine::Engine;
use crate::submit;

/// What earlier runs tell about a task.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub took: Vec<Duration>,
    pub attempts: u32,
    pub failures: u32,
}

impl Record {
    /// The median.
    pub fn usual(&self) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len().checked_sub(1)? / 2).copied()
    }
}

/// By key.
pub type History = FxHashMap<Key, Record>;

/// By what a duration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The plan says so.
    Estimate,
    Runs,
    Kind,
}

/// So many tasks' durations are known by each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    pub estimates: usize,
    pub runs: usize,
    pub kinds: usize,
    /// They are taken to be like the others.
    pub unknown: usize,
}

/// What is known of the tasks of a plan.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub history: History,
    pub kinds: BTreeMap<Kind, Practice>,
}

/// Earlier runs that are looked at, and their tasks in all.
const RUNS: usize = 5;
const TASKS: u64 = 50_000;
/// The same where somebody waits for a run to begin.
const TASKS_SOON: u64 = 5_000;
/// Pages of the log that are learned from before.
const PAGES: usize = 5;

impl Expected {
    /// Everything that the store remembers about the tasks of a plan.
    pub async fn of(engine: &Engine, identity: &str) -> Result<Expected> {
        catch_up(engine).await?;
        Ok(Expected {
            history: history(engine, identity, TASKS).await?,
            kinds: learn::practices(engine).await?,
        })
    }

    /// The same for a run that is about to begin: as much as a moment allows, and nothing where every task says it.
    pub async fn soon(engine: &Engine, plan: &Plan, identity: &str) -> Result<Expected> {
        if plan.tasks.iter().all(|task| task.spec.estimate.is_some()) {
            return Ok(Expected::default());
        }
        catch_up(engine).await?;
        Ok(Expected {
            history: history(engine, identity, TASKS_SOON).await?,
            kinds: learn::practices(engine).await?,
        })
    }

    pub fn took(&self, task: &PlanTask) -> Option<(Duration, By)> {
        if let Some(estimate) = task.spec.estimate {
            return Some((estimate, By::Estimate));
        }
        let before = self.history.get(&task.key).and_then(Record::usual);
        if let Some(took) = before {
            return Some((took, By::Runs));
        }
        let usual = self.kinds.get(&task.spec.kind)?.usual(0.5)?;
        Some((usual, By::Kind))
    }

    pub fn duration(&self, task: &PlanTask) -> Option<Duration> {
        self.took(task).map(|(took, _)| took)
    }

    pub fn sources(&self, plan: &Plan) -> Sources {
        let mut sources = Sources::default();
        for task in &plan.tasks {
            let count = match self.took(task) {
                Some((_, By::Estimate)) => &mut sources.estimates,
                Some((_, By::Runs)) => &mut sources.runs,
                Some((_, By::Kind)) => &mut sources.kinds,
                None => &mut sources.unknown,
            };
            *count += 1;
        }
        sources
    }
}

async fn catch_up(engine: &Engine) -> Result<()> {
    match learn::catch_up(engine, PAGES).await {
        // Looking at a store that cannot be written is still allowed.
        Err(refusal) if refusal.code == Code::StoreReadOnly => Ok(()),
        caught_up => caught_up.map(drop),
    }
}

/// What the store remembers of the last runs of this plan.
async fn history(engine: &Engine, identity: &str, most: u64) -> Result<History> {
    let mut history = History::default();
    let mut room = most;
    for run in engine.store.runs(&engine.project, Some(identity), RUNS).await? {
        let Some(left) = room.checked_sub(run.counts.total()) else {
            break;
        };
        room = left;
        for view in submit::stored_tasks(engine, run.id).await? {
            let Some(key) = view.body.key else { continue };
            let record = history.entry(key).or_default();
            record.attempts += view.task.attempts;
            record.failures += view.task.failures;
            if let (State::Completed, Some(from), Some(to)) =
                (view.task.state, view.task.started_at, view.task.finished_at)
            {
                record.took.push(to.since(from));
            }
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use domain::plan::{self, Format};

    use super::*;

    fn plan() -> Plan {
        let text = "tasks:
  said: { run: x, estimate: 3s }
  before: { run: x, kind: build }
  alike: { run: x, kind: build }
  rare: { run: x, kind: test }
  new: { run: x, kind: deploy }";
        plan::read(text.as_bytes(), Format::Yaml, "plan.yaml").unwrap()
    }

    // proves: DESIGN 8
    #[test]
    fn a_plan_is_believed_first_then_its_runs_then_the_kind() {
        let practice = |latest: &[u64]| Practice {
            latest: latest.to_vec(),
            ..Practice::default()
        };
        let took = [9, 1, 2].map(Duration::from_secs).to_vec();
        let record = Record {
            took,
            ..Record::default()
        };
        let key = |text: &str| Key::new(text).unwrap();
        let expected = Expected {
            history: [(key("said"), record.clone()), (key("before"), record)]
                .into_iter()
                .collect(),
            kinds: [
                (Kind::new("build").unwrap(), practice(&[500, 700, 60_000])),
                (Kind::new("test").unwrap(), practice(&[500])),
            ]
            .into(),
        };
        let plan = plan();
        let known: Vec<_> = plan.tasks.iter().map(|task| expected.took(task)).collect();
        assert_eq!(
            known,
            [
                Some((Duration::from_secs(3), By::Estimate)),
                Some((Duration::from_secs(2), By::Runs)),
                Some((Duration::from_millis(700), By::Kind)),
                None,
                None,
            ]
        );
        let sources = Sources {
            estimates: 1,
            runs: 1,
            kinds: 1,
            unknown: 2,
        };
        assert_eq!(expected.sources(&plan), sources);
    }
}
