//! Many tasks through one server, a line for each tenth: `cargo run --release -p bench --example churn -- --store URL
//! [--tasks N] [--relaxed] [--accept-volatile]`. Steady figures mean that nothing grows.

use std::process::ExitCode;

use bench::Slice;
use domain::store::Durability;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = bench::Options::default();
    let mut tasks = 1_000_000;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--store" => options.store = words.next(),
            "--tasks" => tasks = words.next().and_then(|count| count.parse().ok()).unwrap_or(tasks),
            "--relaxed" => options.durability = Durability::Relaxed,
            "--accept-volatile" => options.accept_volatile = true,
            _ => {
                eprintln!("error: `{word}` is not known");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{}", Slice::HEADS);
    match bench::churn(options, tasks, &mut |slice| println!("{slice}")).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("error: {refusal}");
            ExitCode::FAILURE
        }
    }
}
