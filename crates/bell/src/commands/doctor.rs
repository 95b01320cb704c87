//! `bell doctor`

use std::path::Path;

use domain::store::Durability;
use engine::engine::Engine;
use engine::process::presence;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Look for trouble in the store and around it
///
/// Each line is ok, warn or fail, with what to do. The exit status is 1 when something fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell doctor --json | jq '.checks[] | select(.status != \"ok\")'")]
pub(crate) struct Args {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    detail: String,
    cure: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

fn ok(check: &'static str, detail: impl Into<String>) -> Check {
    Check {
        check,
        status: Status::Ok,
        detail: detail.into(),
        cure: None,
    }
}

impl Check {
    fn or(mut self, status: Status, cure: impl Into<String>) -> Check {
        self.status = status;
        self.cure = Some(cure.into());
        self
    }
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let mut checks = vec![ok("version", format!("bell {}", env!("CARGO_PKG_VERSION")))];
        match context.engine().await {
            Ok(engine) => with_store(&engine, context, &mut checks).await?,
            Err(Error::Refused(refusal)) => {
                let cure = refusal.cure().to_owned();
                checks.push(ok("store", refusal.detail).or(Status::Fail, cure));
            }
            Err(error) => return Err(error),
        }
        checks.extend([clock(context), files(), shell()]);
        let report = Report {
            healthy: checks.iter().all(|check| check.status != Status::Fail),
            checks,
        };
        context.ui.answer(&report, people)?;
        Ok(Exit::of(report.healthy))
    }
}

async fn with_store(engine: &Engine, context: &Context, checks: &mut Vec<Check>) -> Result<()> {
    let info = engine.store.info();
    checks.push(ok(
        "store",
        format!("{} ({}, schema {})", info.url, info.engine, info.schema),
    ));
    // A tick writes what is due, so it says whether the store can be written.
    checks.push(match engine.store.tick(&engine.project, engine.now()).await {
        Ok(_) => ok("writing", "works"),
        Err(refusal) => ok("writing", &refusal.detail).or(Status::Fail, refusal.cure()),
    });
    checks.push(match info.durability {
        Durability::Full => ok("durability", "full: an acknowledged write survives power loss"),
        Durability::Relaxed => ok("durability", "relaxed: power loss may take the last second")
            .or(Status::Warn, "set durability = \"full\" where that matters"),
    });
    let status = engine.store.status(&engine.project).await?;
    checks.push(match status.dead_letters {
        0 => ok("dead letters", "none"),
        n => ok("dead letters", format!("{n} in project {}", engine.project))
            .or(Status::Warn, "see `bell dlq list`"),
    });
    checks.push(match engine::health::stuck(engine).await?.len() {
        0 => ok("stuck", "nothing"),
        n => ok("stuck", format!("{n} problems"))
            .or(Status::Warn, "`bell queue problems` tells cause and cure"),
    });
    checks.push(disk(engine.home.dir()));
    checks.push(workers(engine, context).await?);
    Ok(())
}

/// Below this a store that is written to is soon full.
const ROOM: u64 = 512 * 1024 * 1024;

fn disk(folder: &Path) -> Check {
    match rustix::fs::statvfs(folder) {
        Ok(data) => {
            let free = data.f_bavail.saturating_mul(data.f_frsize);
            let check = ok(
                "disk",
                format!("{} MiB free in {}", free / (1024 * 1024), folder.display()),
            );
            if free < ROOM {
                check.or(Status::Warn, "make room before it is full")
            } else {
                check
            }
        }
        Err(e) => ok("disk", format!("{}: {e}", folder.display()))
            .or(Status::Warn, "check that the folder can be read"),
    }
}

async fn workers(engine: &Engine, context: &Context) -> Result<Check> {
    let folder = engine.home.workers();
    let live = presence::live(&folder).map_or(0, |live| live.len());
    let dead = presence::dead(&folder).map_or(0, |dead| dead.len());
    let leased = engine.store.leased(&engine.project, None).await?.len();
    let detail = format!("{live} alive on this machine, {leased} tasks leased");
    Ok(match dead {
        0 => ok("workers", detail),
        n => {
            let project = context.settings.text("project");
            ok("workers", format!("{detail}, {n} dead and not yet looked after")).or(
                Status::Warn,
                format!("the next `bell run` in project {project} looks after them"),
            )
        }
    })
}

/// The first of January 2024, before which no version of this program existed.
const BORN: i64 = 1_704_067_200_000;

fn clock(context: &Context) -> Check {
    let now = context.now().wall;
    let check = ok("clock", now.to_string());
    if now.0 < BORN {
        check.or(Status::Fail, "set the clock of this machine")
    } else {
        check
    }
}

/// Fewer open files than this, and a few dozen commands at once run into it.
const FILES: u64 = 1_024;

fn files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FILES => ok("open files", format!("at most {limit}"))
            .or(Status::Warn, format!("allow {FILES} or more with `ulimit -n`")),
        Some(limit) => ok("open files", format!("at most {limit}")),
        None => ok("open files", "no limit"),
    }
}

fn shell() -> Check {
    let path = Path::new("/bin/sh");
    match rustix::fs::access(path, rustix::fs::Access::EXEC_OK) {
        Ok(()) => ok("shell", path.display().to_string()),
        Err(e) => ok("shell", format!("{}: {e}", path.display()))
            .or(Status::Fail, "install a POSIX shell; `run` lines need one"),
    }
}

fn people(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let (word, style) = match check.status {
            Status::Ok => ("✓ ok  ", theme::GOOD),
            Status::Warn => ("! warn", theme::WARN),
            Status::Fail => ("✗ fail", theme::BAD),
        };
        text += &format!("{}  {:<12}  {}\n", paint(style, word), check.check, check.detail);
        if let Some(cure) = &check.cure {
            text += &format!("{:24}{}\n", "", paint(theme::DIM, cure));
        }
    }
    text
}
