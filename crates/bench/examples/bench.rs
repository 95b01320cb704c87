//! Measures without the command line: `cargo run --release -p bench --example bench -- [--quick] [--json]
//! [--relaxed] [--accept-volatile] [--store URL] [--samples N] [--at-most N] [--churn N] [NAME…]`.

use std::process::ExitCode;

use domain::code::Refusal;
use domain::store::Durability;

/// The one that `bell` is built with, since it decides the memory figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = bench::Options::default();
    let mut json = false;
    let mut churned = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--quick" => options.quick = true,
            "--json" => json = true,
            "--accept-volatile" => options.accept_volatile = true,
            "--relaxed" => options.durability = Durability::Relaxed,
            "--store" => options.store = Some(value()),
            "--samples" => options.samples = value().parse().ok(),
            "--churn" => churned = value().parse().ok(),
            "--at-most" => options.at_most = value().parse().ok(),
            _ => options.only.push(word),
        }
    }
    if let Some(tasks) = churned {
        return churn(options, tasks).await;
    }
    match bench::run(options, &mut |line| eprintln!("{line}")).await {
        Ok(report) if json => println!("{}", serde_json::to_string(&report).expect("a report serialises")),
        Ok(report) => print!("{report}"),
        Err(refusal) => return failed(refusal),
    }
    ExitCode::SUCCESS
}

/// Many tasks through one server, a line for each tenth. Steady figures mean that nothing grows.
async fn churn(options: bench::Options, tasks: usize) -> ExitCode {
    println!("{}", bench::Slice::HEADS);
    match bench::churn(options, tasks, &mut |slice| println!("{slice}")).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(refusal) => failed(refusal),
    }
}

fn failed(refusal: Refusal) -> ExitCode {
    eprintln!("error: {refusal}");
    if let Some(help) = refusal.help {
        eprintln!("help: {help}");
    }
    ExitCode::FAILURE
}
