//! `bell dlq groups`

use api::letter::Group;
use domain::time::Timestamp;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;

/// Count the dead letters by cause
///
/// Two failures have one cause when reason, class and exit status are equal, and their messages differ only in numbers,
/// paths, times and identifiers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell dlq groups")]
pub(super) struct Args {}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let answer = desk::letter::groups(engine).await?;
        let now = engine.now().wall;
        context.ui.answer(&answer, |answer| table(&answer.groups, now))?;
        if let Some(group) = answer.groups.first() {
            let key = &group.signature;
            context
                .ui
                .hint(&format!("`bell dlq requeue --signature {key}` tries these again"))?;
        }
        Ok(Exit::DONE)
    }
}

fn table(groups: &[Group], now: Timestamp) -> String {
    if groups.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut table = Table::new(&[
        "SIGNATURE",
        ">TASKS",
        ">FELL",
        ">FIRST",
        ">LAST",
        "CAUSE",
        "EXAMPLE",
    ]);
    for group in groups {
        table.row([
            group.signature.clone().into(),
            group.count.to_string().into(),
            group.fell.to_string().into(),
            time::age(group.first_seen.0, now).into(),
            time::age(group.last_seen.0, now).into(),
            cause(group).into(),
            group.example.to_string().into(),
        ]);
    }
    table.render()
}

fn cause(group: &Group) -> String {
    let reason = group.reason.map(|reason| reason.to_string());
    let exit = group.exit.map(|exit| format!("exit {exit}"));
    let parts = [reason, group.class.clone(), exit].into_iter().flatten();
    let mut text = parts.collect::<Vec<_>>().join(", ");
    if !group.message.is_empty() {
        text += &format!(": {}", group.message);
    }
    text
}
