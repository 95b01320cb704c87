//! `bell config set`: what a project keeps in its store for all who work in it.

use api::project::Setting;
use domain::code::{Code, Refusal};
use serde_json::Value;

use crate::context::{Access, Context};
use crate::error::{Result, invalid};
use crate::exit::Exit;

/// Change how the project orders its line, how often it tries, what it keeps and what it gives to agents
///
/// Holds for everybody who works in the project, at once: it is kept in its store. All that is set in one go is
/// changed together, so that weights can be moved from one to another. An empty value sets back to the default.
#[derive(Debug, clap::Args)]
#[command(after_help = "Options:
  order.profile            classic, critical-path or boosts
  order.weights.base       and .depth, .urgency, .blocking, .source: together 1
  order.ageing             points for each hour of waiting, at most 25 in all
  retry                    operation, task, event, or a number of tries, for tasks that do not say
  retention                how long what has ended is kept, such as 30d, or never, to keep everything
  routing.auto             off, or the strategy by which ready work is given to agents without being asked
  routing.ahead            off, or how long before it is ready an agent is held for what is on the critical path
  routing.hold             how long the chosen agent has to take it

Examples:
  bell config set order.profile=boosts retry=operation
  bell config set order.weights.base=0.40 order.weights.depth=0.15
  bell config set order.ageing=
  bell config set retention=90d")]
pub(super) struct Set {
    /// What to change
    #[arg(required = true, value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Set {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Existing).await?;
        let mut settings = Vec::with_capacity(self.settings.len());
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                invalid(format!("`{}` has no value", setting.escape_debug())).help("write NAME=VALUE")
            })?;
            if context.settings.iter().any(|(known, _)| known == name) {
                let detail = format!("a project keeps no setting `{name}`");
                let refusal = Refusal::new(Code::InvalidArgument, detail);
                return Err(refusal
                    .help("this one is set in bell.toml; `bell config defaults` shows how")
                    .into());
            }
            settings.push((name.to_owned(), value.trim().to_owned()));
        }
        let lines = desk::setting::set(&engine, &settings).await?.settings;
        context.ui.answer(&lines, |lines| {
            let line = |line: &Setting| format!("{} = {}\n", line.name, text(&line.value));
            lines.iter().map(line).collect()
        })?;
        Ok(Exit::DONE)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
