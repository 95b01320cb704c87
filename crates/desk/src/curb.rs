//! What holds work back: breakers, limits, budgets. Settings under a name, and a state beside them.

use api::ask;
use api::curb::{Breaker, Breakers, BudgetShown, Budgets, LimitShown, Limits};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::curb::Scope;
use domain::curb::breaker::{self, Settings, State};
use domain::curb::budget::{self, Account, Budget, Cap};
use domain::curb::limit::{Limit, Rate, Used};
use domain::curb::turn::{Lane, Pass, Passed};
use domain::event::Kind;
use domain::id::Seq;
use domain::limits::PAGE_MAX;
use domain::store::{Filter, Result};
use domain::task::record::{Class, Task};
use domain::task::spec::Spec;
use engine::engine::Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{find, invalid};

pub async fn breakers(engine: &Engine) -> Result<Breakers> {
    find::catch_up(engine).await?;
    let found: Vec<(Scope, Settings, breaker::Breaker)> = all(engine, Book::Breaker, "breaker:").await?;
    let breakers: Vec<Breaker> = found
        .into_iter()
        .map(|(name, settings, state)| Breaker::new(name, settings, &state))
        .collect();
    Ok(Breakers {
        count: breakers.len(),
        breakers,
    })
}

pub async fn set_breaker(engine: &Engine, name: &Scope, asked: &ask::Breaker) -> Result<Breakers> {
    let now = settings::<Settings>(engine, Book::Breaker, name)
        .await?
        .unwrap_or_default();
    let window = asked.window.unwrap_or(now.window);
    let settings = Settings {
        threshold: asked.threshold.unwrap_or(now.threshold),
        window,
        min: asked.min.unwrap_or(now.min.min(window)),
        failures: asked.failures.or(now.failures),
        successes: asked.successes.unwrap_or(now.successes),
        timeout: asked
            .timeout
            .map_or(now.timeout, |span| span.0.as_millis() as u64),
        identical: asked.identical.or(now.identical),
        spend: asked.spend.or(now.spend),
    };
    settings.check().map_err(invalid)?;
    set(engine, Book::Breaker, name, &settings, None).await?;
    breakers(engine).await
}

/// Closes a breaker and forgets its results: its state is what the store keeps of it.
pub async fn reset_breaker(engine: &Engine, name: &Scope) -> Result<Breakers> {
    forget(engine, name).await?;
    breakers(engine).await
}

pub async fn remove_breaker(engine: &Engine, name: &Scope) -> Result<Breakers> {
    forget(engine, name).await?;
    write(engine, Edit::remove(Book::Breaker, &name.to_string())).await?;
    breakers(engine).await
}

async fn forget(engine: &Engine, name: &Scope) -> Result<()> {
    let known: Vec<(Scope, Settings, breaker::Breaker)> = all(engine, Book::Breaker, "breaker:").await?;
    let Some((_, _, state)) = known.iter().find(|(known, ..)| known == name) else {
        return Err(unknown("breaker", name));
    };
    let mut edit = Edit::remove(Book::Gauge, &format!("breaker:{name}"));
    if state.state != State::Closed {
        let data = json!({ "breaker": name, "state": State::Closed, "why": "by hand" });
        edit = edit.with_event(Kind::BreakerClosed, &data);
    }
    write(engine, edit).await
}

fn unknown(what: &str, name: &Scope) -> Refusal {
    let help = format!("`bell {what} list` shows those there are");
    Refusal::new(Code::CurbNotFound, format!("there is no {what} `{name}`")).help(help)
}

pub async fn limits(engine: &Engine) -> Result<Limits> {
    find::catch_up(engine).await?;
    let found: Vec<(Scope, Limit, Used)> = all(engine, Book::Limit, "limit:").await?;
    let now = engine.now();
    let limits: Vec<LimitShown> = found
        .into_iter()
        .map(|(name, limit, used)| LimitShown::new(name, limit, &used, now))
        .collect();
    Ok(Limits {
        count: limits.len(),
        limits,
    })
}

pub async fn set_limit(engine: &Engine, name: &Scope, asked: &ask::Limit) -> Result<Limits> {
    if matches!(name, Scope::Key(_) | Scope::Run(_)) {
        return Err(invalid(format!("a limit cannot be for `{name}`"))
            .help("tasks bound a key of their own with `concurrency: {key, limit}`"));
    }
    if asked.concurrency.is_none() && asked.rate.is_none() {
        return Err(invalid("nothing is bounded").help("send `concurrency` or `rate`"));
    }
    if asked.concurrency == Some(0) {
        return Err(invalid("a limit of 0 attempts at once lets nothing begin, ever").help(
            "set at least 1; `bell task suspend ID` holds a task back, `bell worker drain WORKER` lets a worker end",
        ));
    }
    let rate = asked
        .rate
        .as_deref()
        .map(Rate::parse)
        .transpose()
        .map_err(invalid)?;
    let now = settings::<Limit>(engine, Book::Limit, name)
        .await?
        .unwrap_or_default();
    let limit = Limit {
        concurrency: asked.concurrency.or(now.concurrency),
        rate: rate.or(now.rate),
    };
    set(engine, Book::Limit, name, &limit, Some(Kind::LimitSet)).await?;
    limits(engine).await
}

