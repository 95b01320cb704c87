//! The executor `agent`: a program or an endpoint that gets a prompt, such as the command line of an AI agent.
//!
//! [`Program`] says how it is called. A command speaks the same protocol as any command ([`super::files`]); what it leaves in
//! `$BELL_RESULT` is the result, else what it printed. With a worktree, what it changed is a branch that is merged
//! when it is done (`tree`).

mod claim;
mod git;
mod merge;
mod tree;

use std::time::Duration;

use domain::limits;
use domain::store::{Children, Upstream};
use domain::task::outside;
use domain::task::proposed;
use domain::task::record::{Failure, Outcome};
use domain::task::replan;
use domain::task::spec::{Json, Spec, Work};
use domain::task::state::State;
use serde_json::{Value, json};

use super::command::{Commands, Start, set_aside};
use super::files::{self, Files, Input};
use super::{Finish, Job, http};
use crate::engine::Engine;
use crate::outside::Outside;
use crate::process::output;
use crate::trace;
use merge::Merged;
use tree::Tree;

/// Stands for the prompt in an argument of the command.
const PROMPT: &str = "{prompt}";
/// Stands for the path of a file that holds it.
const PROMPT_FILE: &str = "{prompt_file}";
/// Linux takes no longer argument than 128 KiB.
const ARGUMENT_BYTES: usize = 120 * 1024;
/// Bytes of a prerequisite's result that are told in a prompt; `$BELL_INPUT` has all of it.
const TOLD_BYTES: usize = 4 * 1024;
/// Bytes of what was printed that become the result when nothing else was left.
const SAID_BYTES: usize = 8 * 1024;
/// The key of the question that a conflict makes.
const CONFLICT: &str = "merge-conflict";

/// How an agent is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    Command {
        /// A program and its arguments. `{prompt}` and `{prompt_file}` are replaced inside of them, without a shell;
        /// where neither stands, the prompt comes on stdin.
        argv: Vec<String>,
        /// Each attempt works in a git worktree of its own.
        worktree: bool,
    },
    /// It gets a document with the prompt, the inputs and the results of what came before, and answers with its result, or with
    /// `{"result": …, "usage": …}`.
    Endpoint(outside::Call),
}

/// Why an attempt does not end as it should.
enum Trouble {
    Failed(Failure),
    /// The task is not this attempt's any more.
    Overtaken,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl From<Trouble> for Finish {
    fn from(trouble: Trouble) -> Finish {
        match trouble {
            Trouble::Failed(failure) => Finish::failed(failure),
            Trouble::Overtaken => Finish::Stopped,
        }
    }
}

/// Runs one attempt to its end.
pub async fn run(engine: &Engine, commands: &Commands, outside: &Outside, job: &Job) -> Finish {
    let (argv, worktree) = match commands.program.as_deref() {
        None => return Finish::failed(Failure::new("this worker calls no agent")),
        Some(Program::Endpoint(call)) => return endpoint(engine, outside, commands.timeout, job, call).await,
        Some(Program::Command { argv, worktree }) => (argv, *worktree),
    };
    let call = Call {
        engine,
        commands,
        argv,
        job,
    };
    // A planner changes no files.
    let finish = match worktree && job.spec.kind.as_str() != replan::KIND {
        true => call.in_a_tree().await,
        false => call.here().await,
    };
    finish.unwrap_or_else(Finish::from)
}

async fn endpoint(
    engine: &Engine,
    outside: &Outside,
    timeout: Duration,
    job: &Job,
    asked: &outside::Call,
) -> Finish {
    let mut told = Input::of(job, engine.project.as_str());
    told.prompt = Some(prompt(job));
    let body = Some(told.document());
    let answer = match http::answered(engine, outside, timeout, job, asked, body).await {
        Ok(answer) => answer,
        Err(finish) => return finish,
    };
    let mut said = http::document(&answer)["body"].take();
    let usage = said.get_mut("usage").map(|usage| Json::of(&usage.take()));
    let result = match said.get_mut("result") {
        Some(result) => result.take(),
        None => said,
    };
    http::completed(engine, job, Json::of(&result), usage)
}

struct Call<'a> {
    engine: &'a Engine,
    commands: &'a Commands,
    argv: &'a [String],
    job: &'a Job,
}

