//! Every field comes back as it was written, and whatever is derived from a row follows it.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{EventNo, Key, RunId, Seq, TaskId, WorkerId};
use domain::run::{Counts, Run, RunNo, RunState};
use domain::store::CacheEntry;
use domain::task::lock::Mode;
use domain::task::record::{ClassNo, Failure, Join, Lease, Outcome, Task, Wait};
use domain::task::score::Score;
use domain::task::spec::{Json, OnUpstreamFailure, Priority, Source, When};
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::{option, sample};
use store::driver::Driver;
use store::kernel::tx::{NewRow, ProjectNo, Remembered, Tx, WriteSet};
use uuid::Uuid;

use super::*;

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of(any::<i64>().prop_map(Timestamp))
}

fn lease() -> impl Strategy<Value = Lease> {
    let progress = option::of(Just(Json::parse(r#"{"done": 3}"#).unwrap()));
    (
        0u64..1 << 40,
        any::<u64>(),
        0u32..9,
        any::<i64>(),
        any::<i64>(),
        0u64..1 << 40,
        progress,
    )
        .prop_map(
            |(fence, secret, attempt, claimed_at, expires, ttl, progress)| Lease {
                fence: EventNo(fence),
                secret,
                worker: WorkerId::new("worker-1").unwrap(),
                attempt,
                claimed_at: Timestamp(claimed_at),
                expires,
                ttl: Duration::from_millis(ttl),
                progress,
            },
        )
}

fn wait() -> impl Strategy<Value = Wait> {
    let thing: Arc<str> = "limit:gpu".into();
    sample::select(vec![Wait::No, Wait::Parked(thing.clone()), Wait::Baton(thing)])
}

/// Any row at all for one task: what it is known by stays, everything else is arbitrary.
fn any_row() -> impl Strategy<Value = Task> {
    let state = (
        sample::select(&State::ALL[..]),
        option::of(sample::select(Reason::ALL)),
        option::of(sample::select(&State::ALL[..])),
        any::<(bool, bool, bool, bool)>(),
        wait(),
        option::of(lease()),
    );
    let nature = (
        (0u8..=10).prop_map(|n| Priority::try_from(n).unwrap()),
        sample::select(Source::ALL),
        sample::select(OnUpstreamFailure::ALL),
        option::of(sample::select(vec![Join::Complete, Join::Continue])),
        option::of(any::<u16>()),
        any::<i32>(),
        1u32..4,
    );
    let times = (
        any::<i64>(),
        (time(), time(), time(), time(), time()),
        option::of(0u64..1 << 50),
    );
    let counts = (any::<[u32; 5]>(), any::<[u32; 3]>(), 0u64..1 << 40);
    (state, nature, times, counts).prop_map(|(state, nature, times, counts)| {
        let (state, reason, left, flags, wait, lease) = state;
        let leased = [
            State::Assigned,
            State::Running,
            State::Suspended,
            State::Cancelled,
        ];
        let state = if lease.is_some() {
            leased[state as usize % 4]
        } else {
            state
        };
        let (priority, source, upstream, join, path_share, score, class) = nature;
        let (submitted_at, (run_at, deadline, started_at, finished_at, timer), estimate) = times;
        let ([depth, open, dead, dependents, children], [attempts, failures, lost], last_event) = counts;
        Task {
            state,
            reason,
            left,
            dead_letter: flags.0,
            superseded: flags.1,
            guarded: flags.2,
            asks: flags.3,
            wait,
            lease,
            priority,
            source,
            upstream,
            join,
            path_share,
            score: Score(score.max(-i32::MAX)),
            class: ClassNo(class),
            submitted_at: Timestamp(submitted_at),
            run_at,
            deadline,
            started_at,
            finished_at,
            timer,
            estimate: estimate.map(Duration::from_millis),
            depth,
            open,
            dead,
            dependents,
            children,
            attempts,
            failures,
            lost,
            last_event: EventNo(last_event),
            ..task(Seq(1), ClassNo(1))
        }
    })
}

/// Loads the row, and asks every place that is derived from it.
fn expect(tx: &mut dyn Tx, project: ProjectNo, right: &Task) -> Result<()> {
    let seq = right.seq;
    assert_eq!(tx.tasks(project, &[seq])?, std::slice::from_ref(right));
    let classes: Vec<ClassNo> = (0..5).map(ClassNo).collect();
    for run in [None, right.run] {
        let line = tx.line(project, run, &classes, 10)?;
        assert_eq!(line, right.in_line().then(|| right.clone()).as_slice(), "in line");
    }
    let parked = right.parked_under().map(|_| right.clone());
    for group in [None, Some((right.class, right.run))] {
        assert_eq!(
            tx.parked(project, "limit:gpu", group)?,
            parked.as_slice(),
            "parked"
        );
    }
    let due = right.timer.map(|_| seq);
    assert_eq!(
        tx.due(project, Timestamp(i64::MAX), 10)?,
        (due.into_iter().collect(), None)
    );
    if let Some(timer) = right.timer.filter(|timer| timer.0 > i64::MIN) {
        assert_eq!(
            tx.due(project, Timestamp(timer.0 - 1), 10)?,
            (Vec::new(), Some(timer))
        );
    }
    let leased = right.lease.as_ref().map(|_| seq);
    assert_eq!(
        tx.leased_by(project, &WorkerId::new("worker-1").unwrap())?,
        leased.as_slice()
    );
    let expired = right
        .lease
        .as_ref()
        .filter(|lease| lease.expires <= 0)
        .map(|_| seq);
    assert_eq!(tx.expired(project, 0, 10)?, expired.as_slice());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_row_becomes_any_other(rows in prop::collection::vec(any_row(), 2..6), run in option::of(1u64..9), uuid: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut driver = open(&dir.path().join("bell.db"));
        let id = if uuid { TaskId::Uuid(Uuid::from_u128(77)) } else { TaskId::new("a").unwrap() };
        let rows: Vec<Task> = rows
            .into_iter()
            .map(|row| Task { run: run.map(RunNo), id: id.clone(), ..row })
            .collect();
        driver.write(&mut |tx| {
            let project = default_project(tx)?;
            let mut writes = WriteSet::new(project, tx.head(project)?);
            writes.new_tasks.push(NewRow { task: rows[0].clone(), body: body(3) });
            tx.apply(&writes)?;
            expect(tx, project, &rows[0])?;
            for pair in rows.windows(2) {
                let mut writes = WriteSet::new(project, tx.head(project)?);
                writes.tasks.push((pair[0].clone(), pair[1].clone()));
                tx.apply(&writes)?;
                expect(tx, project, &pair[1])?;
            }
            assert_eq!(tx.find(project, std::slice::from_ref(&id))?, [Some(Seq(1))]);
            Ok(())
        }).unwrap();
    }
}

#[test]
fn everything_beside_the_rows_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = open(&dir.path().join("bell.db"));
    let json = |text: &str| Some(Json::parse(text).unwrap());
    let full = Outcome {
        result: json("[1, 2]"),
        error: Some(Failure {
            message: "no".into(),
            class: Some("timeout".into()),
            exit: Some(-1),
        }),
        usage: json("{}"),
    };
    let run = Run {
        no: RunNo(1),
        id: RunId(Uuid::from_u128(5)),
        plan: "release".into(),
        digest: [1; 32],
        state: RunState::Active,
        counts: Counts([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        skipped: 4,
        submitted_at: Timestamp(-3),
        finished_at: Some(Timestamp(9)),
    };
    let remembered = Remembered {
        digest: [9; 32],
        answer: "[]".into(),
        at: Timestamp(4),
    };
    driver
        .write(&mut |tx| {
            let project = default_project(tx)?;
            let class = tx.class(project, &class())?;
            assert_eq!(tx.next_run(project)?, RunNo(1));
            let mut writes = WriteSet::new(project, tx.head(project)?);
            for seq in 1..=4 {
                let mut new = NewRow {
                    task: task(Seq(seq), class),
                    body: body(10),
                };
                new.body.key = Some(Key::new(&format!("key{seq}")).unwrap());
                new.body.after = (1..seq).map(|on| (Seq(on), When::ALL[on as usize % 3])).collect();
                writes
                    .new_edges
                    .extend(new.body.after.iter().map(|(on, when)| (*on, Seq(seq), *when)));
                new.task.parent = (seq == 4).then_some(Seq(1));
                writes.new_tasks.push(new);
            }
            writes.new_edges.sort_unstable();
            writes.outcomes = vec![(Seq(1), full.clone()), (Seq(2), Outcome::default())];
            writes.acquired = vec![
                ("path:src".into(), Seq(1), Mode::Exclusive),
                ("path:src/a".into(), Seq(2), Mode::Shared),
            ];
            writes.new_runs.push(run.clone());
            writes.remember.push(("once".into(), remembered.clone()));
            writes.settled.push((Seq(1), Some(Seq(3))));
            writes.head.1.score_sum = -5;
            tx.apply(&writes)?;
            let bodies: Vec<_> = writes
                .new_tasks
                .iter()
                .map(|new| (new.task.seq, new.body.clone()))
                .collect();
            assert_eq!(
                tx.bodies(project, &[Seq(1), Seq(2), Seq(3), Seq(4), Seq(5)])?,
                bodies
            );
            assert_eq!(tx.outcomes(project, &[Seq(1), Seq(2), Seq(3)])?, writes.outcomes);
            assert_eq!(tx.next_seq(project)?, Seq(5));
            assert_eq!(tx.children(project, Seq(1), 9)?, [Seq(4)]);
            let dependents = [(Seq(3), When::Failure), (Seq(4), When::Failure)];
            assert_eq!(tx.dependents(project, Seq(1), Seq(2), 9)?, dependents);
            assert_eq!(tx.dependents(project, Seq(1), Seq(0), 1)?.len(), 1);
            assert_eq!(tx.holders(project, "path:src")?, [(Seq(1), Mode::Exclusive)]);
            let below = tx.holders_between(project, "path:src/", "path:src0")?;
            assert_eq!(below, [("path:src/a".to_owned(), Seq(2), Mode::Shared)]);
            assert_eq!(
                tx.held_by(project, Seq(2))?,
                [("path:src/a".to_owned(), Mode::Shared)]
            );
            assert_eq!(tx.run(project, RunNo(1))?, Some(run.clone()));
            assert_eq!(tx.find_run(project, run.id)?, Some(run.clone()));
            assert_eq!(tx.next_run(project)?, RunNo(2));
            assert_eq!(tx.remembered(project, "once")?, Some(remembered.clone()));
            assert_eq!(tx.remembered(project, "never")?, None);
            assert_eq!(tx.unsettled(project, 9)?, [(Seq(1), Seq(3))]);
            assert_eq!(tx.head(project)?, writes.head.1);

            let mut writes = WriteSet::new(project, writes.head.1);
            let done = Run {
                state: RunState::Failed,
                finished_at: None,
                ..run.clone()
            };
            writes.runs.push(done.clone());
            writes.released.push(Seq(1));
            writes.settled.push((Seq(1), None));
            tx.apply(&writes)?;
            assert_eq!(tx.run(project, RunNo(1))?, Some(done));
            assert!(tx.held_by(project, Seq(1))?.is_empty() && tx.unsettled(project, 9)?.is_empty());
            Ok(())
        })
        .unwrap();
}

#[test]
fn lines_of_many_classes_are_merged_by_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = open(&dir.path().join("bell.db"));
    driver
        .write(&mut |tx| {
            let project = default_project(tx)?;
            let mut writes = WriteSet::new(project, tx.head(project)?);
            for seq in 1..=500u64 {
                let mut task = task(Seq(seq), ClassNo(seq as u32 * 7 % 5));
                task.score = Score((seq * 31 % 17) as i32);
                task.run = (seq % 3 == 0).then_some(RunNo(1));
                writes.new_tasks.push(NewRow { task, body: body(0) });
            }
            tx.apply(&writes)?;
            let wanted = [ClassNo(0), ClassNo(2), ClassNo(3), ClassNo(9)];
            for (run, limit) in [
                (None, 1),
                (None, 17),
                (None, 400),
                (Some(RunNo(1)), 60),
                (Some(RunNo(2)), 5),
            ] {
                let mut right: Vec<Task> = writes.new_tasks.iter().map(|new| new.task.clone()).collect();
                right.retain(|task| wanted.contains(&task.class) && (run.is_none() || task.run == run));
                right.sort_by_key(Task::place);
                right.truncate(limit);
                assert_eq!(tx.line(project, run, &wanted, limit)?, right);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_result_that_nobody_reads_is_dropped_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = open(&dir.path().join("bell.db"));
    let mut reader = driver.reader().unwrap();
    let project = Project::default();
    let entry = |n: u8| CacheEntry {
        key: [n; 32],
        result: (n != 2).then(|| Json::of(&n)),
        stored_at: Timestamp(0),
        expires_at: (n == 2).then_some(Timestamp(100)),
        made_by: TaskId::new("maker").unwrap(),
    };
    let put = |driver: &mut SqliteDriver, n| {
        driver.write(&mut |tx| {
            let project = default_project(tx)?;
            tx.cache_put(project, &entry(n), 2)
        })
    };
    put(&mut driver, 1).unwrap();
    put(&mut driver, 2).unwrap();
    let now = Timestamp(50);
    assert_eq!(reader.cache_get(&project, &[1; 32], now).unwrap(), Some(entry(1)));
    put(&mut driver, 3).unwrap();
    assert_eq!(reader.cache_get(&project, &[2; 32], now).unwrap(), None);
    assert_eq!(reader.cache_get(&project, &[1; 32], now).unwrap(), Some(entry(1)));
    put(&mut driver, 2).unwrap();
    assert_eq!(reader.cache_get(&project, &[3; 32], now).unwrap(), None);
    assert_eq!(
        reader.cache_get(&project, &[2; 32], Timestamp(100)).unwrap(),
        None,
        "it has expired"
    );
}
