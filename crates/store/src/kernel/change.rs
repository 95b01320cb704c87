//! Carrying out requests: of lease holders, of people, of programs.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::code::{Code, Refusal};
use domain::decide::{self, Change, Context};
use domain::event::Kind;
use domain::id::{AgentName, Key, Project, Seq, TaskId, Token};
use domain::limits;
use domain::run::RunState;
use domain::store::{Admission, Children, Command, NewTask, Reply, Request, Result, Target};
use domain::task::record::{Body, Class, Join, Task};
use domain::task::replan::OnExhausted;
use domain::task::retry::Retry;
use domain::task::spec::{Json, When};
use domain::task::state::{Reason, State};
use domain::time::{Now, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use super::admit::{self, repeated};
use super::agents;
use super::claim::run_not_found;
use super::curb;
use super::letters;
use super::locks;
use super::replan;
use super::setting;
use super::settle::{self, Settled};
use super::step::Step;
use super::tx::{ProjectNo, Remembered, Tx};

/// Carries requests out in order. A refused one changes nothing; the others go on.
pub fn change(
    tx: &mut dyn Tx,
    project: &Project,
    requests: &[Request],
    now: Now,
) -> Result<Vec<Result<Reply>>> {
    let Some(no) = tx.project(project, false)? else {
        let unknown = |request: &Request| Err(not_found(&request.target, project));
        return Ok(requests.iter().map(unknown).collect());
    };
    let targets = targets(tx, no, requests)?;
    let mut step = Step::new(tx, no, now, Arc::from("system"))?;
    step.load(&targets.iter().flatten().copied().collect::<Vec<_>>())?;
    let policies = policies(&mut step, requests, &targets)?;
    letters::read(&mut step, &leaving(requests, &targets))?;
    let mut budget = limits::SETTLE_EDGES;
    let mut replies = Vec::with_capacity(requests.len());
    for (request, seq) in requests.iter().zip(targets) {
        let policy = seq.and_then(|seq| policies.get(&seq));
        replies.push(match one(&mut step, request, seq, policy, project, &mut budget) {
            // A store that fails takes the whole transaction with it.
            Err(refusal) if refusal.code.kind() == domain::code::Kind::Store => return Err(refusal),
            reply => reply,
        });
    }
    step.finish()?;
    Ok(replies)
}

fn not_found(target: &Target, project: &Project) -> Refusal {
    match target {
        Target::Id(id) | Target::Holder(_, Some(id)) => {
            Refusal::new(Code::TaskNotFound, format!("project {project} has no task {id}"))
        }
        Target::Holder(token, None) => Refusal::new(
            Code::TaskNotFound,
            format!("project {project} has no task for the token {token}"),
        ),
        Target::Run(id) => run_not_found(&id.to_string()),
    }
}

/// Where the requests lead, looked up together.
fn targets(tx: &mut dyn Tx, project: ProjectNo, requests: &[Request]) -> Result<Vec<Option<Seq>>> {
    let ids: Vec<_> = requests
        .iter()
        .filter_map(|request| match &request.target {
            Target::Id(id) => Some(id.clone()),
            _ => None,
        })
        .collect();
    let mut found = if ids.is_empty() {
        Vec::new()
    } else {
        tx.find(project, &ids)?
    }
    .into_iter();
    let seq = |request: &Request| match &request.target {
        Target::Id(_) => found.next().flatten(),
        Target::Holder(token, _) => Some(token.seq),
        Target::Run(_) => None,
    };
    Ok(requests.iter().map(seq).collect())
}

/// What a spec says about failures.
#[derive(Default, Deserialize)]
struct Policy {
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    on_exhausted: Option<OnExhausted>,
}

/// The policies of those that failed; nobody else's spec is read.
fn policies(
    step: &mut Step<'_>,
    requests: &[Request],
    targets: &[Option<Seq>],
) -> Result<FxHashMap<Seq, Policy>> {
    let failed: Vec<Seq> = requests
        .iter()
        .zip(targets)
        .filter(|(request, _)| matches!(request.command, Command::Fail { .. }))
        .filter_map(|(_, seq)| *seq)
        .collect();
    if failed.is_empty() {
        return Ok(FxHashMap::default());
    }
    let bodies = step.tx.bodies(step.project, &failed)?;
    let default = setting::retry(step)?;
    let policy = |spec: &str| {
        let policy: Policy = serde_json::from_str(spec).unwrap_or_default();
        Policy {
            retry: policy.retry.or_else(|| default.clone()),
            ..policy
        }
    };
    let bodies = bodies.into_iter();
    Ok(bodies.map(|(seq, body)| (seq, policy(&body.spec))).collect())
}

/// Those that may be dead letters and then are none any more.
fn leaving(requests: &[Request], targets: &[Option<Seq>]) -> Vec<Seq> {
    requests
        .iter()
        .zip(targets)
        .filter(|(request, _)| matches!(request.command, Command::Retry { .. } | Command::DropLetter))
        .filter_map(|(_, seq)| *seq)
        .collect()
}

fn one(
    step: &mut Step<'_>,
    request: &Request,
    seq: Option<Seq>,
    policy: Option<&Policy>,
    project: &Project,
    budget: &mut usize,
) -> Result<Reply> {
    let digest = request.idempotency_key.as_ref().map(|_| fingerprint(request));
    if let (Some(key), Some(digest)) = (&request.idempotency_key, digest) {
        if !step.writes.remember.is_empty() {
            step.flush()?;
        }
        let seen = repeated(step.tx, step.project, key, digest)?;
        if let Some(reply) = seen {
            return Ok(reply);
        }
    }
    if step.actor != request.actor {
        step.actor = request.actor.clone();
    }
    let reply = match (&request.target, seq) {
        (Target::Run(id), _) => return cancel_run(step, *id, request),
        (_, None) => return Err(not_found(&request.target, project)),
        (target, Some(seq)) => carry(step, request, target, seq, policy, project, budget)?,
    };
    if let (Some(key), Some(digest)) = (&request.idempotency_key, digest) {
        let answer = serde_json::to_string(&reply).expect("a reply serialises");
        step.writes.remember.push((
            key.clone(),
            Remembered {
                digest,
                answer,
                at: step.now.wall,
            },
        ));
    }
    Ok(reply)
}

/// What makes two requests the same: their form between processes, which has a version and outlives a build.
fn fingerprint(request: &Request) -> [u8; 32] {
    let form = serde_json::to_vec(&(&request.target, &request.command)).expect("a request serialises");
    *blake3::hash(&form).as_bytes()
}

fn carry(
    step: &mut Step<'_>,
    request: &Request,
    target: &Target,
    seq: Seq,
    policy: Option<&Policy>,
    project: &Project,
    budget: &mut usize,
) -> Result<Reply> {
    step.load(&[seq])?;
    let task = match step.task(seq) {
        Ok(task) => task.clone(),
        Err(_) => return Err(not_found(target, project)),
    };
    let token = holder(target, &task)?;
    let ctx = Context {
        token,
        retry: policy.and_then(|policy| policy.retry.as_ref()),
        now: step.now,
    };
    if let Command::BreakLock { name, .. } = &request.command {
        locks::check_held(step, &task, name)?;
    }
    let mut change = decide::command(&task, &request.command, &ctx)?;
    if let Command::Fail { .. } = &request.command {
        let asked = policy.and_then(|policy| policy.on_exhausted.as_ref());
        replan::instead(step, asked, &mut change)?;
    }
    if let Command::Resolve {
        accept: true,
        outcome,
    } = &request.command
        && task.reason == Some(Reason::Budget)
    {
        curb::purses::allow(step, &task, outcome.result.as_ref())?;
    }
    if let Command::Complete {
        outcome, children, ..
    } = &request.command
    {
        if let Some(children) = children {
            replan::check_children(step, &task, children.join)?;
            leave_children(step, seq, children, &mut change)?;
        }
        if change.task.state == State::Completed {
            replan::take_place(step, &task, outcome)?;
        }
    }
    if request.command == Command::DropLetter && task.dead_letter {
        let mut row = change.task;
        step.emit_task(&mut row, Kind::TaskDropped, None, None);
        change.task = row;
    }
    if let Command::BreakLock { name, why, at_once } = &request.command {
        let data = serde_json::json!({ "at_once": at_once, "lock": name, "why": why });
        step.emit_task(&mut change.task, Kind::LockBroken, None, Some(Json::of(&data)));
    }
    if let Command::Assign { agent } = &request.command {
        pin(step, agent.as_ref(), &mut change)?;
    }
    if let Command::Reprioritize { priority } = request.command
        && task.priority != priority
    {
        let data = Json::of(&serde_json::json!({ "from": task.priority, "to": priority }));
        step.emit_task(&mut change.task, Kind::TaskReprioritized, None, Some(data));
    }
    if let Command::Route { agent, decision } = &request.command {
        agents::route(step, agent.as_ref(), decision, &mut change)?;
    }
    let moved = !change.moves.is_empty();
    step.carry_out(change)?;
    let after = step.task(seq)?.clone();
    let mut settled = Settled::default();
    if after.state == State::Cancelled && moved {
        settled.cancelled.push(after.id.clone());
    }
    if let (Command::Cancel { reason }, true) = (&request.command, moved) {
        settle::recall(step, &task, *reason, budget, &mut settled)?;
    }
    if after.state.is_terminal() && !task.state.is_terminal() {
        settle::settle(step, seq, budget, &mut settled)?;
    } else if task.state.is_terminal() && !after.state.is_terminal() && after.dependents > 0 {
        settle::reopen(step, &task)?;
    }
    Ok(reply(&after, settled, step.now))
}

/// Moves a task into the class of an agent's tasks.
fn pin(step: &mut Step<'_>, agent: Option<&AgentName>, change: &mut Change) -> Result<()> {
    let class = step.class(change.task.class)?;
    if class.agent.as_ref() == agent && !class.routed {
        return Ok(());
    }
    let pinned = Class {
        agent: agent.cloned(),
        routed: false,
        ..class
    };
    change.task.class = step.tx.class(step.project, &pinned)?;
    let data = Json::of(&serde_json::json!({ "agent": agent }));
    step.emit_task(&mut change.task, Kind::TaskPinned, None, Some(data));
    Ok(())
}

/// The caller's token, if the target names one and it fits the task.
fn holder<'a>(target: &'a Target, task: &Task) -> Result<Option<&'a Token>> {
    match target {
        Target::Holder(_, Some(id)) if *id != task.id => Err(Refusal::new(
            Code::InvalidArgument,
            format!("the token belongs to task {}, not to {id}", task.id),
        )),
        Target::Holder(token, _) => Ok(Some(token)),
        _ => Ok(None),
    }
}

