//! What a task's life costs in the SQLite driver, beside a bare SQLite loop over one table.
//!
//! `cargo run --release -p store --example sqlite_raw -- [TASKS] [FOLDER]`; the folder must be on a real disk. Prints
//! microseconds per task, synchronous=FULL, the best of several rounds, for queues of 1, 10 and 1,000 distinct scores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::event::{Draft, Event, Kind};
use domain::id::{EventNo, Project, Seq, TaskId, WorkerId};
use domain::store::{Durability, Result};
use domain::task::record::{Body, Class, ClassNo, Lease, Task};
use domain::task::score::Score;
use domain::task::state::State;
use domain::time::Timestamp;
use rusqlite::Connection;
use store::driver::Driver;
use store::kernel::tx::{Head, NewRow, ProjectNo, Tx, WriteSet};
use store::sqlite::{Options, SqliteDriver};

/// The best of so many is printed: what a busy machine adds is no part of the cost.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let tasks = args
        .next()
        .map_or(50_000, |n| n.parse().expect("TASKS is a number"));
    let root = args.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(root).expect("a folder to work in");
    println!("{tasks} tasks, synchronous=FULL, microseconds per task");
    println!(
        "{:>5} {:>6} | {:>10} {:>7} {:>6} | {:>9} {:>7} {:>6}",
        "dist", "batch", "raw insert", "admit", "ratio", "raw drain", "drain", "ratio"
    );
    for (dist, batch) in [(1, 1_000), (10, 1_000), (10, 100), (1_000, 100), (1_000, 1_000)] {
        let mut best = [Duration::MAX; 4];
        for round in 0..ROUNDS {
            let at = |name: &str| dir.path().join(format!("{name}-{dist}-{batch}-{round}.db"));
            let raw = raw(&at("raw"), tasks, dist, batch).expect("raw SQLite works");
            let ours = ours(&at("bell"), tasks, dist, batch)?;
            for (best, span) in best.iter_mut().zip([raw.0, ours.0, raw.1, ours.1]) {
                *best = span.min(*best);
            }
        }
        let [raw_insert, admit, raw_drain, drain] = best;
        let us = |span: Duration| span.as_secs_f64() * 1e6 / tasks as f64;
        let ratio = |raw: Duration, ours: Duration| raw.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{dist:>5} {batch:>6} | {:>10.2} {:>7.2} {:>6.2} | {:>9.2} {:>7.2} {:>6.2}",
            us(raw_insert),
            us(admit),
            ratio(raw_insert, admit),
            us(raw_drain),
            us(drain),
            ratio(raw_drain, drain),
        );
    }
    Ok(())
}

fn score(i: usize, dist: usize) -> i32 {
    ((i.wrapping_mul(2_654_435_761) >> 7) % dist) as i32 * 100
}

fn body(i: usize) -> String {
    format!(
        r#"{{"name":"task {i}","kind":"command","work":{{"shell":"{i:0>90}"}},"priority":5,"source":"human"}}"#
    )
}

// ---- bare SQLite: one table with its payload and a partial index; it hands out bodies, but knows no events, no
// fencing by token, no counters ----

