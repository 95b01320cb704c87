//! What a check finds, in the same words whichever driver has looked.

use std::fmt::{self, Display};
use std::mem::{Discriminant, discriminant};

use domain::event::{Broken, Event};
use domain::id::{EventNo, RunId, Seq, TaskId, WorkerId};
use domain::run::{Counts, Run, RunState};
use domain::task::record::Task;
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use crate::kernel::tx::Head;

/// How many findings of one sort are listed.
pub(crate) const LISTED: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    lines: Vec<String>,
    sorts: FxHashMap<Sort, usize>,
}

type Sort = (Discriminant<Wrong>, Option<Discriminant<List>>);

/// Who something is wrong with.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Task(TaskId),
    /// The number of a task that is not there.
    Number(Seq),
    Run(RunId),
    Event(EventNo),
}

/// What is wrong; of two values, the first is kept and the second is right.
#[derive(Debug)]
pub(crate) enum Wrong {
    Body,
    Class,
    Id,
    Leased(State),
    NotLeased(State),
    Letter,
    Left(State, Option<State>),
    Missing(List),
    Stray(List),
    Dependents(u64, u64),
    Children(u64, u64),
    Open(u64, u64),
    Dead(u64, u64),
    BlockedByNothing,
    EdgeToNobody,
    Holds(String),
    Lease,
    ForeignLease,
    Named(String),
    NoRun,
    LastEvent(EventNo, EventNo),
    Before(EventNo, EventNo),
    Tasks(State, u64, u64),
    Skipped(u64, u64),
    /// With how many open tasks.
    Ended(u64),
    NotEnded,
    Active(RunState, u64),
    Outcome(RunState, RunState),
}

/// Where a task is listed.
#[derive(Debug)]
pub(crate) enum List {
    Line,
    RunLine,
    Parked(String),
    Timers,
    Leases,
    Worker(WorkerId),
    State(State),
    Waiting,
    Run,
    Parent,
    Holders(String),
    Ids,
}

/// What the rows of a project add up to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) counts: Counts,
    pub(crate) dead_letters: u64,
    pub(crate) score_sum: i64,
    pub(crate) max_depth: u32,
    pub(crate) newest: Option<Timestamp>,
}

impl Sum {
    pub(crate) fn add(&mut self, task: &Task) {
        self.counts.add(task.state);
        self.dead_letters += u64::from(task.dead_letter);
        self.score_sum += i64::from(task.score.0);
        self.max_depth = self.max_depth.max(task.depth);
        self.newest = self.newest.max(Some(task.submitted_at));
    }
}

impl Findings {
    pub(crate) fn lines(self) -> Vec<String> {
        self.lines
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Notes a finding, unless there are enough of its sort.
    pub(crate) fn note(&mut self, who: impl Into<Who>, wrong: &Wrong) {
        let known = self.sorts.entry(wrong.sort()).or_default();
        *known += 1;
        if *known <= LISTED {
            self.lines.push(format!("{} {wrong}", who.into()));
        }
    }

    pub(crate) fn differ<T: PartialEq + Display>(&mut self, what: impl Display, kept: &T, right: &T) {
        if kept != right {
            self.lines
                .push(format!("{what} is kept as {kept}, and is {right}"));
        }
    }

    pub(crate) fn head(&mut self, kept: &Head, right: &Sum) {
        for ((state, kept), (_, right)) in kept.counts.iter().zip(right.counts.iter()) {
            self.differ(format_args!("the number of {state} tasks"), &kept, &right);
        }
        self.differ(
            "the number of dead letters",
            &kept.dead_letters,
            &right.dead_letters,
        );
        self.differ("the sum of scores", &kept.score_sum, &right.score_sum);
        // Of all that ever were: the deepest and the newest may have gone.
        let max_depth = right.max_depth.max(kept.max_depth);
        self.differ("the greatest depth", &kept.max_depth, &max_depth);
        let newest = Moment(right.newest.max(kept.newest));
        self.differ("the newest submission", &Moment(kept.newest), &newest);
    }

    /// What a row says by itself.
    pub(crate) fn row(&mut self, task: &Task) {
        let state = task.state;
        let may_be_leased = state.is_leased() || matches!(state, State::Suspended | State::Cancelled);
        if task.lease.is_some() && !may_be_leased {
            self.note(task, &Wrong::Leased(state));
        }
        if task.lease.is_none() && state.is_leased() {
            self.note(task, &Wrong::NotLeased(state));
        }
        if task.dead_letter && state != State::Failed {
            self.note(task, &Wrong::Letter);
        }
        if task.left.is_some() != (state == State::Suspended) {
            self.note(task, &Wrong::Left(state, task.left));
        }
    }

    /// A run beside what its tasks add up to.
    pub(crate) fn run(&mut self, run: &Run, counts: &Counts, skipped: u64) {
        for ((state, kept), (_, right)) in run.counts.iter().zip(counts.iter()) {
            if kept != right {
                self.note(run, &Wrong::Tasks(state, kept, right));
            }
        }
        if run.skipped != skipped {
            self.note(run, &Wrong::Skipped(run.skipped, skipped));
        }
        let open = run.counts.open();
        let over = open == 0;
        match run.finished_at {
            Some(_) if !over => self.note(run, &Wrong::Ended(open)),
            None if over => self.note(run, &Wrong::NotEnded),
            _ => {}
        }
        if over == (run.state == RunState::Active) && run.state != RunState::Cancelled {
            self.note(run, &Wrong::Active(run.state, open));
        }
    }

    /// An event beside the one that was found to be the last of its task before.
    pub(crate) fn before(&mut self, event: &Event, right: EventNo) {
        if event.prev != right {
            self.note(event, &Wrong::Before(event.prev, right));
        }
    }

    pub(crate) fn last_event(&mut self, id: &TaskId, kept: EventNo, right: EventNo) {
        if kept != right {
            self.note(id, &Wrong::LastEvent(kept, right));
        }
    }

    pub(crate) fn broken(&mut self, broken: &Broken) {
        self.say(match broken {
            Broken::Missing(no) => format!("event {} is missing or stands elsewhere", no.0),
            Broken::Edited(no) => format!("event {} is not what was written", no.0),
            Broken::CutOff { last, head } => {
                format!("the log ends at event {}, the head at {}", last.0, head.0)
            }
        });
    }
}

impl Who {
    /// A task by its id, or its number if nothing is known under that.
    pub(crate) fn of(id: Option<TaskId>, seq: Seq) -> Who {
        id.map_or(Who::Number(seq), Who::Task)
    }
}

impl From<&Task> for Who {
    fn from(task: &Task) -> Who {
        Who::Task(task.id.clone())
    }
}

impl From<&TaskId> for Who {
    fn from(id: &TaskId) -> Who {
        Who::Task(id.clone())
    }
}

impl From<&Run> for Who {
    fn from(run: &Run) -> Who {
        Who::Run(run.id)
    }
}

impl From<&Event> for Who {
    fn from(event: &Event) -> Who {
        Who::Event(event.no)
    }
}

impl Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Task(id) => write!(f, "task {id}"),
            Who::Number(seq) => write!(f, "task number {}, which does not exist,", seq.0),
            Who::Run(id) => write!(f, "run {id}"),
            Who::Event(no) => write!(f, "event {}", no.0),
        }
    }
}

