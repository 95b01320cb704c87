//! The contract of stores over the wire, each verb with its role.
//!
//! What a caller sends is not believed: rows are made anew from specifications, actors are named by us, and the secrets
//! of leases are shown to nobody below an operator.

use std::sync::Arc;

use api::remote::{CHANGED_WAIT, Call as Verb, Info, Replied, VERSION, VERSION_HEADER};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use desk::token::Role;
use domain::book::{Book, Edit};
use domain::code::{Code, Refusal};
use domain::limits::{CLAIM_MAX, EACH_ITEMS, PAGE_MAX};
use domain::rule::Rule;
use domain::store::{Admission, Command, LeaseClock, NewTask, Request, Result, Target};
use domain::task::record;
use domain::task::spec::{Json, Spec, Work};
use engine::engine::Engine;
use serde_json::{Value, json};

use crate::leave;
use crate::once::Repeat;
use crate::op::{Answer, Call, Op, json as answer};

pub(super) fn ops() -> Vec<Op> {
    vec![Op {
        body: Some(|_| {
            json!({ "description": "A verb of the contract; see the sources." })
                .try_into()
                .unwrap_or_default()
        }),
        body_needed: true,
        repeat: Repeat::Refused("verbs carry their keys themselves"),
        ..Op::raw(
            Method::POST,
            "/v1/store",
            "store",
            "Carry out a verb of the store's contract, for programs of the same version",
            Answer::Other(&["application/json"]),
            |call| Box::pin(carry_out(call)),
        )
    }]
}

async fn carry_out(call: Call) -> Result<Response<Body>> {
    if call.version != Some(VERSION) {
        let detail = format!(
            "the server speaks version {VERSION} of the contract, the caller {:?}",
            call.version
        );
        return Err(Refusal::new(Code::ServerVersion, detail).help(format!(
            "use the same version on both sides; the header is `{VERSION_HEADER}`"
        )));
    }
    let verb: Verb = serde_json::from_slice(&call.body)
        .map_err(|e| Refusal::new(Code::InvalidArgument, format!("the verb cannot be read: {e}")))?;
    let value = run(&call, verb).await?;
    answer(StatusCode::OK, &value)
}

fn told(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|e| Refusal::new(Code::Internal, format!("an answer cannot be written: {e}")))
}

fn bounded(limit: usize) -> usize {
    limit.min(PAGE_MAX)
}

async fn run(call: &Call, verb: Verb) -> Result<Value> {
    let (engine, caller) = (&call.engine, &call.caller);
    let (store, project, now) = (&engine.store, &engine.project, engine.now());
    match verb {
        Verb::Info => {
            let info = store.info();
            told(&Info {
                engine: info.engine.to_owned(),
                durability: info.durability,
                schema: info.schema,
            })
        }
        Verb::Admit(admission) => {
            let admission = believed(call, *admission)?;
            let admitted = store.admit(project, admission, now).await?;
            told(&admitted)
        }
        Verb::Claim(claim) => {
            caller.needs(Role::Worker)?;
            if claim.max > CLAIM_MAX {
                return Err(Refusal::new(
                    Code::LimitExceeded,
                    format!("a claim takes at most {CLAIM_MAX}"),
                ));
            }
            leave::check(&call.app)?;
            let worker = claim.worker.clone();
            let mut leased = store.claim(project, *claim, now).await?;
            if !leased.is_empty() {
                call.app.guests.note(project, &worker);
            }
            leased
                .iter_mut()
                .for_each(|leased| on_the_wall(call, &mut leased.task));
            told(&leased)
        }
        Verb::Change(mut requests) => {
            for request in &mut requests {
                keep_result(engine, request).await?;
            }
            let said: Vec<Option<Json>> = requests.iter().map(said).collect();
            let requests = requests.into_iter().map(|request| asked(call, request));
            let replies = store
                .change(project, requests.collect::<Result<_>>()?, now)
                .await?;
            for (reply, said) in replies.iter().zip(said) {
                if let (Ok(reply), Some(said)) = (reply, said) {
                    let streams = &call.app.streams;
                    streams.progressed(engine, &reply.task, reply.state, &said);
                }
            }
            let replies: Vec<Replied> = replies.into_iter().map(Replied::from).collect();
            told(&replies)
        }
        Verb::Tick => {
            caller.needs(Role::Reader)?;
            told(&store.tick(project, now).await?)
        }
        Verb::Lose(worker) => {
            caller.needs(Role::Operator)?;
            told(&store.lose(project, &worker, now).await?)
        }
        Verb::CachePut(entry, bound) => {
            caller.needs(Role::Worker)?;
            told(&store.cache_put(project, *entry, bound).await?)
        }
        Verb::Edit(edits) => {
            edits.iter().try_for_each(|edit| may_edit(call, edit))?;
            told(&store.edit(project, edits, Arc::clone(&engine.actor), now).await?)
        }
        Verb::Lead(worker, ttl) => {
            caller.needs(Role::Operator)?;
            told(&store.lead(project, &worker, ttl, now).await?)
        }
        Verb::Prune(prune) => {
            caller.needs(Role::Operator)?;
            // What the attempts of this machine have put out goes, too.
            told(&engine::retention::piece(engine, prune, Arc::clone(&engine.actor)).await?)
        }
        looks => look(call, looks).await,
    }
}

