//! What workers ask: work, time, and an end.

use std::time::{Duration, Instant};

use api::answer::{Completed, Failed, Moved, Printed, Renewed};
use api::ask;
use api::lease::{Beat, Beats, Lease, Leases, Settled, Settlement, Wish};
use api::problem::Problem;
use api::time::Time;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, TaskId, Token};
use domain::limits::{CLAIM_MAX, RESULT_BYTES, RESULT_FILE_BYTES, TEXT_BYTES};
use domain::store::{Claim, Command, Leased, Reply, Request, Result, Target, View, Wants};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Spec};
use domain::task::state::State;
use engine::engine::Engine;
use engine::ids;
use engine::process::output;
use engine::trace::{Place, VARIABLE};

use crate::{change, find, invalid};

/// How long a lease lasts when nobody says.
const TTL: Duration = Duration::from_secs(30 * 60);
/// A lease that is never renewed must come back some day.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long a claim waits for work at the most.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a waiting claim looks for what is due by time.
const LOOK: Duration = Duration::from_secs(1);
/// How long a waiting claim rests that was woken for nothing before: many that wait must not keep the store from those that work.
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_millis(50);

/// Hands out the first tasks in line. With nothing ready it waits as long as was asked.
pub async fn claim(engine: &Engine, asked: ask::Claim) -> Result<Leases> {
    let wait = asked.wait.map_or(Duration::ZERO, |span| span.0).min(WAIT_MAX);
    let (full, claim) = (asked.full, wanted(asked)?);
    let end = Instant::now() + wait;
    let (mut moment, mut looked, mut rest) = (0, None::<Instant>, Duration::ZERO);
    loop {
        let changed = engine.store.changed(moment);
        let mut taken = take(engine, &claim).await?;
        if taken.is_empty() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            find::catch_up(engine).await?;
            taken = take(engine, &claim).await?;
        }
        let left = end.saturating_duration_since(Instant::now());
        if !taken.is_empty() || left.is_zero() {
            return leases(engine, &taken, full).await;
        }
        if let Ok(now) = tokio::time::timeout(left.min(LOOK), changed).await {
            moment = now;
            // Who is woken again and again for what others do looks less and less often.
            tokio::time::sleep(rest.min(left)).await;
            rest = (rest * 2).clamp(REST_MIN, REST_MAX);
        }
    }
}

async fn take(engine: &Engine, claim: &Claim) -> Result<Vec<Leased>> {
    let claim = Claim {
        seed: ids::seed(),
        ..claim.clone()
    };
    engine.store.claim(&engine.project, claim, engine.now()).await
}

fn wanted(asked: ask::Claim) -> Result<Claim> {
    let max = asked.max.unwrap_or(1);
    if !(1..=CLAIM_MAX).contains(&max) {
        return Err(invalid(format!("`max` is {max}; ask for 1 to {CLAIM_MAX}")));
    }
    let ttl = asked.ttl.map_or(TTL, |span| span.0);
    check_ttl(ttl)?;
    let agent = asked.agent.or_else(|| AgentName::new(asked.worker.as_str()).ok());
    let free = asked
        .offers
        .into_iter()
        .map(|(name, amount)| (name.to_string(), amount));
    Ok(Claim {
        worker: asked.worker,
        wants: Wants {
            capabilities: asked.capabilities,
            kinds: asked.kinds,
            works: asked.works.into_iter().map(ask::Work::executor).collect(),
            agent,
            free: free.collect(),
            ..Wants::default()
        },
        max,
        ahead: 0,
        ttl,
        start: asked.start.unwrap_or(true),
        seed: 0,
    })
}

fn check_ttl(ttl: Duration) -> Result<()> {
    if ttl < Duration::from_millis(100) || ttl > TTL_MAX {
        return Err(invalid("`ttl` is out of range").help("a lease lasts between 100ms and 7d"));
    }
    Ok(())
}

async fn leases(engine: &Engine, taken: &[Leased], full: bool) -> Result<Leases> {
    let now = engine.now();
    let mut leases = Vec::with_capacity(taken.len());
    for leased in taken {
        let spec = find::spec(&leased.body, &leased.task.id)?;
        let traceparent = traceparent(engine, leased, &spec);
        let mut lease = Lease::new(leased, spec, now);
        lease.traceparent = traceparent;
        lease.full = find::full(engine, &lease.task, full).await?;
        leases.push(lease);
    }
    Ok(Leases { leases })
}