fn reply(task: &Task, settled: Settled, now: Now) -> Reply {
    let left = task
        .lease
        .as_ref()
        .map(|lease| lease.expires.saturating_sub(now.mono));
    Reply {
        task: task.id.clone(),
        state: task.state,
        reason: task.reason,
        unblocked: settled.unblocked,
        cancelled: settled.cancelled,
        more: settled.more,
        retry_at: task.run_at.filter(|_| task.state == State::Retrying),
        expires_at: left.map(|left| Timestamp(now.wall.0.saturating_add(left))),
    }
}

/// Admits the subtasks that an attempt leaves behind, in the transaction that ends it; a joining parent gets an
/// edge from each.
fn leave_children(step: &mut Step<'_>, parent: Seq, children: &Children, change: &mut Change) -> Result<()> {
    let mut admission = (*children.admission).clone();
    for task in &mut admission.tasks {
        task.parent = Some(change.task.id.clone());
    }
    let plan = admit::Plan::check(step, &admission)?;
    if children.join.is_some() {
        check_join(step, parent, &admission, &plan)?;
    }
    let first = plan.first();
    let count = admission.tasks.len() as u32;
    admit::insert(step, &admission, plan)?;
    let row = step.task(parent)?;
    change.task.children = row.children;
    change.task.dependents = row.dependents;
    if let Some(join) = children.join {
        let when = if join == Join::Complete {
            When::Success
        } else {
            When::Finished
        };
        let edges = (0..u64::from(count)).map(|i| (Seq(first.0 + i), parent, when));
        step.writes.new_edges.extend(edges);
        step.writes.new_edges.sort_unstable();
        change.task.open += count;
        for i in 0..u64::from(count) {
            let mut child = step.task(Seq(first.0 + i))?.clone();
            child.dependents += 1;
            step.put(child)?;
        }
    }
    Ok(())
}

