//! `bell config`

mod project;

use std::path::PathBuf;

use api::project::Setting;
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
    Set(project::Set),
    Defaults(Defaults),
}

/// Show every setting with its value and where that comes from
///
/// Where there is a store, those that its project keeps for all who work in it stand last.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell config show --json")]
struct Show {}

/// Print the annotated file of all settings with their defaults
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell config defaults > bell.toml")]
struct Defaults {}

#[derive(Debug, Serialize)]
struct Shown {
    settings: Vec<Setting>,
    /// The store in force.
    store: String,
    folder: PathBuf,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Show(_) => {
                let (folder, url) = context.place()?;
                let mut settings: Vec<Setting> = context
                    .settings
                    .iter()
                    .map(|(name, setting)| Setting {
                        name: name.to_owned(),
                        value: value(name, &setting.value),
                        origin: setting.origin.to_string(),
                    })
                    .collect();
                if context.has_store() {
                    settings.extend(desk::setting::list(&context.engine().await?).await?.settings);
                }
                let shown = Shown {
                    settings,
                    store: crate::settings::without_password(&url),
                    folder,
                };
                context.ui.answer(&shown, people)?;
            }
            Command::Set(set) => return set.run(context).await,
            Command::Defaults(_) => context.ui.text(DEFAULTS)?,
        }
        Ok(Exit::DONE)
    }
}

/// What nobody shall read over a shoulder.
fn is_secret(name: &str, value: &toml::Value) -> bool {
    name == "token" && value.as_str() != Some("")
}

fn value(name: &str, value: &toml::Value) -> serde_json::Value {
    match value {
        value if is_secret(name, value) => "***".into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Boolean(is) => (*is).into(),
        value => shown(value).into(),
    }
}

/// The name of a project is quoted: one is called default.
fn from(origin: &str) -> String {
    match origin.strip_prefix("project ") {
        Some(name) => format!("project \"{name}\""),
        None => origin.to_owned(),
    }
}

fn people(list: &Shown) -> String {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    for line in &list.settings {
        let style = match line.origin == Origin::Default.to_string() {
            true => crate::output::theme::DIM,
            false => crate::output::theme::PLAIN,
        };
        let value = match &line.value {
            serde_json::Value::String(text) if text.is_empty() => "–".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        table.row([
            line.name.as_str().into(),
            value.into(),
            (from(&line.origin), style).into(),
        ]);
    }
    format!("{}\nstore in force: {}\n", table.render(), list.store)
}
