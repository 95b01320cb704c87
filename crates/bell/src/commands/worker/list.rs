//! `bell worker list`

use api::worker::{Worker, Workers};
use domain::book::Book;
use domain::id::WorkerId;
use engine::engine::Engine;
use engine::process::presence::{self, Live};
use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;

/// List the workers of this machine, and whoever else holds leases
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell worker list --json")]
pub(super) struct List {}

/// Who is there, as far as this machine can tell.
#[derive(Debug)]
pub(in crate::commands) struct There {
    pub(in crate::commands) live: Vec<Live>,
    /// How many leases each worker holds.
    pub(in crate::commands) leases: FxHashMap<WorkerId, usize>,
}

impl There {
    pub(in crate::commands) async fn look(engine: &Engine) -> Result<There> {
        let mut live = presence::live(&engine.home.workers()).unwrap_or_default();
        live.retain(|worker| worker.info["project"] == engine.project.as_str());
        let mut leases = FxHashMap::default();
        for held in engine.store.leased(&engine.project, None).await? {
            *leases.entry(held.worker).or_default() += 1;
        }
        Ok(There { live, leases })
    }

    pub(in crate::commands) fn here(&self, worker: &WorkerId) -> Option<&Live> {
        self.live.iter().find(|live| live.incarnation == worker.as_str())
    }
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let there = There::look(&engine).await?;
        let leader = leader(&engine).await?;
        let mut names: Vec<WorkerId> = there.leases.keys().cloned().collect();
        names.extend(there.live.iter().filter_map(|live| live.incarnation.parse().ok()));
        names.sort_unstable();
        names.dedup();
        let worker = |worker: WorkerId| {
            let here = there.here(&worker);
            let info = here.map_or(&Value::Null, |live| &live.info);
            let text = |name: &str| info[name].as_str().map(str::to_owned);
            Worker {
                here: here.is_some(),
                leases: there.leases.get(&worker).copied().unwrap_or(0),
                leads: leader.as_deref() == Some(worker.as_str()),
                pid: info["pid"].as_u64(),
                pool: text("pool"),
                run: text("run"),
                jobs: info["jobs"].as_u64(),
                started_at: text("started_at"),
                worker,
            }
        };
        let workers: Vec<Worker> = names.into_iter().map(worker).collect();
        let list = Workers {
            count: workers.len(),
            workers,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

/// Who had the periodic duties last.
async fn leader(engine: &Engine) -> Result<Option<String>> {
    let entries = engine.store.entries(&engine.project, Book::Leader, "", 1).await?;
    let value: Option<Value> = entries.first().map(domain::book::Entry::read).transpose()?;
    Ok(value.and_then(|value| value["who"].as_str().map(str::to_owned)))
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
