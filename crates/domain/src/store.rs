//! The contract of every store: a few verbs that write, cursors that read.
//!
//! A writing verb is one atomic business operation with its events: all of it is there after it returned, or
//! nothing is. Rules live in this crate and in the kernel of the `store` crate, never in a driver.
//!
//! `now` is passed in everywhere; shared stores replace its `mono` by their server's clock. Cancelling the future
//! of a writing verb does not undo it: the write may or may not have happened, and an idempotency key tells.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::book::{Book, Edit, Entry};
use crate::code::Refusal;
use crate::event::{ChainHead, Event};
use crate::id::{AgentName, Capability, EventNo, Key, Kind, Project, RunId, Seq, TaskId, Token, WorkerId};
use crate::prune::{Prune, Pruned};
use crate::run::{Counts, Run, RunNo, RunState};
use crate::task::lock::Mode;
use crate::task::record::{Body, Class, Failure, Join, Outcome, Task};
use crate::task::spec::{Json, Source, Spec, When, Work};
use crate::task::state::{Reason, State};
use crate::time::{Now, Timestamp};
use crate::transfer::{Closed, Next, Piece, Totals};

pub type Result<T> = std::result::Result<T, Refusal>;

#[async_trait]
pub trait Store: Debug + Send + Sync {
    fn info(&self) -> Info;

    // ---- writing ----

    /// Stores new tasks with their edges, all or none.
    async fn admit(&self, project: &Project, admission: Admission, now: Now) -> Result<Admitted>;

    /// Hands out up to `claim.max` tasks in order of their place in line. None ready is an empty answer.
    async fn claim(&self, project: &Project, claim: Claim, now: Now) -> Result<Vec<Leased>>;

    /// Carries out requests in order; each succeeds or is refused on its own, and all that succeed are one
    /// transaction. The outer error means that nothing happened.
    async fn change(&self, project: &Project, requests: Vec<Request>, now: Now)
    -> Result<Vec<Result<Reply>>>;

    /// Does what is due by time: expired leases, back-offs that are over, `run_at`, scores, unfinished settling.
    /// Bounded per call; `Ticked::more` asks to be called again at once.
    async fn tick(&self, project: &Project, now: Now) -> Result<Ticked>;

    /// Takes back every lease of a worker that is known to be dead.
    async fn lose(&self, project: &Project, worker: &WorkerId, now: Now) -> Result<Vec<TaskId>>;

    /// Remembers a result under a content key, dropping the least recently used beyond `bound` entries.
    async fn cache_put(&self, project: &Project, entry: CacheEntry, bound: usize) -> Result<()>;

    /// Writes small documents, all or none, with their events. Refused with `entry-changed` when one is not what
    /// its edit expects.
    async fn edit(&self, project: &Project, edits: Vec<Edit>, actor: Arc<str>, now: Now) -> Result<()>;

    /// Takes or keeps the periodic duties of a project for `ttl` from now on. Returns the term's number when `who`
    /// leads, and `None` while somebody else does. With no `ttl`, hands them back. Terms only grow: what a leader writes
    /// under an earlier term can be told from what its successor writes.
    async fn lead(
        &self,
        project: &Project,
        who: &WorkerId,
        ttl: Option<Duration>,
        now: Now,
    ) -> Result<Option<u64>>;

    /// Takes one bounded piece of what ended long ago out of the project; see [`crate::prune`].
    async fn prune(&self, project: &Project, prune: Prune, actor: Arc<str>, now: Now) -> Result<Pruned>;

    /// Gives the room of what was taken out back to the machine, as far as the store does not do that by itself. Nobody
    /// writes meanwhile. Returns how many bytes that was; `None` where it never has to be asked for.
    async fn compact(&self) -> Result<Option<u64>>;

    // ---- moving to another store ----

    /// Closes a project for everything but its transfer, or opens it again; see [`crate::transfer`].
    async fn close(&self, project: &Project, closed: Option<Closed>) -> Result<()>;

    /// One piece of a project without its events, and where the next one begins.
    async fn dump(&self, project: &Project, next: Next) -> Result<(Piece, Option<Next>)>;

    /// Takes a piece of a project in that is arriving here. With `totals`, it is the last one.
    async fn load(&self, project: &Project, piece: Piece, totals: Option<Totals>, now: Now) -> Result<()>;

    /// What a project keeps about itself as a whole; `None` when nothing was ever written to it.
    async fn totals(&self, project: &Project) -> Result<Option<Totals>>;

