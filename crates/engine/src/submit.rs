//! From a checked plan to stored tasks: a new run, or an earlier one that goes on.

use std::path::Path;
use std::sync::Arc;

use domain::code::{Code, Refusal};
use domain::id::{Key, RunId, Seq, TaskId};
use domain::limits;
use domain::plan::{Plan, PlanTask};
use domain::run::{Run, RunState};
use domain::store::{
    Admission, AdmitLimits, Command, Filter, IntoRun, NewEdge, NewTask, On, Request, Result, Target, View,
    is_continuable,
};
use domain::task::replan::OnExhausted;
use domain::task::score::Profile;
use domain::task::spec::Spec;
use domain::task::state::{Reason, State};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::engine::Engine;
use crate::expect::Expected;
use crate::ids;
use crate::order::order;

/// Which run a plan goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// The newest run of the same plan that has not succeeded and was not cancelled, else a new one.
    Newest,
    New,
    Run(RunId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    New,
    /// An earlier run goes on.
    Continued {
        /// Tasks that run anew because the plan has changed.
        edited: usize,
        /// Failed tasks that are tried again.
        retried: usize,
        /// Tasks that had finished before and are kept.
        kept: usize,
    },
    /// Another live process is working on it; this one helps.
    Joined {
        edited: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub run: RunId,
    pub how: How,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub into: Into,
    /// Of this plan; else what the project says.
    pub profile: Option<Profile>,
    /// Another process is working on this run right now; see [`crate::recover::is_worked_on`].
    pub joins: fn(&Engine, RunId) -> bool,
}

/// What identifies a plan from one submission to the next.
pub fn identity(plan: &Plan, file: &Path) -> String {
    plan.name.clone().unwrap_or_else(|| file.display().to_string())
}

/// Stores a plan. `file` is its absolute path: its folder is where commands run that name no other.
///
/// The plan goes in whole or not at all. Continuing is safe to repeat after a crash at any point: what was
/// already done is found done.
pub async fn submit(engine: &Engine, plan: &Plan, file: &Path, options: &Options) -> Result<Submitted> {
    if !plan.unsupported.is_empty() {
        return Err(plan.unsupported.clone().into());
    }
    // Two processes may submit the same plan at once: the one that comes second looks again.
    for _ in 0..MEETINGS {
        match try_submit(engine, plan, file, options).await {
            Err(refusal) if refusal.code == Code::RunChanged => {}
            settled => return settled,
        }
    }
    try_submit(engine, plan, file, options).await
}

/// Stores a plan as the new run `run`, once for each `key`: repeating it after a crash changes nothing. What goes first is as the
/// project says.
pub async fn submit_once(engine: &Engine, plan: &Plan, file: &Path, run: RunId, key: String) -> Result<()> {
    let once = Once {
        run,
        key,
        profile: None,
    };
    submit_keyed(engine, plan, file, once).await
}

/// A submission that is made once.
#[derive(Clone, Debug)]
pub struct Once {
    pub run: RunId,
    pub key: String,
    /// Of this plan; else what the project says.
    pub profile: Option<Profile>,
}

/// The same as [`submit_once`], with a profile of its own.
pub async fn submit_keyed(engine: &Engine, plan: &Plan, file: &Path, once: Once) -> Result<()> {
    if !plan.unsupported.is_empty() {
        return Err(plan.unsupported.clone().into());
    }
    let identity = identity(plan, file);
    let shares = shares(engine, plan, &identity, once.profile).await?;
    let work = prepare(engine, plan, file, &shares)?;
    let run = IntoRun::New {
        id: once.run,
        plan: identity,
        digest: plan.digest,
        newest: None,
    };
    let admission = Admission {
        idempotency_key: Some(once.key),
        ..admission(engine, work, run, Vec::new())
    };
    engine
        .store
        .admit(&engine.project, admission, engine.now())
        .await?;
    Ok(())
}

/// How often a submission gives way to others of the same plan before it gives up.
const MEETINGS: usize = 20;

async fn try_submit(engine: &Engine, plan: &Plan, file: &Path, options: &Options) -> Result<Submitted> {
    let identity = identity(plan, file);
    let shares = shares(engine, plan, &identity, options.profile).await?;
    let work = prepare(engine, plan, file, &shares)?;
    let mut newest = None;
    let run = match options.into {
        Into::New => None,
        Into::Run(id) => {
            let run = engine.store.run(&engine.project, id).await?;
            Some(run.ok_or_else(|| Refusal::new(Code::RunNotFound, format!("there is no run {id}")))?)
        }
        Into::Newest => {
            let found = engine
                .store
                .runs(&engine.project, Some(&identity), 1)
                .await?
                .pop();
            newest = Some(found.as_ref().map(|run| run.id));
            found.filter(|run| is_continuable(run.state))
        }
    };
    match run {
        None => start(engine, plan, identity, work, newest).await,
        Some(run) if run.state == RunState::Cancelled => Err(Refusal::new(
            Code::InvalidTransition,
            format!("run {} was cancelled and cannot go on", run.id),
        )
        .help("start a new one with `--new`")),
        Some(run) => {
            let joins = (options.joins)(engine, run.id);
            resume(engine, plan, &run, work, joins).await
        }
    }
}

/// New tasks by index of the plan, their edges all within the batch; `shares` are their parts of the critical path.
pub(crate) fn prepare(engine: &Engine, plan: &Plan, file: &Path, shares: &[u16]) -> Result<Vec<NewTask>> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let index: FxHashMap<&Key, u32> = plan
        .tasks
        .iter()
        .enumerate()
        .map(|(i, task)| (&task.key, i as u32))
        .collect();
    let now = engine.now().wall;
    let mut work = Vec::with_capacity(plan.tasks.len());
    for (i, task) in plan.tasks.iter().enumerate() {
        let mut spec = Spec {
            cwd: Some(place(folder, task.spec.cwd.as_deref())),
            ..task.spec.clone()
        };
        if let Some(OnExhausted::Replan(replan)) = &mut spec.on_exhausted {
            replan.planner.cwd = Some(place(folder, None));
        }
        let mut new = NewTask::new(ids::task(), Some(task.key.clone()), &spec, now);
        new.digest = task.digest;
        new.path_share = shares.get(i).copied();
        let edge = |after: &domain::task::spec::After| NewEdge {
            on: On::Batch(index[&after.task]),
            when: after.when,
        };
        new.after = task.after.iter().map(edge).collect();
        work.push(new);
    }
    Ok(work)
}

