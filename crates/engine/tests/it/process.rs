//! Single commands, from launch to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::process::{Cause, Control, Ended, How, Launch, Launcher, Running, output};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder to run in, and a way to hear when the command has come to a certain point.
struct Bench {
    folder: TempDir,
    launch: Launch,
    pieces: mpsc::Receiver<Vec<u8>>,
}

impl Bench {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (watcher, pieces) = mpsc::channel(1024);
        let record = folder.path().join("records/1");
        let mut launch = Launch::new(["sh", "-c", script], folder.path().to_owned(), record);
        launch.watcher = Some(watcher);
        Self {
            folder,
            launch,
            pieces,
        }
    }

    fn start(&self) -> (Control, JoinHandle<Ended>) {
        let running = launch(self.launch.clone());
        (running.control(), tokio::spawn(running.wait()))
    }

    async fn run(&self) -> Ended {
        ended(self.start().1).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn printed(&self) -> String {
        String::from_utf8(output::read(&self.launch.output).unwrap().bytes).unwrap()
    }

    async fn hears(&mut self, text: &str) {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(text) {
            heard.extend(timeout(PATIENCE, self.pieces.recv()).await.unwrap().unwrap());
        }
    }
}

fn launch(launch: Launch) -> Running {
    Launcher::unguarded(&format!("test-{}", uuid::Uuid::now_v7()))
        .launch(launch)
        .unwrap()
}

async fn ended(task: JoinHandle<Ended>) -> Ended {
    timeout(PATIENCE, task).await.expect("ends in time").unwrap()
}

pub(crate) fn state(pid: u32) -> Option<char> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    line.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn is_dead(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

pub(crate) fn pid_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok()
}

#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn the_path_of_the_task_leads_to_its_program() {
    use std::os::unix::fs::PermissionsExt;

    let mut bench = Bench::new("");
    let program = |folder: &str, mode| {
        let file = bench.path(folder).join("greet");
        fs::create_dir(bench.path(folder)).unwrap();
        fs::write(&file, format!("#!/bin/sh\necho \"$0 of {folder}\"")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    program("plain", 0o644);
    program("runs", 0o755);
    fs::create_dir_all(bench.path("folder/greet")).unwrap();
    let folders = ["missing", "folder", "plain", "runs"].map(|name| bench.path(name));
    let path = std::env::join_paths(folders).unwrap().into_string().unwrap();
    bench.launch.argv = vec!["greet".into()];
    bench
        .launch
        .env
        .push(("PATH".into(), format!("{path}:/bin:/usr/bin")));
    assert_eq!(bench.run().await.how, How::Exit(0));
    assert!(bench.printed().ends_with("of runs\n"), "{}", bench.printed());

    bench.launch.env = vec![("PATH".into(), bench.path("plain").display().to_string())];
    let error = Launcher::unguarded("test")
        .launch(bench.launch.clone())
        .unwrap_err();
    assert_eq!(error.cause, Cause::Denied);
}

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    assert_eq!(Bench::new("exit 0").run().await.how, How::Exit(0));
    assert_eq!(Bench::new("exit 7").run().await.how, How::Exit(7));
    assert_eq!(Bench::new("kill -USR1 $$").run().await.how, How::Signal(10));
}

#[tokio::test]
async fn both_outputs_are_kept_in_order() {
    let bench = Bench::new("echo one; echo two >&2; echo three");
    let ended = bench.run().await;
    assert_eq!(bench.printed(), "one\ntwo\nthree\n");
    assert_eq!(
        (ended.output.written, ended.output.lost, ended.output.fault),
        (14, 0, None)
    );
}

// proves: DESIGN 5
#[tokio::test]
async fn input_environment_and_folder_reach_the_command() {
    let mut bench =
        Bench::new("cat | wc -c; echo $COLOUR; echo ${HOME-none}; echo $BELL_WORKER | cut -c 1-5; pwd -P");
    bench.launch.stdin = Some(vec![b'x'; 300_000]);
    bench.launch.env = vec![("COLOUR".to_owned(), "blue".to_owned())];
    bench.launch.env_remove = vec!["HOME".to_owned()];
    assert_eq!(bench.run().await.how, How::Exit(0));
    let folder = fs::canonicalize(bench.folder.path()).unwrap();
    assert_eq!(
        bench.printed(),
        format!("300000\nblue\nnone\ntest-\n{}\n", folder.display())
    );
}

#[tokio::test]
async fn without_input_there_is_none() {
    assert_eq!(Bench::new("! read line").run().await.how, How::Exit(0));
}

