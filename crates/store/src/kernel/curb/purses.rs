//! Budgets: what an attempt may use is reserved when it begins, and what it used is settled when it ends.
//!
//! Of all the tasks that a used-up budget holds back, one stands in the inbox; the others are parked behind it.

use std::sync::Arc;

use domain::book::Book;
use domain::curb::Scope;
use domain::curb::budget::{Account, Answer, Budget, Cap, Habit, PREFIX, Unit, Usage};
use domain::decide::Change;
use domain::event::Kind;
use domain::store::Result;
use domain::task::record::{Class, Task};
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::locks::{self, Guards};
use super::super::step::Step;
use super::{gauges, keep};

#[derive(Debug, Default)]
pub(super) struct Purses {
    known: Vec<Purse>,
    habits: Vec<(Arc<str>, Habit, bool)>,
}

#[derive(Debug)]
struct Purse {
    key: Arc<str>,
    /// `None` when nobody has set one.
    budget: Option<Budget>,
    account: Account,
    changed: bool,
}

/// What one task has used and may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Share {
    spent: Usage,
    /// For the attempt under way.
    reserved: Usage,
    /// What somebody has added to its cap.
    raised: Usage,
}

/// The name under which tasks are parked that wait for a budget, and under which its account is kept.
fn thing(scope: &str) -> Arc<str> {
    format!("{PREFIX}{scope}").into()
}

fn share_key(task: &Task) -> Arc<str> {
    format!("task:{}", task.seq.0).into()
}

/// The engine's own limit of an attempt, in seconds.
const ATTEMPT: f64 = 3_600.0;

/// Whether this task is under any budget, as far as that can be told without reading.
fn concerned(step: &Step<'_>, task: &Task) -> bool {
    task.guarded || step.has(Book::Budget)
}

/// The places in `known` of the budgets above a task.
fn above(step: &mut Step<'_>, task: &Task, class: &Class) -> Result<Vec<usize>> {
    if !step.has(Book::Budget) {
        return Ok(Vec::new());
    }
    let mut scopes = vec![Scope::Project, Scope::Kind(class.kind.to_string())];
    scopes.extend(class.agent.as_ref().map(|agent| Scope::Agent(agent.to_string())));
    if let Some(no) = task.run {
        scopes.push(Scope::Run(step.run_mut(no)?.id.to_string()));
    }
    let mut places = Vec::new();
    for scope in scopes {
        let place = purse(step, &scope)?;
        if step.curbs.purses.known[place].budget.is_some() {
            places.push(place);
        }
    }
    Ok(places)
}

fn purse(step: &mut Step<'_>, scope: &Scope) -> Result<usize> {
    let name: Arc<str> = scope.to_string().into();
    let key = thing(&name);
    if let Some(place) = step.curbs.purses.known.iter().position(|purse| purse.key == key) {
        return Ok(place);
    }
    let budget = step.entries(Book::Budget, std::slice::from_ref(&name))?.pop();
    let budget = budget.map(|entry| entry.read()).transpose()?;
    let account = gauges(step, std::slice::from_ref(&key))?
        .pop()
        .unwrap_or_default();
    step.curbs.purses.known.push(Purse {
        key,
        budget,
        account,
        changed: false,
    });
    Ok(step.curbs.purses.known.len() - 1)
}

fn habit(step: &mut Step<'_>, class: &Class) -> Result<usize> {
    let key: Arc<str> = class.kind.as_str().into();
    if let Some(place) = step
        .curbs
        .purses
        .habits
        .iter()
        .position(|(known, ..)| *known == key)
    {
        return Ok(place);
    }
    let found = step.entries(Book::Habit, std::slice::from_ref(&key))?.pop();
    let habit = found.map(|entry| entry.read()).transpose()?.unwrap_or_default();
    step.curbs.purses.habits.push((key, habit, false));
    Ok(step.curbs.purses.habits.len() - 1)
}

/// What stands in the way of a task.
pub(in super::super) enum Held {
    Parked(Arc<str>),
    Asks(Box<Change>),
    /// The budget of an agent that it is not for alone: others may take it.
    OfClaimer,
}