/// The attempt in its trace, when the task was handed in from within one.
fn traceparent(engine: &Engine, leased: &Leased, spec: &Spec) -> Option<String> {
    if !spec.env.contains_key(VARIABLE) {
        return None;
    }
    let (project, task) = (&engine.project, &leased.task);
    let place = Place::of(project, &task.id, task.run, &spec.env);
    let attempt = place.attempt(project, &task.id, task.attempt());
    place.outer.map(|_| attempt.to_string())
}

/// Carries out a command of the holder of a lease, in the name of the worker that has it.
pub async fn holder(
    engine: &Engine,
    text: &str,
    token: Token,
    command: Command,
    idempotency_key: Option<String>,
) -> Result<Reply> {
    let view = find::view(engine, text).await?;
    let request = Request {
        actor: actor(engine, &view, token),
        target: Target::Holder(token, Some(view.task.id)),
        command,
        idempotency_key,
    };
    change::one(engine, request).await
}

fn actor(engine: &Engine, view: &View, token: Token) -> std::sync::Arc<str> {
    match &view.task.lease {
        Some(lease) if view.task.token() == Some(token) => format!("worker:{}", lease.worker).into(),
        _ => engine.actor.clone(),
    }
}

pub async fn start(engine: &Engine, text: &str, asked: &ask::Held, key: Option<String>) -> Result<Renewed> {
    Ok(Renewed::from(
        holder(engine, text, asked.token, Command::Start { at: None }, key).await?,
    ))
}

pub async fn progress(engine: &Engine, text: &str, asked: ask::Progress) -> Result<Renewed> {
    let token = asked.token;
    let command = renew(asked)?;
    Ok(Renewed::from(holder(engine, text, token, command, None).await?))
}

/// Keeps what an attempt elsewhere has printed. Only the present holder adds to it.
pub async fn print(engine: &Engine, text: &str, asked: ask::Printed) -> Result<Printed> {
    if asked.output.len() > TEXT_BYTES {
        let detail = format!("the output has more than {TEXT_BYTES} bytes");
        return Err(Refusal::new(Code::LimitExceeded, detail).help("send it in parts"));
    }
    let view = find::view(engine, text).await?;
    if view.task.lease.is_none() || view.task.token() != Some(asked.token) {
        let detail = format!("the token is not of the present lease of task {}", view.task.id);
        return Err(Refusal::new(Code::LeaseLost, detail));
    }
    let attempt = view.task.attempt();
    let path = engine.home.output(&engine.project, view.task.seq, attempt);
    let append = move || output::append(&path, asked.at, asked.output.as_bytes());
    let appended = tokio::task::spawn_blocking(append).await;
    let appended = appended.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    let bytes = appended
        .map_err(|e| Refusal::new(Code::StoreUnavailable, format!("the output cannot be kept: {e}")))?;
    Ok(Printed {
        task: view.task.id,
        attempt,
        bytes,
    })
}

fn renew(asked: ask::Progress) -> Result<Command> {
    let ttl = asked.ttl.map(|span| span.0);
    ttl.map_or(Ok(()), check_ttl)?;
    Ok(Command::Renew {
        ttl,
        progress: asked.progress,
    })
}

pub async fn complete(
    engine: &Engine,
    text: &str,
    asked: ask::Complete,
    key: Option<String>,
) -> Result<Completed> {
    let token = asked.token;
    let command = completion(engine, asked).await?;
    Ok(Completed::from(holder(engine, text, token, command, key).await?))
}

async fn completion(engine: &Engine, asked: ask::Complete) -> Result<Command> {
    let result = match asked.result {
        Some(result) => Some(kept(engine, asked.token, result).await?),
        None => None,
    };
    Ok(Command::Complete {
        outcome: Outcome {
            result,
            error: None,
            usage: asked.usage,
        },
        cached: false,
        children: None,
    })
}