fn place(folder: &Path, cwd: Option<&str>) -> String {
    cwd.map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd))
        .display()
        .to_string()
}

/// What each task has of the critical path, where that says what goes first.
async fn shares(engine: &Engine, plan: &Plan, identity: &str, asked: Option<Profile>) -> Result<Vec<u16>> {
    let profile = match asked {
        Some(profile) => profile,
        None => order(engine).await?.profile,
    };
    Ok(match profile {
        Profile::Classic | Profile::Boosts => Vec::new(),
        Profile::CriticalPath => path_shares(plan, &Expected::soon(engine, plan, identity).await?),
    })
}

/// The remaining critical path of each task over the longest, in thousandths.
fn path_shares(plan: &Plan, expected: &Expected) -> Vec<u16> {
    let durations = domain::plan::durations(plan, |task| expected.duration(task));
    let timing = plan.dag.timing(&durations);
    let longest = timing.total.max(1);
    let share = |v: usize| (timing.remaining[v] as u128 * 1_000 / u128::from(longest)) as u16;
    (0..plan.tasks.len()).map(share).collect()
}

fn admission(engine: &Engine, tasks: Vec<NewTask>, run: IntoRun, supersede: Vec<TaskId>) -> Admission {
    Admission {
        tasks,
        run,
        supersede,
        limits: AdmitLimits::PLAN,
        actor: engine.actor.clone(),
        idempotency_key: None,
    }
}

