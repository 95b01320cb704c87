//! The same work by HTTP and in this process, in turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::{Project, Token, WorkerId};
use domain::store::{
    Admission, AdmitLimits, Claim, Command, IntoRun, NewTask, Request, Store, Target, Wants,
};
use domain::task::record::Outcome;
use domain::task::spec::{Spec, Work};
use engine::clock::{Clock, SystemClock};
use engine::ids;
use serde_json::{Value, json};

use crate::http::Http;
use crate::served::Served;
use crate::{Result, quantile, row, spread};

/// Tasks of one request.
const BATCH: usize = 1_000;
/// Leases of one request.
const LEASES: usize = 100;
/// Batches of one turn.
const TURN: usize = 5;
/// Who asks at the same time, where more than one does.
const CALLERS: usize = 4;
/// The body of a single task.
const ONE: &[u8] = br#"{"name":"load","prompt":"load"}"#;

/// Work in this process.
struct Near {
    store: Arc<dyn Store>,
    project: Project,
    clock: SystemClock,
}

impl Near {
    fn new(served: &Served, name: &str) -> Result<Near> {
        Ok(Near {
            store: served.beside(name)?,
            project: Project::default(),
            clock: SystemClock,
        })
    }

    async fn add(&self, count: usize) -> Result<()> {
        let now = self.clock.now();
        let task = || {
            let spec = Spec::new("load", Work::Prompt("load".to_owned()));
            NewTask::new(ids::task(), None, &spec, now.wall)
        };
        let admission = Admission {
            tasks: std::iter::repeat_with(task).take(count).collect(),
            run: IntoRun::None,
            supersede: Vec::new(),
            limits: AdmitLimits {
                prerequisites: 1_000,
                children: u32::MAX,
            },
            actor: "user:load".into(),
            idempotency_key: None,
        };
        self.store.admit(&self.project, admission, now).await?;
        Ok(())
    }

    async fn drain(&self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let claim = Claim {
                worker: WorkerId::new("load")?,
                wants: Wants::default(),
                max: LEASES.min(left),
                ahead: 0,
                ttl: Duration::from_secs(60),
                start: true,
                seed: ids::seed(),
            };
            let leased = self.store.claim(&self.project, claim, self.clock.now()).await?;
            let requests: Vec<Request> = leased.iter().map(|leased| end(leased.token)).collect();
            left -= requests.len();
            for reply in self
                .store
                .change(&self.project, requests, self.clock.now())
                .await?
            {
                reply?;
            }
        }
        Ok(())
    }
}

fn end(token: Token) -> Request {
    Request {
        target: Target::Holder(token, None),
        command: Command::Complete {
            outcome: Outcome::default(),
            cached: false,
            children: None,
        },
        actor: "worker:load".into(),
        idempotency_key: None,
    }
}

fn tasks(count: usize) -> Vec<u8> {
    let task = json!({ "name": "load", "prompt": "load" });
    json!({ "tasks": vec![task; count] }).to_string().into_bytes()
}

async fn drain(http: &mut Http, count: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let claim = json!({ "worker": "load", "max": LEASES.min(left) }).to_string();
        let told: Value = serde_json::from_slice(&http.ok("POST", "/v1/leases", claim.as_bytes()).await?)?;
        let leases = told["leases"].as_array().ok_or("no leases")?;
        let ends: Vec<Value> = leases
            .iter()
            .map(|lease| json!({ "complete": { "token": lease["token"] } }))
            .collect();
        left -= ends.len();
        let body = json!({ "ends": ends }).to_string();
        http.ok("POST", "/v1/leases/settle", body.as_bytes()).await?;
    }
    Ok(())
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Adds and drains in batches, one caller.
pub(crate) async fn batches(served: &Served, turns: usize) -> Result<()> {
    let near = Near::new(served, "batches.db")?;
    let mut http = Http::connect(&served.address).await?;
    let body = tasks(BATCH);
    let count = BATCH * TURN;
    let mut rates: [Vec<f64>; 4] = Default::default();
    for _ in 0..turns {
        let mut clock = Instant::now();
        let mut lap = |rates: &mut Vec<f64>| {
            rates.push(count as f64 / clock.elapsed().as_secs_f64());
            clock = Instant::now();
        };
        for _ in 0..TURN {
            http.ok("POST", "/v1/tasks", &body).await?;
        }
        lap(&mut rates[0]);
        drain(&mut http, count).await?;
        lap(&mut rates[1]);
        for _ in 0..TURN {
            near.add(BATCH).await?;
        }
        lap(&mut rates[2]);
        near.drain(count).await?;
        lap(&mut rates[3]);
    }
    let [add, take, near_add, near_take] = rates.map(middle);
    let whole = |add: f64, take: f64| 1.0 / (1.0 / add + 1.0 / take);
    let line =
        |far: f64, near: f64| format!("{far:>9.0}/s, in process {near:>9.0}/s, ratio {:.2}", far / near);
    row("add, batches of 1,000", &line(add, near_add));
    row("claim and settle, batches of 100", &line(take, near_take));
    row(
        "the whole path (floor 0.5)",
        &line(whole(add, take), whole(near_add, near_take)),
    );
    Ok(())
}

