//! Settings read anew while a server runs: what can be changed under way is, and what needs a restart says so.

use domain::code::Refusal;
use server::Renew;
use tokio::signal::unix::Signal;

use crate::context::Context;
use crate::logs::{self, RELOAD};
use crate::settings::{Settings, shown};

/// The settings that are put in force under way.
const LIVE: &[&str] = &["log"];

/// Reads everything anew with every signal, until the server ends.
pub(crate) async fn obey(mut context: Context, mut hangup: Signal, server: Renew) {
    while hangup.recv().await.is_some() {
        match anew(&context) {
            Ok(settings) => context.settings = settings,
            Err(refusal) => {
                tracing::error!(target: RELOAD, error = %refusal, "the settings cannot be read; those before stay in force");
            }
        }
        match server.certificate().await {
            Ok(true) => tracing::info!(target: RELOAD, "the certificate was read anew"),
            Ok(false) => {}
            Err(refusal) => {
                tracing::error!(target: RELOAD, error = %refusal, "the certificate cannot be read; the one before stays in force");
            }
        }
    }
}

fn anew(context: &Context) -> Result<Settings, Refusal> {
    let settings = context.resolve()?;
    let changes = changes(&context.settings, &settings);
    if changes.is_empty() {
        tracing::info!(target: RELOAD, "no setting has changed");
    }
    let logs = changes.iter().any(|change| change.name == "log") && logs::change(context, &settings);
    for Change { name, value, origin } in changes {
        let live = LIVE.contains(&&*name) && (name != "log" || logs);
        match live {
            true => tracing::info!(target: RELOAD, "{name} = {value} ({origin}) from now on"),
            false => tracing::warn!(target: RELOAD, "{name} = {value} ({origin}) needs a restart"),
        }
    }
    Ok(settings)
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    value: String,
    origin: String,
}

fn changes(before: &Settings, now: &Settings) -> Vec<Change> {
    let had = |name: &str| {
        before
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, setting)| setting)
    };
    let changed = now
        .iter()
        .filter(|(name, setting)| had(name).is_none_or(|had| had.value != setting.value));
    let changed = changed.map(|(name, setting)| Change {
        name: name.to_owned(),
        value: match name {
            "token" => "***".to_owned(),
            _ => shown(&setting.value),
        },
        origin: setting.origin.to_string(),
    });
    let gone = before
        .iter()
        .filter(|(name, _)| now.iter().all(|(known, _)| known != *name));
    let gone = gone.map(|(name, setting)| Change {
        name: name.to_owned(),
        value: "nothing".to_owned(),
        origin: setting.origin.to_string(),
    });
    changed.chain(gone).collect()
}
