//! Gives work to agents without being asked, as far as the project wants that: what becomes ready, and ahead of time what
//! is about to, if it lies on the critical path of its run.

use std::time::Duration;

use async_trait::async_trait;
use domain::agent::route::Strategy;
use domain::agent::routing::{ROUTING, Routing as Setting};
use domain::book::{Book, Edit, Entry};
use domain::code;
use domain::event::Kind as Fact;
use domain::graph::{Dag, Graph};
use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::lesson::Practice;
use domain::limits::PAGE_MAX;
use domain::plan::median;
use domain::store::{Result, View};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::{Duty, Lead};
use crate::agents::router::Router;
use crate::agents::{entries, hold, learn};
use crate::engine::Engine;
use crate::submit;

/// Where it is kept how far the log has been looked at.
const CURSOR: &str = "routing";
/// Pages of the log in one round, and of what it teaches.
const PAGES: usize = 10;
/// Runs whose path is known, and tasks of one; of longer ones nothing is held ahead.
const RUNS: usize = 16;
const TASKS: u64 = 20_000;

#[derive(Debug, Default)]
pub struct Routing {
    eager: bool,
    paths: FxHashMap<RunId, Path>,
}

/// The tasks that decide how long a run takes.
#[derive(Debug)]
struct Path {
    /// As many tasks as the run had then.
    total: u64,
    critical: FxHashSet<Seq>,
    expected: FxHashMap<Seq, Duration>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    last: u64,
}

#[async_trait]
impl Duty for Routing {
    fn name(&self) -> &'static str {
        "routing"
    }

    async fn wanted(&self, engine: &Engine, until: Timestamp) -> Result<bool> {
        let setting = setting(engine).await?;
        if hold::is_due(engine, until).await? {
            return Ok(true);
        }
        if setting.ahead().is_some() {
            let counts = engine.store.status(&engine.project).await?.counts;
            if counts.of(State::Running) > 0 && counts.of(State::Blocked) > 0 {
                return Ok(true);
            }
        }
        if setting.auto.is_some() {
            let (_, cursor) = cursor(engine).await?;
            return Ok(engine.store.chain(&engine.project).await?.last.0 > cursor.last);
        }
        Ok(false)
    }

    fn is_eager(&self) -> bool {
        self.eager
    }

    async fn run(&mut self, engine: &Engine, lead: &Lead) -> Result<Option<Timestamp>> {
        let setting = setting(engine).await?;
        self.eager = setting.auto.is_some();
        if entries(engine, Book::Agent, "").await?.is_empty() {
            self.paths.clear();
            return self.skip(engine, &setting).await;
        }
        hold::end(engine).await?;
        if let Some(strategy) = setting.auto {
            for _ in 0..PAGES {
                if !lead.holds(engine) || !ready(engine, strategy, setting.hold()).await? {
                    break;
                }
            }
        }
        if let Some(ahead) = setting.ahead()
            && lead.holds(engine)
        {
            self.hold_ahead(engine, ahead, setting.auto.unwrap_or_default())
                .await?;
        }
        Ok(None)
    }
}

/// How the project wants work to be given to agents.
pub async fn setting(engine: &Engine) -> Result<Setting> {
    let found = engine
        .store
        .entries_of(&engine.project, Book::Setting, &[ROUTING.into()])
        .await?;
    found.first().map_or(Ok(Setting::default()), Entry::read)
}

async fn cursor(engine: &Engine) -> Result<(Option<Entry>, Cursor)> {
    let found = engine
        .store
        .entries_of(&engine.project, Book::Cursor, &[CURSOR.into()])
        .await?
        .pop();
    let cursor = found.as_ref().map(Entry::read).transpose()?.unwrap_or_default();
    Ok((found, cursor))
}

async fn move_on(engine: &Engine, before: Option<&Entry>, last: u64) -> Result<()> {
    let entry = Entry::new(Book::Cursor, CURSOR, &Cursor { last });
    let edit = Edit::put(entry).instead_of(before);
    engine.write(vec![edit]).await.map(drop)
}