/// Asks all budgets above a task whether it may begin under the class that it has while it is leased, and reserves what it may
/// use, or tells what holds it back.
pub(in super::super) fn reserve(
    step: &mut Step<'_>,
    task: &Task,
    class: &Class,
    guards: &Guards,
) -> Result<Option<Held>> {
    let anybodys = step.class(task.class)?.agent.is_none();
    let of_claimer = class.agent.as_ref().filter(|_| anybodys);
    let of_claimer = of_claimer.map(|agent| thing(&Scope::Agent(agent.to_string()).to_string()));
    let places = above(step, task, class)?;
    if places.is_empty() && guards.budget.is_none() {
        return Ok(None);
    }
    let share_key = share_key(task);
    let mut share: Share = gauges(step, std::slice::from_ref(&share_key))?
        .pop()
        .unwrap_or_default();
    let mut need = Cap::default();
    let known = habit(step, class)?;
    for unit in Unit::ALL {
        // What somebody has granted a task that has no cap is its cap.
        let granted = || (share.raised.of(unit) > 0.0).then_some(0.0);
        let cap = guards.budget.and_then(|cap| cap.of(unit)).or_else(granted);
        if let Some(cap) = cap {
            let left = cap + share.raised.of(unit) - share.spent.of(unit);
            if left <= 0.0 {
                let spent = share.spent.of(unit);
                return asks(
                    step,
                    task,
                    "task",
                    unit,
                    spent,
                    "the task has used up its own budget",
                );
            }
            need.set(unit, left);
        } else if let Some(usual) = step.curbs.purses.habits[known].1.p95(unit) {
            need.set(unit, usual);
        } else if unit == Unit::Seconds {
            need.set(unit, guards.timeout.map_or(ATTEMPT, |ms| ms as f64 / 1e3));
        }
    }
    for place in &places {
        let purse = &step.curbs.purses.known[*place];
        let (key, account) = (purse.key.clone(), purse.account);
        let budget = purse.budget.expect("only those with a budget were chosen");
        let answer = account.answer(&budget, need);
        if answer != Answer::Yes && of_claimer.as_ref() == Some(&key) {
            return Ok(Some(Held::OfClaimer));
        }
        let (unit, why) = match answer {
            Answer::Yes => continue,
            Answer::Later(_) => return Ok(Some(Held::Parked(key))),
            Answer::No(unit) => (unit, "the budget does not suffice"),
            Answer::Ask(unit) => (unit, "the budget's soft limit was passed"),
            Answer::Unknown(unit) => (
                unit,
                "it is not known how much the task may use: grant it an amount",
            ),
        };
        if account.asking.is_some_and(|other| other != task.seq.0) {
            return Ok(Some(Held::Parked(key)));
        }
        let purse = &mut step.curbs.purses.known[*place];
        purse.account.asking = Some(task.seq.0);
        purse.changed = true;
        let scope = key.strip_prefix(PREFIX).unwrap_or(&key).to_owned();
        let spent = account.spent.of(unit);
        if !matches!(answer, Answer::Ask(_)) {
            let data = Json::of(&json!({ "budget": scope, "unit": unit.as_str(), "spent": spent }));
            step.emit_other(Kind::BudgetExhausted, Some(data));
        }
        return asks(step, task, &scope, unit, spent, why);
    }
    let amount = Usage {
        tokens: need.tokens.unwrap_or(0.0),
        money: need.money.unwrap_or(0.0),
        seconds: need.seconds.unwrap_or(0.0),
    };
    for place in places {
        let purse = &mut step.curbs.purses.known[place];
        purse.account.reserve(amount);
        purse.changed = true;
    }
    share.reserved = amount;
    keep(step, &share_key, &share, None);
    Ok(None)
}

fn asks(
    step: &Step<'_>,
    task: &Task,
    budget: &str,
    unit: Unit,
    spent: f64,
    why: &str,
) -> Result<Option<Held>> {
    let data = json!({ "budget": budget, "unit": unit.as_str(), "spent": spent, "why": why });
    let mut change = Change::none(task);
    debug_assert_eq!(
        task.state,
        State::Ready,
        "only ready tasks are claimed: {:?}",
        step.now
    );
    change.enter(State::Awaiting, Some(Reason::Budget), Some(Json::of(&data)))?;
    Ok(Some(Held::Asks(Box::new(change))))
}