/// One task a call, one caller after the other; answers how many calls a second many callers get through.
pub(crate) async fn singles(served: &Served, count: usize) -> Result<f64> {
    let near = Near::new(served, "singles.db")?;
    let mut http = Http::connect(&served.address).await?;
    let (mut far, mut here) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        http.ok("POST", "/v1/tasks", ONE).await?;
        far.push(begun.elapsed());
        let begun = Instant::now();
        near.add(1).await?;
        here.push(begun.elapsed());
    }
    row("one task a call", &spread(far));
    row("  in process", &spread(here));
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let address = served.address.clone();
        tokio::spawn(async move {
            let mut http = Http::connect(&address).await?;
            for _ in 0..count {
                http.ok("POST", "/v1/tasks", ONE).await?;
            }
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    let rate = (CALLERS * count) as f64 / begun.elapsed().as_secs_f64();
    row("  four callers at once", &format!("{rate:.0} calls/s"));
    Ok(rate)
}

/// Calls at a fixed rate, shared by as many callers as the rate was found with, measured from when they were due.
async fn paced<C, F>(rate: f64, span: Duration, callers: Vec<C>, call: fn(C) -> F) -> Result<Vec<Duration>>
where
    C: Send + 'static,
    F: Future<Output = Result<C>> + Send + 'static,
{
    let pause = Duration::from_secs_f64(callers.len() as f64 / rate);
    let begun = Instant::now();
    let count = callers.len() as u32;
    let one = |(number, mut caller): (usize, C)| {
        tokio::spawn(async move {
            let (mut took, mut due) = (Vec::new(), pause * number as u32 / count);
            while due < span {
                tokio::time::sleep_until((begun + due).into()).await;
                caller = call(caller).await?;
                took.push(begun.elapsed().saturating_sub(due));
                due += pause;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(took)
        })
    };
    let mut took = Vec::new();
    for caller in callers.into_iter().enumerate().map(one).collect::<Vec<_>>() {
        took.extend(caller.await??);
    }
    Ok(took)
}

/// What a call costs beyond its commits, at half of what the server can do.
pub(crate) async fn half_load(served: &Served, rate: f64, span: Duration) -> Result<()> {
    let near = Arc::new(Near::new(served, "half.db")?);
    let callers = vec![near; CALLERS];
    let here = paced(rate, span, callers, |near| async move {
        near.add(1).await?;
        Ok(near)
    })
    .await?;
    let far = far_paced(served, rate, span).await?;
    let p99 = |took: &[Duration]| {
        let mut sorted = took.to_vec();
        sorted.sort_unstable();
        quantile(&sorted, 0.99).as_secs_f64() * 1e3
    };
    let beyond = p99(&far) - p99(&here);
    row(&format!("at half load, {rate:.0} calls/s"), &spread(far));
    row("  in process", &spread(here));
    row(
        "  beyond the commits, p99 (at most 2 ms)",
        &format!("{beyond:.2} ms"),
    );
    Ok(())
}

pub(crate) async fn far_paced(served: &Served, rate: f64, span: Duration) -> Result<Vec<Duration>> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Http::connect(&served.address).await?);
    }
    paced(rate, span, callers, |mut http| async move {
        http.ok("POST", "/v1/tasks", ONE).await?;
        Ok(http)
    })
    .await
}

/// Whether the server's memory stays flat while it works: tasks are added and taken again.
pub(crate) async fn memory(served: &Served, rate: f64, span: Duration) -> Result<()> {
    let mut http = Http::connect(&served.address).await?;
    let body = tasks(LEASES);
    let pause = Duration::from_secs_f64(LEASES as f64 / rate);
    let (begun, mut look, mut seen) = (Instant::now(), Duration::ZERO, Vec::new());
    let mut turns = 0;
    while begun.elapsed() < span {
        http.ok("POST", "/v1/tasks", &body).await?;
        drain(&mut http, LEASES).await?;
        turns += 1;
        if begun.elapsed() >= look {
            seen.push(served.memory()?);
            look += span / 60;
        }
        tokio::time::sleep_until((begun + pause * turns).into()).await;
    }
    let third = seen.len() / 3;
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64 / f64::from(1 << 20);
    let (first, last) = (mean(&seen[third..2 * third]), mean(&seen[2 * third..]));
    row(
        &format!("memory over {} s, {turns} turns of {LEASES}", span.as_secs()),
        &format!(
            "{first:.1} MiB in the second third, {last:.1} MiB in the last, ratio {:.2}",
            last / first
        ),
    );
    Ok(())
}
