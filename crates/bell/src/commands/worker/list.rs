//! `bell worker list`

use api::worker::Workers;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;

/// List the workers of this machine, and whoever else holds leases
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell worker list --json")]
pub(super) struct List {}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        context.ui.answer(&desk::pool::workers(&engine).await?, people)?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Workers) -> String {
    if list.workers.is_empty() {
        return "nobody works here\n".to_owned();
    }
    let mut table = Table::new(&["WORKER", "PID", "DOES", ">LEASES"]);
    for worker in &list.workers {
        let does = match (&worker.pool, &worker.run, worker.here) {
            (Some(pool), _, _) => format!("pool {pool}"),
            (_, Some(run), _) => format!("run {run}"),
            (_, _, true) => "anything".to_owned(),
            _ => "elsewhere".to_owned(),
        };
        table.row([
            worker.worker.to_string().into(),
            worker
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string())
                .into(),
            if worker.leads {
                format!("{does}, leads")
            } else {
                does
            }
            .into(),
            worker.leases.to_string().into(),
        ]);
    }
    table.render()
}
