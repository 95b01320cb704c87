//! Several writers on one file, each with a driver of its own, as processes would have.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::code::Code;
use domain::id::{EventNo, WorkerId};
use domain::store::Filter;
use domain::task::record::Lease;
use rustix::process::Signal;
use store::driver::Driver;

use super::*;

pub(super) fn leased(task: Task, expires: i64) -> Task {
    Task {
        state: State::Running,
        lease: Some(Lease {
            fence: EventNo(1),
            secret: 1,
            worker: WorkerId::new("w").unwrap(),
            attempt: 1,
            claimed_at: Timestamp(0),
            expires,
            ttl: Duration::from_secs(30),
            progress: None,
        }),
        ..task
    }
}

/// Adds one to a counter of the head, a read and a write that must not be torn apart.
fn count(driver: &mut SqliteDriver) -> Result<()> {
    driver.write(&mut |tx| {
        let project = default_project(tx)?;
        let mut writes = WriteSet::new(project, tx.head(project)?);
        writes.head.1.score_sum += 1;
        tx.apply(&writes)
    })
}

fn counted(driver: &SqliteDriver) -> i64 {
    driver
        .reader()
        .unwrap()
        .status(&Project::default())
        .unwrap()
        .score_sum
}

#[test]
fn writers_of_many_drivers_lose_no_update() {
    const WRITERS: i64 = 6;
    const EACH: i64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let keeper = open(&path);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let mut driver = open(&path);
                for n in 0..EACH {
                    count(&mut driver).unwrap();
                    driver.idle(n % 2 == 0);
                }
            });
        }
    });
    assert_eq!(counted(&keeper), WRITERS * EACH);
}

/// Moves task number 1 on as `change` says, and gives the row as it was found.
fn rewrite(driver: &mut SqliteDriver, change: impl Fn(Task) -> Task, then: &Result<()>) -> Result<Task> {
    let mut found = None;
    driver.write(&mut |tx| {
        let project = default_project(tx)?;
        let old = tx.tasks(project, &[Seq(1)])?.remove(0);
        let mut writes = WriteSet::new(project, tx.head(project)?);
        writes.tasks.push((old.clone(), change(old.clone())));
        found = Some(old);
        tx.apply(&writes)?;
        then.clone()
    })?;
    Ok(found.unwrap())
}

#[test]
fn a_row_that_another_writer_changed_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let (mut one, mut other) = (open(&path), open(&path));
    admit(&mut one, 1, 10).unwrap();
    let renew = |expires| move |task| leased(task, expires);
    let expires = |row: Task| row.lease.map(|lease| lease.expires);
    rewrite(&mut one, renew(1), &Ok(())).unwrap();
    assert_eq!(expires(rewrite(&mut one, renew(2), &Ok(())).unwrap()), Some(1));
    assert_eq!(expires(rewrite(&mut other, renew(3), &Ok(())).unwrap()), Some(2));
    assert_eq!(expires(rewrite(&mut one, renew(4), &Ok(())).unwrap()), Some(3));

    let failed = Err(Refusal::new(Code::Internal, "on purpose"));
    refusal(rewrite(&mut one, renew(5), &failed));
    assert_eq!(
        expires(rewrite(&mut one, renew(6), &Ok(())).unwrap()),
        Some(4),
        "what was undone was never there"
    );
    let ended = |task: Task| Task {
        lease: None,
        state: State::Completed,
        ..task
    };
    rewrite(&mut one, ended, &Ok(())).unwrap();
    assert_eq!(expires(rewrite(&mut one, |task| task, &Ok(())).unwrap()), None);
}

/// The child's half of the next test; does nothing when the tests run it by themselves.
#[test]
fn child_that_counts() {
    if let Some(path) = std::env::var_os("STORE_TEST_COUNT") {
        let mut driver = open(&PathBuf::from(path));
        (0..100).for_each(|_| count(&mut driver).unwrap());
    }
}

