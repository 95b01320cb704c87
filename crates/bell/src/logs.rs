//! Logs are for people and go to stderr; what programs need is in events.

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::context::Context;
use crate::settings::Settings;

/// Whoever asked for something by a signal is told what became of it, whatever else is logged.
pub(crate) const RELOAD: &str = "bell::reload";

type Set = dyn Fn(EnvFilter) -> bool + Send + Sync;

/// Puts another filter in force.
static FILTER: OnceLock<Box<Set>> = OnceLock::new();

fn filter(context: &Context, settings: &Settings) -> EnvFilter {
    let directives = match (context.quiet, context.verbose) {
        (true, _) => "error".to_owned(),
        (_, 0) => format!("{},{RELOAD}=info", settings.text("log")),
        (_, 1) => "info".to_owned(),
        (_, 2) => "debug".to_owned(),
        _ => "trace".to_owned(),
    };
    EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(directives)
}

pub(crate) fn start(context: &Context) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(context, &context.settings))
        .with_writer(std::io::stderr)
        .with_ansi(context.ui.colours_stderr())
        .with_target(context.verbose > 0)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    drop(FILTER.set(Box::new(move |filter| handle.reload(filter).is_ok())));
    // Only a test that starts twice in one process finds another subscriber.
    drop(subscriber.try_init());
}

/// Logs as these settings want it from now on; false when flags have decided, or when that cannot be changed.
pub(crate) fn change(context: &Context, settings: &Settings) -> bool {
    let by_flag = context.quiet || context.verbose > 0;
    !by_flag && FILTER.get().is_some_and(|set| set(filter(context, settings)))
}
