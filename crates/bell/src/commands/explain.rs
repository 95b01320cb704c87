//! `bell explain`

use api::explain::{Page, Pages};

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::Ui;
use crate::output::table::{Table, fields};
use crate::output::theme::{self, paint};

/// Explain an error code: its cause and its cure
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell explain lease-lost\n  bell explain              (lists all codes)")]
pub(crate) struct Args {
    /// The code: the word in brackets after `error`
    code: Option<String>,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result {
        self.tell(&context.ui)
    }

    /// Needs no settings.
    pub(crate) fn tell(&self, ui: &Ui) -> Result {
        match &self.code {
            None => ui.answer(&Pages::all(), list)?,
            Some(name) => ui.answer(&desk::explain::page(name)?, people)?,
        }
        Ok(Exit::DONE)
    }
}

fn people(page: &Page) -> String {
    let head = format!("{}  {}\n", paint(theme::BOLD, page.code.as_str()), page.title);
    head + &fields(&[
        ("cause", Some(page.cause.to_owned())),
        ("cure", Some(page.cure.to_owned())),
        ("exit status", Some(page.exit_status.to_string())),
    ])
}

fn list(pages: &Pages) -> String {
    let mut table = Table::new(&["CODE", ">EXIT", "TITLE"]);
    for page in &pages.codes {
        table.row([
            page.code.as_str().into(),
            page.exit_status.to_string().into(),
            page.title.into(),
        ]);
    }
    table.render()
}
