//! `bell worker drain`

use api::worker::Drained;
use domain::code::{Code, Refusal, nearest};
use domain::id::WorkerId;

use super::list::There;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Let a worker of this machine end its attempts and go
///
/// It is what a first Ctrl-C does: the whole process takes on nothing more, and ends when its attempts have ended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  bell worker drain $(bell worker list --json | jq -r '.workers[0].worker')"
)]
pub(super) struct Drain {
    /// The worker's name
    #[arg(value_name = "WORKER", value_parser = parse::name::<WorkerId>)]
    worker: WorkerId,
}

impl Drain {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let there = There::look(&engine).await?;
        let asked = match there.here(&self.worker) {
            Some(live) if live.drain().unwrap_or(false) => live.pid(),
            _ => None,
        };
        let Some(pid) = asked else {
            let detail = format!("no worker `{}` lives on this machine", self.worker);
            let refusal = Refusal::new(Code::WorkerNotFound, detail);
            let names = there.live.iter().map(|live| live.incarnation.as_str());
            return Err(match nearest(self.worker.as_str(), names) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help("`bell worker list` shows the workers"),
            }
            .into());
        };
        let answer = Drained {
            worker: self.worker,
            pid,
        };
        context.ui.answer(&answer, |answer| {
            format!("{} ends when its attempts have ended\n", answer.worker)
        })?;
        Ok(Exit::DONE)
    }
}
