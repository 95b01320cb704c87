//! `bell explain`

use api::problem;
use domain::code::{Code, nearest};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::output::table::{Table, fields};
use crate::output::theme::{self, paint};

/// Explain an error code: its cause and its cure
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell explain lease-lost\n  bell explain              (lists all codes)")]
pub(crate) struct Args {
    /// The code: the word in brackets after `error`
    code: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    code: Code,
    title: &'static str,
    cause: &'static str,
    cure: &'static str,
    exit_status: u8,
    /// Over HTTP.
    status: u16,
}

#[derive(Debug, Serialize)]
struct Pages {
    codes: Vec<Page>,
    count: usize,
}

fn page(code: Code) -> Page {
    Page {
        code,
        title: code.title(),
        cause: code.cause(),
        cure: code.cure(),
        exit_status: code.kind().exit_status(),
        status: problem::status(code),
    }
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let Some(name) = self.code else {
            let codes: Vec<Page> = Code::ALL.iter().copied().map(page).collect();
            let pages = Pages {
                count: codes.len(),
                codes,
            };
            context.ui.answer(&pages, list)?;
            return Ok(Exit::DONE);
        };
        let bare = name
            .trim_start_matches("error[")
            .trim_end_matches(']')
            .to_lowercase();
        let Some(code) = Code::parse(&bare) else {
            let refusal = invalid(format!("there is no error code `{}`", name.escape_debug()));
            let near = nearest(&bare, Code::ALL.iter().map(|code| code.as_str()));
            return Err(match near {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help("`bell explain` lists all codes"),
            }
            .into());
        };
        context.ui.answer(&page(code), people)?;
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