    // ---- reading ----

    async fn projects(&self) -> Result<Vec<Project>>;

    /// In the order asked; `None` for ids that do not exist.
    async fn views(&self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>>;

    /// The task with this key in the newest run that has it, or the newest task with it outside any run.
    async fn by_key(&self, project: &Project, key: &Key) -> Result<Option<TaskId>>;

    /// In insertion order, those after `after`, at most [`crate::limits::PAGE_MAX`].
    async fn list(&self, project: &Project, filter: Filter, after: Seq, limit: usize) -> Result<Vec<View>>;

    /// The newest `limit` events of a task, oldest first.
    async fn history(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>>;

    async fn events(&self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>>;

    /// Where the chain stands, as kept apart from the log.
    async fn chain(&self, project: &Project) -> Result<ChainHead>;

    async fn status(&self, project: &Project) -> Result<Status>;

    /// Newest first.
    async fn runs(&self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>>;

    async fn run(&self, project: &Project, id: RunId) -> Result<Option<Run>>;

    async fn neighbours(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours>;

    /// The edges among the tasks given by number: (prerequisite, dependent, condition).
    async fn edges(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>>;

    /// What the tasks given by number ended with, for those that depend on them.
    async fn results(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>>;

    /// How many tasks of any class stand before this one in line, counting at most `limit`.
    async fn ahead(&self, project: &Project, task: &TaskId, limit: usize) -> Result<usize>;

    async fn locks(&self, project: &Project) -> Result<Vec<HeldLock>>;

    /// Everything leased, or what one worker has leased.
    async fn leased(&self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>>;

    async fn cache_get(
        &self,
        project: &Project,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<CacheEntry>>;

    /// Entries of a book in order of their keys, those after `after`.
    async fn entries(&self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>>;

    /// The entries with these keys, in the order asked; unknown keys are left out.
    async fn entries_of(&self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>>;

    /// Entries of a book that somebody has to look at, the longest overdue first.
    async fn entries_due(
        &self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// Compares everything that is kept twice; an empty answer is a sound store.
    async fn check(&self, project: &Project) -> Result<Vec<String>>;

    /// Resolves when anything was committed, by any process, after the moment that `since` stands for, and
    /// returns the new moment. Start with 0. May resolve without need; never misses a commit for longer than
    /// the store's poll interval.
    async fn changed(&self, since: u64) -> u64;
}

#[derive(Clone, Debug)]
pub struct Info {
    /// Without secrets.
    pub url: String,
    pub engine: &'static str,
    pub durability: Durability,
    pub schema: u32,
    pub leases: LeaseClock,
}

/// What a lease's end is counted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseClock {
    /// [`Now::mono`] of the machine, which all who use the store are on.
    #[default]
    Machine,
    /// The wall clock of the server that keeps the store.
    Server,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// Power loss.
    #[default]
    Full,
    /// The death of the process; power loss may take the last second.
    Relaxed,
}

impl Durability {
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Relaxed => "relaxed",
        }
    }
}

// ---- admission ----

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    pub tasks: Vec<NewTask>,
    pub run: IntoRun,
    /// Tasks of the run that these replace: cancelled if they have not ended, and no longer counted.
    pub supersede: Vec<TaskId>,
    pub limits: AdmitLimits,
    pub actor: Arc<str>,
    /// The same key with the same content answers as the first time; with other content it is refused.
    pub idempotency_key: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum IntoRun {
    /// Outside any run; subtasks go into the run of their parent.
    None,
    /// Refused with `run-changed` when the newest run of the plan is another than `newest`, if that is given: so
    /// two processes that submit the same plan at once do not start two runs.
    New {
        id: RunId,
        plan: String,
        digest: [u8; 32],
        newest: Option<Option<RunId>>,
    },
    /// Refused with `run-changed` when the run's plan has another digest than `from`: somebody else has edited it.
    Existing {
        id: RunId,
        digest: [u8; 32],
        from: [u8; 32],
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AdmitLimits {
    pub prerequisites: usize,
    pub children: u32,
}

/// A new task, with everything that its row needs already taken from its spec.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewTask {
    pub id: TaskId,
    pub key: Option<Key>,
    pub class: Class,
    /// The [`Spec`] as JSON.
    pub body: Arc<str>,
    pub digest: [u8; 32],
    pub head: SpecHead,
    pub after: Vec<NewEdge>,
    pub parent: Option<TaskId>,
    pub path_share: Option<u16>,
}

/// The parts of a spec that decisions are made on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SpecHead {
    pub priority: crate::task::spec::Priority,
    pub source: Source,
    pub run_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub estimate: Option<Duration>,
    pub upstream: crate::task::spec::OnUpstreamFailure,
    pub guarded: bool,
    pub asks: bool,
}

impl NewTask {
    /// Times that count from submission are resolved against `submitted`.
    pub fn new(id: TaskId, key: Option<Key>, spec: &Spec, submitted: Timestamp) -> NewTask {
        let body = serde_json::to_string(spec).expect("a spec serialises");
        NewTask {
            id,
            key,
            class: Class::of(spec),
            digest: *blake3::hash(body.as_bytes()).as_bytes(),
            body: body.into(),
            head: SpecHead {
                priority: spec.priority,
                source: spec.source,
                run_at: spec.run_at.map(|moment| moment.resolve(submitted)),
                deadline: spec.deadline.map(|moment| moment.resolve(submitted)),
                estimate: spec.estimate,
                upstream: spec.on_upstream_failure,
                guarded: spec.is_guarded(),
                asks: matches!(spec.work, Work::Breakpoint(_)),
            },
            after: Vec::new(),
            parent: None,
            path_share: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEdge {
    pub on: On,
    pub when: When,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// The task at this index of the same batch.
    Batch(u32),
    Task(TaskId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Ids with their first states, in the order of the batch.
    pub tasks: Vec<(TaskId, State)>,
    /// The answer was repeated; nothing was written.
    pub repeated: bool,
}

// ---- claiming ----

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    pub worker: WorkerId,
    pub wants: Wants,
    pub max: usize,
    pub ttl: Duration,
    /// Start what is handed out at once.
    pub start: bool,
    /// Source of the tokens' secrets; fresh for every call.
    pub seed: u64,
}

/// What a claimer takes. Empty lists mean anything, except capabilities, of which a task may need none that
/// is not offered, and works, where they mean all that takes a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wants {
    pub capabilities: Vec<Capability>,
    pub kinds: Vec<Kind>,
    /// Names of executors.
    #[serde(deserialize_with = "works")]
    pub works: Vec<&'static str>,
    pub handlers: Vec<String>,
    /// Also takes tasks pinned to this agent.
    pub agent: Option<AgentName>,
    pub run: Option<RunId>,
    /// This task and no other; refused, with what is in its way, when it cannot be handed out now.
    pub task: Option<TaskId>,
    /// Amounts that the claimer has left; tasks that need more, or anything else, are not for it.
    pub free: BTreeMap<String, u64>,
}

/// Executors that nobody knows here are nothing that could be handed out.
fn works<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Vec<&'static str>, D::Error> {
    let named = Vec::<String>::deserialize(d)?;
    let known = |name: &String| Work::NAMES.into_iter().find(|known| known == name);
    Ok(named.iter().filter_map(known).collect())
}

impl Wants {
    /// Who does not say what it can do is somebody who works; waiting and splitting are for engines.
    fn takes_work(&self, work: &str) -> bool {
        match self.works.is_empty() {
            true => !Work::BESIDE.contains(&work),
            false => self.works.contains(&work),
        }
    }

    pub fn takes(&self, class: &Class) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&class.kind))
            && self.takes_work(&class.work)
            && class
                .handler
                .as_ref()
                .is_none_or(|name| self.handlers.contains(name))
            && class
                .agent
                .as_ref()
                .is_none_or(|name| self.agent.as_ref() == Some(name))
            && class.needs.iter().all(|need| self.capabilities.contains(need))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leased {
    pub task: Task,
    pub body: Body,
    pub token: Token,
}

// ---- changing ----

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub target: Target,
    pub command: Command,
    pub actor: Arc<str>,
    pub idempotency_key: Option<String>,
}

/// Which task; commands of a lease holder need the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    Id(TaskId),
    /// The holder of a lease. When the id is given too, it must fit the token.
    Holder(Token, Option<TaskId>),
    /// A whole run; understands only `Cancel`, which closes it: its tasks are cancelled one by one beside.
    Run(RunId),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    // by the holder of the lease
    Start,
    /// Keeps the lease for its time from now on, and may replace the progress document.
    Renew {
        ttl: Option<Duration>,
        progress: Option<Json>,
    },
    Complete {
        outcome: Outcome,
        cached: bool,
        children: Option<Children>,
    },
    Fail {
        failure: Failure,
        usage: Option<Json>,
        timed_out: bool,
        no_retry: bool,
    },
    /// Hands the lease back: no attempt is spent. On a cancelled task it confirms that the work has stopped.
    Release,
    // by anyone who may
    Cancel {
        reason: Reason,
    },
    Suspend,
    Resume,
    /// Another go for a failed task with a fresh budget of tries, now or at a time.
    Retry {
        at: Option<Timestamp>,
    },
    /// Answers a breakpoint.
    Resolve {
        accept: bool,
        outcome: Outcome,
    },
    /// Takes a failed task out of the dead letters for good.
    DropLetter,
    /// Pins a task that nobody works on to an agent, or to none.
    Assign {
        agent: Option<AgentName>,
    },
    /// Gives a task that has not ended another base priority.
    Reprioritize {
        priority: crate::task::spec::Priority,
    },
    /// Takes a lock from a task that holds it, and its lease with it; see [`crate::decide::lease::break_lock`].
    BreakLock {
        name: String,
        why: String,
        /// Whoever asks answers for it that the holder has stopped.
        at_once: bool,
    },
    /// Gives a task that nobody works on to the registered agent that was chosen for it, or takes that back. Refused
    /// when the agent is full, or when the task's author has named one.
    Route {
        agent: Option<AgentName>,
        /// Kept with the event: who else there was, and why this one.
        decision: Json,
    },
}

/// Subtasks that an attempt leaves behind when it completes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Children {
    pub admission: Box<Admission>,
    /// With nothing admitted there is nothing to wait for, and the parent completes.
    pub join: Option<Join>,
}

impl PartialEq for Children {
    fn eq(&self, other: &Children) -> bool {
        self.join == other.join
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub task: TaskId,
    pub state: State,
    pub reason: Option<Reason>,
    /// Newly ready dependents, at most [`crate::limits::PAGE_MAX`].
    pub unblocked: Vec<TaskId>,
    /// Cancelled tasks; on `Cancel` the task itself first. Bounded likewise.
    pub cancelled: Vec<TaskId>,
    /// How many more of both there are beyond the bound, or are still being settled.
    pub more: u64,
    pub retry_at: Option<Timestamp>,
    /// When the lease ends on the wall clock, for `Start` and `Renew`.
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// Tasks moved or rescored.
    pub moved: usize,
    pub more: bool,
    /// When the next thing is due on the wall clock, as far as is known.
    pub next: Option<Timestamp>,
}

// ---- reading ----

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub task: Task,
    pub body: Body,
    pub outcome: Option<Outcome>,
    pub run: Option<RunId>,
    pub class: Class,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    pub states: Vec<State>,
    pub run: Option<RunId>,
    pub kind: Option<Kind>,
    pub source: Option<Source>,
    pub agent: Option<AgentName>,
    pub parent: Option<TaskId>,
    pub dead_letters: bool,
    /// Superseded tasks are left out unless asked for.
    pub superseded: bool,
}

/// An event with the names that its numbers stand for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub event: Event,
    pub task: Option<TaskId>,
    pub key: Option<Key>,
    pub run: Option<RunId>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub counts: Counts,
    /// Sum of all tasks' scores, in thousandths.
    pub score_sum: i64,
    pub max_depth: u32,
    /// Submission of the first task that is pending or blocked, by insertion number.
    pub oldest_pending: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    pub dead_letters: u64,
    pub last_event: EventNo,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    pub after: Vec<Neighbour>,
    pub dependents: Vec<Neighbour>,
    pub children: Vec<Neighbour>,
    /// Some list was cut at the limit.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    pub seq: Seq,
    pub id: TaskId,
    pub key: Option<Key>,
    pub when: When,
    pub state: State,
    pub reason: Option<Reason>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    pub seq: Seq,
    pub id: TaskId,
    pub key: Option<Key>,
    pub state: State,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldLock {
    pub name: String,
    pub mode: Mode,
    pub holder: TaskId,
    pub waiting: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub id: TaskId,
    pub token: Token,
    pub state: State,
    pub worker: WorkerId,
    pub attempt: u32,
    pub run: Option<RunNo>,
    pub started_at: Option<Timestamp>,
    pub expires: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheEntry {
    pub key: [u8; 32],
    pub result: Option<Json>,
    pub stored_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// The task whose attempt made it.
    pub made_by: TaskId,
}

/// Runs that `bell run` may continue.
pub fn is_continuable(state: RunState) -> bool {
    matches!(state, RunState::Active | RunState::Failed)
}
