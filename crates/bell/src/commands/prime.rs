//! `bell prime`

use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

const TEXT: &str = include_str!("prime.md");

/// Print what an agent needs to know to work here
///
/// Short enough for the beginning of every conversation: under 1,500 tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell prime >> AGENTS.md
  my-agent --prompt \"$(bell prime)\"")]
pub(crate) struct Args {}

#[derive(Debug, Serialize)]
struct Prime {
    text: &'static str,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result {
        context
            .ui
            .answer(&Prime { text: TEXT }, |prime| prime.text.to_owned())?;
        Ok(Exit::DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A token is about four bytes.
    #[test]
    fn it_is_short() {
        assert!(TEXT.len() / 4 < 1_500, "{} tokens", TEXT.len() / 4);
    }
}
