//! Rebuilds the rows of a project from its events, and compares them with what is stored; the rules of that are in
//! [`domain::replay`].
//!
//! Others may write meanwhile. The counters of the project say with which event they were kept: the log is followed up to that
//! one, and rows are compared of tasks to which nothing has happened behind it. The others are looked at again with the events
//! that have come since; what changes faster than it can be read is counted, and not compared. Nothing is written. What
//! is kept in memory grows with the tasks that the log tells of (see [`domain::replay::Log`]), not with the events, and is
//! bounded beside that.

use domain::book::Book;
use domain::code::Code;
use domain::id::{EventNo, Project, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::prune::{BEGINNING, Beginning};
use domain::replay::{Difference, Log, Lost, Met, Of};
use domain::run::RunNo;
use domain::store::{Filter, Result, Seen, Status, Store, View};
use domain::task::state::State;
use domain::transfer::Next;
use rustc_hash::FxHashMap;
use serde::Deserialize;

/// Differences that are told one by one; more are counted.
pub const TOLD: usize = 100;
/// Rows that are looked at again because something happened to them meanwhile.
const AGAIN: usize = 10_000;
/// Tasks whose prerequisites are counted once more, one by one.
const SUSPECTS: usize = 1_000;
/// Looks at the same thing before it is left alone.
const ROUNDS: usize = 5;

/// What a replay has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The first event that is left, where the beginning of the log is pruned.
    pub begins_with: Option<EventNo>,
    /// The counters and runs are compared as they stood with this event.
    pub upto: EventNo,
    pub events: u64,
    /// Rows of tasks that were compared, with those whose beginning is pruned: of these, what the rest of the log settles.
    pub tasks: u64,
    pub partial: u64,
    /// Rows of tasks of which the log tells nothing any more.
    pub silent: u64,
    pub runs: u64,
    /// What kept changing, and was not compared.
    pub moving: u64,
    pub differences: Vec<Difference>,
    /// Differences beyond those that are told.
    pub more: u64,
}

impl Replayed {
    pub fn agrees(&self) -> bool {
        self.differences.is_empty() && self.more == 0
    }

    fn note(&mut self, found: impl IntoIterator<Item = Difference>) {
        for difference in found {
            match self.differences.len() < TOLD {
                true => self.differences.push(difference),
                false => self.more += 1,
            }
        }
    }
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub events: u64,
    pub of_events: u64,
    pub tasks: u64,
    pub of_tasks: u64,
}

/// Compares one project. Costs one pass over its log and one over its tasks.
pub async fn replay(
    store: &dyn Store,
    project: &Project,
    mut tell: impl FnMut(Progress),
) -> Result<Replayed> {
    for _ in 1..ROUNDS {
        let begin = beginning(store, project).await?;
        let done = once(store, project, begin, &mut tell).await?;
        // What was cut while we read is no fault.
        if done.is_whole || beginning(store, project).await? == begin {
            return Ok(done.replayed);
        }
    }
    let begin = beginning(store, project).await?;
    Ok(once(store, project, begin, &mut tell).await?.replayed)
}

async fn beginning(store: &dyn Store, project: &Project) -> Result<EventNo> {
    let found = store
        .entries_of(project, Book::Cursor, &[BEGINNING.into()])
        .await?;
    Ok(Beginning::read(project, &found)?.after.last)
}

struct Done {
    replayed: Replayed,
    /// No event was missing.
    is_whole: bool,
}

async fn once(
    store: &dyn Store,
    project: &Project,
    begin: EventNo,
    tell: &mut impl FnMut(Progress),
) -> Result<Done> {
    let status = store.status(project).await?;
    let mut replay = Replay {
        store,
        project,
        log: Log::after(begin),
        head: status.last_event,
        sum: Replayed {
            begins_with: (begin > EventNo(0)).then_some(EventNo(begin.0 + 1)),
            upto: status.last_event,
            ..Replayed::default()
        },
        moved: Vec::new(),
        suspects: Vec::new(),
        settling: FxHashMap::default(),
    };
    let mut progress = Progress {
        of_events: status.last_event.0.saturating_sub(begin.0),
        of_tasks: status.counts.total(),
        ..Progress::default()
    };
    let is_whole = replay
        .follow(status.last_event, |events| {
            progress.events = events;
            tell(progress);
        })
        .await?;
    if is_whole {
        progress.events = progress.of_events;
        replay
            .rows(|tasks| {
                progress.tasks = tasks;
                tell(progress);
            })
            .await?;
        replay.rest(&status).await?;
    } else {
        let missing = EventNo(replay.log.last().0 + 1);
        replay.sum.note([Difference::new(
            Of::Project,
            "log",
            format!("{} events", status.last_event.0),
            format!("no event {}", missing.0),
        )]);
    }
    let Replay { mut sum, log, .. } = replay;
    sum.events = log.last().0.saturating_sub(begin.0);
    Ok(Done {
        replayed: sum,
        is_whole,
    })
}

