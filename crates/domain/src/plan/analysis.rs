//! What a plan will be like: batches, depth, the critical path, slack.

use std::time::Duration;

use serde::Serialize;

use crate::task::spec::Moment;
use crate::time::{Timestamp, millis};

use super::model::{Plan, PlanTask};

/// Figures of a plan; tasks are indexes into [`Plan::tasks`].
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    pub edges: usize,
    /// Tasks that may run side by side, batch after batch; none is empty.
    pub batches: Vec<Vec<u32>>,
    /// Edges on the longest way; 0 when no task waits.
    pub depth: usize,
    /// The size of the largest batch; see [`Dag::levels`](crate::graph::Dag::levels) for what it is not.
    pub max_parallelism: usize,
    pub critical_path: Vec<u32>,
    /// The length of the critical path: how long the plan takes at most, given workers enough and no retries.
    /// Edges of every condition count alike, so what waits for a failure stands behind it.
    pub total: Duration,
    /// How long each task may be delayed without delaying the end.
    pub slack: Vec<Duration>,
    pub warnings: Vec<String>,
}

/// What is assumed of a task when no task of the plan has an estimate.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Analyses a plan as if submitted at `now`.
///
/// `known` gives a task's duration where one is known, say its estimate or what its kind took before. The
/// others count the median of the known ones, so that a plan with a few estimates is neither dominated by them
/// nor by the rest; with none known every task counts one second and the critical path is the longest chain.
pub fn analyse(plan: &Plan, known: impl Fn(&PlanTask) -> Option<Duration>, now: Timestamp) -> Analysis {
    let durations = durations(plan, known);
    let batches = plan.dag.levels();
    let timing = plan.dag.timing(&durations);
    let slack = (0..plan.dag.len()).map(|v| Duration::from_millis(timing.slack(v)));
    Analysis {
        edges: plan.dag.edges(),
        depth: batches.len().saturating_sub(1),
        max_parallelism: batches.iter().map(Vec::len).max().unwrap_or(0),
        critical_path: timing.critical_path(),
        total: Duration::from_millis(timing.total),
        slack: slack.collect(),
        warnings: warnings(plan, now),
        batches,
    }
}

pub fn durations(plan: &Plan, known: impl Fn(&PlanTask) -> Option<Duration>) -> Vec<u64> {
    let found: Vec<Option<Duration>> = plan.tasks.iter().map(known).collect();
    median(&found)
}

/// Milliseconds of each; what is not known counts the median of what is.
pub fn median(known: &[Option<Duration>]) -> Vec<u64> {
    let ms = |span: Duration| u64::try_from(millis(span)).unwrap_or(0);
    let found: Vec<Option<u64>> = known.iter().map(|known| known.map(ms)).collect();
    let mut sorted: Vec<u64> = found.iter().copied().flatten().collect();
    let middle = sorted.len() / 2;
    let assumed = match sorted.len() {
        0 => ms(UNKNOWN),
        _ => *sorted.select_nth_unstable(middle).1,
    };
    found
        .into_iter()
        .map(|duration| duration.unwrap_or(assumed))
        .collect()
}

fn warnings(plan: &Plan, now: Timestamp) -> Vec<String> {
    let file = &plan.unsupported.file;
    let unsupported = plan
        .unsupported
        .faults
        .iter()
        .map(|fault| format!("{file}:{fault}"));
    let read = plan.warnings.iter().map(|warning| format!("{file}:{warning}"));
    let mut warnings: Vec<String> = unsupported.chain(read).collect();
    if plan.unsupported.more > 0 {
        warnings.push(format!(
            "{file}: {} more keys are not in this version",
            plan.unsupported.more
        ));
    }
    let late = plan.tasks.iter().filter(|task| match task.spec.deadline {
        Some(Moment::At(deadline)) => deadline < now,
        _ => false,
    });
    warnings.extend(late.take(super::FAULTS_MAX).map(|task| {
        format!(
            "{file}:{}: the deadline of task `{}` has passed",
            task.place, task.key
        )
    }));
    warnings
}

/// An [`Analysis`] with names in the place of indexes, as `plan check --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report<'a> {
    pub tasks: usize,
    pub edges: usize,
    pub batches: Vec<Vec<&'a str>>,
    pub depth: usize,
    pub max_parallelism: usize,
    pub critical_path: CriticalPath<'a>,
    pub warnings: &'a [String],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CriticalPath<'a> {
    pub tasks: Vec<&'a str>,
    pub seconds: f64,
}

impl Analysis {
    /// # Panics
    /// May panic when `plan` is not the one that was analysed.
    pub fn report<'a>(&'a self, plan: &'a Plan) -> Report<'a> {
        let key = |v: &u32| plan.tasks[*v as usize].key.as_str();
        Report {
            tasks: plan.tasks.len(),
            edges: self.edges,
            batches: self
                .batches
                .iter()
                .map(|batch| batch.iter().map(key).collect())
                .collect(),
            depth: self.depth,
            max_parallelism: self.max_parallelism,
            critical_path: CriticalPath {
                tasks: self.critical_path.iter().map(key).collect(),
                seconds: self.total.as_secs_f64(),
            },
            warnings: &self.warnings,
        }
    }
}
