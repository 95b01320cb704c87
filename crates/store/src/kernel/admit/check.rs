//! Everything that an admission can be refused for, before anything is written.

use domain::code::{Code, Refusal};
use domain::decide::edges::{Fate, fate};
use domain::id::{Seq, TaskId};
use domain::limits;
use domain::run::RunNo;
use domain::store::{Admission, IntoRun, NewTask, On, Result};
use domain::task::spec::{OnUpstreamFailure, When};
use domain::task::state::{Reason, State};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::kernel::claim::run_not_found;
use crate::kernel::step::Step;

/// A checked admission: nothing has been written, and nothing can be refused any more.
pub(in crate::kernel) struct Plan {
    pub(super) run: Option<RunNo>,
    pub(super) first: Seq,
    /// By index: the prerequisites by number, without duplicates.
    pub(super) after: Vec<Vec<(Seq, When)>>,
    pub(super) depth: Vec<u32>,
    /// By index: dependents within the batch.
    pub(super) dependents: Vec<u32>,
    pub(super) parents: Vec<Option<Seq>>,
    pub(super) supersede: Vec<Seq>,
}

impl Plan {
    /// The number that the first task of the batch will have.
    pub(in crate::kernel) fn first(&self) -> Seq {
        self.first
    }

    /// Prerequisites outside the batch.
    pub(in crate::kernel) fn outside(&self) -> impl Iterator<Item = Seq> + '_ {
        self.after
            .iter()
            .flatten()
            .map(|(seq, _)| *seq)
            .filter(|seq| *seq < self.first)
    }

    /// The first task of the batch that waits for this one.
    pub(in crate::kernel) fn first_after(&self, on: Seq) -> Option<usize> {
        let waits = |after: &Vec<(Seq, When)>| after.iter().any(|(seq, _)| *seq == on);
        self.after.iter().position(waits)
    }

    pub(in crate::kernel) fn check(step: &mut Step<'_>, admission: &Admission) -> Result<Plan> {
        if !step.writes.new_tasks.is_empty() {
            // Numbers are given out by what is stored.
            step.flush()?;
        }
        let tasks = &admission.tasks;
        if tasks.len() > limits::BATCH_TASKS {
            return Err(limit("tasks in one submission", limits::BATCH_TASKS, tasks.len()));
        }
        check_ids(step, admission)?;
        let known = resolve(step, admission)?;
        let run = check_run(step, &admission.run)?;
        let first = step.tx.next_seq(step.project)?;
        let after = edges(admission, &known, first)?;
        let (depth, dependents) = order(step, tasks, &after, first)?;
        let supersede: Vec<Seq> = admission.supersede.iter().map(|id| known.stored[id]).collect();
        check_prerequisites(step, tasks, &after, first, &supersede)?;
        let parents: Vec<Option<Seq>> = tasks
            .iter()
            .map(|task| task.parent.as_ref().map(|id| known.stored[id]))
            .collect();
        check_parents(step, admission, &parents)?;
        Ok(Plan {
            run,
            first,
            after,
            depth,
            dependents,
            parents,
            supersede,
        })
    }
}

/// The run that the tasks go into, if it exists; it must be as the caller saw it.
fn check_run(step: &mut Step<'_>, run: &IntoRun) -> Result<Option<RunNo>> {
    let changed = |plan: &str| {
        Err(Refusal::new(
            Code::RunChanged,
            format!("another process has submitted the plan `{plan}` meanwhile"),
        )
        .help("submit it again: it continues what the other one has begun"))
    };
    match run {
        IntoRun::None | IntoRun::New { newest: None, .. } => Ok(None),
        IntoRun::New {
            plan,
            newest: Some(seen),
            ..
        } => {
            let newest = step.tx.newest_run(step.project, plan)?;
            if newest.map(|run| run.id) == *seen {
                Ok(None)
            } else {
                changed(plan)
            }
        }
        IntoRun::Existing { id, from, .. } => {
            let run = step
                .tx
                .find_run(step.project, *id)?
                .ok_or_else(|| run_not_found(&id.to_string()))?;
            if run.digest == *from {
                Ok(Some(run.no))
            } else {
                changed(&run.plan)
            }
        }
    }
}

fn limit(what: &str, limit: usize, got: usize) -> Refusal {
    Refusal::new(Code::LimitExceeded, format!("{got} {what}; the limit is {limit}"))
}

