//! `bell token`

use api::ask;
use api::time::Moment;
use api::token::{Made, Role, Token, Tokens};
use clap::Subcommand;
use domain::id::{PoolName, Project};
use domain::task::spec;
use domain::time::Timestamp;

use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// Say who may use this store over the wire
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token; its secret is shown this once
///
/// A reader looks, a worker takes tasks and ends them, an operator adds work and changes what is there, an admin makes
/// tokens too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell token create ci --role operator --expires 30d
  bell token create screen --role reader --only default")]
struct Create {
    /// What the token is called; events name who acted by it
    #[arg(value_parser = parse::name::<PoolName>)]
    name: PoolName,
    /// reader, worker, operator or admin
    #[arg(long, value_parser = role)]
    role: Role,
    /// Not after then: a time, or a duration from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    expires: Option<spec::Moment>,
    /// Only for this project; may be repeated
    #[arg(long, value_name = "PROJECT", value_parser = parse::name::<Project>)]
    only: Vec<Project>,
}

/// List the tokens, never their secrets
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell token list")]
struct List {}

/// Take a token away; servers refuse it within a second
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell token revoke ci")]
struct Revoke {
    /// The token's name
    name: String,
}

fn role(text: &str) -> std::result::Result<Role, String> {
    let found = Role::named(text);
    found.ok_or_else(|| "write reader, worker, operator or admin".to_owned())
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Create(create) => create.run(context).await,
            Command::List(_) => {
                let engine = context.engine().await?;
                let tokens = desk::token::list(&engine).await?;
                let now = engine.now().wall;
                context.ui.answer(&tokens, |tokens| table(tokens, now))?;
                Ok(Exit::DONE)
            }
            Command::Revoke(revoke) => {
                let engine = context.engine().await?;
                let gone: Token = desk::token::revoke(&engine, &revoke.name).await?;
                context
                    .ui
                    .answer(&gone, |gone| format!("revoked {}\n", gone.name))?;
                Ok(Exit::DONE)
            }
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Create).await?;
        let asked = ask::Token {
            name: self.name,
            role: self.role,
            expires: self.expires.map(Moment),
            projects: self.only,
        };
        let made: Made = desk::token::create(&engine, asked).await?;
        context.ui.answer(&made, |made| format!("{}\n", made.secret))?;
        context.ui.hint("keep it now: it is not shown again")?;
        Ok(Exit::DONE)
    }
}

fn table(tokens: &Tokens, now: Timestamp) -> String {
    if tokens.tokens.is_empty() {
        return "there are no tokens\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "ROLE", "PROJECTS", ">AGE", "EXPIRES"]);
    for token in &tokens.tokens {
        let projects: Vec<&str> = token.projects.iter().map(Project::as_str).collect();
        let expires = token.expires_at.map(|at| time::both(at, now));
        table.row([
            token.name.as_str().into(),
            token.role.as_str().into(),
            if projects.is_empty() {
                "all".to_owned()
            } else {
                projects.join(" ")
            }
            .into(),
            time::age(token.created_at.0, now).into(),
            expires.unwrap_or_else(|| "never".to_owned()).into(),
        ]);
    }
    table.render()
}
