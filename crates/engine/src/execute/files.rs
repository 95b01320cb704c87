//! The files and variables through which an attempt and its program speak. `docs/tasks.md` is the reference for
//! those who write such programs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use domain::id::{Key, TaskId};
use domain::limits;
use domain::plan::{self, Format};
use domain::store::{Admission, AdmitLimits, Children, IntoRun, NewEdge, NewTask, On, Upstream};
use domain::task::record::{Failure, Join};
use domain::task::spec::{Json, Source, Spec, When};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use rustix::fs::OFlags;
use serde::Serialize;
use serde_json::Value;

use super::Job;
use super::inputs::{in_folder, whole};
use crate::engine::Engine;
use crate::ids;
use crate::process::output::Mask;
use crate::trace;

/// Results up to this size also travel in the environment.
const RESULT_VARIABLE_BYTES: usize = 8 * 1024;

/// A file in which the program may give something back, as its failures name it.
struct Given {
    name: &'static str,
    what: &'static str,
    /// The verb that goes with it.
    has: &'static str,
    max: u64,
}

const RESULT: Given = Given {
    name: "result.json",
    what: "the result in $BELL_RESULT",
    has: "has",
    max: limits::RESULT_FILE_BYTES,
};

const USAGE: Given = Given {
    name: "usage.json",
    what: "the usage in $BELL_USAGE",
    has: "has",
    max: limits::RESULT_BYTES as u64,
};

const PROGRESS: Given = Given {
    name: "progress.json",
    what: "the progress",
    has: "has",
    max: limits::RESULT_BYTES as u64,
};

const SUBTASKS: Given = Given {
    name: "subtasks.jsonl",
    what: "the subtasks in $BELL_SUBTASKS",
    has: "have",
    max: limits::SUBTASKS_FILE_BYTES,
};

const PROMPT: &str = "prompt.txt";

/// The scratch files of one attempt; removed with [`Files::remove`].
#[derive(Clone, Debug)]
pub struct Files {
    base: PathBuf,
    /// The program has left nothing but, perhaps, its progress.
    nothing_left: Arc<AtomicBool>,
    /// Hides secrets in what the program leaves.
    mask: Arc<OnceLock<Mask>>,
}

/// What an attempt is told: what its program finds in `BELL_INPUT`, and an endpoint in the body of its call.
#[derive(Serialize)]
pub(super) struct Input<'a> {
    /// Where this store is kept is nobody's business elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<&'a str>,
    project: &'a str,
    run: Option<String>,
    task: &'a TaskId,
    key: Option<&'a Key>,
    name: &'a str,
    attempt: u32,
    /// What the try before has failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// What an agent elsewhere is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<String>,
    inputs: Option<&'a Json>,
    results: BTreeMap<String, Ended<'a>>,
    children: BTreeMap<String, Ended<'a>>,
}

/// What another task has ended with.
#[derive(Serialize)]
struct Ended<'a> {
    task: &'a TaskId,
    state: State,
    result: Option<&'a Json>,
    error: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn of(of: &'a Upstream) -> Ended<'a> {
        let outcome = of.outcome.as_ref();
        let error = outcome.and_then(|outcome| outcome.error.as_ref());
        Ended {
            task: &of.id,
            state: of.state,
            result: outcome.and_then(|outcome| outcome.result.as_ref()),
            error: error.map(|error| error.message.as_str()),
        }
    }
}

impl<'a> Input<'a> {
    pub(super) fn of(job: &'a Job, project: &'a str) -> Input<'a> {
        let leased = &job.leased;
        Input {
            store: None,
            project,
            run: job.run.map(|run| run.to_string()),
            task: &leased.task.id,
            key: leased.body.key.as_ref(),
            name: &job.spec.name,
            attempt: job.attempt(),
            error: job.error.as_deref(),
            prompt: None,
            inputs: job.spec.inputs.as_ref(),
            results: by_name(&job.results),
            children: by_name(&job.children),
        }
    }

    pub(super) fn document(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("what tasks are told serialises")
    }
}

