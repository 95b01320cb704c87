//! A worker of a pool: the number of its slots follows the load and what is set for the pool meanwhile.

use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event;
use domain::id::{Kind, PoolName, Seq, WorkerId};
use domain::pool::{Crew, Load, Pool, crew_key};
use domain::store::{Filter, Result};
use domain::task::state::State;
use serde::Serialize;
use tokio::sync::watch;

use super::{Activity, Options, Pace, Slots, work_as};
use crate::agents;
use crate::engine::{Engine, is_away};

/// What is set for a pool, or what it is without.
pub async fn find(engine: &Engine, name: &PoolName) -> Result<Pool> {
    let keys = [name.as_str().into()];
    let stored = engine.store.entries_of(&engine.project, Book::Pool, &keys);
    if let Some(entry) = stored.await?.pop() {
        return entry.read();
    }
    Pool::preset(name).ok_or_else(|| {
        let refusal = Refusal::new(Code::PoolNotFound, format!("there is no pool `{name}`"));
        match nearest(name.as_str(), Pool::PRESETS) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help(format!("`bell pool set {name} --kinds KIND` makes it")),
        }
    })
}

/// Works for a pool until `pace` says otherwise.
pub async fn work(
    id: WorkerId,
    engine: Engine,
    name: PoolName,
    options: Options,
    pace: watch::Receiver<Pace>,
) -> Result<()> {
    let (activity, doing) = watch::channel(Activity::default());
    let (mut scaler, slots) = Scaler::open(engine.clone(), name.clone(), id.clone(), doing).await?;
    let options = Options {
        pool: Some(name),
        slots: Some(slots),
        ..options
    };
    let work = work_as(id, engine, options, pace, activity);
    let ended = tokio::select! {
        ended = work => ended,
        () = scaler.run() => Ok(()),
    };
    scaler.close().await;
    ended
}

/// Looks at the load of a pool every now and then, and tells its worker how many slots there are.
#[derive(Debug)]
pub struct Scaler {
    engine: Engine,
    name: PoolName,
    pool: Pool,
    crew: Crew,
    slots: watch::Sender<Slots>,
    activity: watch::Receiver<Activity>,
}

/// What an event tells of a change of slots.
#[derive(Debug, Serialize)]
struct Scaled<'a> {
    pool: &'a PoolName,
    worker: &'a WorkerId,
    from: usize,
    to: usize,
    /// Queued and in progress, when that was the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<usize>,
}

impl Scaler {
    pub async fn open(
        engine: Engine,
        name: PoolName,
        worker: WorkerId,
        activity: watch::Receiver<Activity>,
    ) -> Result<(Scaler, watch::Receiver<Slots>)> {
        let pool = find(&engine, &name).await?;
        let (slots, told) = watch::channel(Slots {
            count: pool.min,
            kinds: pool.kinds.clone(),
        });
        let crew = Crew {
            worker,
            slots: 0,
            ups: 0,
            downs: 0,
        };
        let mut scaler = Scaler {
            engine,
            name,
            pool,
            crew,
            slots,
            activity,
        };
        scaler.resize(scaler.pool.min, None).await?;
        Ok((scaler, told))
    }

    async fn run(&mut self) {
        loop {
            tokio::time::sleep(self.pool.interval()).await;
            if let Err(refusal) = self.turn().await
                && !is_away(&refusal)
            {
                tracing::warn!(pool = %self.name, error = %refusal, "the pool could not be scaled");
            }
        }
    }

    /// Looks once: what is set, what there is to do, and how many slots follow.
    pub async fn turn(&mut self) -> Result<()> {
        self.pool = find(&self.engine, &self.name).await?;
        let work = self.work().await?;
        let load = Load {
            work,
            slots: self.crew.slots,
            busy: self.activity.borrow().running,
        };
        let slots = self.pool.slots(load);
        if slots != self.crew.slots {
            self.crew.ups += u64::from(slots > self.crew.slots);
            self.crew.downs += u64::from(slots < self.crew.slots);
            self.resize(slots, Some(work)).await?;
        }
        let then = Slots {
            count: slots,
            kinds: self.pool.kinds.clone(),
        };
        self.slots.send_if_modified(|seen| {
            let changed = *seen != then;
            *seen = then;
            changed
        });
        Ok(())
    }

    /// How much of the pool's kinds is queued or in progress: exact up to where it matters.
    async fn work(&self) -> Result<usize> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        let states = [State::Ready, State::Assigned, State::Running];
        if self.pool.kinds.is_empty() {
            let counts = store.status(project).await?.counts;
            let work: u64 = states.iter().map(|state| counts.of(*state)).sum();
            return Ok(usize::try_from(work).unwrap_or(usize::MAX));
        }
        let mut work = 0;
        for kind in &self.pool.kinds {
            work += self.work_of(kind, states.to_vec()).await?;
        }
        Ok(work)
    }

    async fn work_of(&self, kind: &Kind, states: Vec<State>) -> Result<usize> {
        let filter = Filter {
            kind: Some(kind.clone()),
            states,
            ..Filter::default()
        };
        let (store, project) = (&self.engine.store, &self.engine.project);
        let page = store.list(project, filter, Seq(0), self.pool.up + 1).await?;
        Ok(page.len())
    }

    /// Tells the others, with the event; then it counts.
    async fn resize(&mut self, slots: usize, work: Option<usize>) -> Result<()> {
        let data = Scaled {
            pool: &self.name,
            worker: &self.crew.worker,
            from: self.crew.slots,
            to: slots,
            work,
        };
        let key = crew_key(&self.name, &self.crew.worker);
        let edit = match slots {
            0 => Edit::remove(Book::Pool, &key),
            slots => Edit::put(Entry::new(
                Book::Pool,
                &key,
                &Crew {
                    slots,
                    ..self.crew.clone()
                },
            )),
        };
        let edits = vec![edit.with_event(event::Kind::PoolScaled, &data)];
        let actor = format!("worker:{}", self.crew.worker).into();
        let (store, project) = (&self.engine.store, &self.engine.project);
        store.edit(project, edits, actor, self.engine.now()).await?;
        self.crew.slots = slots;
        Ok(())
    }

    pub async fn close(mut self) {
        if let Err(refusal) = self.resize(0, None).await {
            tracing::warn!(pool = %self.name, error = %refusal, "the pool's slots could not be taken off");
        }
    }
}

/// Takes off what dead workers have left in pools.
pub(crate) async fn forget(engine: &Engine, worker: &WorkerId) -> Result<()> {
    let ending = format!("@{worker}");
    let entries = agents::entries(engine, Book::Pool, "").await?;
    let left = entries.iter().filter(|entry| entry.key.ends_with(&ending));
    let edits: Vec<Edit> = left.map(|entry| Edit::remove(Book::Pool, &entry.key)).collect();
    if edits.is_empty() {
        return Ok(());
    }
    let (store, project) = (&engine.store, &engine.project);
    store.edit(project, edits, "system".into(), engine.now()).await
}
