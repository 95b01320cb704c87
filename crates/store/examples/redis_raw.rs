//! What a task's life costs on Redis, beside a bare pipelined loop over a hash and two sorted sets.
//!
//! `cargo run --release -p store --example redis_raw -- [TASKS] [always|everysec]`. Starts a server of its own. Prints
//! tasks per second, the best of several rounds, and the server's memory for each queued task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::store::Durability;
use redis::io::tcp::TcpSettings;
use redis::{Connection, IntoConnectionInfo, Pipeline, Value, cmd, pipe};
use rig::redis::{Server, fresh, sweep};
use store::conformance::Lab;
use store::conformance::new::{New, task};
use store::conformance::words::{completion, held};
use store::local::Local;
use store::redis::{Options, RedisDriver};
use tokio::runtime::Runtime;

/// The best of so many is printed: what a busy machine adds is no part of the cost.
const ROUNDS: usize = 3;

fn main() {
    let mut args = std::env::args().skip(1);
    let tasks = args
        .next()
        .map_or(20_000, |n| n.parse().expect("TASKS is a number"));
    let fsync = args.next().unwrap_or_else(|| "always".to_owned());
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", &fsync]).expect("a server");
    println!("{tasks} tasks, appendfsync {fsync}, tasks per second");
    println!(
        "{:>6} | {:>10} {:>8} {:>6} | {:>10} {:>8} {:>6} | {:>12}",
        "batch", "raw insert", "admit", "ratio", "raw drain", "drain", "ratio", "bytes queued"
    );
    for batch in [1, 100, 1_000] {
        let tasks = if batch == 1 { tasks / 20 } else { tasks };
        let mut best = [Duration::MAX; 4];
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let raw = raw(&server, tasks, batch);
            let ours = ours(&server, tasks, batch);
            bytes = ours.2;
            for (best, span) in best.iter_mut().zip([raw.0, ours.0, raw.1, ours.1]) {
                *best = span.min(*best);
            }
        }
        let [raw_insert, admit, raw_drain, drain] = best;
        let rate = |span: Duration| tasks as f64 / span.as_secs_f64();
        let ratio = |raw: Duration, ours: Duration| raw.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{batch:>6} | {:>10.0} {:>8.0} {:>6.2} | {:>10.0} {:>8.0} {:>6.2} | {bytes:>12}",
            rate(raw_insert),
            rate(admit),
            ratio(raw_insert, admit),
            rate(raw_drain),
            rate(drain),
            ratio(raw_drain, drain),
        );
    }
}

fn body(i: usize) -> String {
    format!(
        r#"{{"name":"task {i}","kind":"command","work":{{"shell":"{i:0>90}"}},"priority":5,"source":"human"}}"#
    )
}

// ---- the bare loop: bodies, a line and leases; no events, no counters, no ids of the caller's ----

fn send(pipe: &Pipeline, connection: &mut Connection) -> Vec<Value> {
    pipe.query(connection).expect("the server answers")
}

fn raw(server: &Server, tasks: usize, batch: usize) -> (Duration, Duration) {
    let info = server.url().into_connection_info().expect("a URL");
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = redis::Client::open(info).expect("a server");
    let mut connection = client.get_connection().expect("a connection");
    let begun = Instant::now();
    for first in (0..tasks).step_by(batch) {
        let (mut bodies, mut ready) = (cmd("HSET"), cmd("ZADD"));
        bodies.arg("raw:body");
        ready.arg("raw:ready");
        for i in first..(first + batch).min(tasks) {
            bodies.arg(i).arg(body(i));
            ready.arg(i % 100).arg(i);
        }
        send(pipe().add_command(bodies).add_command(ready), &mut connection);
    }
    let inserted = begun.elapsed();
    let begun = Instant::now();
    loop {
        let popped: Vec<(String, f64)> = cmd("ZPOPMIN")
            .arg("raw:ready")
            .arg(batch)
            .query(&mut connection)
            .expect("the server answers");
        if popped.is_empty() {
            break;
        }
        let (mut bodies, mut lease, mut done) = (cmd("HMGET"), cmd("ZADD"), cmd("ZREM"));
        bodies.arg("raw:body");
        lease.arg("raw:lease");
        done.arg("raw:lease");
        for (task, _) in &popped {
            bodies.arg(task);
            lease.arg(30_000).arg(task);
            done.arg(task);
        }
        send(pipe().add_command(bodies).add_command(lease), &mut connection);
        send(pipe().add_command(done), &mut connection);
    }
    let drained = begun.elapsed();
    send(pipe().cmd("UNLINK").arg("raw:body"), &mut connection);
    (inserted, drained)
}

// ---- the store: admission, claims and completions with everything that belongs to them ----

fn memory(server: &Server) -> i64 {
    let info = server.command(&["INFO", "memory"]).unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn ours(server: &Server, tasks: usize, batch: usize) -> (Duration, Duration, i64) {
    let url = fresh(&server.url());
    let options = Options {
        durability: Durability::Full,
        create: true,
        accept_volatile: true,
        ..Options::default()
    };
    let driver = RedisDriver::open(&url, &options).expect("a server");
    let store = Arc::new(Local::open(driver).expect("threads start"));
    let measured = Runtime::new().expect("a runtime").block_on(async {
        let lab = Lab::new(store);
        let before = memory(server);
        let mut admitting = Duration::ZERO;
        for first in (0..tasks).step_by(batch) {
            let new: Vec<New> = (first..(first + batch).min(tasks))
                .map(|i| task(&format!("task-{i}")))
                .collect();
            let mut admission = lab.admission(&new);
            for (i, task) in (first..).zip(&mut admission.tasks) {
                task.body = body(i).into();
            }
            let begun = Instant::now();
            lab.admit(admission).await.expect("it is new");
            admitting += begun.elapsed();
        }
        let bytes = (memory(server) - before) / tasks as i64;
        let begun = Instant::now();
        loop {
            let leased = lab.claim_up_to(batch).await;
            if leased.is_empty() {
                return (admitting, begun.elapsed(), bytes);
            }
            let requests = leased.iter().map(|leased| held(leased, completion())).collect();
            for reply in lab.try_all(requests).await {
                reply.expect("the lease is ours");
            }
        }
    });
    sweep(&url);
    measured
}
