//! What can be typed. Each command's own flags live in its file under `commands`.

use clap::{Args, CommandFactory, Parser, Subcommand};
use domain::code::Refusal;

use crate::commands;
use crate::error::invalid;

/// Run graphs of tasks, by agents and ordinary workers, and keep every step
#[derive(Debug, Parser)]
#[command(
    name = "bell",
    version,
    propagate_version = true,
    infer_long_args = false,
    max_term_width = 110
)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Use this store: sqlite:PATH, postgres://HOST/DB, redis://HOST or memory: [default: the nearest .bellwether folder]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// Talk to this server instead: http://HOST:PORT; BELLWETHER_TOKEN has the token
    #[arg(long, global = true, value_name = "URL", conflicts_with = "store")]
    server: Option<String>,
    /// Put up with a server that may lose what it acknowledges
    #[arg(long, global = true)]
    pub(crate) accept_volatile: bool,
    /// Work in this project
    #[arg(long, global = true, value_name = "NAME")]
    project: Option<String>,
    /// Print one JSON document, errors too, and never ask
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Colour the output: auto, always or never
    #[arg(long, global = true, value_name = "WHEN")]
    color: Option<String>,
    /// Say only what was asked for, and what goes wrong
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more on stderr; twice for debugging
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Globals {
    /// Flags that are settings: option, flag, value.
    pub(crate) fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let flags = [
            ("store", "--store", &self.store),
            ("server", "--server", &self.server),
            ("project", "--project", &self.project),
            ("color", "--color", &self.color),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(name, flag, value)| Some((name, flag, value.clone()?)));
        given.collect()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::Args),
    Submit(commands::submit::Args),
    Runs(commands::runs::Args),
    Plan(commands::plan::Args),
    Analyze(commands::analyze::Args),
    Task(commands::task::Args),
    Queue(commands::queue::Args),
    Events(commands::events::Args),
    Dlq(commands::dlq::Args),
    Agent(commands::agent::Args),
    Team(commands::team::Args),
    Route(commands::route::Args),
    Worker(commands::worker::Args),
    Pool(commands::pool::Args),
    Schedule(commands::schedule::Args),
    Rule(commands::rule::Args),
    Lock(commands::lock::Args),
    Limit(commands::limit::Args),
    Breaker(commands::breaker::Args),
    Budget(commands::budget::Args),
    Breakpoint(commands::breakpoint::Args),
    Serve(commands::serve::Args),
    Token(commands::token::Args),
    Mcp(commands::mcp::Args),
    Prime(commands::prime::Args),
    Bench(commands::bench::Args),
    Audit(commands::audit::Args),
    Store(commands::store::Args),
    Doctor(commands::doctor::Args),
    Explain(commands::explain::Args),
    Config(commands::config::Args),
    Completions(commands::completions::Args),
}

/// Names this program for completions.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// What somebody needs who typed `bell` and nothing else.
pub(crate) fn short_help() -> String {
    let command = command();
    let mut text = format!(
        "{}\n\n",
        command.get_about().map(ToString::to_string).unwrap_or_default()
    );
    text += "First steps:\n";
    for (line, what) in [
        ("bell run plan.yaml", "run a plan to its end"),
        ("bell plan check plan.yaml", "see what a plan will do"),
        (
            "bell task add \"write the docs\"",
            "add work that anybody can claim",
        ),
        ("bell task claim --worker me", "take the next task"),
        ("bell queue status", "see where everything stands"),
    ] {
        text += &format!("  {line:<34}{what}\n");
    }
    let names: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    text + &format!(
        "\nCommands: {}\n`bell COMMAND --help` explains one, with examples.\n",
        names.join(", ")
    )
}

/// A usage error in the shape of all others.
pub(crate) fn refusal(error: &clap::Error) -> Refusal {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let tails = ["tip:", "Usage:", "For more information"];
    let details = lines
        .clone()
        .take_while(|line| !tails.iter().any(|tail| line.starts_with(tail)));
    let detail = std::iter::once(first.trim_start_matches("error: "))
        .chain(details)
        .collect::<Vec<_>>()
        .join(" ");
    let help = lines.find_map(|line| {
        line.strip_prefix("tip: ")
            .or_else(|| line.strip_prefix("Usage: ").map(str::trim))
    });
    match help {
        Some(help) => invalid(detail).help(help),
        None => invalid(detail).help("`bell COMMAND --help` shows its options"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_a_line_that_reads_as_an_order() {
        let mut open = vec![command()];
        while let Some(command) = open.pop() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(
                about.starts_with(|c: char| c.is_ascii_uppercase()),
                "{name}: `{about}`"
            );
            assert!(!about.ends_with('.'), "{name}: `{about}`");
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn usage_errors_become_refusals() {
        let error = Cli::try_parse_from(["bell", "task", "lits"]).unwrap_err();
        let refusal = refusal(&error);
        assert_eq!(refusal.detail, "unrecognized subcommand 'lits'");
        assert!(refusal.help.unwrap().contains("list"));
    }

    #[test]
    fn the_help_of_a_refusal_is_not_in_its_detail() {
        let error = Cli::try_parse_from(["bell", "task", "add", ""]).unwrap_err();
        let refusal = refusal(&error);
        assert_eq!(
            refusal.detail,
            "invalid value '' for '<NAME>': it must not be empty"
        );
        assert!(refusal.help.unwrap().contains("--help"));
    }
}
