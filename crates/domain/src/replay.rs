//! What the log says of every task and run, and where the rows that a store keeps say otherwise.
//!
//! A [`Log`] is a fold over events. It knows nothing of stores: whoever pages through one hands it the events up to some
//! number, then the rows. Where the beginning of the log is pruned, a field is known from the first event that
//! settles it, and what no event settles is not compared. The log does not tell everything: a task's specification, its
//! score, its progress and the time its lease ends stand in the rows alone.

mod run;
mod track;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::event::Kind;
use crate::id::{EventNo, RunId, Seq, TaskId};
use crate::run::{Counts, Run, RunNo};
use crate::store::{Seen, Status, View};
use crate::task::record::Task;
use crate::task::state::State;
use run::RunTrack;
use track::Track;

/// What the log settles; `None` where what is left of it does not.
type Known<T> = Option<T>;

/// One thing that is not as the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub of: Of,
    pub field: &'static str,
    pub log: String,
    pub stored: String,
}

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    Task(TaskId),
    /// A task without a row, by its number in the store.
    Number(Seq),
    Run(RunId),
    Project,
}

impl Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Of::Task(id) => write!(f, "task {id}"),
            Of::Number(seq) => write!(f, "task number {}", seq.0),
            Of::Run(id) => write!(f, "run {id}"),
            Of::Project => f.write_str("the project"),
        }
    }
}

impl Difference {
    pub fn new(of: Of, field: &'static str, log: impl Display, stored: impl Display) -> Difference {
        Difference {
            of,
            field,
            log: log.to_string(),
            stored: stored.to_string(),
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            of,
            field,
            log,
            stored,
        } = self;
        write!(f, "{of}: {field}: the log says {log}, stored is {stored}")
    }
}

/// Differences of one row.
#[derive(Debug)]
struct Found {
    of: Of,
    differences: Vec<Difference>,
}

impl Found {
    fn new(of: Of) -> Found {
        Found {
            of,
            differences: Vec::new(),
        }
    }

    fn expect<T: PartialEq + Display>(&mut self, field: &'static str, log: Known<T>, stored: &T) {
        if let Some(log) = log.filter(|log| log != stored) {
            let difference = Difference::new(self.of.clone(), field, log, stored);
            self.differences.push(difference);
        }
    }

    fn expect_or<T: PartialEq + Display>(
        &mut self,
        field: &'static str,
        log: Known<Option<T>>,
        stored: Option<T>,
    ) {
        self.expect(field, log.map(OrNothing), &OrNothing(stored));
    }
}

#[derive(PartialEq)]
struct OrNothing<T>(Option<T>);

impl<T: Display> Display for OrNothing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

/// What a row is beside the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    Compared(Vec<Difference>),
    /// All that happened to the task is pruned from the log; what the row says of itself alone may be wrong.
    Silent(Vec<Difference>),
    /// Something happened to it behind the last event that was followed.
    Later,
}

/// Events, folded. Takes about two hundred bytes for each task that the log tells of, and nothing for each event.
#[derive(Debug, Default)]
pub struct Log {
    /// The last event that is pruned; 0 when the log is whole.
    begin: EventNo,
    last: EventNo,
    tasks: FxHashMap<Seq, Track>,
    runs: BTreeMap<RunNo, RunTrack>,
    /// Rows that were taken out because they were old, and by which event the last of them.
    pruned: u64,
    last_pruned: EventNo,
    /// Tasks that have not ended, and of which the log tells nothing any more.
    open_silent: FxHashSet<Seq>,
    sums: Sums,
}

/// Of all rows that were met, as they stood with the last event followed before.
#[derive(Debug, Default)]
struct Sums {
    counts: Counts,
    dead_letters: u64,
    /// How some row stood then cannot be told.
    blurred: bool,
}

/// A task that the log tells of and that has no row, although it was not taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub seq: Seq,
    /// The first of its events that is left: with it, it was submitted, unless that is pruned.
    pub first: EventNo,
    pub state: Option<State>,
}