impl Call<'_> {
    async fn here(&self) -> Result<Finish, Trouble> {
        Ok(self.call(Start::folder(self.job)).await?)
    }

    async fn in_a_tree(&self) -> Result<Finish, Trouble> {
        let job = self.job;
        let tree = Tree::new(self.engine, &self.commands.scratch, job).await?;
        if let Some(merged) = tree.merged_before().await? {
            return Ok(self.completed(&merged));
        }
        let asked = job.children.iter().find(|child| is_question(child));
        if let Some(question) = asked {
            if question.state != State::Completed {
                let unsettled = format!(
                    "the conflict of {} with {} was not settled",
                    tree.branch, tree.into
                );
                return Err(Failure::new(unsettled).into());
            }
            return self.merge(&tree).await;
        }
        let folder = tree.open(!job.children.is_empty()).await?;
        let finish = self.call(folder).await;
        // Whatever became of the attempt: its folder goes, and what it has written stays on its branch.
        let closed = tree.close(&finish).await;
        let mut finish = finish?;
        if let Finish::Completed { children, .. } = &mut finish {
            closed?;
            let joins = children.as_ref().is_some_and(|children| children.join.is_some());
            if !joins {
                let left = children.take();
                let merged = self.merge(&tree).await?;
                return Ok(with_children(merged, left));
            }
        }
        Ok(finish)
    }

    /// Merges the branch of the attempt; a conflict is a question, and the task goes on when it is answered.
    async fn merge(&self, tree: &Tree<'_>) -> Result<Finish, Trouble> {
        match tree.merge().await? {
            Ok(merged) => Ok(self.completed(&merged)),
            Err(conflict) => {
                let question = json!({ "key": CONFLICT, "breakpoint": conflict });
                let text = format!("{question}\n{}", json!({ "join": "continue" }));
                let children = files::children(&text, self.job, self.engine)?;
                Ok(Finish::Completed {
                    outcome: Outcome::default(),
                    cached: false,
                    children,
                })
            }
        }
    }

    fn completed(&self, merged: &Merged) -> Finish {
        let mut result = Json::of(merged);
        if result.get().len() > limits::RESULT_BYTES {
            match set_aside(self.engine, self.job, &result) {
                Ok(aside) => result = aside,
                Err(failure) => return Finish::failed(failure),
            }
        }
        Finish::Completed {
            outcome: Outcome {
                result: Some(result),
                error: None,
                usage: None,
            },
            cached: false,
            children: None,
        }
    }

    async fn call(&self, cwd: std::path::PathBuf) -> Result<Finish, Failure> {
        let files = Files::new(&self.commands.scratch, self.job);
        let prompt = self.prompt()?;
        let path = match files.prompt(&prompt) {
            Ok(path) => path,
            Err(error) => return Ok(self.commands.unwritable(&error).await),
        };
        let start = self.start(prompt, &path, cwd);
        let mut finish = self.commands.call(self.engine, self.job, start).await;
        files.remove_prompt();
        if let Finish::Completed {
            outcome, children, ..
        } = &mut finish
        {
            admit(children.as_ref())?;
            if outcome.result.is_none() {
                outcome.result = self.said().await;
            }
        }
        Ok(finish)
    }

    /// What the agent is asked, if it can be told so.
    fn prompt(&self) -> Result<String, Failure> {
        let prompt = prompt(self.job);
        if self.argv.iter().any(|argument| argument.contains(PROMPT)) && prompt.len() > ARGUMENT_BYTES {
            return Err(Failure {
                class: Some("validation".into()),
                ..Failure::new(format!(
                    "the prompt has {} bytes, and an argument at most {ARGUMENT_BYTES}: write {PROMPT_FILE} into \
                     the agent's command instead of {PROMPT}",
                    prompt.len()
                ))
            });
        }
        Ok(prompt)
    }

    fn start(&self, prompt: String, path: &str, cwd: std::path::PathBuf) -> Start {
        let told = |argument: &String| argument.contains(PROMPT) || argument.contains(PROMPT_FILE);
        let on_stdin = !self.argv.iter().any(told);
        let fill = |argument: &String| match argument == PROMPT && prompt.starts_with('-') {
            // It is no option of the agent's, whatever it begins with.
            true => format!(" {prompt}"),
            false => argument.replace(PROMPT_FILE, path).replace(PROMPT, &prompt),
        };
        Start {
            argv: self.argv.iter().map(fill).collect(),
            cwd,
            stdin: on_stdin.then(|| prompt.into_bytes()),
        }
    }

    /// What the agent printed: as JSON where it is some, else the end of it as text.
    async fn said(&self) -> Option<Json> {
        let (engine, job) = (self.engine, self.job);
        let record = engine
            .home
            .output(&engine.project, job.leased.task.seq, job.attempt());
        let read = tokio::task::spawn_blocking(move || output::read(&record));
        let bytes = read.await.ok()?.ok()?.bytes;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.len() <= limits::RESULT_BYTES
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            return Some(Json::of(&value));
        }
        let from = text.ceil_char_boundary(text.len().saturating_sub(SAID_BYTES));
        (!text.is_empty()).then(|| Json::of(&&text[from..]))
    }
}

