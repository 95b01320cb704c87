//! `bell task logs`

use std::path::Path;
use std::time::Duration;

use desk::find;
use domain::code::{Code, Refusal};
use domain::id::TaskId;
use engine::process::output::{self, Output};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;

/// Print what an attempt printed
///
/// The first 256 KiB and the last 768 KiB are kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task logs test
  bell task logs test --attempt 1
  bell task logs test --follow")]
pub(crate) struct Args {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    /// Of this attempt [default: the latest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Go on until the attempt ends
    #[arg(long, short)]
    follow: bool,
}

#[derive(Debug, Serialize)]
struct Logs {
    task: TaskId,
    attempt: u32,
    output: String,
    /// Bytes between beginning and end that were not kept.
    dropped: u64,
    bytes: u64,
}

/// Between two looks at output that grows.
const PAUSE: Duration = Duration::from_millis(200);

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let view = find::typed(&engine, &self.id).await?;
        let latest = view.task.attempt();
        let attempt = self.attempt.unwrap_or(latest);
        if attempt == 0 || attempt > latest {
            let which = if latest == 0 {
                "has not been tried yet".to_owned()
            } else {
                format!("had {latest} attempts")
            };
            return Err(invalid(format!("task {} {which}", view.task.id)).into());
        }
        let path = engine.home.output(&engine.project, view.task.seq, attempt);
        let mut part = read(&path, 0)?;
        if context.ui.json && !self.follow {
            let logs = Logs {
                task: view.task.id,
                attempt,
                output: String::from_utf8_lossy(&part.bytes).into_owned(),
                dropped: part.dropped,
                bytes: part.end,
            };
            context.ui.answer(&logs, |_| String::new())?;
            return Ok(Exit::DONE);
        }
        print(context, &part)?;
        if !self.follow {
            return Ok(Exit::DONE);
        }
        loop {
            let view = find::typed(&engine, &self.id).await?;
            // What was printed before the end is read after the end is known.
            let over = view.task.attempt() != attempt || view.task.lease.is_none();
            part = read(&path, part.end)?;
            print(context, &part)?;
            if over {
                return Ok(Exit::DONE);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn read(path: &Path, offset: u64) -> Result<Output> {
    output::read_from(path, offset).map_err(|e| {
        let detail = format!("the output in {} cannot be read: {e}", path.display());
        Refusal::new(Code::StoreUnavailable, detail).into()
    })
}

fn print(context: &Context, part: &Output) -> Result<()> {
    if part.dropped == 0 {
        return context.ui.bytes(&part.bytes);
    }
    context.ui.bytes(&part.bytes[..part.gap_at])?;
    context
        .ui
        .bytes(format!("\n[… {} bytes were not kept …]\n", part.dropped).as_bytes())?;
    context.ui.bytes(&part.bytes[part.gap_at..])
}