fn by_name(all: &[Upstream]) -> BTreeMap<String, Ended<'_>> {
    all.iter().map(|of| (name(of), Ended::of(of))).collect()
}

impl Files {
    /// `folder` must exist.
    pub fn new(folder: &Path, job: &Job) -> Files {
        Files {
            base: folder.join(job.scratch_name()),
            nothing_left: Arc::default(),
            mask: Arc::clone(&job.mask),
        }
    }

    fn hidden(&self, text: String) -> String {
        match self.mask.get() {
            Some(mask) => mask.text(&text),
            None => text,
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        let mut name = self.base.clone().into_os_string();
        name.push(".");
        name.push(what);
        name.into()
    }

    /// The variables of this attempt, beside those of the task itself.
    pub fn environment(&self, job: &Job, store: &str, project: &str, input: &Path) -> Vec<(String, String)> {
        let leased = &job.leased;
        let path = |what: &str| self.path(what).display().to_string();
        let mut env: Vec<(String, String)> = vec![
            ("BELLWETHER_STORE".into(), store.to_owned()),
            ("BELLWETHER_PROJECT".into(), project.to_owned()),
            ("BELL_TASK".into(), leased.task.id.to_string()),
            ("BELL_ATTEMPT".into(), job.attempt().to_string()),
            ("BELL_ATTEMPT_KEY".into(), job.attempt_key()),
            ("BELL_TOKEN".into(), leased.token.to_string()),
            ("BELL_INPUT".into(), input.display().to_string()),
            ("BELL_RESULT".into(), path(RESULT.name)),
            ("BELL_PROGRESS".into(), path(PROGRESS.name)),
            ("BELL_USAGE".into(), path(USAGE.name)),
            ("BELL_SUBTASKS".into(), path(SUBTASKS.name)),
        ];
        env.extend(
            leased
                .body
                .key
                .as_ref()
                .map(|key| ("BELL_KEY".to_owned(), key.to_string())),
        );
        env.extend(job.run.map(|run| ("BELL_RUN".to_owned(), run.to_string())));
        if !job.children.is_empty() {
            env.push(("BELL_JOINED".into(), "1".into()));
        }
        env.extend(job.results.iter().filter_map(result_variable));
        env
    }

    /// Whether there is anything to read of what counts when the program has ended well. What is not there need not be
    /// removed either.
    pub fn any_left(&self) -> bool {
        let any = [RESULT, USAGE, SUBTASKS]
            .iter()
            .any(|given| self.path(given.name).symlink_metadata().is_ok());
        self.nothing_left.store(!any, Ordering::Relaxed);
        any
    }

    /// The result document, if the program left one.
    pub fn result(&self) -> Result<Option<Json>, Failure> {
        self.document(&RESULT)
    }

    pub fn usage(&self) -> Result<Option<Json>, Failure> {
        self.document(&USAGE)
    }

    /// The latest progress document; one that is being written is read next time.
    pub fn progress(&self) -> Option<Json> {
        self.document(&PROGRESS).ok().flatten()
    }

    /// The subtasks that the program left, if any.
    pub fn subtasks(&self, job: &Job, actor: &Arc<str>, now: Timestamp) -> Result<Option<Children>, Failure> {
        match self.text(&SUBTASKS)? {
            Some(text) => read_subtasks(&text, job, actor, now).map_err(validation),
            None => Ok(None),
        }
    }

    fn document(&self, given: &Given) -> Result<Option<Json>, Failure> {
        let Some(text) = self.text(given)? else {
            return Ok(None);
        };
        Json::parse(text.trim())
            .map(Some)
            .map_err(|e| validation(format!("{} is not JSON: {e}", given.what)))
    }

    /// What the program has put into a file; `None` when that is nothing. The program decides what lies there, so
    /// reading it neither blocks nor takes more memory than the bound.
    fn text(&self, given: &Given) -> Result<Option<String>, Failure> {
        let Given { what, has, max, .. } = given;
        let fault = |why: String| validation(format!("{what}: {why}"));
        let Some(file) = open(&self.path(given.name)).map_err(|e| fault(e.to_string()))? else {
            return Ok(None);
        };
        let about = file.metadata().map_err(|e| fault(e.to_string()))?;
        if !about.is_file() {
            return Err(fault("there is no plain file".into()));
        }
        match about.len() {
            0 => return Ok(None),
            bytes if bytes > *max => {
                return Err(validation(format!(
                    "{what} {has} {bytes} bytes, the limit is {max}"
                )));
            }
            _ => {}
        }
        // Somebody may still be writing to it.
        let mut bounded = file.take(max + 1);
        let mut text = String::new();
        let read = bounded.read_to_string(&mut text);
        if bounded.limit() == 0 {
            return Err(validation(format!(
                "{what} {has} more than {max} bytes, which is the limit"
            )));
        }
        read.map_err(|e| fault(e.to_string()))?;
        Ok(Some(self.hidden(text)))
    }

    /// Writes what an agent is asked; returns the path.
    pub(super) fn prompt(&self, text: &str) -> io::Result<String> {
        let path = self.path(PROMPT);
        let folder = path.parent().unwrap_or(Path::new("."));
        in_folder(folder, || whole(&path, std::fs::write(&path, text)))?;
        Ok(path.to_string_lossy().into_owned())
    }

    pub(super) fn remove_prompt(&self) {
        let _ = std::fs::remove_file(self.path(PROMPT));
    }

    pub fn remove(&self) {
        let all: &[_] = match self.nothing_left.load(Ordering::Relaxed) {
            true => &[PROGRESS],
            false => &[PROGRESS, RESULT, USAGE, SUBTASKS],
        };
        for given in all {
            let _ = std::fs::remove_file(self.path(given.name));
        }
    }
}

/// Opens what lies there for reading, without waiting for the other end of a pipe or taking over a terminal.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn validation(message: String) -> Failure {
    Failure {
        message,
        class: Some("validation".into()),
        exit: None,
    }
}

