//! Taking new work in: all of a batch with its edges, or nothing.

use domain::code::{Code, Refusal};
use domain::decide::derive;
use domain::decide::edges::{Fate, fate};
use domain::event::Kind;
use domain::id::{Project, Seq, TaskId};
use domain::limits;
use domain::run::{Counts, Run, RunNo, RunState};
use domain::store::{Admission, Admitted, IntoRun, NewTask, On, Result};
use domain::task::record::{Body, Task};
use domain::task::score::{Weights, score};
use domain::task::spec::{Json, OnUpstreamFailure, When};
use domain::task::state::{Reason, State};
use domain::time::Now;
use rustc_hash::{FxHashMap, FxHashSet};

use super::claim::run_not_found;
use super::settle::{self, Settled};
use super::step::Step;
use super::tx::{NewRow, ProjectNo, Remembered, Tx};

pub fn admit(tx: &mut dyn Tx, project: &Project, admission: &Admission, now: Now) -> Result<Admitted> {
    let no = tx.project(project, true)?.expect("the project was created");
    let digest = admission.idempotency_key.as_ref().map(|_| fingerprint(admission));
    if let (Some(key), Some(digest)) = (&admission.idempotency_key, digest)
        && let Some(tasks) = repeated(tx, no, key, digest)?
    {
        return Ok(Admitted {
            tasks,
            repeated: true,
        });
    }
    let mut step = Step::new(tx, no, now, admission.actor.clone())?;
    let plan = Plan::check(&mut step, admission)?;
    let tasks = insert(&mut step, admission, plan)?;
    if let (Some(key), Some(digest)) = (&admission.idempotency_key, digest) {
        let answer = serde_json::to_string(&tasks).expect("ids and states serialise");
        step.writes.remember.push((
            key.clone(),
            Remembered {
                digest,
                answer,
                at: now.wall,
            },
        ));
    }
    step.finish()?;
    Ok(Admitted {
        tasks,
        repeated: false,
    })
}

