//! Handing out what is first in line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::book::Book;
use domain::code::{Code, Refusal};
use domain::decide;
use domain::decide::lease::{self, Terms};
use domain::id::{AgentName, Project, Seq, TaskId};
use domain::limits;
use domain::store::{Claim, Leased, Result};
use domain::task::record::{Class, ClassNo, Place, Task, Wait};
use domain::task::state::State;
use domain::time::Now;
use rustc_hash::FxHashMap;

use super::agents;
use super::curb;
use super::locks;
use super::reserve;
use super::step::Step;
use super::tx::{ProjectNo, Tx};

/// Leases up to `claim.max` tasks, best place first. Tasks whose locks or limits are taken are parked on the
/// way; classes that a curb holds back, or that the claimer has too little left for, are not looked at.
pub fn claim(tx: &mut dyn Tx, project: &Project, claim: &Claim, now: Now) -> Result<Vec<Leased>> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(Vec::new());
    };
    let run = match claim.wants.run {
        None => None,
        Some(id) => match tx.find_run(no, id)? {
            Some(run) => Some(run.no),
            None => return Err(run_not_found(&id.to_string())),
        },
    };
    let all = tx.classes(no)?;
    if let Some(id) = &claim.wants.task {
        return one(tx, no, id, claim, now);
    }
    let nobody = claim.wants.agent.is_none();
    if nobody && !all.iter().any(|(_, class)| claim.wants.takes(class)) {
        return Ok(Vec::new());
    }
    let max = claim.max.clamp(usize::from(claim.ahead == 0), limits::CLAIM_MAX);
    let whole = max.saturating_add(claim.ahead).min(limits::CLAIM_MAX);
    let mut step = Step::new(tx, no, now, format!("worker:{}", claim.worker).into())?;
    let wants = agents::widen(&mut step, &claim.wants)?;
    let mut classes: Vec<(ClassNo, &Class)> = all
        .iter()
        .filter(|(_, class)| wants.takes(class))
        .map(|(no, class)| (*no, class))
        .collect();
    let mut free = wants.free.clone();
    let at_first = free.clone();
    let mut taken: Vec<Seq> = Vec::new();
    let mut overtook: Vec<(Place, &Class)> = Vec::new();
    let kept = match wants.offers.is_empty() {
        true => None,
        false => reserve::of_worker(&mut step, &claim.worker)?,
    };
    let kept = match kept {
        None => None,
        Some(task) => Some((task.class, step.class(task.class)?.resources)),
    };
    let mut ahead = false;
    while taken.len() < whole && !ahead {
        leave_out(
            &mut step,
            &mut classes,
            &free,
            kept.as_ref(),
            wants.agent.as_ref(),
        )?;
        let open: Vec<ClassNo> = classes.iter().map(|(no, _)| *no).collect();
        if open.is_empty() {
            break;
        }
        let room = whole - taken.len();
        let line = step.tx.line(no, run, &open, room)?;
        let mut all_seen = line.len() < room && !step.has(Book::Budget);
        if line.is_empty() {
            break;
        }
        for task in line {
            all_seen &= !task.guarded;
            // Classes that the claimer has come to the end of on the way are left out.
            let Some((class_no, class)) = classes.iter().find(|(no, _)| *no == task.class).copied() else {
                continue;
            };
            if !has_room(class_no, class, &free, kept.as_ref())
                || !open_to(&mut step, class, wants.agent.as_ref())?
            {
                all_seen = false;
                continue;
            }
            ahead = taken.len() >= max;
            if ahead && !is_plain(&step, &task, class, claim) {
                break;
            }
            step.adopt(task.clone());
            let place = task.place();
            let start = claim.start && !ahead;
            match take(&mut step, &task, class, claim, start)? {
                Took::Lease => {
                    taken.push(task.seq);
                    use_up(class, &mut free);
                    overtook.push((place, class));
                }
                Took::Aside => {}
                Took::Purse => {
                    all_seen = false;
                    classes.retain(|(no, _)| *no != class_no);
                }
            }
        }
        if all_seen || ahead {
            break;
        }
        locks::hand_on(&mut step)?;
        step.flush()?;
    }
    // Those that this claimer could carry out if it had less to do.
    let wide = |(_, class): &&(ClassNo, Class)| {
        wants.takes(class) && fits(class, &wants.offers) && !fits(class, &at_first)
    };
    let wide: Vec<ClassNo> = match overtook.iter().any(|(_, class)| !class.resources.is_empty()) {
        true => all.iter().filter(wide).map(|(no, _)| *no).collect(),
        false => Vec::new(),
    };
    if !wide.is_empty()
        && let Some(task) = step.tx.line(no, run, &wide, 1)?.pop()
    {
        let needs = step.class(task.class)?.resources;
        let shares = |class: &Class| class.resources.keys().any(|name| needs.contains_key(name));
        if overtook
            .iter()
            .any(|(place, class)| *place > task.place() && shares(class))
        {
            reserve::pass_for(&mut step, &task, &claim.worker)?;
        }
    }
    step.finish()?;
    answer(&mut step, &taken)
}