impl Log {
    /// Of a log whose events up to and with this one are gone.
    pub fn after(begin: EventNo) -> Log {
        Log {
            begin,
            last: begin,
            ..Log::default()
        }
    }

    /// The last event that was followed.
    pub fn last(&self) -> EventNo {
        self.last
    }

    /// Events come in the order of their numbers.
    pub fn follow(&mut self, seen: &Seen) {
        #[derive(Deserialize)]
        struct Pruned {
            tasks: u64,
        }
        let event = &seen.event;
        let fact = &event.fact;
        self.last = event.no;
        if let Some(seq) = fact.task {
            self.tasks.entry(seq).or_default().follow(event);
        }
        if let Some(no) = fact.run {
            self.runs.entry(no).or_default().follow(seen);
        }
        if fact.kind == Kind::ProjectPruned {
            let told = fact.data.as_ref();
            let told = told.and_then(|data| serde_json::from_str::<Pruned>(data.get()).ok());
            self.pruned += told.map_or(0, |told| told.tasks);
            self.last_pruned = event.no;
        }
    }

    // ---- rows of tasks ----

    /// Compares a row, and counts it as it stood with the last event followed. To be called once for each row, in any order.
    pub fn meet(&mut self, view: &View) -> Met {
        let met = self.compare(view);
        let row = &view.task;
        if let Some(track) = self.tasks.get_mut(&row.seq) {
            track.met = true;
            if met != Met::Later {
                track.adopt(row);
            }
        } else if matches!(met, Met::Silent(_)) && !row.state.is_terminal() {
            self.open_silent.insert(row.seq);
        }
        self.count(row, met == Met::Later);
        met
    }

    fn count(&mut self, row: &Task, later: bool) {
        let sums = &mut self.sums;
        let stood = match self.tasks.get(&row.seq) {
            Some(track) => track.stood(),
            None if !later => Some((row.state, row.reason, row.dead_letter, row.superseded)),
            // A whole log would tell of it, had it been there.
            None if self.begin == EventNo(0) => return,
            None => None,
        };
        let Some((state, reason, dead_letter, superseded)) = stood else {
            sums.blurred = true;
            if let Some(no) = row.run {
                self.runs.entry(no).or_default().blurred = true;
            }
            return;
        };
        sums.counts.add(state);
        sums.dead_letters += u64::from(dead_letter);
        if let Some(no) = row.run.filter(|_| !superseded) {
            let run = self.runs.entry(no).or_default();
            run.counts.add(state);
            run.skipped += u64::from(state.is_skipped(reason));
        }
    }

    /// What is not in this row as the log says.
    pub fn compare(&self, view: &View) -> Met {
        let row = &view.task;
        if row.last_event > self.last {
            return Met::Later;
        }
        let mut found = Found::new(Of::Task(row.id.clone()));
        let track = self.tasks.get(&row.seq);
        waits(row, track.is_none_or(Track::may_be_retried), &mut found);
        match track {
            Some(track) => track.compare(view, &mut found),
            None if row.last_event <= self.begin && self.begin > EventNo(0) => {
                return Met::Silent(found.differences);
            }
            None => found.expect_or("last event", Some(None), Some(row.last_event.0)),
        }
        Met::Compared(found.differences)
    }

    /// Whether events of this task are missing at the beginning.
    pub fn is_partial(&self, seq: Seq) -> bool {
        self.tasks.get(&seq).is_some_and(|track| !track.whole)
    }

    /// How many prerequisites of a waiting task have not ended, if the row says another number. All rows have been met, and the
    /// end of a prerequisite may have been settled since, or is still to be: so this is a suspicion, not a difference.
    pub fn waits_otherwise(&self, view: &View) -> bool {
        let row = &view.task;
        // Subtasks that are waited for stand in no body, and what the row says by itself is told already.
        let is_told = row.children == 0 && !row.state.is_terminal() && row.last_event <= self.last;
        let is_clear = is_let_go(row) && row.open > 0;
        let open = |seq: &Seq| match self.tasks.get(seq) {
            Some(track) => track.is_open(),
            None => self.open_silent.contains(seq),
        };
        let after = view.body.after.iter();
        is_told && !is_clear && after.filter(|(on, _)| open(on)).count() != row.open as usize
    }