async fn look(call: &Call, verb: Verb) -> Result<Value> {
    let engine = &call.engine;
    let (store, project) = (&engine.store, &engine.project);
    match verb {
        Verb::Projects => {
            let mut projects = store.projects().await?;
            projects.retain(|project| call.caller.sees(project).is_ok());
            told(&projects)
        }
        Verb::Views(ids) => {
            let mut views = store.views(project, &ids[..ids.len().min(PAGE_MAX)]).await?;
            views
                .iter_mut()
                .flatten()
                .for_each(|view| on_the_wall(call, &mut view.task));
            told(&views)
        }
        Verb::ByKey(key) => told(&store.by_key(project, &key).await?),
        Verb::List(filter, after, limit) => {
            let mut views = store.list(project, *filter, after, bounded(limit)).await?;
            views
                .iter_mut()
                .for_each(|view| on_the_wall(call, &mut view.task));
            told(&views)
        }
        Verb::History(task, limit) => told(&store.history(project, &task, bounded(limit)).await?),
        Verb::Events(after, limit) => told(&store.events(project, after, bounded(limit)).await?),
        Verb::Chain => told(&store.chain(project).await?),
        Verb::Status => told(&store.status(project).await?),
        Verb::Runs(plan, limit) => told(&store.runs(project, plan.as_deref(), bounded(limit)).await?),
        Verb::Run(id) => told(&store.run(project, id).await?),
        Verb::Neighbours(task, limit) => {
            told(&store.neighbours(project, &task, limit.min(EACH_ITEMS)).await?)
        }
        Verb::Edges(tasks) => told(&store.edges(project, &tasks).await?),
        Verb::Results(tasks) => told(&store.results(project, &tasks).await?),
        Verb::Ahead(task, limit) => told(&store.ahead(project, &task, bounded(limit)).await?),
        Verb::Locks => told(&store.locks(project).await?),
        Verb::Leased(worker) => {
            let mut held = store.leased(project, worker.as_ref()).await?;
            for held in &mut held {
                held.expires = wall(call, held.expires);
                if call.caller.role < Role::Operator {
                    held.token.secret = 0;
                }
            }
            told(&held)
        }
        Verb::CacheGet(key) => told(&store.cache_get(project, &key, engine.now().wall).await?),
        Verb::Entries(book, after, limit) => {
            may_read(call, book)?;
            told(&store.entries(project, book, &after, bounded(limit)).await?)
        }
        Verb::EntriesOf(book, keys) => {
            may_read(call, book)?;
            told(
                &store
                    .entries_of(project, book, &keys[..keys.len().min(PAGE_MAX)])
                    .await?,
            )
        }
        Verb::EntriesDue(book, at, limit) => {
            may_read(call, book)?;
            told(&store.entries_due(project, book, at, bounded(limit)).await?)
        }
        Verb::Check => told(&store.check(project).await?),
        Verb::Changed(since) => {
            let moment = tokio::select! {
                moment = store.changed(since) => moment,
                () = tokio::time::sleep(CHANGED_WAIT) => since,
                () = call.app.closed() => since,
            };
            told(&moment)
        }
        writes => Err(Refusal::new(
            Code::Internal,
            format!("{writes:?} does not only look"),
        )),
    }
}