/// A parent must not wait for a child that waits, by whatever way, for the parent.
fn check_join(step: &mut Step<'_>, parent: Seq, admission: &Admission, plan: &admit::Plan) -> Result<()> {
    let outside: FxHashSet<Seq> = plan.outside().collect();
    if outside.is_empty() {
        return Ok(());
    }
    // Each with the one that it waits for.
    let mut seen = FxHashMap::from_iter([(parent, parent)]);
    let mut work = VecDeque::from([parent]);
    while let Some(seq) = work.pop_front() {
        if outside.contains(&seq) {
            let mut path = vec![seq];
            while path.last() != Some(&parent) {
                path.push(seen[&path[path.len() - 1]]);
            }
            let child = plan.first_after(seq).map(|index| &admission.tasks[index]);
            return Err(join_cycle(step, child, &path)?);
        }
        let mut after = Seq(0);
        loop {
            let edges = step
                .tx
                .dependents(step.project, seq, after, limits::SETTLE_EDGES)?;
            for (dependent, _) in &edges {
                seen.entry(*dependent).or_insert_with(|| {
                    work.push_back(*dependent);
                    seq
                });
            }
            match edges.last() {
                Some((last, _)) if edges.len() == limits::SETTLE_EDGES => after = *last,
                _ => break,
            }
        }
    }
    Ok(())
}

