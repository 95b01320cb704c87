//! The executor `command`: a program in a process group of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::curb::budget::{Unit, Usage};
use domain::limits;
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Work};

use super::agent::Program;
use super::files::{Files, Input};
use super::inputs::Inputs;
use super::secrets::Secrets;
use super::{Finish, Job};
use crate::engine::Engine;
use crate::process::{Cause, Ended, How, Launch, LaunchError, Launcher, output};
use crate::trace;

/// What commands of one worker share.
#[derive(Clone, Debug)]
pub struct Commands {
    pub launcher: Launcher,
    /// Holds the files of attempts; exists while the worker lives.
    pub scratch: PathBuf,
    pub inputs: Arc<Inputs>,
    /// For tasks that name none.
    pub timeout: Duration,
    pub grace: Duration,
    /// The store's URL, for `bell` inside of attempts.
    pub store_url: String,
    /// How the agent is called that prompts are for.
    pub program: Option<Arc<Program>>,
    /// Where secrets are.
    pub secrets: Arc<Secrets>,
}

/// What is started for an attempt.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) argv: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) stdin: Option<Vec<u8>>,
}

impl Start {
    /// Where a task works.
    pub(super) fn folder(job: &Job) -> PathBuf {
        PathBuf::from(job.spec.cwd.as_deref().unwrap_or("."))
    }
}

impl Commands {
    /// Runs one attempt to its end. Never fails: what goes wrong is the attempt's failure.
    pub async fn run(&self, engine: &Engine, job: &Job) -> Finish {
        let start = Start {
            argv: argv(&job.spec.work),
            cwd: Start::folder(job),
            stdin: None,
        };
        self.call(engine, job, start).await
    }

    /// The same for a program that is not the task's own.
    pub(super) async fn call(&self, engine: &Engine, job: &Job, start: Start) -> Finish {
        let files = self.files(job);
        let finish = self
            .attempt(engine, job, start, &files)
            .await
            .unwrap_or_else(Finish::failed);
        files.remove();
        finish
    }

    /// The files of an attempt cannot be written. That is no fault of the task, and others may do it: they get the time to
    /// take it.
    pub(super) async fn unwritable(&self, error: &std::io::Error) -> Finish {
        let folder = self.scratch.display();
        tracing::warn!(%folder, %error, "the files of an attempt cannot be written: it is handed back");
        tokio::time::sleep(SICK).await;
        Finish::Stopped
    }

    /// The files of an attempt.
    pub fn files(&self, job: &Job) -> Files {
        Files::new(&self.scratch, job)
    }

    async fn attempt(
        &self,
        engine: &Engine,
        job: &Job,
        start: Start,
        files: &Files,
    ) -> Result<Finish, Failure> {
        let project = engine.project.as_str();
        let secrets = self.secrets.read(&job.spec.secrets)?;
        if let Some(mask) = secrets.mask() {
            // Read anew for each attempt, and once in it.
            let _ = job.mask.set(mask);
        }
        let mut told = Input::of(job, project);
        told.store = Some(&self.store_url);
        let input = match self.inputs.write(&told.document()) {
            Ok(input) => input,
            Err(error) => return Ok(self.unwritable(&error).await),
        };
        let record = engine
            .home
            .output(&engine.project, job.leased.task.seq, job.attempt());
        let mut launch = Launch::new(start.argv, start.cwd, record.clone());
        launch.stdin = start.stdin;
        launch.env = job
            .spec
            .env
            .iter()
            .filter(|(name, _)| *name != trace::VARIABLE)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        launch.env_remove = self.secrets.variables().cloned().collect();
        launch.env.extend(secrets.variables());
        launch.mask = job.mask.get().cloned();
        let place = job.trace.map(|context| context.to_string());
        launch
            .env
            .extend(place.map(|place| (trace::VARIABLE.to_owned(), place)));
        launch
            .env
            .extend(files.environment(job, &self.store_url, project, input.path()));
        launch.cancelled = Some(job.steering.watch());
        launch.timeout = Some(job.spec.timeout.unwrap_or(self.timeout));
        launch.grace = self.grace;
        let timeout = launch.timeout;
        let running = match self.launcher.launch(launch) {
            Ok(running) => running,
            Err(error) if error.cause == Cause::Uncovered => return Ok(Finish::Stopped),
            Err(error) => return Err(could_not_start(&error)),
        };
        let control = running.control();
        job.steering.attach(control.clone());
        let mut end = std::pin::pin!(running.wait());
        let mut over = None;
        let ended = tokio::select! {
            ended = &mut end => ended,
            failure = over_budget(job, files) => {
                over = Some(failure);
                control.cancel();
                end.await
            }
        };
        if let Some(failure) = over {
            return Ok(Finish::Failed {
                failure,
                usage: files.usage().ok().flatten(),
                timed_out: false,
            });
        }
        let by_guard = ended.by_guard && ended.how != How::Exit(0);
        if by_guard || ended.how == How::Cancelled {
            return Ok(Finish::Stopped);
        }
        if ended.how == How::Exit(0) {
            return completed(engine, job, files).await;
        }
        let files = files.clone();
        let read = move || (files.usage().ok().flatten(), last_line(&record));
        let (usage, last) = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        Ok(Finish::Failed {
            failure: failure(&ended, timeout, last.as_deref()),
            usage,
            timed_out: ended.how == How::TimedOut,
        })
    }
}

