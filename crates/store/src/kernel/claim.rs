//! Handing out what is first in line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::book::Book;
use domain::code::{Code, Refusal};
use domain::decide;
use domain::decide::lease::{self, Terms};
use domain::id::{AgentName, Project, Seq, TaskId};
use domain::limits;
use domain::run::RunNo;
use domain::store::{Claim, Leased, Result, Wants};
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
    if let Some(id) = &claim.wants.task {
        return one(tx, no, id, claim, now);
    }
    let all = tx.classes(no)?;
    let nobody = claim.wants.agent.is_none();
    if nobody && !all.iter().any(|(_, class)| claim.wants.takes(class)) {
        return Ok(Vec::new());
    }
    let mut step = Step::new(tx, no, now, format!("worker:{}", claim.worker).into())?;
    let wants = agents::widen(&mut step, &claim.wants)?;
    let mut basket = Basket::new(&mut step, claim, &wants, run, &all)?;
    basket.fill(&mut step)?;
    basket.pass_for_wide(&mut step, &all)?;
    step.finish()?;
    answer(&mut step, &basket.taken)
}

/// What a claim has leased so far, and what it may still take.
struct Basket<'a> {
    claim: &'a Claim,
    /// What is claimed, with what the claimer's agent adds.
    wants: &'a Wants,
    run: Option<RunNo>,
    /// What it may still ask for.
    classes: Vec<(ClassNo, &'a Class)>,
    /// What the worker has left.
    free: Amounts,
    /// What it keeps back, for a task of that class.
    kept: Option<(ClassNo, Amounts)>,
    taken: Vec<Seq>,
    /// Where they stood in line.
    places: Vec<(Place, &'a Class)>,
}

impl<'a> Basket<'a> {
    fn new(
        step: &mut Step<'_>,
        claim: &'a Claim,
        wants: &'a Wants,
        run: Option<RunNo>,
        all: &'a [(ClassNo, Class)],
    ) -> Result<Self> {
        let kept = match wants.offers.is_empty() {
            true => None,
            false => reserve::of_worker(step, &claim.worker)?,
        };
        let kept = match kept {
            None => None,
            Some(task) => Some((task.class, step.class(task.class)?.resources)),
        };
        let takes = |(no, class): &'a (ClassNo, Class)| wants.takes(class).then_some((*no, class));
        Ok(Basket {
            claim,
            wants,
            run,
            classes: all.iter().filter_map(takes).collect(),
            free: wants.free.clone(),
            kept,
            taken: Vec::new(),
            places: Vec::new(),
        })
    }

    /// Leases until there is enough, or nothing more to be had.
    fn fill(&mut self, step: &mut Step<'_>) -> Result<()> {
        let ahead = self.claim.ahead;
        let max = self.claim.max.clamp(usize::from(ahead == 0), limits::CLAIM_MAX);
        let whole = max.saturating_add(ahead).min(limits::CLAIM_MAX);
        while self.taken.len() < whole {
            self.leave_out(step)?;
            let open: Vec<ClassNo> = self.classes.iter().map(|(no, _)| *no).collect();
            if open.is_empty() {
                break;
            }
            let room = whole - self.taken.len();
            let line = step.tx.line(step.project, self.run, &open, room)?;
            if line.is_empty() {
                break;
            }
            let was_all = line.len() < room && !step.has(Book::Budget);
            match self.take_of(step, line, max)? {
                Rest::Ahead => break,
                Rest::Seen if was_all => break,
                Rest::Seen | Rest::Hidden => {}
            }
            locks::hand_on(step)?;
            step.flush()?;
        }
        Ok(())
    }

    /// Classes that nothing may begin of now are not asked for again.
    fn leave_out(&mut self, step: &mut Step<'_>) -> Result<()> {
        let mut open = Vec::with_capacity(self.classes.len());
        for (no, class) in std::mem::take(&mut self.classes) {
            if self.is_open(step, no, class)? {
                open.push((no, class));
            }
        }
        self.classes = open;
        Ok(())
    }

    /// Whether a task of this class may be taken now.
    fn is_open(&self, step: &mut Step<'_>, no: ClassNo, class: &Class) -> Result<bool> {
        Ok(has_room(no, class, &self.free, self.kept.as_ref())
            && open_to(step, class, self.wants.agent.as_ref())?)
    }

    /// Leases of the front of the line what it can; what comes after the first `max` is held ahead.
    fn take_of(&mut self, step: &mut Step<'_>, line: Vec<Task>, max: usize) -> Result<Rest> {
        let (mut rest, mut ahead) = (Rest::Seen, false);
        for task in line {
            if task.guarded {
                rest = Rest::Hidden;
            }
            // Classes that the claimer has come to the end of on the way are left out.
            let Some((no, class)) = self.classes.iter().find(|(no, _)| *no == task.class).copied() else {
                continue;
            };
            if !self.is_open(step, no, class)? {
                rest = Rest::Hidden;
                continue;
            }
            ahead = self.taken.len() >= max;
            if ahead && !is_plain(step, &task, class, self.claim) {
                break;
            }
            step.adopt(task.clone());
            let start = self.claim.start && !ahead;
            match take(step, &task, class, self.claim, start)? {
                Took::Lease => {
                    self.taken.push(task.seq);
                    use_up(class, &mut self.free);
                    self.places.push((task.place(), class));
                }
                Took::Aside => {}
                Took::Purse => {
                    rest = Rest::Hidden;
                    self.classes.retain(|(other, _)| *other != no);
                }
            }
        }
        Ok(if ahead { Rest::Ahead } else { rest })
    }

    /// The first of those that this claimer could carry out if it had less to do was passed over, where what was taken stood behind
    /// it.
    fn pass_for_wide(&self, step: &mut Step<'_>, all: &[(ClassNo, Class)]) -> Result<()> {
        if self.places.iter().all(|(_, class)| class.resources.is_empty()) {
            return Ok(());
        }
        let is_wide = |class: &Class| {
            self.wants.takes(class) && fits(class, &self.wants.offers) && !fits(class, &self.wants.free)
        };
        let wide = all.iter().filter(|(_, class)| is_wide(class));
        let wide: Vec<ClassNo> = wide.map(|(no, _)| *no).collect();
        if wide.is_empty() {
            return Ok(());
        }
        let Some(task) = step.tx.line(step.project, self.run, &wide, 1)?.pop() else {
            return Ok(());
        };
        let needs = step.class(task.class)?.resources;
        let overtook = |(place, class): &(Place, &Class)| {
            *place > task.place() && class.resources.keys().any(|name| needs.contains_key(name))
        };
        match self.places.iter().any(overtook) {
            true => reserve::pass_for(step, &task, &self.claim.worker),
            false => Ok(()),
        }
    }
}

/// What a claim knows of the line behind what it was shown.
enum Rest {
    /// It has looked at all that it was shown, and nothing behind it has moved up.
    Seen,
    /// Something may have been hidden by what it could not take.
    Hidden,
    /// It holds something ahead, which ends the search.
    Ahead,
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
