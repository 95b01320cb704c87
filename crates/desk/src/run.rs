//! Runs: submit, list, show, cancel.

use std::path::{Path, PathBuf};

use api::ask;
use api::list::{RunCancelled, RunShown, Runs, Tasks};
use api::run::Run;
use domain::code::{Code, Refusal};
use domain::id::{RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::plan::Plan;
use domain::run::RunState;
use domain::store::{Command, Filter, Request, Result, Target};
use domain::task::score::Profile;
use domain::task::state::{Reason, State};
use engine::engine::Engine;
use engine::recover;
use engine::submit::{self, Into, Submitted};
use engine::trace::Context;

use crate::{find, invalid, limit, task};

/// Tasks cancelled in one transaction.
const BATCH: usize = 250;

/// The plan of a request, and the path that stands for its file.
pub fn plan(asked: &ask::Submit, folder: &Path) -> Result<(Plan, PathBuf)> {
    let file = asked.file.as_deref().unwrap_or("plan");
    let plan = crate::plan::read(asked.plan.as_ref(), asked.text.as_deref(), file)?;
    if plan.name.is_none() && asked.file.is_none() {
        return Err(invalid("the plan has no name").help("add `name` to the plan, or send `file`"));
    }
    Ok((plan, folder.join(file)))
}

/// Puts all tasks of a plan within a trace. What they are is not changed by it: only those that are new learn of it.
pub fn within(plan: &mut Plan, trace: Context) {
    for task in &mut plan.tasks {
        trace.hold(&mut task.spec.env);
    }
}

/// Stores a plan as a new run, or continues the newest one of it that has not succeeded.
pub async fn submit(engine: &Engine, asked: &ask::Submit, folder: &Path) -> Result<(Run, Submitted)> {
    submit_within(engine, asked, folder, None).await
}

/// The same from within a trace.
pub async fn submit_within(
    engine: &Engine,
    asked: &ask::Submit,
    folder: &Path,
    trace: Option<Context>,
) -> Result<(Run, Submitted)> {
    let (mut plan, file) = plan(asked, folder)?;
    if let Some(trace) = trace {
        within(&mut plan, trace);
    }
    let into = match (asked.new, asked.resume) {
        (true, Some(_)) => return Err(invalid("`new` and `resume` exclude each other")),
        (_, Some(run)) => Into::Run(run),
        (true, None) => Into::New,
        (false, None) => Into::Newest,
    };
    let profile = asked.profile.map(|profile| match profile {
        ask::Profile::CriticalPath => Profile::CriticalPath,
        ask::Profile::Classic => Profile::Classic,
    });
    let options = submit::Options {
        into,
        profile,
        joins: recover::is_worked_on,
    };
    let submitted = submit::submit(engine, &plan, &file, &options).await?;
    let run = find::run(engine, &submitted.run.to_string()).await?;
    Ok((Run::from(run), submitted))
}

pub async fn list(engine: &Engine, asked: &ask::Runs) -> Result<Runs> {
    let (store, project) = (&engine.store, &engine.project);
    let runs = store
        .runs(project, asked.plan.as_deref(), limit(asked.limit)?)
        .await?;
    let runs: Vec<Run> = runs.into_iter().map(Run::from).collect();
    Ok(Runs {
        count: runs.len(),
        runs,
        cursor: None,
    })
}

pub async fn show(engine: &Engine, text: &str) -> Result<RunShown> {
    find::catch_up(engine).await?;
    let run = find::run(engine, text).await?;
    let filter = Filter {
        run: Some(run.id),
        ..Filter::default()
    };
    let page = task::page(engine, filter, Seq(0), PAGE_MAX).await?;
    with_tasks(engine, Run::from(run), page).await
}

/// A run with the first of its tasks.
pub async fn with_tasks(engine: &Engine, run: Run, page: task::Page) -> Result<RunShown> {
    let Tasks { tasks, count, cursor } = task::whole(engine, page).await?;
    Ok(RunShown {
        run,
        tasks,
        count,
        cursor,
    })
}

/// Cancels a run with every task of it that has not ended.
pub async fn cancel(engine: &Engine, text: &str) -> Result<RunCancelled> {
    cancel_found(engine, find::run(engine, text).await?.id).await
}

/// As [`cancel`].
pub async fn cancel_found(engine: &Engine, run: RunId) -> Result<RunCancelled> {
    let found = engine.store.run(&engine.project, run).await?;
    if found.is_some_and(|found| found.state == RunState::Succeeded) {
        let detail = format!("run {run} has succeeded and cannot be cancelled");
        return Err(Refusal::new(Code::InvalidTransition, detail).help("what is done stays done"));
    }
    // The run first: from then on it stays cancelled, whatever happens between two batches.
    change(engine, vec![Target::Run(run)]).await?;
    let mut ended = RunCancelled {
        run,
        cancelled: Vec::new(),
        more: 0,
    };
    for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
        cancel_all(engine, state, &mut ended).await?;
    }
    Ok(ended)
}

async fn cancel_all(engine: &Engine, state: State, ended: &mut RunCancelled) -> Result<()> {
    let filter = Filter {
        run: Some(ended.run),
        states: vec![state],
        ..Filter::default()
    };
    loop {
        let (store, project) = (&engine.store, &engine.project);
        let views = store.list(project, filter.clone(), Seq(0), BATCH).await?;
        if views.is_empty() {
            return Ok(());
        }
        let targets = views.into_iter().map(|view| Target::Id(view.task.id)).collect();
        for id in change(engine, targets).await? {
            match ended.cancelled.len() {
                PAGE_MAX => ended.more += 1,
                _ => ended.cancelled.push(id),
            }
        }
    }
}

/// Cancels all of them. One that has ended meanwhile needs nothing any more.
async fn change(engine: &Engine, targets: Vec<Target>) -> Result<Vec<TaskId>> {
    let request = |target| Request {
        target,
        command: Command::Cancel {
            reason: Reason::Cancelled,
        },
        actor: engine.actor.clone(),
        idempotency_key: None,
    };
    let requests = targets.into_iter().map(request).collect();
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let mut ids = Vec::new();
    for reply in replies {
        match reply {
            Ok(reply) => ids.extend(reply.cancelled),
            Err(refusal) if refusal.code == Code::InvalidTransition => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(ids)
}

/// Where the commands of a plan run whose sender named no folder.
pub fn folder(engine: &Engine) -> Result<PathBuf> {
    let home = engine.home.dir();
    let folder = home.parent().unwrap_or(home);
    folder.canonicalize().map_err(|e| {
        let detail = format!("{} cannot be used: {e}", folder.display());
        Refusal::new(Code::StoreUnavailable, detail)
    })
}
