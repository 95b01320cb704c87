//! `bell worker`: a process that stays up and works whatever is ready.

mod drain;
pub(super) mod list;

use api::worker::Ended;
use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::id::{Capability, Kind, PoolName};
use engine::service;
use engine::worker::Options;

use crate::app::wait;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::{parse, signals};

/// Work on any task that is ready, until told to stop
///
/// Tasks with a command are carried out; schedules fire and rules act meanwhile. The first signal lets attempts end, for 10 s at the
/// most, and takes on nothing more; a second one stops them and hands them back. Either way the exit status is 0.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  bell worker --jobs 4
  bell worker --kind build --capability gpu
  bell worker --pool dev --pool qa"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Work on this many tasks at the same time [default: 10]
    #[arg(long, short, value_name = "N", value_parser = parse::jobs)]
    jobs: Option<usize>,
    /// Take only tasks of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Vec<Kind>,
    /// Offer this capability
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    capability: Vec<Capability>,
    /// Offer an amount for tasks that take `resources`, such as gpu=2 or memory=16GiB
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse::offer)]
    offer: Vec<(String, u64)>,
    /// Work for this pool, which says how many tasks at the same time, and of what kinds
    #[arg(long, value_name = "POOL", value_parser = parse::name::<PoolName>, conflicts_with_all = ["jobs", "kind"])]
    pool: Vec<PoolName>,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Drain(drain::Drain),
}

impl Args {
    pub(crate) fn run(mut self, context: &Context) -> Result {
        match self.command.take() {
            Some(Command::List(list)) => wait(list.run(context)),
            Some(Command::Drain(drain)) => wait(drain.run(context)),
            None => {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
                let runtime =
                    runtime.map_err(|e| Refusal::new(Code::Internal, format!("no runtime: {e}")))?;
                let ended = runtime.block_on(self.work(context));
                runtime.shutdown_background();
                ended
            }
        }
    }

    async fn work(mut self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let began = engine.now().wall;
        self.pool.sort_unstable();
        self.pool.dedup();
        if self.pool.len() > 1 && !self.offer.is_empty() {
            let refusal = invalid("amounts cannot be shared among several pools");
            return Err(refusal.help("start one worker for each pool").into());
        }
        let options = Options {
            offers: self.offer.into_iter().collect(),
            jobs: self.jobs.unwrap_or(context.settings.jobs()),
            kinds: self.kind,
            capabilities: self.capability,
            guard: std::env::current_exe().ok(),
            store_url: context.place()?.1,
            ..context.settings.worker()
        };
        context
            .ui
            .hint("`bell worker list` shows who works here; Ctrl-C ends in good order")?;
        service::serve(&engine, options, &self.pool, signals::pace()?).await?;
        let seconds = engine.now().wall.since(began).as_secs_f64();
        context.ui.answer(&Ended { seconds }, |_| String::new())?;
        Ok(Exit::DONE)
    }
}