/// How long a worker that cannot write the files of an attempt keeps the place of that attempt empty.
const SICK: Duration = Duration::from_secs(3);
/// How often an attempt's report of what it uses is read.
const LOOK: Duration = Duration::from_secs(1);

/// Resolves when the attempt has used more than its task may.
async fn over_budget(job: &Job, files: &Files) -> Failure {
    let Some(cap) = job.spec.budget else {
        return std::future::pending().await;
    };
    let began = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let mut used = files
            .usage()
            .ok()
            .flatten()
            .map(|report| Usage::reported(&report))
            .unwrap_or_default();
        used.seconds = began.elapsed().as_secs_f64();
        for unit in Unit::ALL {
            let used = used.of(unit);
            if let Some(cap) = cap.of(unit).filter(|cap| used > *cap) {
                return Failure {
                    class: Some(domain::decide::BUDGET.to_owned()),
                    ..Failure::new(format!("used {used} of {cap} {}", unit.as_str()))
                };
            }
        }
    }
}

fn argv(work: &Work) -> Vec<String> {
    match work {
        Work::Shell(line) => vec!["sh".into(), "-c".into(), line.clone()],
        Work::Argv(argv) => argv.clone(),
        other => unreachable!("{} is not a command", other.name()),
    }
}

/// The end of a program with all that it has left. Reading that, and keeping a large result, takes its time and a
/// thread of its own; most programs leave nothing.
async fn completed(engine: &Engine, job: &Job, files: &Files) -> Result<Finish, Failure> {
    if !files.any_left() {
        return Ok(Finish::Completed {
            outcome: Outcome::default(),
            cached: false,
            children: None,
        });
    }
    let (engine, job, files) = (engine.clone(), without_inputs(job), files.clone());
    let collected = tokio::task::spawn_blocking(move || collected(&engine, &job, &files)).await;
    collected.unwrap_or_else(|e| {
        let why = format!("what the program left could not be read: {e}");
        Err(Failure::new(why))
    })
}

/// The same attempt without what others have left for it, of which there may be much.
fn without_inputs(job: &Job) -> Job {
    Job {
        leased: Arc::clone(&job.leased),
        spec: Arc::clone(&job.spec),
        run: job.run,
        results: Vec::new(),
        children: Vec::new(),
        error: None,
        steering: job.steering.clone(),
        mask: Arc::clone(&job.mask),
        trace: job.trace,
    }
}

fn collected(engine: &Engine, job: &Job, files: &Files) -> Result<Finish, Failure> {
    let mut result = files.result()?;
    if let Some(large) = result.take_if(|result| result.get().len() > limits::RESULT_BYTES) {
        result = Some(set_aside(engine, job, &large)?);
    }
    let usage = files.usage()?;
    let children = files.subtasks(job, &engine.actor, engine.now().wall)?;
    Ok(Finish::Completed {
        outcome: Outcome {
            result,
            error: None,
            usage,
        },
        cached: false,
        children,
    })
}

/// A result that is too large for the store travels as a file: `{"file": PATH, "bytes": N}`.
pub(super) fn set_aside(engine: &Engine, job: &Job, result: &Json) -> Result<Json, Failure> {
    let path = engine.home.result(&engine.project, job.leased.token);
    engine
        .home
        .set_aside(&engine.project, job.leased.token, result)
        .map_err(|e| {
            Failure::new(format!(
                "the result could not be written to {}: {e}",
                path.display()
            ))
        })
}

fn could_not_start(error: &LaunchError) -> Failure {
    let class = match error.cause {
        _ if error.is_transient() => "unavailable",
        Cause::Denied => "permission denied",
        _ => "not found",
    };
    Failure {
        message: error.to_string(),
        class: Some(class.into()),
        exit: None,
    }
}

/// The exit with the last line of output, where programs usually say what is wrong.
fn failure(ended: &Ended, timeout: Option<Duration>, last: Option<&str>) -> Failure {
    let (what, class, exit) = match ended.how {
        How::Exit(code) => (format!("exit status {code}"), None, Some(code)),
        How::Signal(signal) => (format!("killed by signal {signal}"), None, None),
        How::TimedOut => {
            let after = timeout.map(domain::time::show_duration).unwrap_or_default();
            (format!("no end within {after}"), Some("timeout".to_owned()), None)
        }
        How::Cancelled | How::Unknown => ("ended without a status".to_owned(), None, None),
    };
    let message = match last {
        Some(line) => format!("{what}: {line}"),
        None => what,
    };
    Failure { message, class, exit }
}

/// The last line of the output that is not blank, cut to a length that fits a table.
pub(crate) fn last_line(record: &std::path::Path) -> Option<String> {
    const MAX: usize = 500;
    let output = output::read(record).ok()?;
    let tail = &output.bytes[output.bytes.len().saturating_sub(4 * MAX)..];
    let text = String::from_utf8_lossy(tail);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    let clean: String = line.chars().filter(|c| !c.is_control()).take(MAX).collect();
    Some(clean)
}