/// What one replay knows so far.
struct Replay<'a> {
    store: &'a dyn Store,
    project: &'a Project,
    log: Log,
    /// The last event before the rows were read.
    head: EventNo,
    sum: Replayed,
    /// Tasks to which something happened meanwhile.
    moved: Vec<TaskId>,
    /// Tasks that count other prerequisites than the log does.
    suspects: Vec<TaskId>,
    /// Whether not all that wait for this task have learned of its end.
    settling: FxHashMap<Seq, bool>,
}

impl Replay<'_> {
    /// Follows the log up to `head`; `false` when an event on the way is missing.
    async fn follow(&mut self, head: EventNo, mut tell: impl FnMut(u64)) -> Result<bool> {
        let begin = self.log.last();
        while self.log.last() < head {
            let after = self.log.last();
            let page = self.store.events(self.project, after, PAGE_MAX).await?;
            for seen in page.iter().take_while(|seen| seen.event.no <= head) {
                if seen.event.no.0 != self.log.last().0 + 1 {
                    return Ok(false);
                }
                self.log.follow(seen);
            }
            if self.log.last() == after {
                return Ok(false);
            }
            tell(self.log.last().0 - begin.0);
        }
        Ok(true)
    }

    /// Meets every row of a task, then every waiting one again, since what a task waits for may come behind it.
    async fn rows(&mut self, mut tell: impl FnMut(u64)) -> Result<()> {
        let mut seen = 0;
        let mut after = Seq(0);
        loop {
            let page = self.page(Vec::new(), after).await?;
            let Some(last) = page.last() else { break };
            after = last.task.seq;
            seen += page.len() as u64;
            for view in &page {
                let met = self.log.meet(view);
                self.met(view, met);
            }
            tell(seen);
        }
        let waiting = vec![
            State::Pending,
            State::Blocked,
            State::Ready,
            State::Suspended,
            State::Awaiting,
            State::Retrying,
        ];
        let mut after = Seq(0);
        while self.suspects.len() < SUSPECTS {
            let page = self.page(waiting.clone(), after).await?;
            let Some(last) = page.last() else { break };
            after = last.task.seq;
            let otherwise = page.iter().filter(|view| self.log.waits_otherwise(view));
            self.suspects.extend(otherwise.map(|view| view.task.id.clone()));
        }
        Ok(())
    }

    async fn page(&self, states: Vec<State>, after: Seq) -> Result<Vec<View>> {
        let filter = Filter {
            states,
            superseded: true,
            ..Filter::default()
        };
        self.store.list(self.project, filter, after, PAGE_MAX).await
    }

    fn met(&mut self, view: &View, met: Met) {
        match met {
            Met::Compared(found) => {
                self.sum.tasks += 1;
                self.sum.partial += u64::from(self.log.is_partial(view.task.seq));
                self.sum.note(found);
            }
            Met::Silent(found) => {
                self.sum.silent += 1;
                self.sum.note(found);
            }
            Met::Later if self.moved.len() < AGAIN => self.moved.push(view.task.id.clone()),
            Met::Later => self.sum.moving += 1,
        }
    }

    /// Everything but the rows: runs, what is missing, counters; and the rows that were written meanwhile.
    async fn rest(&mut self, status: &Status) -> Result<()> {
        let (of_runs, gone) = self.runs().await?;
        // From here on the log is ahead of what was compared so far.
        let now = self.store.chain(self.project).await?.last;
        if !self.follow(now, |_| {}).await? {
            // It was cut behind us: what is left is for another time.
            self.sum.moving += self.moved.len() as u64;
            return Ok(());
        }
        let (lost, too_many) = self.log.lost(self.head);
        for lost in lost {
            let difference = self.name(lost).await?;
            self.sum.note([difference]);
        }
        self.sum.note(too_many);
        for (no, found) in of_runs {
            match self.log.has_moved(no, self.head) {
                true => self.sum.moving += 1,
                false => {
                    self.sum.runs += 1;
                    self.sum.note(found);
                }
            }
        }
        self.sum
            .note(gone.into_iter().filter_map(|no| self.log.lost_run(no)));
        self.sum.note(self.log.totals(status));
        self.again().await?;
        self.confirm().await
    }

    /// Runs with what is wrong with them, and runs without a row.
    async fn runs(&mut self) -> Result<(Vec<(RunNo, Vec<Difference>)>, Vec<RunNo>)> {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for (no, id) in self.log.runs() {
            match self.store.run(self.project, id).await? {
                Some(run) => found.push((no, self.log.compare_run(&run))),
                None => gone.push(no),
            }
        }
        Ok((found, gone))
    }

    /// A task without a row, by the name that its submission tells.
    async fn name(&self, lost: Lost) -> Result<Difference> {
        #[derive(Deserialize)]
        struct Submitted {
            id: TaskId,
        }
        let before = EventNo(lost.first.0.saturating_sub(1));
        let page = self.store.events(self.project, before, 1).await?;
        let id = |seen: &Seen| {
            let data = seen.event.fact.data.as_ref()?;
            serde_json::from_str::<Submitted>(data.get()).ok()
        };
        let of = match page.first().and_then(id) {
            Some(submitted) => Of::Task(submitted.id),
            None => Of::Number(lost.seq),
        };
        let state = lost.state.map_or("something", State::as_str);
        Ok(Difference::new(of, "row", state, "nothing"))
    }

    /// Looks again at what has moved, until the log has caught up with it.
    async fn again(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            if self.moved.is_empty() {
                return Ok(());
            }
            let now = self.store.chain(self.project).await?.last;
            if !self.follow(now, |_| {}).await? {
                break;
            }
            let moved = std::mem::take(&mut self.moved);
            for ids in moved.chunks(PAGE_MAX) {
                let views = self.store.views(self.project, ids).await?;
                let last = self.store.chain(self.project).await?.last;
                for view in views.into_iter().flatten() {
                    let kept = view.task.last_event;
                    match kept > last {
                        // No such event was ever written.
                        true => {
                            let of = Of::Task(view.task.id.clone());
                            let log = format!("at most {}", last.0);
                            self.sum.note([Difference::new(of, "last event", log, kept.0)]);
                        }
                        false => {
                            let met = self.log.compare(&view);
                            self.met(&view, met);
                        }
                    }
                }
            }
        }
        self.sum.moving += self.moved.len() as u64;
        Ok(())
    }

    // ---- what tasks wait for ----

    /// Counts the prerequisites of suspects while nothing happens, and tells those whose rows still say another number.
    async fn confirm(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.suspects) {
            for _ in 0..ROUNDS {
                let before = self.store.chain(self.project).await?.last;
                let found = self.count(&id).await?;
                if self.store.chain(self.project).await?.last == before {
                    self.sum.note(found);
                    break;
                }
            }
        }
        Ok(())
    }

    async fn count(&mut self, id: &TaskId) -> Result<Option<Difference>> {
        let views = self.store.views(self.project, std::slice::from_ref(id)).await?;
        let Some(view) = views.into_iter().flatten().next() else {
            return Ok(None);
        };
        let near = match self.store.neighbours(self.project, id, PAGE_MAX).await {
            Ok(near) => near,
            Err(refusal) if refusal.code == Code::TaskNotFound => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let all_seen = near.after.len() == view.body.after.len();
        if !all_seen || view.task.children > 0 || view.task.state.is_terminal() {
            return Ok(None);
        }
        let (ended, open): (Vec<_>, Vec<_>) = near.after.iter().partition(|on| on.state.is_terminal());
        let (log, stored) = (open.len(), view.task.open as usize);
        if log == stored {
            return Ok(None);
        }
        if stored > log {
            for on in ended {
                if self.is_settling(on.seq).await? {
                    return Ok(None);
                }
            }
        }
        let of = Of::Task(id.clone());
        Ok(Some(Difference::new(of, "open prerequisites", log, stored)))
    }

    /// A wide end is settled in pieces: until the last of them, some that wait for it count it as open.
    async fn is_settling(&mut self, ended: Seq) -> Result<bool> {
        if let Some(known) = self.settling.get(&ended) {
            return Ok(*known);
        }
        let from = Next::Tasks(Seq(ended.0.saturating_sub(1)));
        let (piece, _) = self.store.dump(self.project, from).await?;
        let carried = piece.tasks.iter().find(|carried| carried.task.seq == ended);
        let settling = carried.is_some_and(|carried| carried.settled.is_some());
        self.settling.insert(ended, settling);
        Ok(settling)
    }
}