/// Gives what one page of the log says has become ready. Returns whether there may be more. Whom nobody can be found for stays
/// for whoever claims it.
async fn ready(engine: &Engine, strategy: Strategy, span: Duration) -> Result<bool> {
    let (found, cursor) = cursor(engine).await?;
    let (store, project) = (&engine.store, &engine.project);
    let head = store.chain(project).await?.last.0;
    if found.is_none() {
        // What was there before the setting was made is left to those who claim.
        move_on(engine, None, head).await?;
        return Ok(false);
    }
    let events = store.events(project, EventNo(cursor.last), PAGE_MAX).await?;
    let Some(last) = events.last().map(|seen| seen.event.no.0) else {
        return Ok(false);
    };
    let became = |kind| matches!(kind, Fact::TaskSubmitted | Fact::TaskEntered(State::Ready));
    let mut ids: Vec<TaskId> = events
        .iter()
        .filter(|seen| became(seen.event.fact.kind))
        .filter_map(|seen| seen.task.clone())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let views = store.views(project, &ids).await?.into_iter().flatten();
    let mut open: Vec<View> = views
        .filter(|view| is_open(view) && view.task.in_line())
        .collect();
    if !open.is_empty() {
        let held: FxHashSet<TaskId> = hold::all(engine)
            .await?
            .into_iter()
            .map(|(task, _)| task)
            .collect();
        open.retain(|view| !held.contains(&view.task.id));
        open.sort_by_key(|view| view.task.place());
        // Who has only just come counts with what was said of him.
        learn::catch_up(engine, PAGES).await?;
        let mut router = Router::open(engine).await?;
        for view in open {
            match router.decide(&view, strategy, &[]) {
                Ok(decision) => {
                    hold::give(engine, &mut router, &view.task.id, decision, false, span).await?;
                }
                Err(refusal) if refusal.code.kind() == code::Kind::Store => return Err(refusal),
                Err(_) => {}
            }
        }
    }
    move_on(engine, found.as_ref(), last).await?;
    Ok(events.len() == PAGE_MAX)
}

/// Whether it is for an agent, and nobody has said for which.
fn is_open(view: &View) -> bool {
    view.class.work == "agent" && view.class.agent.is_none()
}

impl Routing {
    /// Nothing is given where there is nobody.
    async fn skip(&self, engine: &Engine, setting: &Setting) -> Result<Option<Timestamp>> {
        if setting.auto.is_some() {
            let (found, cursor) = cursor(engine).await?;
            let head = engine.store.chain(&engine.project).await?.last.0;
            if head > cursor.last {
                move_on(engine, found.as_ref(), head).await?;
            }
        }
        Ok(None)
    }

    /// Holds agents for critical tasks whose last prerequisites are about to end.
    async fn hold_ahead(&mut self, engine: &Engine, ahead: Duration, strategy: Strategy) -> Result<()> {
        let (store, project) = (&engine.store, &engine.project);
        let leased = store.leased(project, None).await?;
        let ids: Vec<TaskId> = leased
            .iter()
            .filter(|held| held.run.is_some())
            .take(PAGE_MAX)
            .map(|held| held.id.clone())
            .collect();
        let working: Vec<View> = store.views(project, &ids).await?.into_iter().flatten().collect();
        let running: FxHashSet<RunId> = working.iter().filter_map(|view| view.run).collect();
        self.paths.retain(|run, _| running.contains(run));
        let mut known: FxHashSet<RunId> = FxHashSet::default();
        for run in running {
            if self.know(engine, run).await? {
                known.insert(run);
            }
        }
        let now = engine.now().wall;
        let mut held: Option<FxHashSet<TaskId>> = None;
        let mut router: Option<Router> = None;
        for view in &working {
            let Some(path) = view
                .run
                .filter(|run| known.contains(run))
                .and_then(|run| self.paths.get(&run))
                .filter(|path| path.critical.contains(&view.task.seq))
            else {
                continue;
            };
            let near = store.neighbours(project, &view.task.id, PAGE_MAX).await?;
            let next: Vec<TaskId> = near
                .dependents
                .iter()
                .filter(|on| on.state == State::Blocked && path.critical.contains(&on.seq))
                .map(|on| on.id.clone())
                .collect();
            for next in store.views(project, &next).await?.into_iter().flatten() {
                if !is_open(&next) || !hold::is_coming(engine, &next.task.id).await? {
                    continue;
                }
                let wait = path.wait(engine, &next, now).await?;
                if wait > ahead {
                    continue;
                }
                if held.is_none() {
                    held = Some(
                        hold::all(engine)
                            .await?
                            .into_iter()
                            .map(|(task, _)| task)
                            .collect(),
                    );
                    learn::catch_up(engine, PAGES).await?;
                    router = Some(Router::open(engine).await?);
                }
                let (Some(held), Some(router)) = (&mut held, &mut router) else {
                    continue;
                };
                if !held.insert(next.task.id.clone()) {
                    continue;
                }
                if let Ok(mut decision) = router.decide(&next, strategy, &[]) {
                    decision.reason = format!(
                        "ahead of time, since it is on the critical path and about to be ready: {}",
                        decision.reason
                    );
                    hold::give(engine, router, &next.task.id, decision, true, wait + ahead).await?;
                }
            }
        }
        Ok(())
    }