async fn start(
    engine: &Engine,
    plan: &Plan,
    identity: String,
    work: Vec<NewTask>,
    newest: Option<Option<RunId>>,
) -> Result<Submitted> {
    let id = ids::run();
    let run = IntoRun::New {
        id,
        plan: identity,
        digest: plan.digest,
        newest,
    };
    engine
        .store
        .admit(
            &engine.project,
            admission(engine, work, run, Vec::new()),
            engine.now(),
        )
        .await?;
    Ok(Submitted {
        run: id,
        how: How::New,
    })
}

async fn resume(
    engine: &Engine,
    plan: &Plan,
    run: &Run,
    work: Vec<NewTask>,
    joins: bool,
) -> Result<Submitted> {
    let (run, from) = (run.id, run.digest);
    let stored = stored_tasks(engine, run).await?;
    let by_key: FxHashMap<&Key, &View> = stored
        .iter()
        .filter(|view| view.task.parent.is_none())
        .filter_map(|view| Some((view.body.key.as_ref()?, view)))
        .collect();
    let anew = anew(plan, &by_key);
    let removed = removed(plan, &by_key);
    let kept = plan
        .tasks
        .iter()
        .enumerate()
        .filter(|(i, task)| !anew.contains(&(*i as u32)) && by_key[&task.key].task.state == State::Completed)
        .count();
    let edited = !anew.is_empty() || !removed.is_empty();
    let supersede = superseded(plan, &stored, &by_key, &anew, removed);
    let retried = if joins {
        0
    } else {
        retry_failed(engine, &stored, &supersede).await?
    };
    if edited {
        let tasks = relink(work, plan, &by_key, &anew);
        let run = IntoRun::Existing {
            id: run,
            digest: plan.digest,
            from,
        };
        engine
            .store
            .admit(
                &engine.project,
                admission(engine, tasks, run, supersede),
                engine.now(),
            )
            .await?;
    }
    let edited = anew.len();
    let how = if joins {
        How::Joined { edited }
    } else {
        How::Continued {
            edited,
            retried,
            kept,
        }
    };
    Ok(Submitted { run, how })
}

/// All tasks of a run, page by page.
pub(crate) async fn stored_tasks(engine: &Engine, run: RunId) -> Result<Vec<View>> {
    let filter = Filter {
        run: Some(run),
        ..Filter::default()
    };
    let mut all: Vec<View> = Vec::new();
    loop {
        let after = all.last().map_or_else(Default::default, |view| view.task.seq);
        let page = engine
            .store
            .list(&engine.project, filter.clone(), after, limits::PAGE_MAX)
            .await?;
        let last = page.len() < limits::PAGE_MAX;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

/// Tasks that run anew: new or edited ones, and all that depend on them. A task that a user cancelled also does, when
/// something that runs anew needs it.
fn anew(plan: &Plan, by_key: &FxHashMap<&Key, &View>) -> FxHashSet<u32> {
    let mut anew: FxHashSet<u32> = FxHashSet::default();
    let mut work: Vec<u32> = Vec::new();
    for (i, task) in plan.tasks.iter().enumerate() {
        if by_key.get(&task.key).is_none_or(|view| is_edited(task, view)) {
            work.push(i as u32);
        }
    }
    while let Some(i) = work.pop() {
        if !anew.insert(i) {
            continue;
        }
        work.extend(plan.dag.dependents(i));
        let cancelled = |on: &&u32| {
            let task = by_key.get(&plan.tasks[**on as usize].key).map(|view| &view.task);
            task.is_some_and(|task| {
                task.state == State::Cancelled && task.reason != Some(Reason::UpstreamFailed)
            })
        };
        work.extend(plan.dag.prerequisites(i).iter().filter(cancelled));
    }
    anew
}

/// What is done stays done when nothing has changed but how it is scheduled.
fn is_edited(task: &PlanTask, stored: &View) -> bool {
    let body = &stored.body;
    let is_done = || {
        let same = |spec: Spec| task.does_the_same_as(&body.digest, &spec);
        stored.task.state == State::Completed && body.read_spec().is_ok_and(same)
    };
    body.digest != task.digest && !is_done()
}

fn removed<'a>(plan: &Plan, by_key: &FxHashMap<&Key, &'a View>) -> Vec<&'a View> {
    let keys: FxHashSet<&Key> = plan.tasks.iter().map(|task| &task.key).collect();
    by_key
        .iter()
        .filter(|(key, _)| !keys.contains(**key))
        .map(|(_, view)| *view)
        .collect()
}

