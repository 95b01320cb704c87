//! `bell bench`

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Measure what it costs on this machine, beside the raw limit of the same disk or server
///
/// Stores are made in a folder of their own, on a server in a schema or under a prefix of their own, and removed
/// afterwards; yours is not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell bench --quick
  bell bench drain enqueue_bulk
  bell bench --store postgres://bell@localhost/postgres enqueue_bulk drain
  bell bench --json > figures.json")]
pub(crate) struct Args {
    /// Only rows whose name contains one of these
    only: Vec<String>,
    /// Smaller sizes: less than a minute instead of several
    #[arg(long)]
    quick: bool,
    /// Samples of each latency
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let options = bench::Options {
            store: context.settings.store().map(str::to_owned),
            durability: context.settings.durability(),
            accept_volatile: context.accept_volatile,
            only: self.only,
            quick: self.quick,
            samples: self.samples,
            at_most: None,
            guard: std::env::current_exe().ok(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| {
            domain::code::Refusal::new(domain::code::Code::Internal, format!("no runtime: {e}"))
        })?;
        let mut tell = |line: &str| {
            if !context.quiet {
                drop(context.ui.note(&format!("{line}\n")));
            }
        };
        let report = runtime.block_on(bench::run(options, &mut tell))?;
        context.ui.answer(&report, ToString::to_string)?;
        Ok(Exit::DONE)
    }
}