    // ---- what is left over ----

    /// Tasks of up to `head` without a row that were not taken out; and if more are gone than were taken out, so many of both.
    /// All rows have been met, and events followed up to a moment after that.
    pub fn lost(&self, head: EventNo) -> (Vec<Lost>, Option<Difference>) {
        let gone = self
            .tasks
            .iter()
            .filter(|(_, track)| !track.met && track.first <= head);
        let (may, lost): (Vec<_>, Vec<_>) = gone.partition(|(_, track)| track.may_go(self.last_pruned));
        let mut lost: Vec<Lost> = lost
            .into_iter()
            .map(|(seq, track)| Lost {
                seq: *seq,
                first: track.first,
                state: track.state(),
            })
            .collect();
        lost.sort_unstable_by_key(|lost| lost.seq);
        let may = may.len() as u64;
        let more = (may > self.pruned).then(|| {
            let (log, stored) = (format!("{} taken out", self.pruned), format!("{may} gone"));
            Difference::new(Of::Project, "old tasks", log, stored)
        });
        (lost, more)
    }

    /// Compares the counters of the project, as they were kept with the event `status.last_event`: the last that was followed
    /// before rows were met.
    pub fn totals(&self, status: &Status) -> Vec<Difference> {
        let mut found = Found::new(Of::Project);
        if !self.sums.blurred && self.last_pruned <= status.last_event {
            for ((state, log), (_, stored)) in self.sums.counts.iter().zip(status.counts.iter()) {
                found.expect(state.as_str(), Some(log), &stored);
            }
            found.expect("dead letters", Some(self.sums.dead_letters), &status.dead_letters);
        }
        found.differences
    }

    // ---- runs ----

    /// Runs that the log tells of, as far as it says how they are called.
    pub fn runs(&self) -> Vec<(RunNo, RunId)> {
        let named = self.runs.iter().filter_map(|(no, run)| Some((*no, run.id?)));
        named.collect()
    }

    /// What is not in this row as the log says. All rows of tasks have been met.
    pub fn compare_run(&self, row: &Run) -> Vec<Difference> {
        let mut found = Found::new(Of::Run(row.id));
        if let Some(run) = self.runs.get(&row.no) {
            run.compare(row, &mut found);
        }
        found.differences
    }

    /// What is wrong with a run having no row: nothing, if it may have been taken out.
    pub fn lost_run(&self, no: RunNo) -> Option<Difference> {
        let run = self.runs.get(&no)?;
        let id = run.id.filter(|_| !run.may_go(self.last_pruned))?;
        Some(Difference::new(Of::Run(id), "row", run.shown(), "nothing"))
    }

    /// Whether a run, or what it counts, may have changed behind the event `head`.
    pub fn has_moved(&self, no: RunNo, head: EventNo) -> bool {
        let touched = self.runs.get(&no).is_some_and(|run| run.last > head);
        touched || self.last_pruned > head
    }
}

/// A task that could be handed out has nothing left to wait for; this the row says almost by itself.
fn waits(row: &Task, retried: bool, found: &mut Found) {
    if is_let_go(row) {
        found.expect("open prerequisites", Some(0), &row.open);
        // A question that was rejected may be asked again, although what it waited for was cancelled meanwhile.
        if !(row.asks && retried) {
            found.expect("dead prerequisites", Some(0), &row.dead);
        }
    }
}

/// Whether a task that has not begun could be handed out, or asks already.
fn is_let_go(row: &Task) -> bool {
    matches!(row.state, State::Ready | State::Awaiting) && row.attempts == 0 && row.lease.is_none()
}

#[cfg(test)]
mod tests;