/// Tasks as their specifications say, whatever else was sent of them.
fn believed(call: &Call, mut admission: Admission) -> Result<Admission> {
    call.caller.needs(Role::Worker)?;
    let now = call.engine.now().wall;
    for task in &mut admission.tasks {
        let spec: Spec = serde_json::from_str(&task.body).map_err(|e| {
            Refusal::new(
                Code::InvalidArgument,
                format!("the specification of task {}: {e}", task.id),
            )
        })?;
        if !matches!(spec.work, Work::Prompt(_)) {
            call.caller.needs(Role::Operator)?;
        }
        let fresh = NewTask::new(task.id.clone(), task.key.take(), &spec, now);
        *task = NewTask {
            after: std::mem::take(&mut task.after),
            parent: task.parent.take(),
            path_share: task.path_share,
            // Of a plan's task: it tells an edited one, and means nothing to anybody else.
            digest: task.digest,
            ..fresh
        };
    }
    admission.actor = Arc::clone(&call.engine.actor);
    Ok(admission)
}

/// A request in the name of whoever may make it.
fn asked(call: &Call, mut request: Request) -> Result<Request> {
    let holds = matches!(request.target, Target::Holder(..));
    call.caller
        .needs(if holds { Role::Worker } else { Role::Operator })?;
    if !(holds && request.actor.starts_with("worker:")) {
        request.actor = Arc::clone(&call.engine.actor);
    }
    if let Command::Complete {
        children: Some(children),
        ..
    } = &mut request.command
    {
        let admission = std::mem::replace(&mut *children.admission, empty(call));
        *children.admission = believed(call, admission)?;
    }
    Ok(request)
}

/// What an attempt reports with a renewal.
fn said(request: &Request) -> Option<Json> {
    match &request.command {
        Command::Renew { progress, .. } => progress.clone(),
        _ => None,
    }
}

/// A large result comes whole, and is kept here.
async fn keep_result(engine: &Engine, request: &mut Request) -> Result<()> {
    if let (Target::Holder(token, _), Command::Complete { outcome, .. }) =
        (&request.target, &mut request.command)
        && let Some(result) = outcome.result.take()
    {
        outcome.result = Some(desk::lease::kept(engine, *token, result).await?);
    }
    Ok(())
}

fn empty(call: &Call) -> Admission {
    Admission {
        tasks: Vec::new(),
        run: domain::store::IntoRun::None,
        supersede: Vec::new(),
        limits: domain::store::AdmitLimits::PLAN,
        actor: Arc::clone(&call.engine.actor),
        idempotency_key: None,
    }
}

fn may_edit(call: &Call, edit: &Edit) -> Result<()> {
    match edit.book {
        Book::Token | Book::Answer => call.caller.needs(Role::Admin),
        Book::Leader => {
            let detail = "the lead is taken, not written";
            Err(Refusal::new(Code::Forbidden, detail))
        }
        Book::Rule => {
            call.caller.needs(Role::Operator)?;
            let rule = edit.to.as_ref().map(|(value, _)| value);
            rule.map_or(Ok(()), |rule| may_keep(call, rule))
        }
        _ => call.caller.needs(Role::Operator),
    }
}

/// A rule that cannot be read is none, and is not kept.
fn may_keep(call: &Call, rule: &Json) -> Result<()> {
    let rule: Rule = serde_json::from_str(rule.get())
        .map_err(|e| Refusal::new(Code::InvalidArgument, format!("the rule cannot be read: {e}")))?;
    call.caller.may_keep(&rule)
}

fn may_read(call: &Call, book: Book) -> Result<()> {
    match book {
        Book::Token | Book::Answer => call.caller.needs(Role::Admin),
        _ => Ok(()),
    }
}

/// A lease as it looks from afar: its end on the wall clock, its secret only for operators. Who claimed it has the
/// secret from the claim.
fn on_the_wall(call: &Call, task: &mut record::Task) {
    if let Some(lease) = &mut task.lease {
        lease.expires = wall(call, lease.expires);
        if call.caller.role < Role::Operator {
            lease.secret = 0;
        }
    }
}

fn wall(call: &Call, expires: i64) -> i64 {
    match call.engine.store.info().leases {
        LeaseClock::Server => expires,
        LeaseClock::Machine => {
            let now = call.engine.now();
            now.wall.0.saturating_add(expires.saturating_sub(now.mono))
        }
    }
}
