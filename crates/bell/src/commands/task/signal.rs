//! `bell task signal`

use domain::task::spec::Json;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Send a signal to the tasks that wait for it
///
/// All tasks with `wait: { signal: NAME }` that are waiting go on, with the payload in their result. A task that begins to
/// wait later goes on too, if it says `earlier: true`; of several signals of a name it finds the latest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task signal data-arrived
  bell task signal approved --payload '{\"by\": \"ann\"}'")]
pub(crate) struct Args {
    /// The signal's name
    #[arg(value_parser = parse::text)]
    name: String,
    /// Send this JSON along; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    payload: Option<Json>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        desk::signal::check(&self.name, self.payload.as_ref())?;
        let engine = context.engine().await?;
        let answer = desk::signal::send(&engine, &self.name, self.payload).await?;
        context
            .ui
            .answer(&answer, |answer| format!("sent {}\n", answer.signal))?;
        Ok(Exit::DONE)
    }
}
