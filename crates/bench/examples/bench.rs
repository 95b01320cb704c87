//! Measures without the command line: `cargo run --release -p bench --example bench -- [--quick] [--json]
//! [--relaxed] [--accept-volatile] [--store URL] [--samples N] [--at-most N] [NAME…]`.

use std::process::ExitCode;

use domain::store::Durability;

/// The one that `bell` is built with, since it decides the memory figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = bench::Options::default();
    let mut json = false;
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
            "--at-most" => options.at_most = value().parse().ok(),
            _ => options.only.push(word),
        }
    }
    match bench::run(options, &mut |line| eprintln!("{line}")).await {
        Ok(report) if json => println!("{}", serde_json::to_string(&report).expect("a report serialises")),
        Ok(report) => print!("{report}"),
        Err(refusal) => {
            eprintln!("error: {refusal}");
            if let Some(help) = refusal.help {
                eprintln!("help: {help}");
            }
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
