//! `task_claim`

use std::time::Duration;

use api::lease::Lease;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, Kind, Seq, WorkerId};
use domain::limits::RESULT_BYTES;
use domain::store::{Claim, Command, Leased, Request, Result, Target, Upstream, Wants};
use engine::engine::Engine;
use engine::ids;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::session::Session;
use crate::tool::args::Args;
use crate::tool::field::{Form, has, may, some};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

/// Tasks of one claim: an agent does one after the other.
const MAX: i64 = 20;
/// How long a claim may wait for work; clients give up on calls after a minute or so.
const WAIT_MAX: i64 = 55;
/// Results of prerequisites that travel with a claim; the rest is read when it is needed.
const RESULTS_BYTES: usize = 2 * RESULT_BYTES;

pub(crate) const TOOL: Tool = Tool {
    name: "task_claim",
    about: "Take the next task and start it; empty when nothing is ready. This session renews the lease. \
            End with task_complete, task_fail or task_release.",
    sort: Sort::Works,
    takes: &[
        may("capabilities", Form::Texts, "What you can do"),
        may("kinds", Form::Texts, "Only such work"),
        may("task", Form::Text, "This task only"),
        may("max", Form::Whole(1, MAX), ""),
        may("wait", Form::Whole(0, WAIT_MAX), "Seconds to wait for work"),
        may("agent", Form::Text, "Your name"),
        may("ttl", Form::Text, "Lease time, such as 1h"),
    ],
    gives: &[has(
        "leases",
        Form::Many(&[
            has("task", Form::Text),
            has("token", Form::Text),
            has("expires_at", Form::Text),
            has("attempt", Form::Whole(1, i64::MAX)),
            has("name", Form::Text),
            some("prompt", Form::Text),
            has("inputs", Form::Any),
            some("results", Form::Object),
        ]),
    )],
    voice: Voice::Plain,
    run: |session, args, call| Box::pin(run(session, args, call)),
};

async fn run(session: &Session, args: Args, call: &Call) -> Answer {
    let wants = wants(session, &args, call)?;
    let ttl = args.span("ttl")?.unwrap_or(session.setup.ttl);
    let worker = worker(session, &args, call)?;
    let max = args.count("max", 1);
    let wait = Duration::from_secs(args.count("wait", 0) as u64);
    let taken = patiently(session, &worker, &wants, max, ttl, wait, call).await?;
    if call.is_cancelled() {
        // Nobody hears the answer, so nobody would know what it holds.
        give_back(session, &taken).await;
        return Ok(json!({ "leases": [] }));
    }
    answer(session.engine(), &taken).await
}

fn worker(session: &Session, args: &Args, call: &Call) -> Result<WorkerId> {
    Ok(args.named("agent")?.unwrap_or_else(|| session.worker(call)))
}

fn wants(session: &Session, args: &Args, call: &Call) -> Result<Wants> {
    let mut capabilities: Vec<Capability> = args.all("capabilities")?;
    capabilities.extend(session.setup.capabilities.iter().cloned());
    let agent = worker(session, args, call)?;
    let task = match args.maybe("task") {
        Some(id) => Some(id.parse()?),
        None => None,
    };
    Ok(Wants {
        capabilities,
        kinds: args.all::<Kind>("kinds")?,
        // Commands are for workers that run them; an agent gets prompts.
        works: vec!["agent"],
        agent: AgentName::new(agent.as_str()).ok(),
        task,
        ..Wants::default()
    })
}

