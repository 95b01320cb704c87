//! `bell rule list` and `bell rule show`

use api::rule::{Rule, Rules};
use domain::id::RuleName;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{theme, time};
use crate::parse;

/// List the rules: what they wait for, what they do, and how far they are
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule list --json")]
pub(super) struct List {}

/// Show a rule as a whole
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule show qa-after-dev")]
pub(super) struct Show {
    /// The rule's name
    #[arg(value_parser = parse::name::<RuleName>)]
    name: RuleName,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let list = desk::rule::list(&engine).await?;
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let rule = desk::rule::show(&engine, &self.name).await?;
        let now = engine.now().wall;
        context.ui.answer(&rule, |rule| {
            let last = rule.last.map_or_else(|| "never".to_owned(), |last| time::both(last, now));
            let action = serde_json::to_value(&rule.action).unwrap_or_default();
            let action = serde_json::to_string_pretty(&action[rule.does]).unwrap_or_default();
            format!(
                "{}\non       {}\nif       {}\n{:<8} {action}\ndepth    {}\nfired    {}, failed {}, last {last}\nowes     {}, letters {}, {} events behind\n",
                theme::paint(theme::BOLD, rule.name.as_str()),
                on(rule),
                rule.when.as_ref().map_or("–", |when| when.as_str()),
                rule.does,
                rule.depth,
                rule.fired,
                rule.failed,
                rule.pending,
                rule.letters,
                rule.lag,
            )
        })?;
        Ok(Exit::DONE)
    }
}

fn on(rule: &Rule) -> String {
    let on: Vec<&str> = rule
        .on
        .iter()
        .map(domain::event::pattern::Pattern::as_str)
        .collect();
    on.join(", ")
}

fn people(list: &Rules) -> String {
    if list.rules.is_empty() {
        return "no rules\n".to_owned();
    }
    let mut table = Table::new(&[
        "NAME", "DOES", "ON", "IF", ">FIRED", ">FAILED", ">OWES", ">LETTERS", ">BEHIND",
    ]);
    for rule in &list.rules {
        table.row([
            rule.name.as_str().into(),
            rule.does.into(),
            on(rule).into(),
            rule.when.as_ref().map_or("–", |when| when.as_str()).into(),
            rule.fired.to_string().into(),
            rule.failed.to_string().into(),
            rule.pending.to_string().into(),
            rule.letters.to_string().into(),
            rule.lag.to_string().into(),
        ]);
    }
    table.render()
}