/// What an upstream task is called.
pub(super) fn name(of: &Upstream) -> String {
    called(of.key.as_ref(), &of.id)
}

pub(super) fn called(key: Option<&Key>, id: &TaskId) -> String {
    key.map_or_else(|| id.to_string(), ToString::to_string)
}

/// `BELL_RESULT_<KEY>`: strings as they are, everything else as JSON.
fn result_variable(of: &Upstream) -> Option<(String, String)> {
    let result = of.outcome.as_ref()?.result.as_ref()?;
    if result.get().len() > RESULT_VARIABLE_BYTES {
        return None;
    }
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let key: String = name(of).chars().map(safe).collect();
    let value = serde_json::from_str::<String>(result.get()).unwrap_or_else(|_| result.get().to_owned());
    (!value.contains('\0')).then(|| (format!("BELL_RESULT_{key}"), value))
}

/// Subtasks in the form in which programs hand them in.
pub(super) fn children(text: &str, job: &Job, engine: &Engine) -> Result<Option<Children>, Failure> {
    read_subtasks(text, job, &engine.actor, engine.now().wall).map_err(validation)
}

/// JSON lines: each a task in the form of a plan with its `key`, or `{"join": "complete" | "continue"}`.
/// `after` names siblings by key, or other tasks by id.
fn read_subtasks(
    text: &str,
    job: &Job,
    actor: &Arc<str>,
    now: Timestamp,
) -> Result<Option<Children>, String> {
    let mut join = None;
    let mut tasks = serde_json::Map::new();
    let mut outside: Vec<Vec<NewEdge>> = Vec::new();
    let mut entries: Vec<(usize, String, serde_json::Map<String, Value>)> = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let at = |why: String| format!("line {} of the subtasks: {why}", number + 1);
        let value: Value = serde_json::from_str(line).map_err(|e| at(e.to_string()))?;
        let Value::Object(mut entry) = value else {
            return Err(at("a JSON object is needed".into()));
        };
        if let Some(mode) = entry.get("join") {
            if join.is_some() {
                return Err(at("`join` stands twice".into()));
            }
            join = Some(serde_json::from_value::<Join>(mode.clone()).map_err(|e| at(e.to_string()))?);
            continue;
        }
        match entry.remove("key") {
            Some(Value::String(key)) => entries.push((number, key, entry)),
            _ => return Err(at("`key` is missing or no text".into())),
        }
    }
    let keys: Vec<String> = entries.iter().map(|(_, key, _)| key.clone()).collect();
    for (number, key, mut entry) in entries {
        let at = |why: String| format!("line {} of the subtasks: {why}", number + 1);
        outside.push(split_after(&mut entry, &keys).map_err(at)?);
        if tasks.insert(key.clone(), Value::Object(entry)).is_some() {
            return Err(at(format!("the key `{key}` stands twice")));
        }
    }
    if tasks.is_empty() {
        return Ok(None);
    }
    let document = serde_json::json!({ "tasks": tasks }).to_string();
    let plan =
        plan::read(document.as_bytes(), Format::Json, "subtasks").map_err(|faults| faults.to_string())?;
    if !plan.unsupported.is_empty() {
        return Err(plan.unsupported.to_string());
    }
    let order: FxHashMap<&Key, u32> = plan
        .tasks
        .iter()
        .zip(0..)
        .map(|(task, i)| (&task.key, i))
        .collect();
    let outside: FxHashMap<String, Vec<NewEdge>> = keys.into_iter().zip(outside).collect();
    let new = plan
        .tasks
        .iter()
        .map(|task| {
            let source = if task.spec.source == Source::Human {
                job.spec.source
            } else {
                task.spec.source
            };
            let cwd = task.spec.cwd.clone().or_else(|| job.spec.cwd.clone());
            let mut spec = Spec {
                source,
                cwd,
                ..task.spec.clone()
            };
            within_trace(&mut spec, job);
            let mut new = NewTask::new(ids::task(), Some(task.key.clone()), &spec, now);
            new.after = outside.get(task.key.as_str()).cloned().unwrap_or_default();
            let sibling = |after: &domain::task::spec::After| NewEdge {
                on: On::Batch(order[&after.task]),
                when: after.when,
            };
            new.after.extend(task.after.iter().map(sibling));
            new
        })
        .collect();
    Ok(Some(left(new, join, job, actor)))
}

