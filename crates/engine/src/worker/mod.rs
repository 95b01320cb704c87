//! A worker: leases what it can do, carries it out, and settles it.
//!
//! One task owns all state (`dispatch`); attempts run beside it and report back over a channel. Each turn of its
//! loop gathers what has finished, and sends the finishes and the next claim to the store together, so that both
//! share one commit and a finished layer of a graph lets the next one start at once.

mod ahead;
mod attempt;
mod begin;
mod dispatch;
mod hold;
mod house;
pub mod pool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::{AgentName, Capability, Kind, PoolName, RunId, WorkerId};
use domain::store::{Result, Wants};
use domain::task::spec::Work;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};

use crate::engine::Engine;
use crate::execute::agent::Program;
use crate::execute::command::Commands;
use crate::execute::handler::Handlers;
use crate::execute::inputs::Inputs;
use crate::execute::secrets::Secrets;
use crate::execute::wait::{Signals, Waits};
use crate::ids;
use crate::outside::Outside;
use crate::process::Launch;
use ahead::Ahead;
use dispatch::Dispatch;
use house::House;

#[derive(Clone, Debug)]
pub struct Options {
    /// Attempts at the same time.
    pub jobs: usize,
    pub lease: Duration,
    /// How often leases are renewed; well below `lease`.
    pub heartbeat: Duration,
    /// Of one attempt, for tasks that name none.
    pub timeout: Duration,
    /// From `TERM` to `KILL`.
    pub grace: Duration,
    /// How long a drain waits for attempts under way.
    pub drain: Duration,
    /// Work on one run and its subtasks only.
    pub run: Option<RunId>,
    pub kinds: Vec<Kind>,
    /// The pool it works for, as others see it.
    pub pool: Option<PoolName>,
    /// Takes the place of `jobs` and `kinds`, and may change meanwhile.
    pub slots: Option<watch::Receiver<Slots>>,
    pub capabilities: Vec<Capability>,
    pub agent: Option<AgentName>,
    /// Amounts that its tasks may take together, by name.
    pub offers: BTreeMap<String, u64>,
    pub handlers: Handlers,
    /// Run commands, and what needs no more than this process: calls and waits.
    pub commands: bool,
    /// How the agent is called that prompts are for; without one they are left to others.
    pub program: Option<Program>,
    /// Where the secrets of tasks are.
    pub secrets: Secrets,
    /// The binary that can serve as guard (`bell`); without one, commands outlive a worker that is killed.
    pub guard: Option<PathBuf>,
    /// Handed to attempts so that `bell` inside of them finds the same store.
    pub store_url: String,
    /// Results kept in the cache.
    pub cache_bound: usize,
    /// By which tasks and rules call the web.
    pub outside: Outside,
    /// Attempts are told where they stand in a trace, even when nobody outside has begun one.
    pub traced: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            jobs: 10,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            timeout: Duration::from_secs(3_600),
            grace: Launch::GRACE,
            drain: Duration::from_secs(10),
            run: None,
            kinds: Vec::new(),
            pool: None,
            slots: None,
            capabilities: Vec::new(),
            agent: None,
            offers: BTreeMap::new(),
            handlers: Handlers::default(),
            commands: true,
            program: None,
            secrets: Secrets::default(),
            guard: None,
            store_url: String::new(),
            cache_bound: 1_000,
            outside: Outside::default(),
            traced: false,
        }
    }
}

impl Options {
    /// Executors whose tasks take a slot; waits stand beside.
    fn slots_of(&self) -> Vec<&'static str> {
        let works = [
            self.commands.then_some("command"),
            self.commands.then_some("http"),
            self.program.is_some().then_some("agent"),
            (!self.handlers.names().is_empty()).then_some("handler"),
        ];
        works.into_iter().flatten().collect()
    }

    /// Everything that the worker takes.
    pub(crate) fn wants(&self) -> Wants {
        let mut works = self.slots_of();
        works.extend(Work::BESIDE.iter().filter(|_| self.commands));
        Wants {
            capabilities: self.capabilities.clone(),
            kinds: self.kinds.clone(),
            works,
            handlers: self.handlers.names(),
            agent: self.agent.clone(),
            run: self.run,
            free: self.offers.clone(),
            offers: self.offers.clone(),
            ..Wants::default()
        }
    }
}

/// How much a worker takes on at the same time, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    pub count: usize,
    pub kinds: Vec<Kind>,
}

/// How far a worker shall go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    #[default]
    Work,
    /// Lease nothing more; end when the attempts under way have ended, or after `Options::drain`.
    Drain,
    /// Stop the attempts and hand their leases back now.
    Stop,
}

/// What a worker is doing, for whoever waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    pub running: usize,
    /// Nothing could be claimed at the last try, and nothing has happened since.
    pub idle: bool,
}

/// Works until `pace` says otherwise. The worker ends with every lease finished or handed back.
pub async fn work(
    engine: Engine,
    options: Options,
    pace: watch::Receiver<Pace>,
    activity: watch::Sender<Activity>,
) -> Result<()> {
    work_as(ids::worker(), engine, options, pace, activity).await
}

/// The same under a name that the caller knows.
pub async fn work_as(
    id: WorkerId,
    engine: Engine,
    mut options: Options,
    pace: watch::Receiver<Pace>,
    activity: watch::Sender<Activity>,
) -> Result<()> {
    if let Some(slots) = &mut options.slots {
        let Slots { count, kinds } = slots.borrow_and_update().clone();
        (options.jobs, options.kinds) = (count, kinds);
    }
    let house = House::open(&engine, &options, &id)?;
    let (done, finished) = mpsc::unbounded_channel();
    let dispatch = Dispatch {
        waits: Waits {
            outside: options.outside.clone(),
            signals: Signals::default(),
            timeout: options.timeout,
        },
        waits_claimed: None,
        waits_wanted: options.commands,
        wants: Wants {
            works: options.slots_of(),
            ..options.wants()
        },
        commands: Commands {
            launcher: house.launcher.clone(),
            scratch: house.scratch.clone(),
            inputs: Inputs::new(&house.scratch),
            timeout: options.timeout,
            grace: options.grace,
            store_url: options.store_url.clone(),
            program: options.program.clone().map(Arc::new),
            secrets: Arc::new(options.secrets.clone()),
        },
        engine,
        options,
        id,
        slots: FxHashMap::default(),
        ahead: Ahead::default(),
        begun: Vec::new(),
        pending: Vec::new(),
        pending_since: None,
        held_back: Vec::new(),
        done,
        finished,
        seen: 0,
        hungry: true,
        steer: false,
        next_tick: Instant::now(),
    };
    let result = dispatch.run(pace, activity, &house).await;
    house.close().await;
    result
}
