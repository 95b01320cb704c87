//! `bell rule list` and `bell rule show`

use api::rule::{Rule, Rules};
use domain::id::{EventNo, RuleName};
use engine::engine::Engine;
use engine::rules::{self, Known};

use super::find;
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

/// What is known of all rules together.
struct Sight {
    head: EventNo,
    owed: Vec<RuleName>,
    letters: Vec<RuleName>,
}

impl Sight {
    async fn of(engine: &Engine) -> Result<Sight> {
        let names = |all: std::collections::BTreeMap<_, (_, domain::rule::Delivery)>| {
            all.into_values().map(|(_, delivery)| delivery.rule).collect()
        };
        Ok(Sight {
            head: engine.store.chain(&engine.project).await?.last,
            owed: names(rules::deliveries(engine).await?),
            letters: names(rules::letters(engine).await?),
        })
    }

    fn rule(&self, known: &Known) -> Rule {
        let count = |names: &[RuleName]| names.iter().filter(|name| **name == known.name).count();
        Rule {
            lag: rules::lag(known, self.head),
            pending: count(&self.owed),
            letters: count(&self.letters),
            ..Rule::new(&known.name, &known.rule, &known.standing)
        }
    }
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let sight = Sight::of(&engine).await?;
        let known = rules::rules(&engine).await?;
        let list = Rules {
            count: known.len(),
            rules: known.iter().map(|known| sight.rule(known)).collect(),
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let known = find(&engine, &self.name).await?;
        let rule = Sight::of(&engine).await?.rule(&known);
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
