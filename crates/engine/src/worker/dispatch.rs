//! The loop of a worker: the one task that owns its state.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::code::{Code, Kind};
use domain::id::{Seq, Token, WorkerId};
use domain::store::{Claim, Command, Leased, Reply, Request, Result, Target, Wants};
use domain::task::spec::{Json, Work};
use domain::task::state::State;
use domain::time::{Now, Timestamp};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};

use super::ahead::Ahead;
use super::house::House;
use super::{Activity, Options, Pace, Slots};
use crate::engine::{Engine, trouble};
use crate::execute::command::Commands;
use crate::execute::wait::{WAITS_MAX, Waits};
use crate::execute::{Finish, Job};
use crate::ids;

pub(super) struct Slot {
    pub(super) job: Job,
    pub(super) token: Token,
    pub(super) began: Instant,
    /// Sent to the store with the next renewal, if it has changed.
    pub(super) progress: Option<Json>,
}

impl Slot {
    fn is_wait(&self) -> bool {
        matches!(self.job.spec.work, Work::Wait(_) | Work::Each(_))
    }
}

pub(super) struct Dispatch {
    pub(super) engine: Engine,
    pub(super) options: Options,
    pub(super) id: WorkerId,
    pub(super) wants: Wants,
    pub(super) commands: Commands,
    pub(super) waits: Waits,
    /// When waits were claimed last.
    pub(super) waits_claimed: Option<Instant>,
    /// There may be waits to claim.
    pub(super) waits_wanted: bool,
    pub(super) slots: FxHashMap<Seq, Slot>,
    /// Leases for attempts to come.
    pub(super) ahead: Ahead,
    /// Attempts that have begun under such a lease, and when; the store has not been told.
    pub(super) begun: Vec<(Token, Timestamp)>,
    /// Finishes that are not yet acknowledged by the store.
    pub(super) pending: Vec<(Token, Finish)>,
    /// When the first of them came that the store was not asked about.
    pub(super) pending_since: Option<Instant>,
    /// Finishes of tasks that were suspended at that moment; sent again when they are resumed.
    pub(super) held_back: Vec<(Token, Finish)>,
    pub(super) done: mpsc::UnboundedSender<(Token, Finish)>,
    pub(super) finished: mpsc::UnboundedReceiver<(Token, Finish)>,
    /// The moment of the store up to which this worker has looked.
    pub(super) seen: u64,
    /// There may be something to claim.
    pub(super) hungry: bool,
    /// Leases may have been changed by others.
    pub(super) steer: bool,
    /// When to look next for what is due by time.
    pub(super) next_tick: Instant,
}

/// How often the worker looks whether others have changed its leases, when the store is busy.
const STEER_EVERY: Duration = Duration::from_millis(50);
/// Waits are claimed no more often than this: they are few, and take no slot from others.
const WAITS_EVERY: Duration = Duration::from_millis(200);
/// How often what is due by time is looked for, when nothing nearer is known.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// How long an attempt that has ended may wait for others, so that they share a commit, while the worker has enough to do.
const GATHER: Duration = Duration::from_millis(4);
/// Attempts that are no older may end with the first of them, and how long the first waits for them then.
const YOUNG: Duration = Duration::from_millis(1);
const MOMENT: Duration = Duration::from_micros(200);
/// How long a failing store is left alone before the next try.
const STORE_RETRY: Duration = Duration::from_millis(500);