impl Wrong {
    fn sort(&self) -> Sort {
        let list = match self {
            Wrong::Missing(list) | Wrong::Stray(list) => Some(discriminant(list)),
            _ => None,
        };
        (discriminant(self), list)
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |f: &mut fmt::Formatter<'_>, of: &dyn Display, kept: u64, right: u64| {
            write!(f, "counts {kept} {of}, and has {right}")
        };
        match self {
            Wrong::Body => f.write_str("has no body"),
            Wrong::Class => f.write_str("has no class"),
            Wrong::Id => f.write_str("is not found by its id"),
            Wrong::Leased(state) => write!(f, "is {state} and leased"),
            Wrong::NotLeased(state) => write!(f, "is {state} without a lease"),
            Wrong::Letter => f.write_str("is in the dead letters and not failed"),
            Wrong::Left(state, left) => {
                let left = left.map_or("nothing", State::as_str);
                write!(f, "is {state} and left {left}")
            }
            Wrong::Missing(list) => write!(f, "is missing at its place in {list}"),
            Wrong::Stray(list) => write!(f, "stands in {list} where it should not"),
            Wrong::Dependents(kept, right) => counts(f, &"dependents", *kept, *right),
            Wrong::Children(kept, right) => counts(f, &"children", *kept, *right),
            Wrong::Open(kept, right) => counts(f, &"open prerequisites", *kept, *right),
            Wrong::Dead(kept, right) => counts(f, &"dead prerequisites", *kept, *right),
            Wrong::BlockedByNothing => f.write_str("is blocked by nothing"),
            Wrong::EdgeToNobody => f.write_str("has an edge to a task that does not exist"),
            Wrong::Holds(name) => write!(f, "holds `{name}` without a lease"),
            Wrong::Lease => f.write_str("has a lease"),
            Wrong::ForeignLease => f.write_str("has a lease of another project"),
            Wrong::Named(key) => write!(f, "is named by the key `{key}`"),
            Wrong::NoRun => f.write_str("belongs to a run that does not exist"),
            Wrong::LastEvent(kept, right) => {
                write!(f, "has event {} as its last, and it is {}", kept.0, right.0)
            }
            Wrong::Before(kept, right) => write!(
                f,
                "says that event {} was the one of its task before, and it was {}",
                kept.0, right.0
            ),
            Wrong::Tasks(state, kept, right) => counts(f, &format_args!("{state} tasks"), *kept, *right),
            Wrong::Skipped(kept, right) => counts(f, &"skipped tasks", *kept, *right),
            Wrong::Ended(open) => write!(f, "has an end and {open} open tasks"),
            Wrong::NotEnded => f.write_str("has no open task and no end"),
            Wrong::Active(state, open) => write!(f, "is {} with {open} open tasks", state.as_str()),
            Wrong::Outcome(kept, right) => {
                write!(f, "is kept as {}, and is {}", kept.as_str(), right.as_str())
            }
        }
    }
}

impl Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            List::Line => f.write_str("the line"),
            List::RunLine => f.write_str("the line of its run"),
            List::Parked(thing) => write!(f, "the line parked under `{thing}`"),
            List::Timers => f.write_str("the timers"),
            List::Leases => f.write_str("the leases by their ends"),
            List::Worker(worker) => write!(f, "the leases of worker {worker}"),
            List::State(state) => write!(f, "the list of {state} tasks"),
            List::Waiting => f.write_str("the list of tasks that wait"),
            List::Run => f.write_str("the tasks of its run"),
            List::Parent => f.write_str("the children of its parent"),
            List::Holders(name) => write!(f, "the holders of `{name}`"),
            List::Ids => f.write_str("the list of ids"),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Moment(Option<Timestamp>);

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => at.fmt(f),
            None => f.write_str("none"),
        }
    }
}