    /// Computes the path of a run, unless it is known.
    async fn know(&mut self, engine: &Engine, id: RunId) -> Result<bool> {
        let run = engine.store.run(&engine.project, id).await?;
        let Some(run) = run.filter(|run| run.finished_at.is_none()) else {
            return Ok(false);
        };
        let total = run.counts.total();
        if self.paths.get(&id).is_some_and(|path| path.total == total) {
            return Ok(true);
        }
        if total > TASKS || self.paths.len() >= RUNS && !self.paths.contains_key(&id) {
            return Ok(false);
        }
        let path = Path::of(engine, id, total).await?;
        self.paths.insert(id, path);
        Ok(true)
    }
}

impl Path {
    async fn of(engine: &Engine, run: RunId, total: u64) -> Result<Path> {
        let views = submit::stored_tasks(engine, run).await?;
        let kinds = learn::practices(engine).await?;
        let known: Vec<Option<Duration>> = views
            .iter()
            .map(|view| {
                let usual = || {
                    kinds
                        .get(&view.class.kind)
                        .and_then(|known: &Practice| known.usual(0.5))
                };
                view.task.estimate.or_else(usual)
            })
            .collect();
        let durations = median(&known);
        let seqs: Vec<Seq> = views.iter().map(|view| view.task.seq).collect();
        let index: FxHashMap<Seq, u32> = seqs.iter().copied().zip(0..).collect();
        let edges = engine.store.edges(&engine.project, &seqs).await?;
        let edges = edges
            .iter()
            .filter_map(|(on, of, _)| Some((*index.get(on)?, *index.get(of)?)));
        let mut path = Path {
            total,
            critical: FxHashSet::default(),
            expected: FxHashMap::default(),
        };
        // A stored graph has no circles; one that had would have no path.
        if let Ok(dag) = Dag::new(Graph::build(seqs.len() as u32, edges)) {
            let timing = dag.timing(&durations);
            let critical = seqs
                .iter()
                .enumerate()
                .filter(|(at, _)| timing.slack(*at as u32) == 0);
            path.critical = critical.map(|(_, seq)| *seq).collect();
        }
        path.expected = seqs
            .into_iter()
            .zip(durations)
            .map(|(seq, ms)| (seq, Duration::from_millis(ms)))
            .collect();
        Ok(path)
    }

    /// How long until a task is ready, if what it waits for takes what is expected.
    async fn wait(&self, engine: &Engine, view: &View, now: Timestamp) -> Result<Duration> {
        let (store, project) = (&engine.store, &engine.project);
        let near = store.neighbours(project, &view.task.id, PAGE_MAX).await?;
        let open: Vec<TaskId> = near
            .after
            .iter()
            .filter(|on| !on.state.is_terminal())
            .map(|on| on.id.clone())
            .collect();
        let mut longest = Duration::ZERO;
        for on in store.views(project, &open).await?.into_iter().flatten() {
            let expected = self.expected.get(&on.task.seq).copied().unwrap_or_default();
            let spent = on.task.started_at.map_or(Duration::ZERO, |from| now.since(from));
            longest = longest.max(expected.saturating_sub(spent));
        }
        Ok(longest)
    }
}
