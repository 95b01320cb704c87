//! `bell budget`

use api::curb::{BudgetShown, Budgets};
use clap::Subcommand;
use domain::book::{Book, Edit};
use domain::code::{Code, Refusal};
use domain::curb::Scope;
use domain::curb::budget::{Account, Budget, Cap, Unit};
use domain::event::Kind;

use super::curbs;
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::{lookup, parse};

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
        lookup::catch_up(&engine).await?;
        match self.command {
            Command::List(_) => {}
            Command::Set(set) => {
                if matches!(set.name, Scope::Key(_) | Scope::Work(_)) {
                    let detail = format!("a budget cannot be for `{}`", set.name);
                    return Err(Refusal::new(Code::InvalidArgument, detail).into());
                }
                let now = curbs::settings::<Budget>(&engine, Book::Budget, &set.name).await?;
                let budget = set.onto(now.unwrap_or_default());
                curbs::set(&engine, Book::Budget, &set.name, &budget, Some(Kind::BudgetSet)).await?;
            }
            Command::Remove(remove) => {
                if curbs::settings::<Budget>(&engine, Book::Budget, &remove.name)
                    .await?
                    .is_none()
                {
                    let detail = format!("there is no budget for `{}`", remove.name);
                    return Err(Refusal::new(Code::InvalidArgument, detail).into());
                }
                curbs::write(&engine, Edit::remove(Book::Budget, &remove.name.to_string())).await?;
            }
        }
        let found: Vec<(Scope, Budget, Account)> = curbs::all(&engine, Book::Budget, "budget:").await?;
        let budgets: Vec<BudgetShown> = found
            .into_iter()
            .map(|(name, budget, account)| BudgetShown::new(name, budget, &account))
            .collect();
        let list = Budgets {
            count: budgets.len(),
            budgets,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

impl Set {
    fn onto(&self, now: Budget) -> Budget {
        let hard = Cap {
            tokens: self.tokens.or(now.hard.tokens),
            money: self.money.or(now.hard.money),
            seconds: self.seconds.or(now.hard.seconds),
        };
        let mut soft = now.soft;
        for (unit, amount) in &self.soft {
            soft.set(*unit, *amount);
        }
        Budget { soft, hard }
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