/// One of the tests of this file, as another process.
fn child(test: &str, variable: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1"])
        .env(variable, path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn real_processes_lose_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let start = || child("sqlite::processes::child_that_counts", "STORE_TEST_COUNT", &path);
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    let driver = open(&path);
    assert_eq!(counted(&driver), 300);
}

/// The child's half of the next test.
#[test]
fn child_that_stops_while_it_writes() {
    if let Some(path) = std::env::var_os("STORE_TEST_STOP") {
        let mut driver = open(&PathBuf::from(path));
        driver
            .write(&mut |tx| {
                rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
                // This thread goes on until the signal has reached it.
                std::thread::sleep(Duration::from_secs(2));
                let project = default_project(tx)?;
                let mut writes = WriteSet::new(project, tx.head(project)?);
                writes.head.1.score_sum += 1;
                tx.apply(&writes)
            })
            .unwrap();
    }
}

#[test]
fn a_writer_that_was_stopped_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    count(&mut driver).unwrap();
    let mut child = child(
        "sqlite::processes::child_that_stops_while_it_writes",
        "STORE_TEST_STOP",
        &path,
    );
    let pid = child.id();
    let status = format!("/proc/{pid}/status");
    while !std::fs::read_to_string(&status).unwrap().contains("State:\tT") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refusal = refusal(count(&mut driver));
    assert_eq!(refusal.code, Code::StoreLocked);
    assert!(refusal.detail.contains(&format!("process {pid} ")), "{refusal:?}");
    assert!(refusal.help.unwrap().contains(&format!("kill -CONT {pid}")));
    assert_eq!(counted(&driver), 1, "who only reads is not held up");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::CONT).unwrap();
    count(&mut driver).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(counted(&driver), 3);
}

