//! `bell completions`

use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell completions bash > ~/.local/share/bash-completion/completions/bell
  bell completions zsh > ~/.zfunc/_bell
  bell completions fish > ~/.config/fish/completions/bell.fish")]
pub(crate) struct Args {
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::command(), "bell", &mut script);
        context.ui.bytes(&script)?;
        Ok(Exit::DONE)
    }
}
