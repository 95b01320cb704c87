//! `bell config`

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::settings::{DEFAULTS, Origin, shown};

/// See the settings in force
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Defaults(Defaults),
}

/// Show every setting with its value and where that comes from
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell config show --json")]
struct Show {}

/// Print the annotated file of all settings with their defaults
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell config defaults > bell.toml")]
struct Defaults {}

#[derive(Debug, Serialize)]
struct Shown {
    settings: Vec<Line>,
    /// The store in force.
    store: String,
    folder: PathBuf,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    value: serde_json::Value,
    origin: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Show(_) => {
                let (folder, url) = context.place()?;
                let settings = context.settings.iter().map(|(name, setting)| Line {
                    name: name.to_owned(),
                    value: value(&setting.value),
                    origin: setting.origin.to_string(),
                });
                let shown = Shown {
                    settings: settings.collect(),
                    store: crate::settings::without_password(&url),
                    folder,
                };
                context.ui.answer(&shown, |shown| people(shown, context))?;
            }
            Command::Defaults(_) => context.ui.text(DEFAULTS)?,
        }
        Ok(Exit::DONE)
    }
}

fn value(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Boolean(is) => (*is).into(),
        value => shown(value).into(),
    }
}

fn people(list: &Shown, context: &Context) -> String {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    for (name, setting) in context.settings.iter() {
        let from = match setting.origin {
            Origin::Default => (setting.origin.to_string(), crate::output::theme::DIM),
            _ => (setting.origin.to_string(), crate::output::theme::PLAIN),
        };
        let value = match shown(&setting.value) {
            empty if empty.is_empty() => "–".to_owned(),
            value => value,
        };
        table.row([name.into(), value.into(), from.into()]);
    }
    format!("{}\nstore in force: {}\n", table.render(), list.store)
}
