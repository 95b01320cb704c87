//! The guard, tried with real workers: this very program, started anew as a worker or as a guard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::process::guard::{self, Guard};
use engine::process::presence::{self, Presence};
use engine::process::{Cause, How, Launch, Launcher, since_boot};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::process::{eventually, is_dead, pid_in, state};

const GRACE: Duration = Duration::from_millis(300);

/// Not a test: what `<this program> __guard <incarnation> <grace>` runs.
#[test]
fn __guard() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == guard::SUBCOMMAND) {
        let code = guard::main(arguments);
        std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
    }
}

/// Not a test: what `<this program> __worker <folder> <lease ms> <grace ms> <script>` runs.
#[tokio::test]
async fn __worker() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, folder, lease, grace, script] = arguments.as_slice() else {
        return;
    };
    if first != "__worker" {
        return;
    }
    let folder = PathBuf::from(folder);
    let [lease, grace] = [lease, grace].map(|ms| Duration::from_millis(ms.parse().unwrap()));
    let incarnation = format!("w-{}", uuid::Uuid::now_v7());
    let info = json!({ "pid": std::process::id() });
    let presence = Presence::enter(&folder.join("workers"), &incarnation, &info).unwrap();
    let guard = Guard::start(&std::env::current_exe().unwrap(), &presence, grace).unwrap();
    guard.renew(since_boot() + lease);
    let launch = Launch::new(["sh", "-c", script], folder.clone(), folder.join("record"));
    let running = Launcher::guarded(guard.clone()).launch(launch).unwrap();
    let control = running.control();
    let waiting = tokio::spawn(running.wait());
    publish(&folder.join("guard"), guard.pid().unwrap());
    while !folder.join("stop").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if folder.join("renew").exists() {
            guard.renew(since_boot() + Duration::from_secs(600));
            if let Some(pid) = guard.pid() {
                publish(&folder.join("guard"), pid);
            }
        }
    }
    control.cancel();
    waiting.await.unwrap();
    guard.stop().await;
    presence.leave().unwrap();
}

fn publish(path: &Path, pid: u32) {
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("{pid}\n")).unwrap();
    fs::rename(draft, path).unwrap();
}

struct Worker {
    folder: TempDir,
    process: Child,
}

impl Worker {
    fn start(lease: Duration, script: &str) -> Self {
        Self::patient(lease, GRACE, script)
    }