#[test]
fn names_that_another_driver_added_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let (mut one, mut two) = (open(&path), open(&path));
    let named = |handler: u32| Class {
        handler: Some(format!("handler{handler}")),
        ..class()
    };
    let mut numbers = Vec::new();
    for handler in 0..6 {
        let driver = if handler % 2 == 0 { &mut one } else { &mut two };
        driver
            .write(&mut |tx| {
                let project = default_project(tx)?;
                numbers.push(tx.class(project, &named(handler))?.0);
                assert_eq!(tx.class(project, &named(0))?.0, 1);
                assert_eq!(tx.classes(project)?.len(), handler as usize + 1);
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_commit_of_another_driver_is_noticed_before_a_wait_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let (watcher, mut writer) = (open(&path), open(&path));
    let mut watch = watcher.watch().unwrap();
    while watch.wait() {}
    // A wait that only ends after its second has slept through a commit. One may be unlucky on a busy machine, not five.
    let quickest = (0..5).map(|_| {
        std::thread::scope(|scope| {
            let noticed = scope.spawn(|| {
                while !watch.wait() {}
                Instant::now()
            });
            std::thread::sleep(Duration::from_millis(50));
            count(&mut writer).unwrap();
            let committed = Instant::now();
            noticed.join().unwrap().saturating_duration_since(committed)
        })
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(500), "it took {quickest:?}");
    while watch.wait() {}
    assert!(!watch.wait(), "nothing more happened");
}

#[test]
fn a_watch_outlives_its_log_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let (watcher, mut writer) = (open(&path), open(&path));
    let mut watch = watcher.watch().unwrap();
    while watch.wait() {}
    let log = dir.path().join("bell.db-wal");
    std::fs::rename(&log, dir.path().join("aside")).unwrap();
    std::fs::copy(dir.path().join("aside"), &log).unwrap();
    count(&mut writer).unwrap();
    assert!((0..3).any(|_| watch.wait()));
}

#[test]
fn pages_follow_the_filter_wherever_rows_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = open(&dir.path().join("bell.db"));
    let ids = admit(&mut driver, 100, 1).unwrap();
    driver
        .write(&mut |tx| {
            let project = default_project(tx)?;
            let mut writes = WriteSet::new(project, tx.head(project)?);
            for (i, old) in tx
                .tasks(project, &(1..=100).map(Seq).collect::<Vec<_>>())?
                .into_iter()
                .enumerate()
            {
                let state = State::ALL[if i < 11 { i } else { State::Completed as usize }];
                let mut new = if state.is_leased() {
                    leased(old.clone(), 0)
                } else {
                    old.clone()
                };
                new.state = state;
                new.left = (state == State::Suspended).then_some(State::Ready);
                new.dead_letter = state == State::Failed;
                emit(&mut writes, &mut new, Kind::TaskEntered(state));
                writes.head.1.counts.remove(State::Ready);
                writes.head.1.counts.add(state);
                writes.head.1.dead_letters += u64::from(new.dead_letter);
                writes.tasks.push((old, new));
            }
            tx.apply(&writes)
        })
        .unwrap();
    let mut reader = driver.reader().unwrap();
    let mut list = |filter: Filter, after, limit| -> Vec<TaskId> {
        let page = reader
            .list(&Project::default(), &filter, Seq(after), limit)
            .unwrap();
        page.into_iter().map(|view| view.task.id).collect()
    };
    for (i, state) in State::ALL.into_iter().enumerate() {
        let filter = Filter {
            states: vec![state],
            ..Filter::default()
        };
        assert_eq!(list(filter, 0, 1), ids[i..=i], "{state}");
    }
    let states = vec![State::Pending, State::Running, State::Ready, State::Cancelled];
    let filter = Filter {
        states,
        ..Filter::default()
    };
    assert_eq!(
        list(filter.clone(), 1, 9),
        [ids[2].clone(), ids[4].clone(), ids[10].clone()]
    );
    let letters = Filter {
        dead_letters: true,
        ..Filter::default()
    };
    assert_eq!(list(letters, 0, 9), ids[9..10]);
    assert_eq!(list(Filter::default(), 95, 3), ids[95..98]);
    assert_eq!(findings(&driver), [""; 0]);
}

#[test]
fn checks_name_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    admit(&mut driver, 5, 1).unwrap();
    assert_eq!(findings(&driver), [""; 0]);
    let raw = rusqlite::Connection::open(&path).unwrap();
    for (spoil, mend, finding) in [
        (
            "DELETE FROM ready WHERE seq = 2",
            "INSERT INTO ready SELECT project, class, -score, submitted_at, seq, run FROM task WHERE seq = 2",
            "task task-2 is missing at its place in the line",
        ),
        (
            "UPDATE task SET dead_letter = 1 WHERE seq = 3",
            "UPDATE task SET dead_letter = 0",
            "task task-3 is in the dead letters and not failed",
        ),
        (
            "UPDATE ready SET seq = 7 WHERE seq = 4",
            "UPDATE ready SET seq = 4 WHERE seq = 7",
            "task number 7, which does not exist, stands in the line where it should not",
        ),
        (
            "UPDATE task SET left_state = 4 WHERE seq = 4",
            "UPDATE task SET left_state = NULL",
            "task task-4 is ready and left running",
        ),
        (
            "UPDATE task SET state = 5 WHERE seq = 4",
            "UPDATE task SET state = 2",
            "task task-4 is suspended and left nothing",
        ),
        (
            "UPDATE task SET state = 4 WHERE seq = 4",
            "UPDATE task SET state = 2",
            "task task-4 is running without a lease",
        ),
        (
            "UPDATE task SET dependents = 2 WHERE seq = 1",
            "UPDATE task SET dependents = 0",
            "task task-1 counts 2 dependents, and has 0",
        ),
        (
            "UPDATE project SET newest = NULL",
            "UPDATE project SET newest = 1700000000000",
            "the newest submission is kept as none, and is 2023-11-14T22:13:20.000Z",
        ),
        (
            "INSERT INTO run VALUES (1, 0, zeroblob(16), 'p', zeroblob(32), 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, NULL)",
            "DELETE FROM run",
            "run 00000000-0000-0000-0000-000000000000 counts 3 ready tasks, and has 0",
        ),
        (
            "INSERT INTO run VALUES (1, 0, zeroblob(16), 'p', zeroblob(32), 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, NULL)",
            "DELETE FROM run",
            "run 00000000-0000-0000-0000-000000000000 counts 1 skipped tasks, and has 0",
        ),
        (
            "UPDATE project SET ready = 9",
            "UPDATE project SET ready = 5",
            "the number of ready tasks is kept as 9, and is 5",
        ),
        (
            "UPDATE event SET actor = 'user:eve' WHERE n = 2",
            "UPDATE event SET actor = 'user:test'",
            "event 2 is not what was written",
        ),
        (
            "UPDATE task SET last_event = 1 WHERE seq = 5",
            "UPDATE task SET last_event = 5 WHERE seq = 5",
            "task task-5 has event 1 as its last, and it is 5",
        ),
    ] {
        raw.execute_batch(spoil).unwrap();
        let found = findings(&driver);
        assert!(found.iter().any(|line| line == finding), "{finding}: {found:?}");
        raw.execute_batch(mend).unwrap();
        assert_eq!(findings(&driver), [""; 0]);
    }
}

#[test]
fn a_table_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    admit(&mut driver, 1, 1).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("DROP TABLE lease").unwrap();
    let checked = driver.reader().unwrap().check(&Project::default());
    let refusal = refusal(checked);
    assert_eq!(refusal.code, Code::StoreCorrupt);
    assert_eq!(
        refusal.detail,
        format!("{}: the table `lease` is missing", path.display())
    );
}