pub async fn remove_limit(engine: &Engine, name: &Scope) -> Result<Limits> {
    if settings::<Limit>(engine, Book::Limit, name).await?.is_none() {
        return Err(unknown("limit", name));
    }
    write(engine, Edit::remove(Book::Limit, &name.to_string())).await?;
    limits(engine).await
}

pub async fn budgets(engine: &Engine) -> Result<Budgets> {
    find::catch_up(engine).await?;
    let found: Vec<(Scope, Budget, Account)> = all(engine, Book::Budget, budget::PREFIX).await?;
    let budgets: Vec<BudgetShown> = found
        .into_iter()
        .map(|(name, budget, account)| BudgetShown::new(name, budget, &account))
        .collect();
    Ok(Budgets {
        count: budgets.len(),
        budgets,
    })
}

pub async fn set_budget(engine: &Engine, name: &Scope, asked: &ask::Budget) -> Result<Budgets> {
    if matches!(name, Scope::Key(_) | Scope::Work(_)) {
        return Err(invalid(format!("a budget cannot be for `{name}`")));
    }
    let now = settings::<Budget>(engine, Book::Budget, name)
        .await?
        .unwrap_or_default();
    let budget = Budget {
        soft: onto(now.soft, asked.soft)?,
        hard: onto(now.hard, asked.hard)?,
    };
    set(engine, Book::Budget, name, &budget, Some(Kind::BudgetSet)).await?;
    budgets(engine).await
}

fn onto(now: Cap, asked: ask::Amounts) -> Result<Cap> {
    let amounts = [asked.tokens, asked.money, asked.seconds];
    if amounts
        .into_iter()
        .flatten()
        .any(|amount| !amount.is_finite() || amount < 0.0)
    {
        return Err(invalid("an amount is a number from 0"));
    }
    Ok(Cap {
        tokens: asked.tokens.or(now.tokens),
        money: asked.money.or(now.money),
        seconds: asked.seconds.or(now.seconds),
    })
}

pub async fn remove_budget(engine: &Engine, name: &Scope) -> Result<Budgets> {
    if settings::<Budget>(engine, Book::Budget, name).await?.is_none() {
        return Err(unknown("budget", name));
    }
    write(engine, Edit::remove(Book::Budget, &name.to_string())).await?;
    budgets(engine).await
}

/// Every curb of a book: its name, settings, state. Without settings it has those it has by default.
async fn all<S, T>(engine: &Engine, book: Book, prefix: &str) -> Result<Vec<(Scope, S, T)>>
where
    S: DeserializeOwned + Default,
    T: DeserializeOwned + Default,
{
    let (store, project) = (&engine.store, &engine.project);
    let settings = store.entries(project, book, "", PAGE_MAX).await?;
    let states = store.entries(project, Book::Gauge, prefix, PAGE_MAX).await?;
    let states: Vec<(&str, &Entry)> = states
        .iter()
        .filter_map(|entry| Some((entry.key.strip_prefix(prefix)?, entry)))
        .collect();
    let mut names: Vec<&str> = settings.iter().map(|entry| &*entry.key).collect();
    names.extend(states.iter().map(|(name, _)| *name));
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let setting = settings.iter().find(|entry| &*entry.key == name);
        let state = states.iter().find(|(known, _)| *known == name);
        found.push((
            name.parse()?,
            setting.map(Entry::read).transpose()?.unwrap_or_default(),
            state
                .map(|(_, entry)| entry.read())
                .transpose()?
                .unwrap_or_default(),
        ));
    }
    Ok(found)
}