/// What makes two admissions the same request: the work, not the ids that were made up for it.
fn fingerprint(admission: &Admission) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for task in &admission.tasks {
        hasher
            .update(&task.digest)
            .update(format!("{:?}{:?}{:?}", task.key, task.after, task.parent).as_bytes());
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn repeated<T: serde::de::DeserializeOwned>(
    tx: &mut dyn Tx,
    project: ProjectNo,
    key: &str,
    digest: [u8; 32],
) -> Result<Option<T>> {
    match tx.remembered(project, key)? {
        None => Ok(None),
        Some(seen) if seen.digest == digest => serde_json::from_str(&seen.answer).map(Some).map_err(|e| {
            Refusal::new(
                Code::StoreCorrupt,
                format!("the answer kept under idempotency key `{key}`: {e}"),
            )
        }),
        Some(_) => Err(Refusal::new(
            Code::IdempotencyConflict,
            format!(
                "the idempotency key `{}` was used for another request",
                key.escape_debug()
            ),
        )),
    }
}

/// A checked admission: nothing has been written, and nothing can be refused any more.
pub(super) struct Plan {
    run: Option<RunNo>,
    first: Seq,
    /// By index: the prerequisites by number, without duplicates.
    after: Vec<Vec<(Seq, When)>>,
    depth: Vec<u32>,
    /// By index: dependents within the batch.
    dependents: Vec<u32>,
    parents: Vec<Option<Seq>>,
    supersede: Vec<Seq>,
}

impl Plan {
    /// The number that the first task of the batch will have.
    pub(super) fn first(&self) -> Seq {
        self.first
    }

    /// Prerequisites outside the batch.
    pub(super) fn outside(&self) -> impl Iterator<Item = Seq> + '_ {
        self.after
            .iter()
            .flatten()
            .map(|(seq, _)| *seq)
            .filter(|seq| *seq < self.first)
    }

    pub(super) fn check(step: &mut Step<'_>, admission: &Admission) -> Result<Plan> {
        if !step.writes.new_tasks.is_empty() {
            // Numbers are given out by what is stored.
            step.flush()?;
        }
        let tasks = &admission.tasks;
        if tasks.len() > limits::BATCH_TASKS {
            return Err(limit("tasks in one submission", limits::BATCH_TASKS, tasks.len()));
        }
        check_ids(step, tasks)?;
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

fn check_ids(step: &mut Step<'_>, tasks: &[NewTask]) -> Result<()> {
    let exists = |id: &TaskId| Refusal::new(Code::TaskExists, format!("a task {id} exists already"));
    let mut seen = FxHashSet::default();
    if let Some(twice) = tasks.iter().find(|task| !seen.insert(&task.id)) {
        return Err(Refusal::new(
            Code::TaskExists,
            format!("the id {} stands twice in the batch", twice.id),
        ));
    }
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let found = step.tx.find(step.project, &ids)?;
    match ids.iter().zip(found).find(|(_, seq)| seq.is_some()) {
        Some((id, _)) => Err(exists(id)),
        None => Ok(()),
    }
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
                .help(format!(
                    "retry it first (`bell task retry {}`), or wait on `{}:finished`",
                    on.id, on.id
                )));
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

/// Writes a checked admission into the step. Returns ids and first states in the order of the batch.
pub(super) fn insert(step: &mut Step<'_>, admission: &Admission, plan: Plan) -> Result<Vec<(TaskId, State)>> {
    let run = open_run(step, admission, plan.run)?;
    let replaced = supersede_all(step, &plan.supersede)?;
    let settling = settling(step, &plan, &replaced)?;
    count_dependents(step, &plan)?;
    let Plan {
        first,
        after,
        depth,
        dependents,
        parents,
        ..
    } = plan;
    for (i, (new, after)) in admission.tasks.iter().zip(after).enumerate() {
        let seq = Seq(first.0 + i as u64);
        let parent_run = match parents[i] {
            Some(parent) => step.task(parent)?.run,
            None => None,
        };
        let stand = |step: &mut Step<'_>, on: Seq, when: When| match on {
            on if on >= first || settling.contains(&on) => Ok(Fate::Open),
            on => step
                .task(on)
                .map(|on| fate(when, on.state, on.reason, new.head.upstream)),
        };
        let mut task = row(step, new, seq, run.or(parent_run))?;
        for (on, when) in &after {
            match stand(step, *on, *when)? {
                Fate::Open => task.open += 1,
                Fate::Dead(_) => task.dead += 1,
                Fate::Holds => {}
            }
        }
        task.parent = parents[i];
        task.depth = depth[i];
        task.dependents = dependents[i];
        let (state, reason) = derive(&task, step.now.wall);
        (task.state, task.reason) = (state, reason);
        task.score = score(&task.facts(), &Weights::default(), step.now.wall);
        let data = submitted(new, state);
        step.emit_task(&mut task, Kind::TaskSubmitted, reason, Some(data));
        step.writes
            .new_edges
            .extend(after.iter().map(|(on, when)| (*on, seq, *when)));
        if task.run.is_some() || new.key.is_some() {
            let key = new.key.clone().map_or_else(|| key_of(&new.id), Ok)?;
            step.writes.keys.push((task.run, key, seq));
        }
        let body = Body {
            key: new.key.clone(),
            spec: new.body.clone(),
            after,
            digest: new.digest,
        };
        step.writes.new_tasks.push(NewRow {
            task: task.clone(),
            body,
        });
        step.create(task)?;
    }
    step.writes.new_edges.sort_unstable();
    let mut budget = limits::SETTLE_EDGES;
    for seq in replaced {
        settle::settle(step, seq, &mut budget, &mut Settled::default())?;
    }
    let state = |(new, seq): (&NewTask, u64)| Ok((new.id.clone(), step.task(Seq(seq))?.state));
    admission.tasks.iter().zip(first.0..).map(state).collect()
}

fn key_of(id: &TaskId) -> Result<domain::id::Key> {
    domain::id::Key::new(&id.to_string())
}

fn open_run(step: &mut Step<'_>, admission: &Admission, existing: Option<RunNo>) -> Result<Option<RunNo>> {
    match &admission.run {
        IntoRun::None => Ok(None),
        IntoRun::New { id, plan, digest, .. } => {
            let no = step.tx.next_run(step.project)?;
            let data =
                Json::of(&serde_json::json!({ "id": id, "plan": plan, "tasks": admission.tasks.len() }));
            step.add_run(Run {
                no,
                id: *id,
                plan: plan.clone(),
                digest: *digest,
                state: RunState::Active,
                counts: Counts::default(),
                skipped: 0,
                submitted_at: step.now.wall,
                finished_at: None,
            });
            step.emit_run(Kind::RunSubmitted, no, Some(data));
            Ok(Some(no))
        }
        IntoRun::Existing { digest, .. } => {
            let no = existing.expect("the run was looked up by the check");
            step.run_mut(no)?.digest = *digest;
            Ok(Some(no))
        }
    }
}

/// Prerequisites that have ended, but whose dependents are still to be settled. The newcomer will be found among
/// them, so until then its edge is open.
fn settling(step: &mut Step<'_>, plan: &Plan, replaced: &[Seq]) -> Result<FxHashSet<Seq>> {
    if plan.outside().next().is_none() {
        return Ok(FxHashSet::default());
    }
    step.flush()?;
    let unsettled = step.tx.unsettled(step.project, usize::MAX)?;
    let ended = unsettled.into_iter().map(|(ended, _)| ended);
    Ok(ended.chain(replaced.iter().copied()).collect())
}

/// Takes tasks out of their run because a newer version of the plan replaces them. Returns those that this ended:
/// their dependents are to be settled once the newcomers are there.
fn supersede_all(step: &mut Step<'_>, seqs: &[Seq]) -> Result<Vec<Seq>> {
    let mut ended = Vec::new();
    for seq in seqs {
        let task = step.task(*seq)?;
        if task.superseded {
            continue;
        }
        if !task.state.is_terminal() {
            ended.push(*seq);
        }
        supersede(step, *seq)?;
    }
    Ok(ended)
}

/// Work under way is cancelled.
fn supersede(step: &mut Step<'_>, seq: Seq) -> Result<()> {
    let mut task = step.task(seq)?.clone();
    let now = step.now.wall;
    task.superseded = true;
    if task.state.is_terminal() {
        step.emit_task(&mut task, Kind::TaskSuperseded, None, None);
    } else {
        let attempts = task.attempt();
        task.state = State::Cancelled;
        task.reason = Some(Reason::Superseded);
        task.finished_at = Some(now);
        task.left = None;
        task.attempts = attempts;
        step.emit_task(
            &mut task,
            Kind::TaskEntered(State::Cancelled),
            Some(Reason::Superseded),
            None,
        );
    }
    step.put(task)
}

/// Stored prerequisites and parents learn that they have more dependents or children.
fn count_dependents(step: &mut Step<'_>, plan: &Plan) -> Result<()> {
    let mut more: FxHashMap<Seq, (u32, u32)> = FxHashMap::default();
    for (seq, _) in plan.after.iter().flatten().filter(|(seq, _)| *seq < plan.first) {
        more.entry(*seq).or_default().0 += 1;
    }
    for seq in plan.parents.iter().flatten() {
        more.entry(*seq).or_default().1 += 1;
    }
    for (seq, (dependents, children)) in more {
        let mut task = step.task(seq)?.clone();
        task.dependents += dependents;
        task.children += children;
        if task.state == State::Ready {
            task.score = score(&task.facts(), &Weights::default(), step.now.wall);
        }
        step.put(task)?;
    }
    Ok(())
}

/// The row as far as it follows from the task alone.
fn row(step: &mut Step<'_>, new: &NewTask, seq: Seq, run: Option<RunNo>) -> Result<Task> {
    let class = step.tx.class(step.project, &new.class)?;
    Ok(Task {
        run,
        state: State::Pending,
        priority: new.head.priority,
        source: new.head.source,
        path_share: new.path_share,
        run_at: new.head.run_at.filter(|at| *at > step.now.wall),
        deadline: new.head.deadline,
        estimate: new.head.estimate,
        upstream: new.head.upstream,
        guarded: new.head.guarded,
        asks: new.head.asks,
        ..Task::new(seq, new.id.clone(), class, step.now.wall)
    })
}

fn submitted(new: &NewTask, state: State) -> Json {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        id: &'a TaskId,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a domain::id::Key>,
        state: State,
    }
    Json::of(&Data {
        id: &new.id,
        key: new.key.as_ref(),
        state,
    })
}