/// What the new tasks replace, with the subtasks that the old ones had left behind.
fn superseded(
    plan: &Plan,
    stored: &[View],
    by_key: &FxHashMap<&Key, &View>,
    anew: &FxHashSet<u32>,
    removed: Vec<&View>,
) -> Vec<TaskId> {
    let mut gone: FxHashMap<Seq, TaskId> = FxHashMap::default();
    let replaced = anew
        .iter()
        .filter_map(|i| by_key.get(&plan.tasks[*i as usize].key).copied());
    for view in replaced.chain(removed) {
        gone.insert(view.task.seq, view.task.id.clone());
    }
    // Subtasks have higher numbers than their parents, so one pass in order finds whole trees.
    for view in stored {
        if view.task.parent.is_some_and(|parent| gone.contains_key(&parent)) {
            gone.insert(view.task.seq, view.task.id.clone());
        }
    }
    let mut ids: Vec<_> = gone.into_iter().collect();
    ids.sort_unstable_by_key(|(seq, _)| *seq);
    ids.into_iter().map(|(_, id)| id).collect()
}

/// The tasks that run anew, with edges to each other and to what is kept.
fn relink(
    work: Vec<NewTask>,
    plan: &Plan,
    by_key: &FxHashMap<&Key, &View>,
    anew: &FxHashSet<u32>,
) -> Vec<NewTask> {
    let mut kept: Vec<u32> = anew.iter().copied().collect();
    kept.sort_unstable();
    let place: FxHashMap<u32, u32> = kept.iter().enumerate().map(|(at, i)| (*i, at as u32)).collect();
    let mut tasks: Vec<Option<NewTask>> = work.into_iter().map(Some).collect();
    let mut batch = Vec::with_capacity(kept.len());
    for i in kept {
        let mut task = tasks[i as usize].take().expect("each index stands once");
        for edge in &mut task.after {
            let On::Batch(on) = edge.on else { continue };
            edge.on = match place.get(&on) {
                Some(at) => On::Batch(*at),
                None => On::Task(by_key[&plan.tasks[on as usize].key].task.id.clone()),
            };
        }
        batch.push(task);
    }
    batch
}

/// Failed tasks that the plan still has as they were get another go, which revives what fell with them. So do subtasks: before
/// their parent, which then waits for them once more. What a parent is about to see is left to it.
async fn retry_failed(engine: &Engine, stored: &[View], gone: &[TaskId]) -> Result<usize> {
    let gone: FxHashSet<&TaskId> = gone.iter().collect();
    let mut deciding: FxHashSet<Seq> = FxHashSet::default();
    let mut ids = Vec::new();
    // Subtasks have higher numbers than their parents.
    for task in stored.iter().map(|view| &view.task) {
        let below = task.parent.is_some_and(|parent| deciding.contains(&parent));
        if below || !(task.state.is_terminal() || task.join.is_some()) {
            deciding.insert(task.seq);
        }
        if !below && task.state == State::Failed && !gone.contains(&task.id) {
            ids.push(task.id.clone());
        }
    }
    ids.reverse();
    change_all(engine, &ids, &Command::Retry { at: None }).await?;
    Ok(ids.len())
}

/// Sends one command to many tasks, in batches. Tasks that have moved on meanwhile are left as they are.
pub async fn change_all(engine: &Engine, ids: &[TaskId], command: &Command) -> Result<()> {
    for batch in ids.chunks(limits::CLAIM_MAX) {
        let requests = batch
            .iter()
            .map(|id| Request {
                target: Target::Id(id.clone()),
                command: command.clone(),
                actor: Arc::clone(&engine.actor),
                idempotency_key: None,
            })
            .collect();
        engine
            .store
            .change(&engine.project, requests, engine.now())
            .await?;
    }
    Ok(())
}
