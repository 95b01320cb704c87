//! `bell dlq requeue` and `bell dlq drop`

use api::answer::Moved;
use api::letter::{Changed, Preview};
use desk::{find, letter};
use domain::limits::PAGE_MAX;
use domain::store::Command;
use engine::engine::Engine;

use super::select::Select;
use crate::context::Context;
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;
use crate::output::theme;

/// Try dead letters again, with all their tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell dlq requeue build
  bell dlq requeue --kind command --dry-run
  bell dlq requeue --signature 3f2a --yes")]
pub(super) struct Requeue {
    #[command(flatten)]
    which: Which,
}

/// Take tasks out of the dead letters for good; they stay failed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell dlq drop build
  bell dlq drop --older-than 30d --yes")]
pub(super) struct Drop {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The task: its id or the beginning of it, or its key in the newest run
    #[arg(conflicts_with_all = FILTERS)]
    id: Option<String>,
    /// Every dead letter
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    select: Select,
    /// Tell what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

const FILTERS: [&str; 6] = ["all", "kind", "reason", "signature", "older_than", "run"];

/// Tasks named one by one to people.
const NAMED: usize = 20;

struct Deed {
    command: Command,
    verb: &'static str,
    /// It can be taken back, so where nobody can be asked it just happens.
    mild: bool,
}

impl Requeue {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let deed = Deed {
            command: Command::Retry { at: None },
            verb: "try again",
            mild: true,
        };
        self.which.run(context, engine, deed).await
    }
}

impl Drop {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let deed = Deed {
            command: Command::DropLetter,
            verb: "drop",
            mild: false,
        };
        self.which.run(context, engine, deed).await
    }
}

impl Which {
    async fn run(self, context: &Context, engine: &Engine, deed: Deed) -> Result {
        if self.id.is_none() && !self.all && self.select.is_empty() {
            let refusal = invalid("nothing says which dead letters are meant");
            return Err(refusal
                .help(
                    "name a task, or choose with --kind, --reason, --signature, --older-than, --run or --all",
                )
                .into());
        }
        let ids = match &self.id {
            Some(id) => vec![letter::dead(find::typed(engine, id).await?)?.task.id],
            None => letter::all(engine, self.select.asked(engine, None).await?).await?,
        };
        if self.dry_run {
            let preview = Preview {
                dry_run: true,
                count: ids.len(),
                tasks: ids.into_iter().take(PAGE_MAX).collect(),
            };
            context.ui.answer(&preview, |preview| would(preview, deed.verb))?;
            return Ok(Exit::DONE);
        }
        if self.id.is_none() && !self.yes {
            confirm(context, ids.len(), &deed).await?;
        }
        let changed = letter::change_all(engine, &ids, &deed.command).await?;
        context.ui.answer(&changed, people)?;
        Ok(Exit::DONE)
    }
}

async fn confirm(context: &Context, count: usize, deed: &Deed) -> Result<()> {
    if count == 0 || (deed.mild && !context.ui.can_ask()) {
        return Ok(());
    }
    if !context.ui.can_ask() {
        let detail = format!("{count} dead letters would be affected, and nobody can be asked");
        return Err(invalid(detail)
            .help("pass --yes; --dry-run tells which they are")
            .into());
    }
    let (ui, question) = (context.ui.clone(), format!("{} {count} tasks?", deed.verb));
    let asked = tokio::task::spawn_blocking(move || ui.ask(&question)).await;
    match asked.unwrap_or(Ok(false))? {
        true => Ok(()),
        false => Err(Error::Told(Exit::NO)),
    }
}

fn would(preview: &Preview, verb: &str) -> String {
    if preview.count == 0 {
        return "no dead letters\n".to_owned();
    }
    let named = preview.tasks.iter().take(NAMED).map(|id| format!("  {id}\n"));
    let text = format!("would {verb} {}:\n{}", preview.count, named.collect::<String>());
    text + &more(preview.count)
}

fn people(changed: &Changed) -> String {
    if changed.count + changed.refused == 0 {
        return "no dead letters\n".to_owned();
    }
    let line = |moved: &Moved| format!("{}  {}\n", theme::state_text(moved.state, None), moved.task);
    let mut text: String = changed.tasks.iter().take(NAMED).map(line).collect();
    text += &more(changed.count);
    if changed.refused > 0 {
        text += &format!("{} were changed by others meanwhile\n", changed.refused);
    }
    text
}

fn more(count: usize) -> String {
    match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    }
}