/// Leases the task that was asked for by name, or says what is in its way.
fn one(tx: &mut dyn Tx, no: ProjectNo, id: &TaskId, claim: &Claim, now: Now) -> Result<Vec<Leased>> {
    let seq = tx.find(no, std::slice::from_ref(id))?.pop().flatten();
    let seq = seq.ok_or_else(|| Refusal::new(Code::TaskNotFound, format!("there is no task {id}")))?;
    let mut step = Step::new(tx, no, now, format!("worker:{}", claim.worker).into())?;
    step.load(&[seq])?;
    let task = step.task(seq)?.clone();
    if task.state != State::Ready {
        return Err(decide::refuse(&task, State::Assigned));
    }
    let class = step.class(task.class)?;
    let busy = |thing: &str| {
        let detail = format!("task {id} is ready but waits for {thing}");
        Refusal::new(Code::Waiting, detail).help(format!("`bell task why {id}` tells more"))
    };
    if let Some(thing) = task.parked_under() {
        return Err(busy(thing));
    }
    let wants = agents::widen(&mut step, &claim.wants)?;
    if !wants.takes(&class) || !fits(&class, &wants.free) {
        let detail = format!(
            "task {id} is not for {}: another agent, capability, kind or resource is asked for",
            claim.worker
        );
        return Err(Refusal::new(Code::InvalidTransition, detail)
            .help(format!("`bell task why {id}` tells who can take it")));
    }
    if !open_to(&mut step, &class, wants.agent.as_ref())? {
        return Err(busy("a breaker, a limit or its agent to have room"));
    }
    match take(&mut step, &task, &class, claim, claim.start)? {
        Took::Lease => {}
        Took::Aside => {
            let row = step.task(seq)?;
            return Err(busy(row.parked_under().map_or("its budget", |thing| thing)));
        }
        Took::Purse => return Err(busy("the budget of the agent that asks for it")),
    }
    locks::hand_on(&mut step)?;
    step.finish()?;
    answer(&mut step, &[seq])
}

/// Whether nobody else is kept from anything while this task is leased and has not started.
fn is_plain(step: &Step<'_>, task: &Task, class: &Class, claim: &Claim) -> bool {
    const COUNTING: [Book; 3] = [Book::Limit, Book::Breaker, Book::Budget];
    let anybody = claim.wants.agent.is_none() && class.agent.is_none() && !class.routed;
    anybody && !task.guarded && class.resources.is_empty() && !COUNTING.into_iter().any(|book| step.has(book))
}

/// Whether an attempt of this class may begin now.
fn open_to(step: &mut Step<'_>, class: &Class, claimer: Option<&AgentName>) -> Result<bool> {
    if !agents::has_room(step, class, claimer)? {
        return Ok(false);
    }
    if !curb::classes::any(step) {
        return Ok(true);
    }
    let class = agents::leased_as(step, class, claimer)?;
    Ok(curb::classes::room(step, &class)? > 0)
}

