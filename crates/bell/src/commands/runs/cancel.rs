//! `bell runs cancel`

use domain::code::Code;
use domain::id::{RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Command, Filter, Request, Target};
use domain::task::state::{Reason, State};
use engine::engine::Engine;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::lookup;
use crate::output::theme;

/// Cancel a run with every task of it that has not ended
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell runs cancel release")]
pub(super) struct Args {
    /// The run: its id or the beginning of it, or the name of its plan
    run: String,
}

/// Tasks cancelled in one transaction.
const BATCH: usize = 250;

#[derive(Debug, Serialize)]
struct Ended {
    run: RunId,
    cancelled: Vec<TaskId>,
    /// How many more than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let run = lookup::run_named(engine, &self.run).await?.id;
        // The run first: from then on it stays cancelled, whatever happens between two batches.
        change(engine, vec![Target::Run(run)]).await?;
        let mut ended = Ended {
            run,
            cancelled: Vec::new(),
            more: 0,
        };
        for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            cancel_all(engine, state, &mut ended).await?;
        }
        context.ui.answer(&ended, |ended| {
            let count = ended.cancelled.len() as u64 + ended.more;
            format!(
                "{}  run {run}, and {count} of its tasks\n",
                theme::state_text(State::Cancelled, None)
            )
        })?;
        Ok(Exit::DONE)
    }
}

async fn cancel_all(engine: &Engine, state: State, ended: &mut Ended) -> Result<()> {
    let filter = Filter {
        run: Some(ended.run),
        states: vec![state],
        ..Filter::default()
    };
    loop {
        let views = engine
            .store
            .list(&engine.project, filter.clone(), Seq(0), BATCH)
            .await?;
        if views.is_empty() {
            return Ok(());
        }
        let targets = views.into_iter().map(|view| Target::Id(view.task.id)).collect();
        for id in change(engine, targets).await? {
            match ended.cancelled.len() {
                PAGE_MAX => ended.more += 1,
                _ => ended.cancelled.push(id),
            }
        }
    }
}

/// Cancels all of them. One that has ended meanwhile needs nothing any more.
async fn change(engine: &Engine, targets: Vec<Target>) -> Result<Vec<TaskId>> {
    let request = |target| Request {
        target,
        command: Command::Cancel {
            reason: Reason::Cancelled,
        },
        actor: engine.actor.clone(),
        idempotency_key: None,
    };
    let requests = targets.into_iter().map(request).collect();
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let mut ids = Vec::new();
    for reply in replies {
        match reply {
            Ok(reply) => ids.extend(reply.cancelled),
            Err(refusal) if refusal.code == Code::InvalidTransition => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(ids)
}
