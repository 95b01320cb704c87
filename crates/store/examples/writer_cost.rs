//! What the writer's thread costs per request beside the kernel alone, on the store in memory.
//!
//! `cargo run --release -p store --example writer_cost`

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::{Project, TaskId};
use domain::store::{Admission, AdmitLimits, IntoRun, NewTask, Store};
use domain::task::spec::{Spec, Work};
use domain::time::{Now, Timestamp};
use store::driver::Driver;
use store::kernel;
use store::local::Local;
use store::memory::MemoryDriver;

const REQUESTS: usize = 100_000;
const NOW: Now = Now {
    wall: Timestamp(1_000),
    mono: 0,
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    show("the kernel alone", kernel_alone());
    for callers in [1, 16, 256] {
        show(
            &format!("{callers} callers at once"),
            through_the_writer(callers).await,
        );
    }
}

fn show(what: &str, whole: Duration) {
    let each = whole.as_secs_f64() * 1e6 / REQUESTS as f64;
    println!("{what:<20} {each:>6.2} µs per admission of one task");
}

fn kernel_alone() -> Duration {
    let mut driver = MemoryDriver::default();
    let requests: Vec<Admission> = (0..REQUESTS).map(admission).collect();
    let start = Instant::now();
    for request in &requests {
        driver
            .write(&mut |tx| kernel::admit(tx, &Project::default(), request, NOW).map(drop))
            .expect("it is admitted");
    }
    start.elapsed()
}

async fn through_the_writer(callers: usize) -> Duration {
    let store = Arc::new(Local::open(MemoryDriver::default()).expect("threads start"));
    let mut shares: Vec<Vec<Admission>> = vec![Vec::new(); callers];
    for i in 0..REQUESTS {
        shares[i % callers].push(admission(i));
    }
    let start = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for share in shares {
        let store = store.clone();
        working.spawn(async move {
            for request in share {
                let admitted = store.admit(&Project::default(), request, NOW).await;
                admitted.expect("it is admitted");
            }
        });
    }
    working.join_all().await;
    start.elapsed()
}

fn admission(number: usize) -> Admission {
    let spec = Spec::new("task", Work::Shell("true".to_owned()));
    let id = TaskId::new(&format!("t{number}")).expect("an id");
    Admission {
        tasks: vec![NewTask::new(id, None, &spec, NOW.wall)],
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits {
            prerequisites: 1,
            children: 1,
        },
        actor: "user:ann".into(),
        idempotency_key: None,
    }
}
