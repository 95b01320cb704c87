//! `bell worker drain`

use domain::id::WorkerId;

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
        let answer = desk::pool::drain(&engine, &self.worker).await?;
        context.ui.answer(&answer, |answer| {
            format!("{} ends when its attempts have ended\n", answer.worker)
        })?;
        Ok(Exit::DONE)
    }
}