/// Where nothing else about it can be refused, an admission is left to the keys of the store.
fn check_ids(step: &mut Step<'_>, admission: &Admission) -> Result<()> {
    let tasks = &admission.tasks;
    let mut seen = FxHashSet::default();
    if let Some(twice) = tasks.iter().find(|task| !seen.insert(&task.id)) {
        return Err(Refusal::new(
            Code::TaskExists,
            format!("the id {} stands twice in the batch", twice.id),
        ));
    }
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let plain = |task: &NewTask| task.after.is_empty() && task.parent.is_none();
    let alone = matches!(admission.run, IntoRun::None) && admission.supersede.is_empty();
    let taken = if alone && tasks.iter().all(plain) {
        step.tx.taken(step.project, &ids)?
    } else {
        let found = step.tx.find(step.project, &ids)?;
        let mut all = ids.into_iter().zip(found);
        all.find(|(_, seq)| seq.is_some()).map(|(id, _)| id)
    };
    taken.map_or(Ok(()), |id| Err(exists(&id)))
}

/// The refusal of a second task with this id.
pub(crate) fn exists(id: &TaskId) -> Refusal {
    Refusal::new(Code::TaskExists, format!("a task {id} exists already"))
}

/// Where the ids that an admission names lead: into the store, or into the batch itself.
struct Known<'a> {
    stored: FxHashMap<TaskId, Seq>,
    own: FxHashMap<&'a TaskId, u32>,
}

/// Looks up every stored task that the admission names and loads its row.
fn resolve<'a>(step: &mut Step<'_>, admission: &'a Admission) -> Result<Known<'a>> {
    let own: FxHashMap<&TaskId, u32> = admission.tasks.iter().map(|task| &task.id).zip(0..).collect();
    let mut ids: Vec<TaskId> = admission.supersede.clone();
    for task in &admission.tasks {
        ids.extend(task.parent.clone());
        ids.extend(task.after.iter().filter_map(|edge| match &edge.on {
            On::Task(id) if !own.contains_key(id) => Some(id.clone()),
            _ => None,
        }));
    }
    ids.sort_unstable();
    ids.dedup();
    let found = step.tx.find(step.project, &ids)?;
    let missing: Vec<String> = ids
        .iter()
        .zip(&found)
        .filter(|(_, seq)| seq.is_none())
        .map(|(id, _)| id.to_string())
        .collect();
    if !missing.is_empty() {
        let list = missing.join(", ");
        return Err(
            Refusal::new(Code::PrerequisiteNotFound, format!("no task has the id {list}"))
                .help("`bell task list` shows the tasks of this project"),
        );
    }
    let seqs: Vec<Seq> = found.into_iter().flatten().collect();
    step.load(&seqs)?;
    Ok(Known {
        stored: ids.into_iter().zip(seqs).collect(),
        own,
    })
}

/// The edges by number. Equal ones collapse; `finished` beside a stricter condition says nothing more.
fn edges(admission: &Admission, known: &Known<'_>, first: Seq) -> Result<Vec<Vec<(Seq, When)>>> {
    let count = admission.tasks.len();
    let within = |index: u32| Seq(first.0 + u64::from(index));
    let number = |on: &On| match on {
        On::Batch(index) if (*index as usize) < count => Ok(within(*index)),
        On::Batch(index) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("the batch has no task number {index}"),
        )),
        On::Task(id) => Ok(known
            .own
            .get(id)
            .map_or_else(|| known.stored[id], |index| within(*index))),
    };
    let mut all = Vec::with_capacity(count);
    for task in &admission.tasks {
        let mut after: Vec<(Seq, When)> = task
            .after
            .iter()
            .map(|edge| Ok((number(&edge.on)?, edge.when)))
            .collect::<Result<_>>()?;
        after.sort_unstable();
        after.dedup();
        let mut merged: Vec<(Seq, When)> = Vec::with_capacity(after.len());
        for (seq, when) in after {
            match merged.last().copied() {
                Some((last, _)) if last == seq && when == When::Finished => {}
                Some((last, _)) if last == seq => {
                    return Err(Refusal::new(
                        Code::InvalidArgument,
                        format!(
                            "task {} waits for both the success and the failure of one task",
                            task.id
                        ),
                    ));
                }
                _ => merged.push((seq, when)),
            }
        }
        if merged.len() > admission.limits.prerequisites {
            return Err(limit(
                "prerequisites of one task",
                admission.limits.prerequisites,
                merged.len(),
            )
            .help(format!("task {} has them", task.id)));
        }
        all.push(merged);
    }
    Ok(all)
}

