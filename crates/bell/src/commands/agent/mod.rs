//! `bell agent`: who is registered, what they can do, and how they do.

mod change;
mod list;
mod say;
mod show;

use clap::Subcommand;
use desk::find;
use domain::agent::profile::Level;
use domain::code::Code;
use domain::id::Capability;
use engine::agents::learn;
use engine::engine::Engine;

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
        }
    }
}

/// Pages of the log that a command learns from at the most before it answers.
const PAGES: usize = 200;

/// Does what is due, and brings the records up to date.
pub(super) async fn catch_up(engine: &Engine) -> Result<()> {
    find::catch_up(engine).await?;
    match learn::catch_up(engine, PAGES).await {
        // Looking at a store that cannot be written is still allowed.
        Err(refusal) if refusal.code == Code::StoreReadOnly => Ok(()),
        caught_up => Ok(caught_up.map(drop)?),
    }
}

/// `NAME` or `NAME:LEVEL`. Names may contain colons, so only a known level is split off.
fn specialisation(text: &str) -> std::result::Result<(Capability, Option<Level>), String> {
    let split = text
        .rsplit_once(':')
        .and_then(|(name, level)| Some((name, level.parse().ok()?)));
    let (name, level) = match split {
        Some((name, level)) => (name, Some(level)),
        None => (text, None),
    };
    Ok((crate::parse::name(name)?, level))
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
    fn only_a_known_level_is_split_off() {
        let of = |text| specialisation(text).unwrap();
        assert_eq!(of("auth:expert").1, Some(Level::Expert));
        assert_eq!(of("aws:s3").0.as_str(), "aws:s3");
        assert_eq!(of("aws:s3:novice").0.as_str(), "aws:s3");
        assert!(specialisation(":expert").is_err());
    }

    #[test]
    fn shares_are_numbers_or_percentages() {
        assert_eq!((share("0.8"), share("80%")), (Ok(0.8), Ok(0.8)));
        for bad in ["", "80", "-1", "nan", "101%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
