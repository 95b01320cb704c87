//! A plan from beginning to end in this process: submit or continue, work, watch, and tell how it ended.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::curb::budget;
use domain::id::{EventNo, RunId, TaskId, TeamName};
use domain::limits;
use domain::plan::Plan;
use domain::run::{Run, RunState};
use domain::store::{Filter, Result, Seen, View, Wants};
use domain::task::state::{Reason, State};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agents::teams;
use crate::duties::{self, Duties};
use crate::engine::{Engine, may_pass, trouble};
use crate::expect::Expected;
use crate::follow::{Follower, Snapshot};
use crate::ids;
use crate::recover;
use crate::rules;
use crate::submit::{self, Submitted};
use crate::worker::{self, Activity, Pace};

/// How a run ended for this process.
#[derive(Clone, Debug)]
pub struct Ended {
    pub run: Run,
    pub how: How,
    pub took: Duration,
}

#[derive(Clone, Debug)]
pub enum How {
    Finished(RunState),
    /// Nothing runs, and nothing can become ready by itself.
    Stuck(Vec<Waiting>),
    /// Stopped by a signal; the run can be continued.
    Interrupted,
}

/// A task that only somebody outside can set going again.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub task: TaskId,
    pub name: String,
    pub state: State,
    /// What it waits for, and what to do about it.
    pub cause: String,
    pub cure: String,
}

/// What there is to tell on the way.
#[derive(Debug)]
pub enum Update<'a> {
    Submitted(&'a Submitted, usize),
    Recovered(usize),
    Events(&'a [Seen], &'a Snapshot),
}

#[derive(Clone, Debug)]
pub struct Options {
    pub submit: submit::Options,
    pub worker: worker::Options,
    /// Workers beside it, each of which calls one agent.
    pub agents: Vec<worker::Options>,
    /// Stay when nothing can go on by itself.
    pub wait: bool,
    /// The pause between two looks at the log.
    pub refresh: Duration,
}