fn raw(path: &Path, tasks: usize, dist: usize, batch: usize) -> rusqlite::Result<(Duration, Duration)> {
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000;
         CREATE TABLE task (id INTEGER PRIMARY KEY, state INTEGER, score INTEGER, worker TEXT, at INTEGER, body TEXT);
         CREATE INDEX ready ON task (score DESC, id) WHERE state = 0;",
    )?;
    let begun = Instant::now();
    for first in (0..tasks).step_by(batch) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = conn.prepare_cached("INSERT INTO task VALUES (?1, 0, ?2, NULL, NULL, ?3)")?;
        for i in first..(first + batch).min(tasks) {
            insert.execute((i as i64, score(i, dist), body(i)))?;
        }
        conn.execute_batch("COMMIT")?;
    }
    let inserted = begun.elapsed();
    let begun = Instant::now();
    loop {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let claimed: Vec<(i64, String)> = conn
            .prepare_cached("SELECT id, body FROM task WHERE state = 0 ORDER BY score DESC, id LIMIT ?1")?
            .query_map([batch as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut claim =
            conn.prepare_cached("UPDATE task SET state = 1, worker = ?2, at = ?3 WHERE id = ?1")?;
        for (id, _) in &claimed {
            claim.execute((id, "bench-0123456789abcdef", 30_000))?;
        }
        let mut finish =
            conn.prepare_cached("UPDATE task SET state = 2, at = ?2 WHERE id = ?1 AND state = 1")?;
        for (id, _) in &claimed {
            finish.execute((id, 60_000))?;
        }
        conn.execute_batch("COMMIT")?;
        if claimed.is_empty() {
            return Ok((inserted, begun.elapsed()));
        }
    }
}

// ---- the driver: rows, bodies, three chained events per task, fenced leases ----

fn ours(path: &Path, tasks: usize, dist: usize, batch: usize) -> Result<(Duration, Duration)> {
    let options = Options {
        durability: Durability::Full,
        create: true,
        max_bytes: None,
    };
    let mut driver = SqliteDriver::open(path, &options)?;
    let begun = Instant::now();
    for first in (0..tasks).step_by(batch) {
        driver.write(&mut |tx| admit(tx, first..(first + batch).min(tasks), dist))?;
        driver.idle(true);
    }
    let admitted = begun.elapsed();
    let begun = Instant::now();
    let mut leased = Vec::new();
    loop {
        driver.write(&mut |tx| {
            let project = tx
                .project(&Project::default(), false)?
                .expect("it was admitted to");
            finish(tx, project, &leased)?;
            leased = claim(tx, project, batch)?;
            Ok(())
        })?;
        driver.idle(true);
        if leased.is_empty() {
            return Ok((admitted, begun.elapsed()));
        }
    }
}

fn admit(tx: &mut dyn Tx, tasks: std::ops::Range<usize>, dist: usize) -> Result<()> {
    let project = tx.project(&Project::default(), true)?.expect("it was created");
    let mut writes = WriteSet::new(project, tx.head(project)?);
    let class = Class {
        kind: "command".parse()?,
        work: "command".to_owned(),
        handler: None,
        agent: None,
        routed: false,
        team: None,
        needs: Vec::new(),
        breaker: None,
        resources: Default::default(),
    };
    let class = tx.class(project, &class)?;
    let first = tx.next_seq(project)?;
    for (seq, i) in (first.0..).zip(tasks) {
        let mut task = row(
            Seq(seq),
            class,
            Score(score(i, dist)),
            Timestamp(1_700_000_000_000 + i as i64 / 100),
        );
        emit(&mut writes, &mut task, Kind::TaskSubmitted);
        let body = Body {
            key: None,
            spec: body(i).into(),
            after: Vec::new(),
            digest: [i as u8; 32],
        };
        writes.new_tasks.push(NewRow { task, body });
    }
    count(&mut writes.head.1, State::Ready, writes.new_tasks.len());
    tx.apply(&writes)
}

fn claim(tx: &mut dyn Tx, project: ProjectNo, max: usize) -> Result<Vec<Seq>> {
    let mut writes = WriteSet::new(project, tx.head(project)?);
    let classes: Vec<ClassNo> = tx.classes(project)?.iter().map(|(no, _)| *no).collect();
    let line = tx.line(project, None, &classes, max)?;
    let seqs: Vec<Seq> = line.iter().map(|task| task.seq).collect();
    let worker = WorkerId::new("bench-0123456789abcdef")?;
    for old in line {
        let mut new = old.clone();
        emit(&mut writes, &mut new, Kind::TaskEntered(State::Running));
        new.state = State::Running;
        new.started_at = Some(Timestamp(1_700_000_100_000));
        new.lease = Some(Lease {
            fence: new.last_event,
            secret: new.seq.0.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            worker: worker.clone(),
            attempt: 1,
            claimed_at: Timestamp(1_700_000_100_000),
            expires: 30_000,
            ttl: Duration::from_secs(30),
            progress: None,
        });
        writes.tasks.push((old, new));
    }
    writes.tasks.sort_unstable_by_key(|(old, _)| old.seq);
    shift(&mut writes, State::Ready, State::Running);
    tx.apply(&writes)?;
    tx.bodies(project, &seqs)?;
    Ok(seqs)
}

fn finish(tx: &mut dyn Tx, project: ProjectNo, leased: &[Seq]) -> Result<()> {
    let mut writes = WriteSet::new(project, tx.head(project)?);
    for old in tx.tasks(project, leased)? {
        let mut new = old.clone();
        emit(&mut writes, &mut new, Kind::TaskEntered(State::Completed));
        new.state = State::Completed;
        new.finished_at = Some(Timestamp(1_700_000_200_000));
        new.attempts = 1;
        new.lease = None;
        writes.tasks.push((old, new));
    }
    writes.tasks.sort_unstable_by_key(|(old, _)| old.seq);
    shift(&mut writes, State::Running, State::Completed);
    tx.apply(&writes)
}

fn emit(writes: &mut WriteSet, task: &mut Task, kind: Kind) {
    let chain = &mut writes.head.1.chain;
    let fact = Draft {
        at: task.submitted_at,
        kind,
        task: Some(task.seq),
        run: None,
        actor: Arc::from("worker:bench-0123456789abcdef"),
        reason: None,
        data: None,
    };
    let no = EventNo(chain.last.0 + 1);
    let digest = chain.digest.next(no, task.last_event, &fact);
    (chain.last, chain.digest) = (no, digest);
    let prev = std::mem::replace(&mut task.last_event, no);
    writes.events.push(Event {
        no,
        fact,
        prev,
        digest,
    });
}

fn count(head: &mut Head, state: State, tasks: usize) {
    head.counts.0[state as usize] += tasks as u64;
}

fn shift(writes: &mut WriteSet, from: State, to: State) {
    let tasks = writes.tasks.len();
    writes.head.1.counts.0[from as usize] -= tasks as u64;
    count(&mut writes.head.1, to, tasks);
}

fn row(seq: Seq, class: ClassNo, score: Score, at: Timestamp) -> Task {
    let random = (u128::from(at.0 as u64) << 80) | u128::from(seq.0.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Task {
        score,
        ..Task::new(seq, TaskId::Uuid(uuid::Uuid::from_u128(random)), class, at)
    }
}