/// Hands a subtask in from within the trace of its parent.
pub(super) fn within_trace(spec: &mut Spec, job: &Job) {
    if let Some(context) = job.trace {
        let place = spec.env.entry(trace::VARIABLE.to_owned());
        place.or_insert_with(|| context.to_string());
    }
}

/// Subtasks as an attempt leaves them.
pub(super) fn left(tasks: Vec<NewTask>, join: Option<Join>, job: &Job, actor: &Arc<str>) -> Children {
    let admission = Admission {
        tasks,
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits::of(job.spec.source),
        actor: actor.clone(),
        idempotency_key: None,
    };
    Children {
        admission: Box::new(admission),
        join,
    }
}

/// Takes the entries of `after` that name no sibling out of `entry`: they are ids of other tasks.
fn split_after(
    entry: &mut serde_json::Map<String, Value>,
    siblings: &[String],
) -> Result<Vec<NewEdge>, String> {
    let mut outside = Vec::new();
    let Some(Value::Array(after)) = entry.get_mut("after") else {
        return Ok(outside);
    };
    let mut wrong = None;
    after.retain(|item| {
        let (task, when) = match item {
            Value::String(task) => (Some(task.as_str()), None),
            Value::Object(edge) => (
                edge.get("task").and_then(Value::as_str),
                edge.get("when").and_then(Value::as_str),
            ),
            _ => (None, None),
        };
        let Some(task) = task.filter(|task| !siblings.iter().any(|key| key == task)) else {
            return true;
        };
        let when = when.map_or(Ok(When::Success), When::parse);
        match (TaskId::new(task), when) {
            (Ok(id), Ok(when)) => outside.push(NewEdge {
                on: On::Task(id),
                when,
            }),
            (Err(refusal), _) | (_, Err(refusal)) => wrong = Some(refusal.detail),
        }
        false
    });
    wrong.map_or(Ok(outside), Err)
}