/// Submits a plan and works on its run until it has finished, is stuck, or `pace` stops it.
pub async fn run(
    engine: &Engine,
    plan: &Plan,
    file: &Path,
    options: Options,
    pace: watch::Receiver<Pace>,
    tell: &mut (dyn FnMut(Update<'_>) + Send),
) -> Result<Ended> {
    let expected = Expected::soon(engine, plan, &submit::identity(plan, file)).await?;
    let before = engine.store.chain(&engine.project).await?.last;
    let submitted = submit::submit(engine, plan, file, &options.submit).await?;
    tell(Update::Submitted(&submitted, plan.tasks.len()));
    // After that: what has died with its workers once too often ends here, and is tried again when somebody asks once more.
    let recovered = recover::recover(engine).await?;
    if recovered > 0 {
        tell(Update::Recovered(recovered));
    }
    let jobs = options.worker.jobs;
    let follower = Follower::new(engine, &submitted, before, plan, &expected, jobs).await?;
    work_on(engine, submitted.run, follower, options, pace, tell).await
}

async fn work_on(
    engine: &Engine,
    run: RunId,
    mut follower: Follower,
    options: Options,
    mut pace: watch::Receiver<Pace>,
    tell: &mut (dyn FnMut(Update<'_>) + Send),
) -> Result<Ended> {
    // The worker's own pace: it also drains when the run has ended for another reason than a signal.
    let (own, worker_pace) = watch::channel(*pace.borrow());
    let (activity, mut doing) = watch::channel(Activity::default());
    let doers: Vec<Wants> = std::iter::once(&options.worker)
        .chain(&options.agents)
        .map(worker::Options::wants)
        .collect();
    let rescue = recover::Rescue::start(engine.clone());
    let duties = Duties::new(
        engine.clone(),
        ids::worker(),
        duties::with(&options.worker.outside),
    )
    .start();
    let mut crew = JoinSet::new();
    for mut own in options.agents.iter().cloned() {
        own.run = Some(run);
        let (quiet, _) = watch::channel(Activity::default());
        crew.spawn(worker::work(engine.clone(), own, worker_pace.clone(), quiet));
    }
    let worker_options = worker::Options {
        run: Some(run),
        ..options.worker.clone()
    };
    crew.spawn(worker::work(
        engine.clone(),
        worker_options,
        worker_pace,
        activity,
    ));
    let mut seen = 0;
    let mut blind: Option<Instant> = None;
    let mut watcher = Watcher {
        engine,
        follower: &mut follower,
        untold: Vec::new(),
        rest: Rest::default(),
        doers: &doers,
        wait: options.wait,
    };
    let how = loop {
        let look = Instant::now();
        let idle = doing.borrow_and_update().idle;
        match watcher.look(idle, tell).await {
            Ok(Some(how)) => break how,
            Ok(None) => blind = None,
            Err(refusal) => {
                let since = *blind.get_or_insert(look);
                if !may_pass(&refusal) || since.elapsed() > BLIND {
                    own.send_replace(Pace::Stop);
                    drop(tokio::time::timeout(STOP, all_ended(&mut crew)).await);
                    return Err(refusal);
                }
                trouble(&refusal, "the run could not be looked at");
            }
        }
        let took = look.elapsed();
        tokio::select! {
            Some(ended) = crew.join_next() => {
                own.send_if_modified(|pace| std::mem::replace(pace, Pace::Drain.max(*pace)) < Pace::Drain);
                let others = all_ended(&mut crew).await;
                well(ended).and(others)?;
                duties.stop().await;
                follower.events().await?;
                return finish(&mut follower, How::Interrupted, tell).await;
            }
            Ok(()) = pace.changed() => drop(own.send_replace(*pace.borrow())),
            () = async { drop(doing.wait_for(|now| now.idle != idle).await) } => {}
            moment = engine.store.changed(seen) => {
                seen = moment;
                // Many commits make one look, and looking at a long plan must not keep the worker from it.
                let pause = options.refresh.max((took * LOOK_SHARE).min(LOOK_PAUSE));
                tokio::time::sleep(pause).await;
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    };
    drop(rescue);
    duties.stop().await;
    own.send_replace(Pace::Drain);
    all_ended(&mut crew).await?;
    finish(&mut follower, how, tell).await
}

/// What a run is watched with.
struct Watcher<'a> {
    engine: &'a Engine,
    follower: &'a mut Follower,
    /// Events of looks that have failed later on.
    untold: Vec<Seen>,
    rest: Rest,
    doers: &'a [Wants],
    /// Stay when nothing can go on by itself.
    wait: bool,
}

impl Watcher<'_> {
    /// Tells what is new. Returns how the run has ended, once it has.
    async fn look(&mut self, idle: bool, tell: &mut (dyn FnMut(Update<'_>) + Send)) -> Result<Option<How>> {
        self.untold.extend(self.follower.events().await?);
        let snapshot = self.follower.snapshot().await?;
        tell(Update::Events(&std::mem::take(&mut self.untold), &snapshot));
        let over = if snapshot.run.finished_at.is_some() {
            Some(How::Finished(snapshot.run.state))
        } else if idle && !self.wait {
            let waiting = stuck(self.engine, &snapshot.run, self.doers).await?;
            waiting.map(How::Stuck)
        } else {
            None
        };
        if over.is_none() {
            self.rest = Rest::default();
            return Ok(None);
        }
        let rested = self.rest.is_over(self.engine, &snapshot.run).await?;
        Ok(over.filter(|_| rested))
    }
}

/// How long a store may stay away before the run is given up here; its workers try on meanwhile.
const BLIND: Duration = Duration::from_secs(60);
/// What they get to hand back what they have, then.
const STOP: Duration = Duration::from_secs(10);
/// Of the time, about one part in so many is spent on looking.
const LOOK_SHARE: u32 = 20;
/// The longest that a look is put off for that.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

async fn all_ended(crew: &mut JoinSet<Result<()>>) -> Result<()> {
    let mut result = Ok(());
    while let Some(ended) = crew.join_next().await {
        result = result.and(well(ended));
    }
    result
}

fn well(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Refusal::new(Code::Internal, e.to_string())))
}

/// The time after the last task of a run, in which rules may hand more in.
#[derive(Debug, Default)]
struct Rest(Option<Resting>);

#[derive(Debug)]
struct Resting {
    /// As it was: one that has gone on and ended once more between two looks rests anew.
    run: Run,
    until: EventNo,
    since: Instant,
}

/// Rules that are not done by then are left to others.
const REST: Duration = Duration::from_secs(60);

impl Rest {
    async fn is_over(&mut self, engine: &Engine, run: &Run) -> Result<bool> {
        let resting = match self.0.take().filter(|resting| resting.run == *run) {
            Some(resting) => resting,
            None => Resting {
                run: run.clone(),
                until: engine.store.chain(&engine.project).await?.last,
                since: Instant::now(),
            },
        };
        let Resting { until, since, .. } = *self.0.insert(resting);
        Ok(since.elapsed() > REST || rules::is_settled(engine, until).await?)
    }
}

async fn finish(
    follower: &mut Follower,
    how: How,
    tell: &mut (dyn FnMut(Update<'_>) + Send),
) -> Result<Ended> {
    let events = follower.events().await?;
    let snapshot = follower.snapshot().await?;
    tell(Update::Events(&events, &snapshot));
    let how = match (how, snapshot.run.finished_at) {
        (How::Interrupted, Some(_)) => How::Finished(snapshot.run.state),
        (how, _) => how,
    };
    Ok(Ended {
        run: snapshot.run,
        how,
        took: snapshot.elapsed,
    })
}

/// Waits shown at the most; the rest is like them.
const SHOWN: usize = 20;

/// What the run waits for when it cannot go on by itself: every open task is with a person, suspended, behind one
/// of those, or of a sort that this process cannot do and nobody is doing.
async fn stuck(engine: &Engine, run: &Run, doers: &[Wants]) -> Result<Option<Vec<Waiting>>> {
    let moving = [State::Assigned, State::Running, State::Pending, State::Retrying];
    if moving.into_iter().any(|state| run.counts.of(state) > 0) {
        return Ok(None);
    }
    let filter = Filter {
        run: Some(run.id),
        states: vec![State::Ready, State::Awaiting, State::Suspended],
        ..Filter::default()
    };
    let mut views = engine
        .store
        .list(
            &engine.project,
            filter.clone(),
            Default::default(),
            limits::PAGE_MAX,
        )
        .await?;
    // A task parked behind a lock goes on when its holder ends, wherever that is; one behind a budget when somebody
    // has answered.
    let moves = |view: &View| match view.task.parked_under() {
        Some(thing) => !thing.starts_with(budget::PREFIX),
        None => has_a_doer(view, doers) || answers_itself(view),
    };
    if views.iter().any(moves) {
        return Ok(None);
    }
    if views.iter().any(|view| view.class.team.is_some()) {
        let doers = teams::with_teams(engine, doers).await?;
        if views.iter().any(|view| has_a_doer(view, &doers)) {
            return Ok(None);
        }
    }
    if views.is_empty() {
        let filter = Filter {
            states: vec![State::Blocked],
            ..filter
        };
        views = engine
            .store
            .list(&engine.project, filter, Default::default(), SHOWN)
            .await?;
    }
    views.truncate(SHOWN);
    Ok(Some(views.iter().map(waiting).collect()))
}

/// Whether a breakpoint goes on by itself when its deadline passes.
fn answers_itself(view: &View) -> bool {
    let default = || view.body.read_spec().ok()?.stop?.default;
    view.task.state == State::Awaiting && view.task.deadline.is_some() && default().is_some()
}

/// Whether a worker of this process takes it.
fn has_a_doer(view: &View, doers: &[Wants]) -> bool {
    let class = &view.class;
    view.task.state == State::Ready
        && doers.iter().any(|wants| {
            let offered =
                |(name, amount): (&String, &u64)| wants.free.get(name).is_some_and(|offer| offer >= amount);
            wants.takes(class) && class.resources.iter().all(offered)
        })
}

fn waiting(view: &View) -> Waiting {
    let task = &view.task;
    let name = view
        .body
        .key
        .as_ref()
        .map_or_else(|| task.id.to_string(), ToString::to_string);
    let id = &task.id;
    let (cause, cure) = match task.state {
        State::Suspended => ("suspended by a user".to_owned(), format!("bell task resume {id}")),
        State::Awaiting if task.reason == Some(Reason::Breakpoint) => (
            "a person has to decide".to_owned(),
            format!("bell breakpoint resolve {id} --answer JSON"),
        ),
        State::Awaiting if task.reason == Some(Reason::Budget) => (
            "its budget is used up, it is not known how much it may use, or nobody has said that it may go on".to_owned(),
            format!(
                "bell task history {id} says which; bell breakpoint resolve {id} --answer '{{\"raise\":{{\"tokens\":N}}}}' grants an amount, bell budget set more to all"
            ),
        ),
        State::Awaiting => (
            "a person has to decide".to_owned(),
            format!("bell task show {id}"),
        ),
        State::Blocked => (
            "a task that it waits for has failed".to_owned(),
            format!("bell task why {id}"),
        ),
        _ => waits_for_a_doer(view),
    };
    Waiting {
        task: id.clone(),
        name,
        state: task.state,
        cause,
        cure,
    }
}

fn waits_for_a_doer(view: &View) -> (String, String) {
    if let Some(thing) = view.task.parked_under() {
        return (
            format!("it waits for {thing}"),
            format!("bell task why {}", view.task.id),
        );
    }
    if view.class.work == "command" && !view.class.resources.is_empty() {
        let amounts = view.class.resources.iter();
        let amounts: Vec<String> = amounts.map(|(name, amount)| format!("{name}={amount}")).collect();
        return (
            format!("nobody here offers {}", amounts.join(", ")),
            format!("bell run PLAN --offer {}", amounts.join(" --offer ")),
        );
    }
    let needs: Vec<&str> = view
        .class
        .needs
        .iter()
        .map(domain::id::Capability::as_str)
        .collect();
    let flags: String = needs.iter().map(|need| format!(" --capability {need}")).collect();
    match (&view.class.agent, needs.is_empty()) {
        (Some(agent), _) => (
            format!("the agent {agent} has to take it"),
            format!(
                "bell task claim --worker {agent}{flags}, or bell worker --agent {agent}{flags} -- PROGRAM"
            ),
        ),
        (None, _) if view.class.team.is_some() => {
            let team = view.class.team.as_ref().map_or("", TeamName::as_str);
            (
                format!("a member of the team {team} has to take it"),
                format!(
                    "bell team show {team}, then bell task claim --worker MEMBER{flags}, or bell worker --agent MEMBER -- PROGRAM"
                ),
            )
        }
        (None, false) => (
            format!("nobody here offers {}", needs.join(", ")),
            format!("bell task claim --worker NAME{flags}"),
        ),
        (None, true) => (
            "somebody has to take it".to_owned(),
            "bell task claim --worker NAME".to_owned(),
        ),
    }
}
