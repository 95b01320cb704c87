//! `bell task logs`

use std::path::PathBuf;
use std::time::Duration;

use desk::find;
use domain::code::{Code, Refusal};
use domain::id::TaskId;
use engine::process::output::{self, HEAD, Output};
use serde::{Deserialize, Serialize};

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
        let record = match context.settings.server() {
            Some(url) => Record::Far {
                link: context.link(url)?,
                project: engine.project.to_string(),
                task: view.task.id.clone(),
                attempt: attempt.to_string(),
            },
            None => Record::Here(engine.home.output(&engine.project, view.task.seq, attempt)),
        };
        let mut part = record.read(0).await?;
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
            part = record.read(part.end).await?;
            print(context, &part)?;
            if over {
                return Ok(Exit::DONE);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Where the output is kept: on this machine, or beside the server.
enum Record {
    Here(PathBuf),
    Far {
        link: client::Link,
        project: String,
        task: TaskId,
        attempt: String,
    },
}

/// What the server answers.
#[derive(Deserialize)]
struct Told {
    output: String,
    dropped: u64,
    bytes: u64,
}

impl Record {
    async fn read(&self, after: u64) -> Result<Output> {
        match self {
            Record::Here(path) => output::read_from(path, after).map_err(|e| {
                let detail = format!("the output in {} cannot be read: {e}", path.display());
                Refusal::new(Code::StoreUnavailable, detail).into()
            }),
            Record::Far {
                link,
                project,
                task,
                attempt,
            } => {
                let (asked, after) = (after, after.to_string());
                let query = [("project", &**project), ("attempt", attempt), ("after", &after)];
                let told: Told = link.get_of_task(task, "logs", &query).await?;
                // The gap begins where the head is full.
                let head = HEAD.saturating_sub(asked);
                let mut gap_at = told.output.len().min(usize::try_from(head).unwrap_or(usize::MAX));
                while !told.output.is_char_boundary(gap_at) {
                    gap_at -= 1;
                }
                Ok(Output {
                    bytes: told.output.into_bytes(),
                    dropped: told.dropped,
                    gap_at,
                    end: told.bytes,
                })
            }
        }
    }
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