    fn patient(lease: Duration, grace: Duration, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .arg("__worker")
            .arg(folder.path())
            .args([
                &lease.as_millis().to_string(),
                &grace.as_millis().to_string(),
                script,
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, process }
    }

    fn pid(&self, name: &str) -> u32 {
        eventually(name, || pid_in(&self.folder.path().join(name)))
    }

    fn signal(&self, signal: Signal) {
        send(self.process.id(), signal);
    }

    fn workers(&self) -> PathBuf {
        self.folder.path().join("workers")
    }

    fn touch(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn dies(pid: u32) {
    eventually("dead", || is_dead(pid).then_some(()));
}

const HOUR: Duration = Duration::from_secs(3600);

// proves: DESIGN 8
#[test]
fn a_killed_worker_takes_its_groups_along() {
    let script = "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > leader; while :; do sleep 1000; done";
    let mut worker = Worker::start(HOUR, script);
    let (leader, child) = (worker.pid("leader"), worker.pid("child"));
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    dies(leader);
    dies(child);
}

#[test]
fn the_guard_finds_who_left_its_group_and_shrugs_off_signals() {
    let mut worker = Worker::start(HOUR, "setsid sleep 1000 & echo $! > escaped; wait");
    let (escaped, guard) = (worker.pid("escaped"), worker.pid("guard"));
    // Ignored signals are only worth something once the handlers stand: the guard then reads news.
    eventually("handlers", || catches(guard, 15).then_some(()));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        send(guard, signal);
    }
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    dies(escaped);
    dies(guard);
}

fn catches(pid: u32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:\t"))
        .unwrap();
    u64::from_str_radix(mask, 16).unwrap() >> (signal - 1) & 1 == 1
}

#[test]
fn a_stopped_worker_loses_its_groups_at_the_deadline() {
    let mut worker = Worker::start(Duration::from_secs(2), "echo $$ > leader; sleep 1000");
    let leader = worker.pid("leader");
    worker.signal(Signal::STOP);
    dies(leader);
    assert_eq!(state(worker.process.id()), Some('T'));
    assert_eq!(
        presence::dead(&worker.workers()).unwrap().len(),
        0,
        "a stopped worker is not dead"
    );
    worker.signal(Signal::CONT);
    worker.touch("stop");
    assert!(worker.process.wait().unwrap().success());
}

#[test]
fn a_dead_guard_is_replaced_and_told_what_lives() {
    let mut worker = Worker::start(
        HOUR,
        "echo $$ > leader; exec env -u BELL_WORKER -u BELL_LAUNCH sleep 1000",
    );
    let (leader, first) = (worker.pid("leader"), worker.pid("guard"));
    send(first, Signal::KILL);
    worker.touch("renew");
    eventually("another guard", || {
        pid_in(&worker.folder.path().join("guard")).filter(|pid| *pid != first)
    });
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    dies(leader); // Without a mark it is only found by the number of its group.
}

/// A worker that was stopped on the way to a start may not hold the lease any more.
#[tokio::test]
async fn nothing_is_started_after_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let presence = Presence::enter(folder.path(), "w-late", &json!({})).unwrap();
    let guard = Guard::start(&std::env::current_exe().unwrap(), &presence, GRACE).unwrap();
    let launch = || {
        let launch = Launch::new(
            ["touch", "begun"],
            folder.path().to_owned(),
            folder.path().join("record"),
        );
        Launcher::guarded(guard.clone()).launch(launch)
    };
    guard.renew(since_boot());
    assert_eq!(launch().unwrap_err().cause, Cause::Uncovered);
    guard.renew(since_boot() + HOUR);
    assert!(!folder.path().join("begun").exists());
    assert_eq!(launch().unwrap().wait().await.how, How::Exit(0));
    assert!(folder.path().join("begun").exists());
    guard.stop().await;
}

/// A worker that has lost one lease renews for the others.
#[tokio::test]
async fn what_was_cancelled_is_not_started_under_a_renewed_guard() {
    let folder = tempfile::tempdir().unwrap();
    let presence = Presence::enter(folder.path(), "w-lost", &json!({})).unwrap();
    let guard = Guard::start(&std::env::current_exe().unwrap(), &presence, GRACE).unwrap();
    guard.renew(since_boot() + HOUR);
    let (cancel, cancelled) = tokio::sync::watch::channel(false);
    let launch = || {
        let begun = ["touch", "begun"];
        let mut launch = Launch::new(begun, folder.path().to_owned(), folder.path().join("record"));
        launch.cancelled = Some(cancelled.clone());
        Launcher::guarded(guard.clone()).launch(launch)
    };
    cancel.send_replace(true);
    assert_eq!(launch().unwrap_err().cause, Cause::Uncovered);
    assert!(!folder.path().join("begun").exists());
    cancel.send_replace(false);
    assert_eq!(launch().unwrap().wait().await.how, How::Exit(0));
    assert!(folder.path().join("begun").exists());
    guard.stop().await;
}

#[tokio::test]
async fn a_guard_that_does_not_listen_neither_blocks_nor_stays() {
    let folder = tempfile::tempdir().unwrap();
    let presence = Presence::enter(folder.path(), "w-deaf", &json!({})).unwrap();
    let guard = Guard::start(&std::env::current_exe().unwrap(), &presence, GRACE).unwrap();
    let launch = Launch::new(
        ["sleep", "1000"],
        folder.path().to_owned(),
        folder.path().join("record"),
    );
    let running = Launcher::guarded(guard.clone()).launch(launch).unwrap();
    let deaf = guard.pid().unwrap();
    send(deaf, Signal::STOP);
    eventually("another guard", || {
        // It is found out when its pipe is full.
        (0..1000).for_each(|_| guard.renew(since_boot() + HOUR));
        guard.pid().filter(|pid| *pid != deaf)
    });
    let leader = running.pid();
    dies(deaf);
    assert!(!is_dead(leader));
    drop(running);
    guard.stop().await;
    dies(leader);
}

#[test]
fn a_worker_that_comes_back_stops_the_guard_from_ending_more() {
    let script =
        "trap 'touch termed' TERM; echo $$ > leader; until [ -e go ]; do sleep 0.01; done; touch done";
    let worker = Worker::patient(Duration::from_secs(2), HOUR, script);
    let (leader, first) = (worker.pid("leader"), worker.pid("guard"));
    worker.signal(Signal::STOP);
    eventually("TERM", || {
        worker.folder.path().join("termed").exists().then_some(())
    });
    worker.touch("renew");
    worker.signal(Signal::CONT);
    eventually("another guard", || {
        pid_in(&worker.folder.path().join("guard")).filter(|pid| *pid != first)
    });
    assert!(!is_dead(leader));
    // It would outlive the test by its patience.
    worker.touch("go");
    dies(leader);
}

#[test]
fn a_worker_that_stops_in_good_order_leaves_nothing() {
    let mut worker = Worker::start(HOUR, "setsid sleep 1000 & echo $! > escaped; wait");
    let (escaped, guard) = (worker.pid("escaped"), worker.pid("guard"));
    worker.touch("stop");
    assert!(worker.process.wait().unwrap().success());
    assert!(is_dead(escaped) && is_dead(guard));
    assert_eq!(fs::read_dir(worker.workers()).unwrap().count(), 0);
}

#[test]
fn a_rescuer_ends_what_worker_and_guard_left() {
    let mut worker = Worker::start(HOUR, "echo $$ > leader; sleep 1000");
    let (leader, guard) = (worker.pid("leader"), worker.pid("guard"));
    assert_eq!(
        presence::live(&worker.workers()).unwrap()[0].info,
        json!({ "pid": worker.process.id() })
    );
    send(guard, Signal::KILL);
    dies(guard);
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    let dead = presence::dead(&worker.workers()).unwrap().pop().unwrap();
    assert!(!is_dead(leader));
    assert!(dead.reap(GRACE));
    assert!(is_dead(leader));
    dead.remove().unwrap();
}

#[test]
fn the_lock_is_held_until_the_guard_is_done() {
    let script = "trap '' TERM; echo $$ > leader; while :; do sleep 1000; done";
    let mut worker = Worker::start(HOUR, script);
    let leader = worker.pid("leader");
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    let workers = worker.workers();
    eventually("the lock is free", || {
        let leader_lived = !is_dead(leader);
        let dead = presence::dead(&workers).unwrap().pop()?;
        assert!(
            !leader_lived,
            "{} was given up while its group lived",
            dead.incarnation
        );
        Some(())
    });
}