/// Structural depth by Kahn's algorithm, and how many dependents each task has within the batch.
fn order(
    step: &mut Step<'_>,
    tasks: &[NewTask],
    after: &[Vec<(Seq, When)>],
    first: Seq,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let n = tasks.len();
    let index = |seq: Seq| (seq >= first).then(|| (seq.0 - first.0) as usize);
    let mut depth = vec![0u32; n];
    let mut waits = vec![0u32; n];
    let mut dependents = vec![0u32; n];
    for (i, list) in after.iter().enumerate() {
        for (seq, _) in list {
            match index(*seq) {
                Some(on) => {
                    waits[i] += 1;
                    dependents[on] += 1;
                }
                None => depth[i] = depth[i].max(step.task(*seq)?.depth + 1),
            }
        }
    }
    // Who waits for whom, as one flat list cut at `starts`.
    let mut starts = vec![0usize; n + 1];
    for i in 0..n {
        starts[i + 1] = starts[i] + dependents[i] as usize;
    }
    let mut fill = starts.clone();
    let mut flat = vec![0u32; starts[n]];
    for (i, list) in after.iter().enumerate() {
        for on in list.iter().filter_map(|(seq, _)| index(*seq)) {
            flat[fill[on]] = i as u32;
            fill[on] += 1;
        }
    }
    let mut queue: Vec<usize> = (0..n).filter(|&i| waits[i] == 0).collect();
    let mut done = 0;
    while let Some(&on) = queue.get(done) {
        done += 1;
        for &i in &flat[starts[on]..starts[on + 1]] {
            let i = i as usize;
            depth[i] = depth[i].max(depth[on] + 1);
            waits[i] -= 1;
            if waits[i] == 0 {
                queue.push(i);
            }
        }
    }
    if done == n {
        return Ok((depth, dependents));
    }
    let stuck = (0..n)
        .find(|&i| waits[i] > 0)
        .expect("some task is still waiting");
    Err(cycle(tasks, after, first, &waits, stuck))
}

/// Walks prerequisites that still wait until one comes round again.
fn cycle(tasks: &[NewTask], after: &[Vec<(Seq, When)>], first: Seq, waits: &[u32], start: usize) -> Refusal {
    let name = |i: usize| {
        tasks[i]
            .key
            .as_ref()
            .map_or_else(|| tasks[i].id.to_string(), ToString::to_string)
    };
    let mut seen = FxHashMap::default();
    let mut path = Vec::new();
    let mut at = start;
    while !seen.contains_key(&at) {
        seen.insert(at, path.len());
        path.push(at);
        at = after[at]
            .iter()
            .filter(|(seq, _)| *seq >= first)
            .map(|(seq, _)| (seq.0 - first.0) as usize)
            .find(|&on| waits[on] > 0)
            .expect("a waiting task waits for a waiting one");
    }
    let round: Vec<String> = path[seen[&at]..].iter().chain([&at]).map(|&i| name(i)).collect();
    let detail = match &round[..] {
        [one, _] => format!("task {one} waits for itself: {one} -> {one} (a self-dependency is not allowed)"),
        _ => format!("tasks wait for each other: {}", round.join(" -> ")),
    };
    Refusal::new(Code::DependencyCycle, detail)
}

/// A task whose edge is dead from the start could never run.
fn check_prerequisites(
    step: &mut Step<'_>,
    tasks: &[NewTask],
    after: &[Vec<(Seq, When)>],
    first: Seq,
    supersede: &[Seq],
) -> Result<()> {
    let replaced: FxHashSet<&Seq> = supersede.iter().collect();
    for (task, list) in tasks.iter().zip(after) {
        for (seq, when) in list.iter().filter(|(seq, _)| *seq < first) {
            let on = step.task(*seq)?;
            let (state, reason) = if replaced.contains(seq) && !on.state.is_terminal() {
                (State::Cancelled, Some(Reason::Superseded))
            } else {
                (on.state, on.reason)
            };
            let policy = task.head.upstream;
            if let Fate::Dead(reason) = fate(*when, state, reason, policy)
                && (policy != OnUpstreamFailure::Block || reason != Reason::UpstreamFailed)
            {
                return Err(Refusal::new(
                    Code::PrerequisiteFailed,
                    format!(
                        "task {} waits for the {} of {}, which is {}",
                        task.id,
                        when.as_str(),
                        on.id,
                        state
                    ),
                )
                .help(match state {
                    State::Failed => format!(
                        "retry it first (`bell task retry {0}`), or wait on `{0}:finished`",
                        on.id
                    ),
                    _ => format!("wait on `{}:finished`, or on another task", on.id),
                }));
            }
        }
    }
    Ok(())
}

fn check_parents(step: &mut Step<'_>, admission: &Admission, parents: &[Option<Seq>]) -> Result<()> {
    let mut more: FxHashMap<Seq, u32> = FxHashMap::default();
    for seq in parents.iter().flatten() {
        *more.entry(*seq).or_default() += 1;
    }
    for (seq, added) in more {
        let parent = step.task(seq)?;
        let total = parent.children + added;
        if total > admission.limits.children {
            let limit = limit(
                "subtasks of one parent",
                admission.limits.children as usize,
                total as usize,
            );
            return Err(limit.help(format!("the parent is {}", parent.id)));
        }
        if parent.state.is_terminal() {
            return Err(Refusal::new(
                Code::InvalidTransition,
                format!(
                    "task {} is {} and takes no subtasks any more",
                    parent.id, parent.state
                ),
            ));
        }
    }
    Ok(())
}