/// Settles what an attempt has used.
pub(super) fn settle(
    step: &mut Step<'_>,
    before: &Task,
    after: &Task,
    class: &Class,
    used: Usage,
) -> Result<()> {
    if !concerned(step, after) {
        return Ok(());
    }
    let share_key = share_key(after);
    let Some(entry) = step.entries(Book::Gauge, std::slice::from_ref(&share_key))?.pop() else {
        return Ok(());
    };
    let mut share: Share = entry.read()?;
    let reserved = std::mem::take(&mut share.reserved);
    share.spent.add(used);
    for place in above(step, before, class)? {
        let purse = &mut step.curbs.purses.known[place];
        purse.account.settle(reserved, used);
        purse.changed = true;
        let budget = purse.budget.expect("only those with a budget were chosen");
        let warned = purse.account.warn(&budget);
        let (key, spent) = (purse.key.clone(), purse.account.spent);
        if let Some(unit) = warned {
            let scope = key.strip_prefix(PREFIX).unwrap_or(&key);
            let data = json!({ "budget": scope, "unit": unit.as_str(), "spent": spent.of(unit) });
            step.emit_other(Kind::BudgetWarned, Some(Json::of(&data)));
        }
        step.freed.push(key);
    }
    if used.tokens > 0.0 || used.money > 0.0 {
        let place = habit(step, class)?;
        let (_, habit, changed) = &mut step.curbs.purses.habits[place];
        habit.learn(used);
        *changed = true;
    }
    if after.state.is_terminal() && after.state != State::Failed {
        step.write_entry(Book::Gauge, &share_key, None);
    } else {
        keep(step, &share_key, &share, None);
    }
    Ok(())
}

/// A task that stood in the inbox for a budget stands there no longer: another one asks, if need be.
pub(in super::super) fn asked(step: &mut Step<'_>, task: &Task) -> Result<()> {
    let class = step.class(task.class)?;
    for place in above(step, task, &class)? {
        let purse = &mut step.curbs.purses.known[place];
        if purse.account.asking == Some(task.seq.0) {
            purse.account.asking = None;
            purse.changed = true;
            let key = purse.key.clone();
            step.freed.push(key);
        }
    }
    Ok(())
}

/// Somebody lets a task go on that its budget holds back: soft limits are lifted, and its own cap may be raised.
pub(in super::super) fn allow(step: &mut Step<'_>, task: &Task, answer: Option<&Json>) -> Result<()> {
    #[derive(Deserialize)]
    struct Raise {
        raise: Usage,
    }
    let class = step.class(task.class)?;
    for place in above(step, task, &class)? {
        let purse = &mut step.curbs.purses.known[place];
        if purse.account.asking == Some(task.seq.0) {
            purse.account.allowed = true;
            purse.changed = true;
        }
    }
    let raise = answer.and_then(|answer| serde_json::from_str::<Raise>(answer.get()).ok());
    if let Some(Raise { raise }) = raise {
        let key = share_key(task);
        let mut share: Share = gauges(step, std::slice::from_ref(&key))?
            .pop()
            .unwrap_or_default();
        share.raised.add(raise);
        keep(step, &key, &share, None);
    }
    Ok(())
}

/// A budget was set or removed: whoever waits for it tries again.
pub(super) fn budget_set(step: &mut Step<'_>, scope: &Scope, budget: Option<Budget>) -> Result<()> {
    let place = purse(step, scope)?;
    let purse = &mut step.curbs.purses.known[place];
    purse.budget = budget;
    purse.account.allowed = false;
    purse.account.warned = false;
    purse.changed = true;
    let (key, asking) = (purse.key.clone(), purse.account.asking.take());
    step.freed.push(key);
    let Some(seq) = asking.map(domain::id::Seq) else {
        return Ok(());
    };
    let task = step.task(seq)?.clone();
    if (task.state, task.reason) == (State::Awaiting, Some(Reason::Budget)) {
        let mut change = Change::none(&task);
        change.enter(State::Ready, None, None)?;
        change.belong(step.now.wall)?;
        step.carry_out(change)?;
    }
    Ok(())
}

pub(super) fn save(step: &mut Step<'_>) {
    let mut purses = std::mem::take(&mut step.curbs.purses);
    for purse in purses.known.iter_mut().filter(|purse| purse.changed) {
        purse.changed = false;
        keep(step, &purse.key, &purse.account, None);
    }
    for (kind, habit, changed) in purses.habits.iter_mut().filter(|(.., changed)| *changed) {
        *changed = false;
        step.write_entry(Book::Habit, kind, Some((Json::of(habit), None)));
    }
    step.curbs.purses = purses;
}

/// Parks a task, or puts it into the inbox. Returns whether it stands aside now.
pub(in super::super) fn hold(step: &mut Step<'_>, task: &Task, held: Held) -> Result<bool> {
    match held {
        Held::Parked(thing) => locks::park(step, task, thing)?,
        Held::Asks(change) => drop(step.carry_out(*change)?),
        Held::OfClaimer => return Ok(false),
    }
    Ok(true)
}