/// A result as the store takes it. A large one is kept beside it, as far as it comes from who holds the lease.
pub async fn kept(engine: &Engine, token: Token, result: Json) -> Result<Json> {
    let bytes = result.get().len();
    if bytes <= RESULT_BYTES {
        return Ok(result);
    }
    if bytes as u64 > RESULT_FILE_BYTES {
        let detail = format!("the result has {bytes} bytes, the limit is {RESULT_FILE_BYTES}");
        let refusal = Refusal::new(Code::LimitExceeded, detail);
        return Err(refusal.help("put it where those who need it find it, and say where in the result"));
    }
    let (home, project) = (engine.home.clone(), engine.project.clone());
    let held = engine.store.leased(&project, None).await?;
    if held.iter().all(|held| held.token != token) {
        // It is refused, or was ended so before: then it was kept then.
        return Ok(home.stands_for(&project, token, &result));
    }
    let keep = tokio::task::spawn_blocking(move || home.set_aside(&project, token, &result)).await;
    let kept = keep.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    kept.map_err(|e| Refusal::new(Code::StoreUnavailable, format!("the result cannot be kept: {e}")))
}

pub async fn fail(engine: &Engine, text: &str, asked: ask::Fail, key: Option<String>) -> Result<Failed> {
    let token = asked.token;
    let command = failure(asked)?;
    Ok(Failed::from(holder(engine, text, token, command, key).await?))
}

fn failure(asked: ask::Fail) -> Result<Command> {
    if asked.error.trim().is_empty() {
        return Err(invalid("`error` is empty").help("say what went wrong"));
    }
    domain::task::spec::check_text("`error`", &asked.error)?;
    Ok(Command::Fail {
        failure: Failure {
            message: asked.error,
            class: asked.class,
            exit: asked.exit,
        },
        usage: asked.usage,
        timed_out: false,
        no_retry: asked.no_retry,
    })
}

pub async fn release(engine: &Engine, text: &str, asked: &ask::Held, key: Option<String>) -> Result<Moved> {
    Ok(Moved::from(
        holder(engine, text, asked.token, Command::Release, key).await?,
    ))
}

fn request(engine: &Engine, token: Token, command: Command) -> Request {
    Request {
        target: Target::Holder(token, None),
        command,
        actor: engine.actor.clone(),
        idempotency_key: None,
    }
}

/// Keeps many leases in one step, and tells what is wished of each attempt.
pub async fn heartbeat(engine: &Engine, asked: ask::Heartbeat) -> Result<Beats> {
    many("leases", asked.leases.len())?;
    let tokens: Vec<Token> = asked.leases.iter().map(|lease| lease.token).collect();
    let mut requests = Vec::with_capacity(tokens.len());
    for lease in asked.leases {
        requests.push(request(engine, lease.token, renew(lease)?));
    }
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let beat = |(token, reply): (Token, Result<Reply>)| match reply {
        Ok(reply) => Beat {
            token,
            wish: match reply.state {
                State::Suspended => Wish::Suspend,
                State::Assigned | State::Running => Wish::GoOn,
                _ => Wish::Cancel,
            },
            task: Some(reply.task),
            state: Some(reply.state),
            expires_at: reply.expires_at.map(Time),
            problem: None,
        },
        Err(refusal) => Beat {
            token,
            task: None,
            state: None,
            wish: Wish::Cancel,
            expires_at: None,
            problem: Some(Problem::from(&refusal)),
        },
    };
    Ok(Beats {
        leases: tokens.into_iter().zip(replies).map(beat).collect(),
    })
}

/// Ends many attempts in one step; each succeeds or is refused on its own.
pub async fn settle(engine: &Engine, asked: ask::Settle) -> Result<Settled> {
    many("ends", asked.ends.len())?;
    let mut requests = Vec::with_capacity(asked.ends.len());
    for end in asked.ends {
        let (token, command) = match end {
            ask::End::Complete(end) => (end.token, completion(engine, end).await?),
            ask::End::Fail(end) => (end.token, failure(end)?),
            ask::End::Release(held) => (held.token, Command::Release),
        };
        requests.push(request(engine, token, command));
    }
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let settlement = |reply: Result<Reply>| match reply {
        Ok(reply) => Settlement {
            task: Some(reply.task),
            state: Some(reply.state),
            unblocked: reply.unblocked,
            retry_at: reply.retry_at.map(Time),
            problem: None,
        },
        Err(refusal) => Settlement {
            task: None::<TaskId>,
            state: None,
            unblocked: Vec::new(),
            retry_at: None,
            problem: Some(Problem::from(&refusal)),
        },
    };
    Ok(Settled {
        ends: replies.into_iter().map(settlement).collect(),
    })
}

fn many(what: &str, count: usize) -> Result<()> {
    match (1..=CLAIM_MAX).contains(&count) {
        true => Ok(()),
        false => Err(invalid(format!(
            "`{what}` has {count} entries; send 1 to {CLAIM_MAX}"
        ))),
    }
}