impl Dispatch {
    pub(super) async fn run(
        mut self,
        mut pace: watch::Receiver<Pace>,
        activity: watch::Sender<Activity>,
        house: &House,
    ) -> Result<()> {
        let store = Arc::clone(&self.engine.store);
        let mut changed = Box::pin(store.changed(self.seen));
        let mut beat = tokio::time::interval(self.options.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_steer = Instant::now();
        let mut deadline: Option<Instant> = None;
        house.promise(self.engine.clock.now().mono);
        loop {
            let now_pace = *pace.borrow_and_update();
            if now_pace >= Pace::Drain && deadline.is_none() {
                deadline = Some(Instant::now() + self.options.drain);
            }
            let overdue = deadline.is_some_and(|at| Instant::now() >= at);
            if now_pace == Pace::Stop || overdue {
                self.slots.values().for_each(|slot| slot.job.steering.cancel());
                // What ended while it was suspended cannot be told, and nobody is here to tell it later.
                let untold = std::mem::take(&mut self.held_back);
                self.hand_back(untold.into_iter().map(|(token, _)| token).collect());
            }
            self.turn(now_pace, house).await?;
            if self.steer && last_steer.elapsed() >= STEER_EVERY {
                self.follow_leases().await?;
                last_steer = Instant::now();
            }
            activity.send_if_modified(|seen| {
                let now = Activity {
                    running: self.slots.values().filter(|slot| !slot.is_wait()).count(),
                    idle: !self.hungry && self.slots.is_empty() && self.ahead.is_empty(),
                };
                std::mem::replace(seen, now) != now
            });
            let is_done = self.slots.is_empty() && self.pending.is_empty() && self.ahead.is_empty();
            if now_pace >= Pace::Drain && is_done {
                return Ok(());
            }
            let steer_at = self.steer.then(|| last_steer + STEER_EVERY);
            let retry_at = (!self.pending.is_empty()).then(|| Instant::now() + STORE_RETRY);
            let waits_at = (now_pace == Pace::Work && self.waits_wanted).then(|| {
                self.waits_claimed
                    .map_or_else(Instant::now, |at| at + WAITS_EVERY)
            });
            let wake = [
                Some(self.next_tick),
                waits_at,
                steer_at,
                deadline.filter(|_| !overdue),
                retry_at,
                self.ahead.due(),
                self.settle_at(),
            ]
            .into_iter()
            .flatten()
            .min();
            let wake = wake.expect("the tick is always set");
            tokio::select! {
                biased;
                Some(end) = self.finished.recv() => drop(self.note_end(end)),
                moment = &mut changed => {
                    self.seen = moment;
                    self.hungry = true;
                    self.waits_wanted = self.options.commands;
                    self.steer = self.holds_any();
                    changed = Box::pin(store.changed(moment));
                }
                Ok(()) = pace.changed() => {}
                slots = next_slots(&mut self.options.slots) => {
                    (self.options.jobs, self.wants.kinds) = (slots.count, slots.kinds);
                    self.hungry = true;
                }
                _ = beat.tick() => self.renew(house).await,
                () = tokio::time::sleep_until(wake.into()) => {
                    if Instant::now() >= self.next_tick {
                        self.next_tick = Instant::now() + self.tick().await?;
                    }
                }
            }
        }
    }

    /// Settles what has finished and claims what there is room for, in one go.
    async fn turn(&mut self, pace: Pace, house: &House) -> Result<()> {
        if !self.pending.is_empty() {
            self.gather().await;
        }
        self.note_ends();
        let (mut room, mut ahead) = (0, 0);
        if pace == Pace::Work {
            let late = self.ahead.give_up_stale(Instant::now());
            self.hand_back(late);
            while self.busy() < self.options.jobs && self.begin_next().await {}
            self.claim_waits().await?;
            room = self.options.jobs.saturating_sub(self.busy());
            ahead = self.ahead.room(Instant::now(), self.options.jobs);
        } else {
            let all = self.ahead.give_up(|_| false);
            self.hand_back(all);
        }
        if room == 0 && self.settle_at().is_some_and(|at| at > Instant::now()) {
            return Ok(());
        }
        self.pending_since = None;
        let ends = std::mem::take(&mut self.pending);
        let begun = std::mem::take(&mut self.begun);
        // What is held beside goes along with what has ended: it is worth no commit of its own.
        let claims = (room > 0 && self.hungry) || (room + ahead > 0 && !ends.is_empty());
        if ends.is_empty() && begun.is_empty() && !claims {
            return Ok(());
        }
        // What has begun may have ended as well.
        let starts = begun.iter().map(|(token, at)| {
            let at = Some(*at);
            self.holder(*token, Command::Start { at })
        });
        let finishes = ends.iter().map(|(token, finish)| self.request(token, finish));
        let requests = starts.chain(finishes).collect();
        let claim = claims.then(|| Claim {
            ahead,
            ..self.claim(room)
        });
        let now = self.engine.now();
        let (settled, leased) = self.ask(requests, claim, now, pace).await;
        match settled {
            Ok(mut started) => {
                let ended = started.split_off(begun.len());
                self.started(&begun, started);
                self.acknowledged(ends, ended);
            }
            Err(refusal) => {
                trouble(&refusal, "finished attempts could not be stored yet");
                self.pending.splice(..0, ends);
                self.begun.splice(..0, begun);
            }
        }
        match leased {
            Ok(None) => {}
            Ok(Some(leased)) => {
                self.hungry = leased.len() == room + ahead;
                self.take_on(leased, now.mono, house).await;
            }
            Err(refusal) if refusal.code != Code::StoreGone && refusal.code.kind() == Kind::Store => {
                trouble(&refusal, "nothing could be claimed");
                tokio::time::sleep(STORE_RETRY).await;
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Tells and asks the store at once. What is held ahead begins meanwhile, if this worker works on: the disk may take its time.
    async fn ask(
        &mut self,
        requests: Vec<Request>,
        claim: Option<Claim>,
        now: Now,
        pace: Pace,
    ) -> (Result<Vec<Result<Reply>>>, Result<Option<Vec<Leased>>>) {
        let (store, project) = (Arc::clone(&self.engine.store), self.engine.project.clone());
        let settle = async {
            match requests.is_empty() {
                true => Ok(Vec::new()),
                false => store.change(&project, requests, now).await,
            }
        };
        let claim = async {
            match claim {
                Some(claim) => store.claim(&project, claim, now).await.map(Some),
                None => Ok(None),
            }
        };
        let mut told = pin!(async { tokio::join!(settle, claim) });
        loop {
            tokio::select! {
                biased;
                told = &mut told => return told,
                Some(end) = self.finished.recv(), if pace == Pace::Work && !self.ahead.is_empty() => {
                    if self.note_end(end) {
                        self.begin_next().await;
                    }
                }
            }
        }
    }

    /// Begins what was leased at `asked`, and holds what was leased ahead.
    async fn take_on(&mut self, leased: Vec<Leased>, asked: i64, house: &House) {
        let upstream = Arc::new(self.upstream(&leased).await);
        let mut begun = true;
        for lease in self.still_held(leased, asked, house).await {
            match lease.task.state {
                State::Assigned => self.ahead.hold(lease, Arc::clone(&upstream), Instant::now()),
                _ => begun &= self.begin(lease, &upstream).await,
            }
        }
        if !begun {
            tokio::time::sleep(STORE_RETRY).await;
        }
    }

    /// What ends at the same moment is settled in the same commit. Attempts that have all begun a moment ago mostly end
    /// together, too: that moment costs less than a commit for some of them.
    async fn gather(&mut self) {
        let since = Instant::now();
        loop {
            tokio::task::yield_now().await;
            self.note_ends();
            let now = Instant::now();
            let young = |slot: &Slot| slot.is_wait() || now.duration_since(slot.began) < YOUNG;
            let more = self.busy() > 0 && self.ahead.is_empty() && self.slots.values().all(young);
            if !more || now.duration_since(since) >= MOMENT {
                return;
            }
        }
    }

    fn note_ends(&mut self) {
        while let Ok(end) = self.finished.try_recv() {
            self.note_end(end);
        }
    }

    /// An attempt has ended. Returns whether that frees a slot.
    fn note_end(&mut self, (token, finish): (Token, Finish)) -> bool {
        let slot = self.slots.get(&token.seq).filter(|slot| !slot.is_wait());
        let began = slot.map(|slot| slot.began);
        if let Some(began) = began {
            self.ahead.ended(began, Instant::now(), self.options.jobs);
        }
        self.settle(token, finish);
        began.is_some()
    }

    /// Goes to the store with the next turn.
    pub(super) fn settle(&mut self, token: Token, finish: Finish) {
        self.pending_since.get_or_insert_with(Instant::now);
        self.pending.push((token, finish));
    }

    /// Leases that are not wanted any more go back.
    pub(super) fn hand_back(&mut self, tokens: Vec<Token>) {
        for token in tokens {
            self.settle(token, Finish::Stopped);
        }
    }

    /// When what waits goes to the store: at once, unless something is held to begin meanwhile.
    fn settle_at(&self) -> Option<Instant> {
        let rest = match self.ahead.is_empty() {
            true => Duration::ZERO,
            false => GATHER,
        };
        Some(self.pending_since? + rest)
    }

    /// The store was told of attempts that have begun. Who may not go on is stopped, now or with the next look at the leases.
    fn started(&mut self, begun: &[(Token, Timestamp)], replies: Vec<Result<Reply>>) {
        for ((token, _), reply) in begun.iter().zip(replies) {
            if let Err(refusal) = reply {
                tracing::info!(token = %token, error = %refusal, "an attempt began that may not go on");
                self.steer = true;
                let slot = self.slots.get(&token.seq).filter(|slot| slot.token == *token);
                if let (Some(slot), Code::LeaseLost) = (slot, refusal.code) {
                    slot.job.steering.cancel();
                }
            }
        }
    }

    /// Attempts that are under way, waits aside.
    fn busy(&self) -> usize {
        let ended = self.pending.iter();
        let ended = ended.filter(|(token, _)| self.slots.get(&token.seq).is_some_and(|slot| !slot.is_wait()));
        self.slots.values().filter(|slot| !slot.is_wait()).count() - ended.count()
    }

    /// Takes on waits beside the work, of whatever kind.
    async fn claim_waits(&mut self) -> Result<()> {
        let resting = self.waits_claimed.is_some_and(|at| at.elapsed() < WAITS_EVERY);
        let room = WAITS_MAX.saturating_sub(self.slots.values().filter(|slot| slot.is_wait()).count());
        if !self.waits_wanted || resting || room == 0 {
            return Ok(());
        }
        self.waits_claimed = Some(Instant::now());
        let claim = Claim {
            wants: Wants {
                works: Work::BESIDE.to_vec(),
                kinds: Vec::new(),
                ..self.wants.clone()
            },
            ..self.claim(room)
        };
        let (store, project) = (Arc::clone(&self.engine.store), self.engine.project.clone());
        match store.claim(&project, claim, self.engine.now()).await {
            Ok(leased) => {
                self.waits_wanted = leased.len() == room;
                let upstream = self.upstream(&leased).await;
                for lease in leased {
                    self.begin(lease, &upstream).await;
                }
                Ok(())
            }
            Err(refusal) if refusal.code.kind() == Kind::Store => {
                trouble(&refusal, "no wait could be claimed");
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn claim(&self, room: usize) -> Claim {
        Claim {
            worker: self.id.clone(),
            wants: Wants {
                free: self.free(),
                ..self.wants.clone()
            },
            max: room,
            ahead: 0,
            ttl: self.options.lease,
            start: true,
            seed: ids::seed(),
        }
    }

    /// What the attempts under way have left of what this worker offers.
    fn free(&self) -> BTreeMap<String, u64> {
        let mut free = self.options.offers.clone();
        for (name, amount) in self.slots.values().flat_map(|slot| &slot.job.spec.resources) {
            if let Some(free) = free.get_mut(name) {
                *free = free.saturating_sub(*amount);
            }
        }
        free
    }

    fn request(&self, token: &Token, finish: &Finish) -> Request {
        let command = match finish.clone() {
            Finish::Completed {
                outcome,
                cached,
                children,
            } => Command::Complete {
                outcome,
                cached,
                children,
            },
            Finish::Failed {
                failure,
                usage,
                timed_out,
            } => Command::Fail {
                failure,
                usage,
                timed_out,
                no_retry: false,
            },
            Finish::Stopped => Command::Release,
        };
        self.holder(*token, command)
    }

    pub(super) fn holder(&self, token: Token, command: Command) -> Request {
        Request {
            target: Target::Holder(token, None),
            command,
            actor: format!("worker:{}", self.id).into(),
            idempotency_key: None,
        }
    }

    fn acknowledged(&mut self, ends: Vec<(Token, Finish)>, replies: Vec<Result<Reply>>) {
        for ((token, finish), reply) in ends.into_iter().zip(replies) {
            match reply {
                Err(refusal) if refusal.code == Code::InvalidTransition => {
                    self.held_back.push((token, finish));
                    continue;
                }
                Err(refusal) if refusal.code == Code::LeaseLost => {
                    tracing::info!(token = %token, "an attempt ended after its lease");
                }
                Err(refusal) if matches!(finish, Finish::Completed { .. }) => {
                    // The attempt asked for something that cannot be stored, such as a subtask in a circle. Only a
                    // planner may find something else when it is asked again.
                    let class = match refusal.code {
                        Code::PlanFragment => "fragment",
                        _ => "validation",
                    };
                    let failure = domain::task::record::Failure {
                        message: refusal.to_string(),
                        class: Some(class.into()),
                        exit: None,
                    };
                    self.settle(token, Finish::failed(failure));
                    continue;
                }
                Err(refusal) => tracing::error!(error = %refusal, "an attempt's end was refused"),
                Ok(reply) => self.expect_retry(reply.retry_at),
            }
            if self.slots.get(&token.seq).is_some_and(|slot| slot.token == token) {
                self.slots.remove(&token.seq);
            }
        }
    }

    /// A task of this worker is tried again at `at`: look at the clock no later than then.
    fn expect_retry(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.next_tick = self
                .next_tick
                .min(Instant::now() + at.since(self.engine.now().wall));
        }
    }

    /// Does what is due by time, and says when to look again.
    async fn tick(&mut self) -> Result<Duration> {
        let now = self.engine.now();
        Ok(match self.engine.store.tick(&self.engine.project, now).await {
            Ok(ticked) => {
                self.hungry |= ticked.moved > 0;
                self.waits_wanted |= ticked.moved > 0 && self.options.commands;
                let next = ticked.next.map_or(TICK_EVERY, |at| at.since(now.wall));
                if ticked.more {
                    Duration::ZERO
                } else {
                    next.clamp(Duration::from_millis(5), TICK_EVERY)
                }
            }
            Err(refusal) if refusal.code == Code::StoreGone => return Err(refusal),
            Err(refusal) => {
                trouble(&refusal, "what is due could not be done");
                TICK_EVERY
            }
        })
    }
}

/// The slots as somebody has changed them; never, when nobody can.
async fn next_slots(slots: &mut Option<watch::Receiver<Slots>>) -> Slots {
    if let Some(slots) = slots
        && slots.changed().await.is_ok()
    {
        return slots.borrow_and_update().clone();
    }
    std::future::pending().await
}
