//! What a launch costs beyond bare spawning:
//! `cargo test -p engine --test it --release -- process_bench --ignored --nocapture`

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::process::guard::Guard;
use engine::process::presence::Presence;
use engine::process::{How, Launch, Launcher, since_boot};
use serde_json::Value;

const COMMANDS: usize = 2000;
const JOBS: usize = 10;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it alone on a quiet machine"]
async fn launching_is_nearly_as_cheap_as_spawning() {
    let folder = tempfile::tempdir().unwrap();
    let presence = Presence::enter(&folder.path().join("workers"), "bench", &Value::Null).unwrap();
    let guard = Guard::start(
        &std::env::current_exe().unwrap(),
        &presence,
        Duration::from_secs(1),
    )
    .unwrap();
    guard.renew(since_boot() + Duration::from_secs(3600));
    let path = folder.path().to_owned();
    let (mut threads, mut tasks, mut plain, mut guarded) = (vec![], vec![], vec![], vec![]);
    // In turns, so that a machine that becomes busier is so for all of them.
    for _ in 0..ROUNDS {
        threads.push(tokio::task::spawn_blocking(bare_threads).await.unwrap());
        tasks.push(bare_tasks().await);
        plain.push(launches(Launcher::unguarded("bench"), path.clone()).await);
        guarded.push(launches(Launcher::guarded(guard.clone()), path.clone()).await);
    }
    guard.stop().await;
    let bare = median(&mut threads);
    for (name, times) in [
        ("bare, std on threads", &mut threads),
        ("bare, tokio tasks", &mut tasks),
        ("launch", &mut plain),
        ("launch with guard", &mut guarded),
    ] {
        let time = median(times);
        let each = time / u32::try_from(COMMANDS).unwrap();
        println!(
            "{name:22} {time:8.1?}  {each:6.0?} each  {:.2}",
            time.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn bare_threads() -> Duration {
    let (start, count) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                while count.fetch_add(1, Ordering::Relaxed) < COMMANDS {
                    let mut command = Command::new("/bin/true");
                    command
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null());
                    assert!(command.status().unwrap().success());
                }
            });
        }
    });
    start.elapsed()
}

async fn bare_tasks() -> Duration {
    in_parallel(|| async {
        let mut command = tokio::process::Command::new("/bin/true");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(command.status().await.unwrap().success());
    })
    .await
}

async fn launches(launcher: Launcher, folder: std::path::PathBuf) -> Duration {
    let (launcher, folder) = (Arc::new(launcher), Arc::new(folder));
    in_parallel(move || {
        let (launcher, folder) = (launcher.clone(), folder.clone());
        async move {
            let launch = Launch::new(["/bin/true"], folder.to_path_buf(), folder.join("record"));
            assert_eq!(launcher.launch(launch).unwrap().wait().await.how, How::Exit(0));
        }
    })
    .await
}

async fn in_parallel<F: Future<Output = ()> + Send>(
    work: impl Fn() -> F + Clone + Send + 'static,
) -> Duration {
    let (start, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut jobs = tokio::task::JoinSet::new();
    for _ in 0..JOBS {
        let (work, count) = (work.clone(), count.clone());
        jobs.spawn(async move {
            while count.fetch_add(1, Ordering::Relaxed) < COMMANDS {
                work().await;
            }
        });
    }
    jobs.join_all().await;
    start.elapsed()
}
