//! `bell worker`: a process that stays up and works whatever is ready.

mod drain;
pub(super) mod list;

use api::worker::Ended;
use clap::Subcommand;
use domain::code::{Code, Refusal, nearest};
use domain::id::{AgentName, Capability, Kind, PoolName};
use engine::service;
use engine::worker::Options;

use crate::app::wait;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::output::progress::Teller;
use crate::settings::Agent;
use crate::{parse, signals};

/// Work on any task that is ready, until told to stop
///
/// Tasks with a command are carried out; schedules fire and rules act meanwhile. The first signal takes on nothing more and lets
/// attempts end, for `worker.drain` (10 s) at the most; those that are under way then are stopped and handed back, at once with a
/// second signal. Either way the exit status is 0.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  bell worker --jobs 4
  bell worker --kind build --capability gpu
  bell worker --pool dev --pool qa
  bell worker --agent coder --worktree -- my-agent --print {prompt}"
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
    /// Call this agent for each prompt that it may take, and do nothing else
    ///
    /// As [agents.NAME] of bell.toml says, or with the command after `--`. In its arguments {prompt} and {prompt_file} are
    /// replaced; without either, the prompt comes on stdin.
    #[arg(long, value_name = "NAME", value_parser = parse::name::<AgentName>, conflicts_with = "pool")]
    agent: Option<AgentName>,
    /// Give each attempt of the agent a git worktree of its own, merged when it is done
    #[arg(long, requires = "program")]
    worktree: bool,
    /// How the agent is called
    #[arg(last = true, value_name = "PROGRAM", requires = "agent")]
    program: Vec<String>,
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
        let mut options = Options {
            offers: self.offer.into_iter().collect(),
            jobs: self.jobs.unwrap_or(context.settings.jobs()),
            kinds: self.kind,
            guard: std::env::current_exe().ok(),
            store_url: context.place()?.1,
            ..context.settings.worker()
        };
        if let Some(name) = &self.agent {
            let agent = called(context, name, self.program, self.worktree)?;
            options = agent.worker(name, options);
            options.jobs = self.jobs.unwrap_or(options.jobs);
        }
        options.capabilities.extend(self.capability);
        context
            .ui
            .hint("`bell worker list` shows who works here; Ctrl-C ends in good order")?;
        let said = Teller::new(&context.ui, context.quiet);
        let ending = signals::tell_ending(engine.clone(), options.drain, said);
        service::serve(&engine, options, &self.pool, signals::pace(ending)?).await?;
        let seconds = engine.now().wall.since(began).as_secs_f64();
        context.ui.answer(&Ended { seconds }, |_| String::new())?;
        Ok(Exit::DONE)
    }
}

/// How an agent is called: as the command line says, else as the settings do.
fn called(context: &Context, name: &AgentName, program: Vec<String>, worktree: bool) -> Result<Agent> {
    if !program.is_empty() {
        return Ok(Agent::new(program, worktree));
    }
    let agents = context.settings.agents();
    agents.get(name).cloned().ok_or_else(|| {
        let refusal = invalid(format!("nothing says how the agent `{name}` is called"));
        let help = match nearest(name.as_str(), agents.keys().map(AgentName::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "add [agents.{name}] to bell.toml, or its command: bell worker --agent {name} -- PROGRAM"
            ),
        };
        refusal.help(help).into()
    })
}
