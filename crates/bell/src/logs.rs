//! Logs are for people and go to stderr; what programs need is in events.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::context::Context;

pub(crate) fn start(context: &Context) {
    let directives = match (context.quiet, context.verbose) {
        (true, _) => "error",
        (_, 0) => context.settings.text("log"),
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(directives);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(context.ui.colours_stderr())
        .with_target(context.verbose > 0);
    // Only a test that starts twice in one process finds another subscriber.
    drop(subscriber.try_init());
}