fn is_question(child: &Upstream) -> bool {
    child.key.as_ref().is_some_and(|key| key.as_str() == CONFLICT)
}

/// What a merge ends with, and the subtasks that the agent left beside.
fn with_children(finish: Finish, left: Option<Children>) -> Finish {
    match finish {
        Finish::Completed {
            outcome,
            cached,
            children: None,
        } => Finish::Completed {
            outcome,
            cached,
            children: left,
        },
        other => other,
    }
}

/// An agent hands in what it may ask for, and nothing else.
fn admit(children: Option<&Children>) -> Result<(), Failure> {
    for task in children.iter().flat_map(|children| &children.admission.tasks) {
        let why = match serde_json::from_str::<Spec>(&task.body) {
            Err(e) => Some(e.to_string()),
            Ok(mut spec) => {
                // Its place in a trace is ours.
                spec.env.remove(trace::VARIABLE);
                let mut admitted = spec.clone();
                match proposed::admit(&mut admitted) {
                    Err(refused) => Some(format!("it is or has {refused}")),
                    Ok(()) if admitted != spec => Some("it sets variables or secrets".to_owned()),
                    Ok(()) => None,
                }
            }
        };
        if let Some(why) = why {
            let key = task
                .key
                .as_ref()
                .map_or_else(|| task.id.to_string(), ToString::to_string);
            return Err(Failure {
                class: Some("permission denied".into()),
                ..Failure::new(format!(
                    "subtask `{key}`: an agent hands in prompts, questions and waits, and neither commands nor calls: {why}"
                ))
            });
        }
    }
    Ok(())
}

/// What the task asks for, and what came before it.
fn prompt(job: &Job) -> String {
    let Work::Prompt(asked) = &job.spec.work else {
        unreachable!("{} is no prompt", job.spec.work.name());
    };
    let mut text = asked.clone();
    for (head, all) in [
        ("Results of what came before", &job.results),
        ("Results of your subtasks", &job.children),
    ] {
        let told: Vec<String> = all.iter().filter_map(told).collect();
        if !told.is_empty() {
            text += &format!("\n\n{head}:\n{}", told.join("\n"));
        }
    }
    if let Some(error) = &job.error {
        text += &format!("\n\nThe try before failed: {error}");
    }
    if let Some(inputs) = &job.spec.inputs {
        text += &format!("\n\nInput:\n{}", inputs.get());
    }
    text
}

fn told(of: &Upstream) -> Option<String> {
    let outcome = of.outcome.as_ref()?;
    let name = files::name(of);
    if let Some(error) = &outcome.error {
        return Some(format!("- {name} failed: {}", error.message));
    }
    let result = outcome.result.as_ref()?.get();
    let shown = &result[..result.floor_char_boundary(TOLD_BYTES)];
    let cut = if shown.len() < result.len() {
        " … (all of it is in $BELL_INPUT)"
    } else {
        ""
    };
    Some(format!("- {name}: {shown}{cut}"))
}
