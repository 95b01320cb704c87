//! Drives `bell serve` from another process over loopback, beside the same work in this process on the same disk:
//! `cargo build --release -p bell && cargo run --release -p bench --example load -- [--quick] [--minutes N] [--idle N] [--streams N] [--bell PATH]`.
//!
//! In reading order: a server of its own (`served`), a caller of few words (`http`), the same work both ways (`path`), callers that mean
//! no good (`crowd`), and listeners (`streams`).

mod crowd;
mod http;
mod path;
mod served;
mod streams;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The one that `bell` is built with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Options {
    bell: PathBuf,
    quick: bool,
    /// Of half load, while the server's memory is watched.
    minutes: u64,
    idle: usize,
    streams: usize,
}

fn options() -> Result<Options> {
    // Examples lie in a folder beside the programs.
    let here = std::env::current_exe()?;
    let folder = here
        .parent()
        .and_then(|examples| examples.parent())
        .ok_or("no folder")?;
    let mut options = Options {
        bell: folder.join("bell"),
        quick: false,
        minutes: 0,
        idle: 10_000,
        streams: 2_000,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => (options.quick, options.idle, options.streams) = (true, 500, 100),
            "--minutes" => options.minutes = value()?.parse()?,
            "--idle" => options.idle = value()?.parse()?,
            "--streams" => options.streams = value()?.parse()?,
            "--bell" => options.bell = value()?.into(),
            _ => return Err(format!("`{word}` is not known").into()),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let open = served::raise_open_files()?;
    let served = served::Served::start(&options.bell)?;
    println!(
        "server {} at {}, {open} open files each",
        served.pid(),
        served.address
    );
    println!(
        "SQLite, durability full, both sides on {}\n",
        served.folder().display()
    );
    path::batches(&served, if options.quick { 2 } else { 5 }).await?;
    let rate = path::singles(&served, if options.quick { 300 } else { 3_000 }).await?;
    let span = Duration::from_secs(if options.quick { 3 } else { 20 });
    path::half_load(&served, rate / 2.0, span).await?;
    crowd::run(&served, options.idle, span).await?;
    streams::run(&served, options.streams).await?;
    if options.minutes > 0 {
        let span = Duration::from_secs(60 * options.minutes);
        path::memory(&served, rate / 2.0, span).await?;
    }
    served.end()
}

/// One line of the report.
pub(crate) fn row(what: &str, figure: &str) {
    println!("{what:<46} {figure}");
}

/// The smallest that this share of all does not exceed.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .copied()
        .unwrap_or_default()
}

pub(crate) fn spread(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let ms = |share| quantile(&took, share).as_secs_f64() * 1e3;
    format!(
        "p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms ({} samples)",
        ms(0.5),
        ms(0.95),
        ms(0.99),
        took.len()
    )
}