/// The breakers and limits that let nothing of this class begin now, in words.
pub async fn holding(engine: &Engine, class: &Class) -> Result<Vec<String>> {
    let now = engine.now();
    let mut words = Vec::new();
    let breakers: Vec<(Scope, Settings, breaker::Breaker)> = all(engine, Book::Breaker, "breaker:").await?;
    for (name, settings, breaker) in breakers.iter().filter(|(name, ..)| name.takes(class)) {
        if breaker.room(settings) == 0 {
            let why = breaker.why.as_deref().unwrap_or("probes are under way");
            words.push(format!("breaker {name} is open: {why}"));
        }
    }
    let limits: Vec<(Scope, Limit, Used)> = all(engine, Book::Limit, "limit:").await?;
    for (name, limit, used) in limits.iter().filter(|(name, ..)| name.takes(class)) {
        if limit.concurrency.is_some_and(|most| used.held >= most) {
            words.push(format!("limit {name} is used up: {} under way", used.held));
        }
        if let (Some(rate), Some(next)) = (limit.rate, used.next(limit, now)) {
            words.push(format!(
                "limit {name} is used up: {rate}, and the next may begin at {next}"
            ));
        }
    }
    Ok(words)
}

/// What a task waits for in its turn, what is kept for it, and what others have reserved that it wants, in words.
pub async fn waiting(engine: &Engine, task: &Task, spec: &Spec) -> Result<Vec<String>> {
    let mut words = Vec::new();
    if task.state != domain::task::state::State::Ready {
        return Ok(words);
    }
    let key = spec.concurrency.as_ref().map(|asked| &asked.key);
    let thing = key.map(|key| Lane::thing(key)).unwrap_or_default();
    let keys = [Lane::kept(&thing).into(), Passed::KEY.into()];
    let found = engine
        .store
        .entries_of(&engine.project, Book::Gauge, &keys)
        .await?;
    for entry in &found {
        if *entry.key == *Passed::KEY {
            let passed: Passed = entry.read()?;
            words.extend(passed.tasks.get(&task.seq.0).map(passed_over));
            words.extend(reserved(engine, task, spec, &passed).await?);
        } else if let (Some(key), Some(under)) = (key, task.parked_under())
            && **under == *thing
        {
            let lane: Lane = entry.read()?;
            words.push(match lane.next(engine.now()) {
                Some(next) => format!("the rate of key `{key}` is used up until {next}"),
                None if lane.heads.contains(&(task.class, task.run)) => {
                    format!("another task of key `{key}` stands in line: keys take turns")
                }
                None => format!("as many tasks of key `{key}` are under way as it allows"),
            });
        }
    }
    Ok(words)
}

fn passed_over(pass: &Pass) -> String {
    let kept = pass.kept.as_ref().map(|kept| match &kept.by {
        None => format!("; its locks are kept for it until {}", kept.until),
        Some(worker) => format!("; {worker} keeps room for it until {}", kept.until),
    });
    format!(
        "it was passed over {} times since {}{}",
        pass.times,
        pass.since,
        kept.unwrap_or_default()
    )
}

/// What is kept for others of the locks that a task wants.
async fn reserved(engine: &Engine, task: &Task, spec: &Spec, passed: &Passed) -> Result<Vec<String>> {
    let mut words = Vec::new();
    if spec.locks.is_empty() {
        return Ok(words);
    }
    for seq in passed.reserving().filter(|seq| *seq != task.seq) {
        let before = Seq(seq.0.saturating_sub(1));
        let page = engine
            .store
            .list(&engine.project, Filter::default(), before, 1)
            .await?;
        let Some(other) = page.first().filter(|view| view.task.seq == seq) else {
            continue;
        };
        let locks = find::spec(&other.body, &other.task.id)?.locks;
        let wanted = locks
            .iter()
            .find(|lock| spec.locks.iter().any(|own| own.conflicts(lock)));
        let kept = passed.tasks.get(&seq.0).and_then(|pass| pass.kept.as_ref());
        if let (Some(lock), Some(kept)) = (wanted, kept)
            && other.task.place() < task.place()
        {
            words.push(format!(
                "the lock `{}` is kept until {} for task {}, which others have passed over",
                lock.name, kept.until, other.task.id
            ));
        }
    }
    Ok(words)
}

async fn settings<S: DeserializeOwned>(engine: &Engine, book: Book, name: &Scope) -> Result<Option<S>> {
    let keys = [name.to_string().into()];
    let found = engine.store.entries_of(&engine.project, book, &keys).await?;
    found.first().map(Entry::read).transpose()
}

/// Writes settings, with the event that tells of them.
async fn set(
    engine: &Engine,
    book: Book,
    name: &Scope,
    settings: &(impl Serialize + Sync),
    event: Option<Kind>,
) -> Result<()> {
    let mut edit = Edit::put(Entry::new(book, &name.to_string(), settings));
    if let Some(kind) = event {
        edit = edit.with_event(kind, &json!({ "name": name, "settings": settings }));
    }
    write(engine, edit).await
}

async fn write(engine: &Engine, edit: Edit) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, vec![edit], engine.actor.clone(), engine.now())
        .await
}
