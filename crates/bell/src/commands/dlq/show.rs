//! `bell dlq show`

use desk::{find, letter};
use engine::engine::Engine;

use crate::commands::task;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Show a dead letter with its tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell dlq show build")]
pub(super) struct Args {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let view = letter::dead(find::typed(engine, &self.id).await?)?;
        let (spec, key) = (view.body.read_spec().ok(), letter::signature(&view).key());
        let task = find::whole(engine, view).await?;
        context
            .ui
            .answer(&task, |task| task::people(task, spec.as_ref(), engine.now().wall))?;
        context.ui.hint(&format!(
            "`bell dlq requeue {}` tries it again; `bell dlq list --signature {key}` shows those with the same cause",
            self.id
        ))?;
        Ok(Exit::DONE)
    }
}