/// `path` leads from what the child waits for to its parent.
fn join_cycle(step: &mut Step<'_>, child: Option<&NewTask>, path: &[Seq]) -> Result<Refusal> {
    let name = |key: Option<&Key>, id: &TaskId| key.map_or_else(|| id.to_string(), ToString::to_string);
    step.load(path)?;
    let bodies: FxHashMap<Seq, Body> = step.tx.bodies(step.project, path)?.into_iter().collect();
    let mut names = Vec::with_capacity(path.len() + 2);
    for seq in path {
        let key = bodies.get(seq).and_then(|body| body.key.as_ref());
        names.push(name(key, &step.task(*seq)?.id));
    }
    let parent = names[names.len() - 1].clone();
    names.splice(0..0, child.map(|child| name(child.key.as_ref(), &child.id)));
    names.insert(0, parent);
    let detail = format!("tasks wait for each other: {}", names.join(" -> "));
    Ok(Refusal::new(Code::DependencyCycle, detail)
        .help("take it out of `after`, or let the parent end without `join`"))
}

fn cancel_run(step: &mut Step<'_>, id: domain::id::RunId, request: &Request) -> Result<Reply> {
    let Command::Cancel { reason } = request.command else {
        return Err(Refusal::new(Code::InvalidArgument, "a run can only be cancelled"));
    };
    let Some(run) = step.tx.find_run(step.project, id)? else {
        return Err(run_not_found(&id.to_string()));
    };
    let run = step.run_mut(run.no)?;
    let no = run.no;
    // One that has failed goes on when its plan is submitted again, unless it is cancelled.
    if matches!(run.state, RunState::Active | RunState::Failed) {
        run.state = RunState::Cancelled;
        step.emit_run(Kind::RunCancelled, no, None);
    }
    Ok(Reply {
        task: TaskId::Uuid(id.0),
        state: State::Cancelled,
        reason: Some(reason),
        unblocked: Vec::new(),
        cancelled: Vec::new(),
        more: 0,
        retry_at: None,
        expires_at: None,
    })
}
