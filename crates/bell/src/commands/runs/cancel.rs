//! `bell runs cancel`

use desk::find;
use domain::task::state::State;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme;

/// Cancel a run with every task of it that has not ended
///
/// One that has failed is not continued any more: the next `bell run` begins anew. One that has succeeded cannot be cancelled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell runs cancel release")]
pub(super) struct Args {
    /// The run: its id or the beginning of it, or the name of its plan
    run: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let run = find::typed_run(engine, &self.run).await?.id;
        let ended = desk::run::cancel_found(engine, run).await?;
        context.ui.answer(&ended, |ended| {
            let count = ended.cancelled.len() as u64 + ended.more;
            let state = theme::state_text(State::Cancelled, None);
            format!("{state}  run {run}, and {count} of its tasks\n")
        })?;
        Ok(Exit::DONE)
    }
}
