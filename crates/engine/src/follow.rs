//! Watching a run: a fold over the event log, so that it shows the work of every process, not only of this one.

use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::event::Kind;
use domain::id::{EventNo, Key, RunId, TaskId};
use domain::limits;
use domain::plan::Plan;
use domain::run::Run;
use domain::store::{Result, Seen};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use crate::engine::Engine;
use crate::expect::Expected;
use crate::submit::{How, Submitted, stored_tasks};

/// What a run looks like at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub run: Run,
    /// In order of their start.
    pub running: Vec<Running>,
    pub elapsed: Duration,
    /// The longest chain of work that is not done yet, by estimates and by what such work took so far.
    pub critical_path_left: Duration,
    /// `None` until anything is known about how long tasks take.
    pub eta: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct Running {
    pub id: TaskId,
    /// The key, or the id of a task without one.
    pub name: String,
    pub attempt: u32,
    pub since: Timestamp,
}

#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    run: RunId,
    started: Timestamp,
    after: EventNo,
    running: FxHashMap<TaskId, Running>,
    forecast: Forecast,
}

impl Follower {
    /// Follows a run from the event after `after` on, which came before it was submitted; `plan` is what was submitted,
    /// `expected` what is known of it, for forecasts.
    pub async fn new(
        engine: &Engine,
        submitted: &Submitted,
        after: EventNo,
        plan: &Plan,
        expected: &Expected,
        jobs: usize,
    ) -> Result<Follower> {
        let mut follower = Follower {
            engine: engine.clone(),
            run: submitted.run,
            started: engine.now().wall,
            after,
            running: FxHashMap::default(),
            forecast: Forecast::new(plan, expected, jobs),
        };
        // All that there is to know of a new run is yet to be told.
        let known = match submitted.how {
            How::New => Vec::new(),
            _ => stored_tasks(engine, submitted.run).await?,
        };
        for view in known {
            let Some(key) = &view.body.key else { continue };
            if view.task.state.is_terminal() {
                follower.forecast.done(key, None);
            } else if let Some(lease) = &view.task.lease {
                let since = view.task.started_at.unwrap_or(lease.claimed_at);
                let (id, name) = (view.task.id.clone(), key.to_string());
                follower.running.insert(
                    id.clone(),
                    Running {
                        id,
                        name,
                        attempt: lease.attempt,
                        since,
                    },
                );
            }
        }
        Ok(follower)
    }

    /// New events of this run since the last call, in order.
    pub async fn events(&mut self) -> Result<Vec<Seen>> {
        let (mut all, mut after) = (Vec::new(), self.after);
        loop {
            let page = self
                .engine
                .store
                .events(&self.engine.project, after, limits::PAGE_MAX)
                .await?;
            let more = page.len() == limits::PAGE_MAX;
            after = page.last().map_or(after, |seen| seen.event.no);
            all.extend(page.into_iter().filter(|seen| seen.run == Some(self.run)));
            if !more {
                break;
            }
        }
        self.after = after;
        all.iter().for_each(|seen| self.note(seen));
        Ok(all)
    }

    fn note(&mut self, seen: &Seen) {
        let (Some(id), Kind::TaskEntered(state)) = (&seen.task, seen.event.fact.kind) else {
            return;
        };
        let was = self.running.remove(id);
        let at = seen.event.fact.at;
        if state == State::Running || (state == State::Suspended && was.is_some()) {
            let name = seen
                .key
                .as_ref()
                .map_or_else(|| id.to_string(), ToString::to_string);
            let attempt = attempt_of(seen).or(was.map(|was| was.attempt)).unwrap_or(1);
            self.running.insert(
                id.clone(),
                Running {
                    id: id.clone(),
                    name,
                    attempt,
                    since: at,
                },
            );
        } else if let Some(key) = &seen.key {
            if state.is_terminal() {
                let took = was
                    .filter(|_| state == State::Completed)
                    .map(|was| at.since(was.since));
                self.forecast.done(key, took);
            } else {
                self.forecast.undone(key);
            }
        }
    }

    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        let run = self.engine.store.run(&self.engine.project, self.run).await?;
        let run = run.ok_or_else(|| gone(self.run))?;
        let now = self.engine.now().wall;
        let mut running: Vec<Running> = self.running.values().cloned().collect();
        running.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
        let (critical_path_left, eta) = self.forecast.left(&running, now);
        Ok(Snapshot {
            running,
            elapsed: now.since(self.started),
            critical_path_left,
            eta,
            run,
        })
    }
}

/// A run that was there before does not go while it is followed, unless the whole store does.
fn gone(run: RunId) -> Refusal {
    let detail = format!("run {run} is not in the store any more");
    Refusal::new(Code::StoreGone, detail)
}

fn attempt_of(seen: &Seen) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Data {
        attempt: u32,
    }
    let data = seen.event.fact.data.as_ref()?;
    serde_json::from_str::<Data>(data.get())
        .ok()
        .map(|data| data.attempt)
}

/// How long the rest will take: per task what is expected, else what finished tasks took on average.
#[derive(Debug)]
struct Forecast {
    dag: domain::graph::Dag,
    index: FxHashMap<Key, u32>,
    estimates: Vec<Option<Duration>>,
    done: Vec<bool>,
    took: (Duration, u32),
    jobs: usize,
}

impl Forecast {
    fn new(plan: &Plan, expected: &Expected, jobs: usize) -> Forecast {
        Forecast {
            dag: plan.dag.clone(),
            index: plan
                .tasks
                .iter()
                .zip(0..)
                .map(|(task, i)| (task.key.clone(), i))
                .collect(),
            estimates: plan.tasks.iter().map(|task| expected.duration(task)).collect(),
            done: vec![false; plan.tasks.len()],
            took: (Duration::ZERO, 0),
            jobs: jobs.max(1),
        }
    }

    fn done(&mut self, key: &Key, took: Option<Duration>) {
        if let Some(i) = self.index.get(key) {
            self.done[*i as usize] = true;
        }
        if let Some(took) = took {
            self.took = (self.took.0 + took, self.took.1 + 1);
        }
    }

    fn undone(&mut self, key: &Key) {
        if let Some(i) = self.index.get(key) {
            self.done[*i as usize] = false;
        }
    }

    fn left(&self, running: &[Running], now: Timestamp) -> (Duration, Option<Duration>) {
        let mean = (self.took.1 > 0).then(|| self.took.0 / self.took.1);
        let known = mean.is_some() || self.estimates.iter().any(Option::is_some);
        let assumed = mean.unwrap_or(Duration::from_secs(1));
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mut left: Vec<u64> = self
            .estimates
            .iter()
            .zip(&self.done)
            .map(|(estimate, done)| if *done { 0 } else { ms(estimate.unwrap_or(assumed)) })
            .collect();
        for task in running {
            if let Some(i) = Key::new(&task.name)
                .ok()
                .and_then(|key| self.index.get(&key).copied())
            {
                let spent = ms(now.since(task.since));
                left[i as usize] = left[i as usize].saturating_sub(spent);
            }
        }
        let critical = Duration::from_millis(self.dag.timing(&left).total);
        let work = Duration::from_millis(left.iter().sum::<u64>() / self.jobs as u64);
        (critical, known.then(|| critical.max(work)))
    }
}