/// Asks again whenever something was committed, until there is work or the time is up.
async fn patiently(
    session: &Session,
    worker: &WorkerId,
    wants: &Wants,
    max: usize,
    ttl: Duration,
    wait: Duration,
    call: &Call,
) -> Result<Vec<Leased>> {
    let begun = tokio::time::Instant::now();
    let store = &session.engine().store;
    let mut seen = 0;
    loop {
        // A commit after this moment ends the wait below, be it before the claim or after it.
        let moment = tokio::time::timeout(Duration::ZERO, store.changed(seen));
        seen = moment.await.unwrap_or(seen);
        let taken = claim(session, worker, wants, max, ttl).await?;
        let left = wait.saturating_sub(begun.elapsed());
        if !taken.is_empty() || left.is_zero() || call.is_cancelled() {
            return Ok(taken);
        }
        let waited = begun.elapsed().as_secs_f64();
        let told = format!("nothing is ready; waiting another {} s", left.as_secs());
        call.progress(waited, Some(wait.as_secs_f64()), told).await;
        // Back-offs end without a commit.
        let pause = left.min(Duration::from_secs(1));
        tokio::select! {
            _ = tokio::time::timeout(pause, store.changed(seen)) => {}
            () = call.cancelled() => {}
        }
    }
}

async fn give_back(session: &Session, taken: &[Leased]) {
    for leased in taken {
        let worker = leased.task.lease.as_ref().map(|lease| &lease.worker);
        let request = Request {
            target: Target::Holder(leased.token, Some(leased.task.id.clone())),
            command: Command::Release,
            actor: worker.map_or_else(|| "system".into(), |worker| format!("worker:{worker}").into()),
            idempotency_key: None,
        };
        session.holds.forget(&leased.task.id);
        if let Err(refusal) = session.one(request).await {
            tracing::warn!(task = %leased.task.id, %refusal, "a task could not be handed back");
        }
    }
}

/// Claims and keeps what it got.
pub(crate) async fn claim(
    session: &Session,
    worker: &WorkerId,
    wants: &Wants,
    max: usize,
    ttl: Duration,
) -> Result<Vec<Leased>> {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let claim = Claim {
        worker: worker.clone(),
        wants: wants.clone(),
        max,
        ahead: 0,
        ttl,
        start: true,
        seed: ids::seed(),
    };
    let taken = engine.store.claim(&engine.project, claim, engine.now()).await?;
    for leased in &taken {
        session.keep(leased, ttl);
    }
    Ok(taken)
}

async fn answer(engine: &Engine, taken: &[Leased]) -> Answer {
    let mut leases = Vec::with_capacity(taken.len());
    for leased in taken {
        let id = &leased.task.id;
        let spec = leased.body.read_spec().map_err(|e| {
            let detail = format!("the specification of task {id} cannot be read: {e}");
            Refusal::new(Code::StoreCorrupt, detail)
        })?;
        let name = spec.name.clone();
        let mut lease = json!(Lease::new(leased, spec, engine.now()));
        lease["name"] = json!(name);
        let results = results(engine, leased).await?;
        if !results.is_empty() {
            lease["results"] = results.into();
        }
        leases.push(lease);
    }
    Ok(json!({ "leases": leases }))
}

/// What the prerequisites ended with, and the subtasks of a task that goes on after them.
async fn results(engine: &Engine, leased: &Leased) -> Result<Map<String, Value>> {
    let mut seqs: Vec<Seq> = leased.body.after.iter().map(|(seq, _)| *seq).collect();
    if leased.task.children > 0 {
        let (project, id) = (&engine.project, &leased.task.id);
        let limit = domain::limits::PAGE_MAX;
        let neighbours = engine.store.neighbours(project, id, limit).await?;
        seqs.extend(neighbours.children.iter().map(|child| child.seq));
    }
    if seqs.is_empty() {
        return Ok(Map::new());
    }
    let mut room = RESULTS_BYTES;
    let mut results = Map::new();
    for ended in engine.store.results(&engine.project, &seqs).await? {
        let (name, result) = one_result(ended);
        let size = result.to_string().len();
        if size > room {
            results.insert(name, json!({ "left_out": "too large: look at the task" }));
            continue;
        }
        room -= size;
        results.insert(name, result);
    }
    Ok(results)
}

fn one_result(ended: Upstream) -> (String, Value) {
    let name = ended
        .key
        .map_or_else(|| ended.id.to_string(), |key| key.to_string());
    let outcome = ended.outcome.unwrap_or_default();
    let result = match outcome.error {
        Some(failure) => json!({ "state": ended.state, "error": failure.message }),
        None => json!({ "state": ended.state, "result": outcome.result }),
    };
    (name, result)
}
