//! `bell agent`: who is registered, what they can do, and how they do.

mod change;
mod list;
mod performance;
mod say;
mod show;

use clap::Subcommand;
use domain::agent::profile::Level;
use domain::id::Capability;

use crate::context::Context;
use crate::error::Result;

/// Register agents, and see how they do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Register(Box<say::Register>),
    List(list::List),
    Show(show::Show),
    Health(show::Health),
    Edit(Box<say::Edit>),
    Learn(change::Learn),
    Report(change::Report),
    Heartbeat(change::Heartbeat),
    Deregister(change::Deregister),
    Advise(performance::Advise),
    Export(performance::Export),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Register(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Health(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Learn(args) => args.run(context).await,
            Command::Report(args) => args.run(context).await,
            Command::Heartbeat(args) => args.run(context).await,
            Command::Deregister(args) => args.run(context).await,
            Command::Advise(args) => args.run(context).await,
            Command::Export(args) => args.run(context).await,
        }
    }
}

/// `NAME` or `NAME:LEVEL`.
fn specialisation(text: &str) -> std::result::Result<(Capability, Option<Level>), String> {
    desk::agent::specialisation(text).map_err(|refusal| refusal.detail)
}

/// A number from 0 to 1, or a percentage.
fn share(text: &str) -> std::result::Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    number
        .ok()
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "write a number from 0 to 1, or a percentage such as 80%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers_or_percentages() {
        assert_eq!((share("0.8"), share("80%")), (Ok(0.8), Ok(0.8)));
        for bad in ["", "80", "-1", "nan", "101%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