#[tokio::test]
async fn a_silent_command_leaves_no_file() {
    let bench = Bench::new("true");
    bench.run().await;
    assert!(!bench.path("records").exists());
    assert_eq!(
        output::read(&bench.launch.output).unwrap(),
        output::Output::default()
    );
}

#[tokio::test]
async fn the_timeout_ends_grandchildren_too() {
    let mut bench = Bench::new("(sleep 1000 & echo $! > grandchild; wait) & wait");
    bench.launch.timeout = Some(Duration::from_millis(300));
    assert_eq!(bench.run().await.how, How::TimedOut);
    assert!(is_dead(pid_in(&bench.path("grandchild")).unwrap()));
}

// proves: DESIGN 5
#[tokio::test]
async fn who_ignores_term_is_killed_after_the_grace() {
    let mut bench = Bench::new("trap '' TERM; echo ready; while :; do sleep 1000; done");
    bench.launch.grace = Duration::from_millis(200);
    let (control, task) = bench.start();
    bench.hears("ready").await;
    let start = Instant::now();
    control.cancel();
    assert_eq!(ended(task).await.how, How::Cancelled);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn who_heeds_term_may_clean_up() {
    let mut bench = Bench::new("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    let (control, task) = bench.start();
    bench.hears("ready").await;
    control.cancel();
    control.resume(); // Too late: a cancel is final.
    assert_eq!(ended(task).await.how, How::Cancelled);
    assert!(bench.printed().ends_with("cleaned\n"));
}

#[tokio::test]
async fn a_member_may_clean_up_after_its_leader_is_gone() {
    let script =
        "(trap 'sleep 0.2; touch cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done)& wait";
    let mut bench = Bench::new(&script.replace("touch", "exec >&- 2>&-; touch"));
    let (control, task) = bench.start();
    bench.hears("ready").await;
    control.cancel();
    assert_eq!(ended(task).await.how, How::Cancelled);
    assert!(bench.path("cleaned").exists());
}

#[tokio::test]
async fn suspension_stops_the_group_and_the_clock() {
    // It waits without starting anything: a shell caught between `vfork` and `exec` stands still as
    // well, but does not show it.
    let mut bench = Bench::new("echo $$ > pid; mkfifo go; echo ready; read line < go; exit 7");
    bench.launch.timeout = Some(Duration::from_secs(2));
    let (control, task) = bench.start();
    bench.hears("ready").await;
    let pid = pid_in(&bench.path("pid")).unwrap();
    control.suspend();
    // The task that sends the signal needs this thread.
    spawn_blocking(move || eventually("stopped", || (state(pid) == Some('T')).then_some(())))
        .await
        .unwrap();
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(state(pid), Some('T'));
    control.resume();
    let go = bench.path("go");
    spawn_blocking(|| fs::write(go, "\n").unwrap()).await.unwrap();
    let ended = ended(task).await;
    assert_eq!(ended.how, How::Exit(7));
    assert!(ended.elapsed < Duration::from_secs(2));
}

#[tokio::test]
async fn the_suspended_can_be_cancelled() {
    let mut bench = Bench::new("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    let (control, task) = bench.start();
    bench.hears("ready").await;
    control.suspend();
    tokio::task::yield_now().await;
    let start = Instant::now();
    control.cancel();
    assert_eq!(ended(task).await.how, How::Cancelled);
    assert!(start.elapsed() < Launch::GRACE);
}

#[tokio::test]
async fn a_child_left_behind_neither_hangs_nor_survives() {
    let bench =
        Bench::new("sleep 1000 & echo $! > loud; sleep 1000 >/dev/null 2>&1 & echo $! > silent; exit 4");
    assert_eq!(bench.run().await.how, How::Exit(4));
    for name in ["loud", "silent"] {
        assert!(is_dead(pid_in(&bench.path(name)).unwrap()), "{name}");
    }
}

#[tokio::test]
async fn the_tail_of_a_pipeline_may_finish() {
    let bench = Bench::new("(sleep 0.1; echo late) & exit 0");
    assert_eq!(bench.run().await.how, How::Exit(0));
    assert_eq!(bench.printed(), "late\n");
}

#[tokio::test]
async fn a_forced_end_finds_who_left_the_group() {
    let mut bench = Bench::new("setsid sleep 1000 & echo $! > escaped; echo ready; wait");
    let (control, task) = bench.start();
    bench.hears("ready").await;
    control.cancel();
    assert_eq!(ended(task).await.how, How::Cancelled);
    assert!(is_dead(pid_in(&bench.path("escaped")).unwrap()));
}

#[tokio::test]
async fn an_escaped_holder_of_the_output_does_not_hang() {
    let bench =
        Bench::new("setsid sh -c 'while :; do echo more; sleep 0.01; done' & echo $! > escaped; exit 0");
    assert_eq!(bench.run().await.how, How::Exit(0));
    let escaped = pid_in(&bench.path("escaped")).unwrap();
    assert!(!is_dead(escaped));
    std::process::Command::new("kill")
        .args(["-9", &escaped.to_string()])
        .status()
        .unwrap();
}

// proves: DESIGN 5
#[tokio::test]
async fn a_flood_is_bounded_to_head_and_tail() {
    let total: u64 = 10 * 1024 * 1024;
    let bench = Bench::new(&format!("seq -f %015.0f 1 {}", total / 16));
    let ended = bench.run().await;
    assert_eq!((ended.how, ended.output.written), (How::Exit(0), total));
    let read = output::read(&bench.launch.output).unwrap();
    assert_eq!(
        (read.dropped, read.end),
        (total - output::HEAD - output::TAIL, total)
    );
    let lines = |from: u64, to: u64| {
        (from..to)
            .map(|at| format!("{:015}\n", at / 16 + 1)[at as usize % 16..][..1].to_owned())
            .collect::<String>()
    };
    let (head, tail) = read.bytes.split_at(read.gap_at);
    assert!(head == lines(0, output::HEAD).as_bytes());
    assert!(tail == lines(total - output::TAIL, total).as_bytes());
    assert!(bench.launch.output.metadata().unwrap().len() < output::HEAD + output::TAIL + 100);
}

#[tokio::test]
async fn output_can_be_followed_while_it_grows() {
    let mut bench = Bench::new("echo one; until [ -e go ]; do sleep 0.01; done; echo two");
    let (_, task) = bench.start();
    bench.hears("one").await;
    let path = bench.launch.output.clone();
    let look = move || {
        eventually("output", || {
            output::read(&path).ok().filter(|output| output.end > 0)
        })
    };
    let first = spawn_blocking(look).await.unwrap();
    assert_eq!(first.bytes, b"one\n");
    fs::write(bench.path("go"), "").unwrap();
    ended(task).await;
    let rest = output::read_from(&bench.launch.output, first.end).unwrap();
    assert_eq!((rest.bytes.as_slice(), rest.dropped), (&b"two\n"[..], 0));
}

#[tokio::test]
async fn output_that_cannot_be_kept_is_counted() {
    let mut bench = Bench::new("echo lost");
    fs::write(bench.path("file"), "").unwrap();
    for (record, fault) in [
        (bench.path("file/record"), "Not a directory"),
        (PathBuf::from("/dev/full"), "No space"),
    ] {
        bench.launch.output = record;
        let ended = bench.run().await;
        assert_eq!(
            (ended.how, ended.output.written, ended.output.lost),
            (How::Exit(0), 0, 5)
        );
        assert!(ended.output.fault.unwrap().starts_with(fault));
    }
}

#[tokio::test]
async fn dropping_a_command_kills_it() {
    let bench = Bench::new("sleep 1000");
    let running = launch(bench.launch.clone());
    let pid = running.pid();
    drop(running);
    eventually("dead and reaped", || state(pid).is_none().then_some(()));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let check = |argv: &[&str], cwd: &Path, cause: Cause| {
        let launch = Launch::new(argv, cwd.to_owned(), cwd.join("record"));
        let error = Launcher::unguarded("test").launch(launch).unwrap_err();
        assert_eq!(error.cause, cause, "{error}");
        error.to_string()
    };
    let bench = Bench::new("");
    let here = bench.folder.path();
    let text = check(&["no-such-program"], here, Cause::NoProgram);
    assert_eq!(
        text,
        format!("start `no-such-program` in {}: no such program", here.display())
    );
    check(&["true"], &here.join("nowhere"), Cause::NoDirectory);
    check(&["/etc/passwd"], here, Cause::Denied);
    check(&[], here, Cause::Other("the command is empty".to_owned()));
    fs::write(here.join("script"), "#!/no/such/interpreter\n").unwrap();
    std::process::Command::new("chmod")
        .args(["+x", "script"])
        .current_dir(here)
        .status()
        .unwrap();
    check(&["./script"], here, Cause::NoInterpreter);
}
