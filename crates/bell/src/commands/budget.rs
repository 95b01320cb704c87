//! `bell budget`

use api::ask;
use api::curb::Budgets;
use clap::Subcommand;
use desk::curb;
use domain::curb::Scope;
use domain::curb::budget::Unit;

use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// Bound what work may use: tokens, money, seconds
///
/// What an attempt may use is reserved when it begins: the task's own `budget`, else what its kind has usually used.
/// Past a soft limit somebody is asked; nothing begins that could go beyond a hard one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
    Remove(Remove),
}

/// List the budgets, what was used of them and what is reserved
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell budget list")]
struct List {}

/// Set a budget, or raise one: whoever waits for it goes on
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell budget set project --money 50 --soft money=40
  bell budget set agent:coder --tokens 2M
  bell budget set run:0198c2d6-… --seconds 7200")]
struct Set {
    /// What it is for: project, kind:NAME, agent:NAME or run:ID
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
    /// At most so many tokens
    #[arg(long, value_name = "AMOUNT", value_parser = parse::amount)]
    tokens: Option<f64>,
    /// At most so much money
    #[arg(long, value_name = "AMOUNT", value_parser = parse::amount)]
    money: Option<f64>,
    /// At most so many seconds
    #[arg(long, value_name = "AMOUNT", value_parser = parse::amount)]
    seconds: Option<f64>,
    /// Ask from here on, as tokens=AMOUNT, money=AMOUNT or seconds=AMOUNT
    #[arg(long, value_name = "UNIT=AMOUNT", value_parser = soft)]
    soft: Vec<(Unit, f64)>,
}

/// Take a budget away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell budget remove agent:coder")]
struct Remove {
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
}

fn soft(text: &str) -> std::result::Result<(Unit, f64), String> {
    let (unit, amount) = text.split_once('=').ok_or("write for example tokens=100k")?;
    let known = Unit::ALL.into_iter().find(|known| known.as_str() == unit);
    let unit = known.ok_or("the units are tokens, money and seconds")?;
    let amount = parse::amount(amount)?;
    Ok((unit, amount))
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let access = match self.command {
            Command::Set(_) => Access::Create,
            _ => Access::Existing,
        };
        let engine = context.open(access).await?;
        let list = match self.command {
            Command::List(_) => curb::budgets(&engine).await?,
            Command::Set(set) => curb::set_budget(&engine, &set.name, &set.asked()).await?,
            Command::Remove(remove) => curb::remove_budget(&engine, &remove.name).await?,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

impl Set {
    fn asked(&self) -> ask::Budget {
        let mut soft = ask::Amounts::default();
        for (unit, amount) in &self.soft {
            match unit {
                Unit::Tokens => soft.tokens = Some(*amount),
                Unit::Money => soft.money = Some(*amount),
                Unit::Seconds => soft.seconds = Some(*amount),
            }
        }
        let hard = ask::Amounts {
            tokens: self.tokens,
            money: self.money,
            seconds: self.seconds,
        };
        ask::Budget { hard, soft }
    }
}

fn people(list: &Budgets) -> String {
    if list.budgets.is_empty() {
        return "there are no budgets\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "UNIT", ">SPENT", ">RESERVED", ">SOFT", ">HARD", "ASKS"]);
    for shown in &list.budgets {
        for unit in Unit::ALL {
            let (soft, hard) = (shown.budget.soft.of(unit), shown.budget.hard.of(unit));
            let (spent, reserved) = (shown.spent.of(unit), shown.reserved.of(unit));
            if soft.is_none() && hard.is_none() && spent == 0.0 && reserved == 0.0 {
                continue;
            }
            let amount = |amount: Option<f64>| amount.map(number).unwrap_or_default();
            table.row([
                shown.name.to_string().into(),
                unit.as_str().into(),
                number(spent).into(),
                number(reserved).into(),
                amount(soft).into(),
                amount(hard).into(),
                if shown.asks { "yes" } else { "" }.into(),
            ]);
        }
    }
    table.render()
}

/// At most three places, and none that tell nothing.
fn number(amount: f64) -> String {
    let text = format!("{amount:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
