//! The SQLite driver where it differs from memory: bytes on disk, files that cannot be opened, other processes.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod likeness;
mod opening;
mod processes;
mod rows;

use std::path::Path;

use domain::code::Refusal;
use domain::event::{Draft, Event, Kind};
use domain::id::{EventNo, Project, Seq, TaskId};
use domain::store::{Durability, Result};
use domain::task::record::{Body, Class, ClassNo, Task};
use domain::task::score::Score;
use domain::task::spec::Priority;
use domain::task::state::State;
use domain::time::Timestamp;
use store::driver::Driver;
use store::kernel::tx::{NewRow, ProjectNo, Tx, WriteSet};
use store::sqlite::{Options, SqliteDriver};

fn options() -> Options {
    Options {
        // What is tested here does not depend on the disk's patience.
        durability: Durability::Relaxed,
        create: true,
        max_bytes: None,
    }
}

fn open(path: &Path) -> SqliteDriver {
    SqliteDriver::open(path, &options()).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    result.unwrap_err()
}

fn class() -> Class {
    Class {
        kind: "command".parse().unwrap(),
        work: "command".to_owned(),
        handler: None,
        agent: None,
        routed: false,
        team: None,
        needs: Vec::new(),
        breaker: None,
        resources: Default::default(),
    }
}

fn default_project(tx: &mut dyn Tx) -> Result<ProjectNo> {
    Ok(tx.project(&Project::default(), true)?.unwrap())
}

fn task(seq: Seq, class: ClassNo) -> Task {
    Task {
        score: Score(32_500),
        ..Task::new(
            seq,
            TaskId::new(&format!("task-{}", seq.0)).unwrap(),
            class,
            Timestamp(1_700_000_000_000),
        )
    }
}

fn body(bytes: usize) -> Body {
    Body {
        key: None,
        spec: "x".repeat(bytes).into(),
        after: Vec::new(),
        digest: [7; 32],
    }
}

/// Admits `count` ready tasks with bodies of this size, each with its first event, and keeps the counters.
fn admit(driver: &mut SqliteDriver, count: usize, bytes: usize) -> Result<Vec<TaskId>> {
    let mut ids = Vec::new();
    driver.write(&mut |tx| {
        ids.clear();
        let project = default_project(tx)?;
        let class = tx.class(project, &class())?;
        let first = tx.next_seq(project)?;
        let mut writes = WriteSet::new(project, tx.head(project)?);
        for seq in (first.0..).take(count) {
            let mut task = task(Seq(seq), class);
            emit(&mut writes, &mut task, Kind::TaskSubmitted);
            let head = &mut writes.head.1;
            head.counts.add(task.state);
            head.score_sum += i64::from(task.score.0);
            head.newest = Some(task.submitted_at);
            ids.push(task.id.clone());
            writes.new_tasks.push(NewRow {
                task,
                body: body(bytes),
            });
        }
        tx.apply(&writes)
    })?;
    Ok(ids)
}

fn emit(writes: &mut WriteSet, task: &mut Task, kind: Kind) {
    let chain = &mut writes.head.1.chain;
    let fact = Draft {
        at: Timestamp(1_700_000_000_000),
        kind,
        task: Some(task.seq),
        run: task.run,
        actor: "user:test".into(),
        reason: None,
        data: None,
    };
    let no = EventNo(chain.last.0 + 1);
    chain.digest = chain.digest.next(no, task.last_event, &fact);
    chain.last = no;
    let prev = std::mem::replace(&mut task.last_event, no);
    writes.events.push(Event {
        no,
        fact,
        prev,
        digest: chain.digest,
    });
}

fn findings(driver: &SqliteDriver) -> Vec<String> {
    driver.reader().unwrap().check(&Project::default()).unwrap()
}