/// Classes that nothing may begin of now are not asked for again.
fn leave_out(
    step: &mut Step<'_>,
    classes: &mut Vec<(ClassNo, &Class)>,
    free: &Amounts,
    kept: Option<&(ClassNo, Amounts)>,
    claimer: Option<&AgentName>,
) -> Result<()> {
    let mut open = Vec::with_capacity(classes.len());
    for (no, class) in classes.drain(..) {
        if has_room(no, class, free, kept) && open_to(step, class, claimer)? {
            open.push((no, class));
        }
    }
    *classes = open;
    Ok(())
}

/// What a worker has left, by name.
type Amounts = BTreeMap<String, u64>;

fn fits(class: &Class, free: &Amounts) -> bool {
    class
        .resources
        .iter()
        .all(|(name, amount)| free.get(name).is_some_and(|free| free >= amount))
}

/// Whether the claimer has enough left for a class, beside what it keeps back for another.
fn has_room(no: ClassNo, class: &Class, free: &Amounts, kept: Option<&(ClassNo, Amounts)>) -> bool {
    let leaves = |kept: &Amounts| {
        class.resources.iter().all(|(name, amount)| {
            let rest = free.get(name).and_then(|free| free.checked_sub(*amount));
            rest.is_some_and(|rest| rest >= kept.get(name).copied().unwrap_or(0))
        })
    };
    fits(class, free) && kept.is_none_or(|(own, amounts)| *own == no || leaves(amounts))
}

fn use_up(class: &Class, free: &mut Amounts) {
    for (name, amount) in &class.resources {
        if let Some(free) = free.get_mut(name) {
            *free = free.saturating_sub(*amount);
        }
    }
}

/// What came of trying to lease a task.
enum Took {
    Lease,
    /// It stands aside under what is in its way.
    Aside,
    /// It stays where it is, for others: the claimer's own budget has no room for its like.
    Purse,
}

/// Leases a task, or puts it aside under what is in its way.
fn take(step: &mut Step<'_>, task: &Task, class: &Class, claim: &Claim, start: bool) -> Result<Took> {
    let claimer = claim.wants.agent.as_ref();
    let leased_as = agents::leased_as(step, class, claimer)?;
    if task.guarded || step.has(Book::Budget) {
        let guards = locks::guards(step, task.seq)?;
        if let Some(thing) = locks::obstacle(step, task, &guards)? {
            if matches!(task.wait, Wait::Baton(_)) {
                reserve::pass(step, task, &guards.locks, &thing)?;
            }
            locks::park(step, task, thing.name)?;
            return Ok(Took::Aside);
        }
        if let Some(held) = curb::purses::reserve(step, task, &leased_as, &guards)? {
            return Ok(match curb::purses::hold(step, task, held)? {
                true => Took::Aside,
                false => Took::Purse,
            });
        }
        locks::acquire(step, task.seq, guards)?;
    }
    let terms = Terms {
        worker: &claim.worker,
        agent: agents::doer(step, class, claimer)?,
        ttl: claim.ttl,
        start,
        seed: claim.seed,
    };
    let mut change = lease::grant(task, &terms, step.next_event(), step.now)?;
    if let Cow::Owned(routed) = &leased_as {
        change.task.class = step.tx.class(step.project, routed)?;
    }
    step.carry_out(change)?;
    Ok(Took::Lease)
}

fn answer(step: &mut Step<'_>, taken: &[Seq]) -> Result<Vec<Leased>> {
    let mut bodies: FxHashMap<Seq, _> = step.tx.bodies(step.project, taken)?.into_iter().collect();
    let mut leased = Vec::with_capacity(taken.len());
    for seq in taken {
        let task = step.task(*seq)?.clone();
        let token = task.token().expect("it was leased in this step");
        let body = bodies.remove(seq).ok_or_else(|| super::step::missing(*seq))?;
        leased.push(Leased { task, body, token });
    }
    Ok(leased)
}

pub(super) fn run_not_found(id: &str) -> Refusal {
    Refusal::new(Code::RunNotFound, format!("there is no run {id}")).help("`bell runs list` shows the runs")
}
