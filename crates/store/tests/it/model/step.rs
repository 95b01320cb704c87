//! One step of a random sequence. Tasks, leases and runs are meant by their position among those that there are, so
//! that a sequence keeps its sense when steps before it are left out.

use std::fmt;

use domain::task::record::Join;
use domain::task::spec::{OnUpstreamFailure, When};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Add(Vec<Sketch>, Into),
    /// The same admission once more.
    AddAgain,
    Claim {
        worker: u8,
        max: usize,
        start: bool,
        kind: Option<u8>,
        run: bool,
    },
    Start(usize),
    Renew(usize),
    Complete(usize),
    /// Completes and leaves subtasks behind.
    Leave(usize, Vec<Sketch>, Option<Join>),
    Fail {
        lease: usize,
        no_retry: bool,
    },
    Release(usize),
    /// The last request of a lease holder once more.
    Again,
    Cancel(usize),
    CancelRun(usize),
    Suspend(usize),
    Resume(usize),
    Retry(usize),
    RetryLater(usize),
    Resolve(usize, bool),
    DropLetter(usize),
    BreakLock {
        lock: usize,
        at_once: bool,
    },
    Pass(u64),
    Jump(i64),
    Tick,
    Lose(u8),
    /// Takes out what ended so many seconds ago or earlier.
    Prune(i64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Into {
    Nothing,
    NewRun,
    /// Into this run, replacing this task and those behind it.
    OldRun {
        run: usize,
        instead: usize,
    },
}

/// A task to be made.
#[derive(Clone)]
pub(super) struct Sketch {
    /// Counted back from the newest, those before it in the same batch included.
    pub(super) after: Vec<(usize, When)>,
    pub(super) upstream: OnUpstreamFailure,
    pub(super) lock: Option<(u8, bool)>,
    pub(super) limited: bool,
    pub(super) priority: i64,
    pub(super) attempts: u32,
    /// Half an hour from now, or now.
    pub(super) run_at: Option<bool>,
    pub(super) deadline: bool,
    pub(super) asks: bool,
    pub(super) replan: bool,
    pub(super) kind: u8,
}

/// Only what is out of the ordinary.
impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task")?;
        for (back, when) in &self.after {
            write!(f, " after -{}:{}", back + 1, when.as_str())?;
        }
        if self.upstream != OnUpstreamFailure::Cancel {
            write!(f, " upstream {}", self.upstream.as_str())?;
        }
        if let Some((name, shared)) = self.lock {
            write!(f, " {} {name}", if shared { "share" } else { "lock" })?;
        }
        let words = [
            (self.limited, " limited"),
            (self.run_at == Some(true), " later"),
            (self.run_at == Some(false), " now"),
            (self.deadline, " deadline"),
            (self.asks, " asks"),
            (self.replan, " replan"),
        ];
        words
            .iter()
            .filter(|(is, _)| *is)
            .try_for_each(|(_, word)| f.write_str(word))?;
        write!(f, " p{} x{} k{}", self.priority, self.attempts, self.kind)
    }
}

pub(super) fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..max)
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0usize..1_000;
    let claim = (
        0u8..3,
        1usize..4,
        any::<bool>(),
        option::weighted(0.2, 0u8..2),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        6 => (vec(sketch(), 1..6), into()).prop_map(|(tasks, into)| Step::Add(tasks, into)),
        1 => Just(Step::AddAgain),
        12 => claim.prop_map(|(worker, max, start, kind, run)| Step::Claim { worker, max, start, kind, run }),
        2 => which().prop_map(Step::Start),
        2 => which().prop_map(Step::Renew),
        8 => which().prop_map(Step::Complete),
        2 => (which(), vec(sketch(), 0..4), option::of(prop_oneof![Just(Join::Complete), Just(Join::Continue)]))
            .prop_map(|(lease, tasks, join)| Step::Leave(lease, tasks, join)),
        5 => (which(), prop::bool::weighted(0.3)).prop_map(|(lease, no_retry)| Step::Fail { lease, no_retry }),
        2 => which().prop_map(Step::Release),
        1 => Just(Step::Again),
        2 => which().prop_map(Step::Cancel),
        1 => which().prop_map(Step::CancelRun),
        3 => which().prop_map(Step::Suspend),
        3 => which().prop_map(Step::Resume),
        3 => which().prop_map(Step::Retry),
        1 => which().prop_map(Step::RetryLater),
        2 => (which(), any::<bool>()).prop_map(|(task, accept)| Step::Resolve(task, accept)),
        1 => which().prop_map(Step::DropLetter),
        1 => (which(), any::<bool>()).prop_map(|(lock, at_once)| Step::BreakLock { lock, at_once }),
        3 => (1u64..40).prop_map(Step::Pass),
        1 => (-7_200i64..7_200).prop_map(Step::Jump),
        4 => Just(Step::Tick),
        1 => (0u8..3).prop_map(Step::Lose),
        2 => (0i64..1_800).prop_map(Step::Prune),
    ]
}

fn into() -> impl Strategy<Value = Into> {
    let old = (0usize..1_000, 0usize..1_000).prop_map(|(run, instead)| Into::OldRun { run, instead });
    prop_oneof![3 => Just(Into::Nothing), 2 => Just(Into::NewRun), 1 => old]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let when = prop_oneof![4 => Just(When::Success), 1 => Just(When::Failure), 1 => Just(When::Finished)];
    let upstream = prop_oneof![
        4 => Just(OnUpstreamFailure::Cancel),
        1 => Just(OnUpstreamFailure::Block),
        1 => Just(OnUpstreamFailure::Continue)
    ];
    let rare = || prop::bool::weighted(0.1);
    let order = (prop_oneof![Just(5i64), Just(2), Just(9)], 0u8..2, rare());
    let wait = (option::weighted(0.15, any::<bool>()), rare(), 1u32..3);
    let guard = (option::weighted(0.3, (0u8..5, any::<bool>())), rare());
    let end = (upstream, prop::bool::weighted(0.2));
    (vec((0usize..8, when), 0..3), end, order, wait, guard).prop_map(
        |(
            after,
            (upstream, replan),
            (priority, kind, deadline),
            (run_at, asks, attempts),
            (lock, limited),
        )| Sketch {
            after,
            upstream,
            lock,
            limited,
            priority,
            attempts,
            run_at,
            deadline,
            asks,
            replan,
            kind,
        },
    )
}
