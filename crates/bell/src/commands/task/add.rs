//! `bell task add`

use desk::find;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, Kind, TaskId, TeamName};
use domain::limits;
use domain::store::{Admission, IntoRun, NewEdge, On};
use domain::task::lock::{Lock, Mode};
use domain::task::retry::Retry;
use domain::task::spec::{Json, Moment, Priority, Source, Spec, Work};
use domain::task::state::State;
use engine::ids;
use std::time::Duration;

use super::{Once, show};
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::parse::{self, After};

/// Add a task
///
/// With neither --run, --agent nor --prompt, NAME is the prompt and whoever claims the task does it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task add \"review the diff\" --needs review --priority high
  bell task add build --run \"make -j4\" --timeout 10m --retry 3
  bell task add deploy --run ./deploy.sh --after build --after \"test:finished\" --lock env:prod")]
pub(crate) struct Args {
    /// What the task is called
    #[arg(value_parser = parse::text)]
    name: String,
    #[command(flatten)]
    asked: Asked,
    /// Give the task this id [default: a fresh UUID]
    #[arg(long, value_parser = parse::name::<TaskId>)]
    id: Option<TaskId>,
    /// Wait for a task: ID, or ID:failure, or ID:finished
    #[arg(long, value_name = "ID[:WHEN]", value_parser = parse::after)]
    after: Vec<After>,
    /// Make it a subtask of this one
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    #[command(flatten)]
    once: Once,
}

/// What a task asks for: the flags of every command that makes tasks.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// Run this line with `sh -c`
    #[arg(long, value_name = "CMD", value_parser = parse::text, conflicts_with_all = ["agent", "prompt"])]
    run: Option<String>,
    /// Pin the task to this agent
    #[arg(long, value_name = "AGENT", value_parser = parse::name::<AgentName>)]
    agent: Option<AgentName>,
    /// Let only members of this team take it
    #[arg(long, value_name = "TEAM", value_parser = parse::name::<TeamName>, conflicts_with = "agent")]
    team: Option<TeamName>,
    /// Tell the agent this
    #[arg(long, value_name = "TEXT", value_parser = parse::text)]
    prompt: Option<String>,
    /// Say what sort of work it is [default: command or agent]
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// 0 to 10, or low, normal or medium, high, fix, critical [default: normal]
    #[arg(long, value_parser = parse::priority)]
    priority: Option<Priority>,
    /// Say who asks: human, agent_requirements, agent_planner or agent_implementation [default: human]
    #[arg(long, value_parser = parse::source)]
    source: Option<Source>,
    /// Be done by then: a time such as 2026-05-01T12:00:00Z, or a duration from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    deadline: Option<Moment>,
    /// Say how long it will take
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    estimate: Option<Duration>,
    /// Start not before: a time, or a duration from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    run_at: Option<Moment>,
    /// End an attempt after this long [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    timeout: Option<Duration>,
    /// Try again: operation, task, event, or a number of tries in all
    #[arg(long, value_name = "PRESET|N", value_parser = parse::retry)]
    retry: Option<Retry>,
    /// Need a worker with this capability
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    needs: Vec<Capability>,
    /// Hold this lock while running; `path:` locks cover everything below them
    #[arg(long, value_name = "NAME")]
    lock: Vec<String>,
    /// Hold this lock together with others that share it
    #[arg(long, value_name = "NAME")]
    shared_lock: Vec<String>,
    /// Hand this JSON to the attempt; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    input: Option<Json>,
    /// Remember the session it belongs to
    #[arg(long)]
    session: Option<String>,
    /// Describe it in a line
    #[arg(long, value_parser = parse::text)]
    summary: Option<String>,
    /// Set a variable for the attempt
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse::variable)]
    env: Vec<(String, String)>,
    /// Work in this folder [default: this one]
    #[arg(long, value_name = "DIR")]
    cwd: Option<std::path::PathBuf>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Create).await?;
        let now = engine.now();
        let mut spec = self.asked.spec(&self.name, context)?;
        if let Some(trace) = context.trace()? {
            trace.hold(&mut spec.env);
        }
        let id = self.id.clone().unwrap_or_else(ids::task);
        let mut task = desk::task::fresh(id, None, &spec, now.wall);
        for after in &self.after {
            let on = On::Task(find::typed_prerequisite(&engine, &after.task).await?);
            task.after.push(NewEdge { on, when: after.when });
        }
        if let Some(parent) = &self.parent {
            task.parent = Some(find::typed_id(&engine, parent).await?);
        }
        let admission = Admission {
            tasks: vec![task],
            run: IntoRun::None,
            supersede: Vec::new(),
            limits: domain::store::AdmitLimits::of(spec.source),
            actor: engine.actor.clone(),
            idempotency_key: self.once.idempotency_key,
        };
        let admitted = engine.store.admit(&engine.project, admission, now).await;
        let admitted = admitted.map_err(|refusal| with_conditions(refusal, &self.after))?;
        if admitted.repeated {
            context.ui.hint("this key was used before: nothing was added")?;
        }
        let id = admitted
            .tasks
            .into_iter()
            .next()
            .map(|(id, _)| id.to_string())
            .unwrap_or_default();
        let view = find::typed(&engine, &id).await?;
        let task = find::whole(&engine, view).await?;
        context.ui.answer(&task, show::line)?;
        context.ui.hint(&match (task.state, &spec.team) {
            (State::Ready, Some(team)) => {
                format!("`bell task claim --worker NAME` takes it for a member of {team}")
            }
            (State::Ready, None) => "`bell task claim --worker NAME` takes the first in line".to_owned(),
            _ => format!("`bell task why {id}` tells what it waits for"),
        })?;
        Ok(Exit::DONE)
    }
}

/// A condition that is none is taken for a part of the id, since ids may hold colons: what is not found may have been meant so.
fn with_conditions(refusal: Refusal, after: &[After]) -> Refusal {
    let is_missing = |after: &&After| {
        refusal.code == Code::PrerequisiteNotFound && refusal.detail.contains(after.task.as_str())
    };
    let mut missing = after.iter().filter(is_missing);
    match missing.find_map(|after| after.task.rsplit_once(':')) {
        Some((task, when)) => refusal.help(format!(
            "if `{}` is meant, `{}` is no condition: write success, failure or finished",
            task.escape_debug(),
            when.escape_debug()
        )),
        None => refusal,
    }
}

impl Asked {
    /// A new task of this name.
    pub(crate) fn spec(&self, name: &str, context: &Context) -> Result<Spec> {
        let mut spec = Spec::new(name, self.work().unwrap_or_else(|| Work::Prompt(name.to_owned())));
        spec.cwd = Some(context.cwd.to_string_lossy().into_owned());
        self.amend(&mut spec, context)?;
        Ok(spec)
    }

    pub(crate) fn names_work(&self) -> bool {
        self.work().is_some()
    }

    /// Whether nothing was asked for at all.
    pub(crate) fn is_empty(&self, context: &Context) -> Result<bool> {
        let mut nothing = Spec::new("nothing", Work::Prompt(String::new()));
        Ok(!self.names_work() && !self.amend(&mut nothing, context)?)
    }

    fn work(&self) -> Option<Work> {
        match (&self.run, &self.prompt) {
            (Some(line), _) => Some(Work::Shell(line.clone())),
            (None, Some(prompt)) => Some(Work::Prompt(prompt.clone())),
            (None, None) => None,
        }
    }

    /// Changes what was asked for; says whether that was anything.
    pub(crate) fn amend(&self, spec: &mut Spec, context: &Context) -> Result<bool> {
        let before = spec.clone();
        if let Some(work) = self.work() {
            let asked = Spec::new(&spec.name, work);
            (spec.work, spec.kind) = (asked.work, asked.kind);
        }
        set(&mut spec.kind, self.kind.as_ref());
        set(&mut spec.priority, self.priority.as_ref());
        set(&mut spec.source, self.source.as_ref());
        set_some(&mut spec.agent, self.agent.as_ref());
        set_some(&mut spec.team, self.team.as_ref());
        set_some(&mut spec.deadline, self.deadline.as_ref());
        set_some(&mut spec.estimate, self.estimate.as_ref());
        set_some(&mut spec.run_at, self.run_at.as_ref());
        set_some(&mut spec.timeout, self.timeout.as_ref());
        set_some(&mut spec.retry, self.retry.as_ref());
        set_some(&mut spec.inputs, self.input.as_ref());
        set_some(&mut spec.summary, self.summary.as_ref());
        set_some(&mut spec.session, self.session.as_ref());
        if !self.needs.is_empty() {
            spec.needs = self.needs.clone();
            spec.needs.sort_unstable();
            spec.needs.dedup();
        }
        if !(self.lock.is_empty() && self.shared_lock.is_empty()) {
            spec.locks = locks(&self.lock, &self.shared_lock)?;
        }
        if !self.env.is_empty() {
            spec.env = self.env.iter().cloned().collect();
        }
        if let Some(dir) = &self.cwd {
            spec.cwd = Some(context.cwd.join(dir).to_string_lossy().into_owned());
        }
        Ok(*spec != before)
    }
}

fn set<T: Clone>(value: &mut T, asked: Option<&T>) {
    if let Some(asked) = asked {
        *value = asked.clone();
    }
}

fn set_some<T: Clone>(value: &mut Option<T>, asked: Option<&T>) {
    if asked.is_some() {
        *value = asked.cloned();
    }
}

/// Normalised and sorted; of a name asked for in both modes the exclusive one stays.
fn locks(exclusive: &[String], shared: &[String]) -> Result<Vec<Lock>> {
    let exclusive = exclusive.iter().map(|name| Lock::new(name, Mode::Exclusive));
    let shared = shared.iter().map(|name| Lock::new(name, Mode::Shared));
    let mut locks = exclusive
        .chain(shared)
        .collect::<std::result::Result<Vec<_>, _>>()?;
    locks.sort_unstable();
    locks.dedup_by(|later, first| later.name == first.name);
    if locks.len() > limits::LOCKS {
        let detail = format!("{} locks; the limit is {}", locks.len(), limits::LOCKS);
        return Err(Refusal::new(Code::LimitExceeded, detail).into());
    }
    Ok(locks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusive_lock_swallows_the_shared_one_of_its_name() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let locks = locks(&names(&["path:./src", "db"]), &names(&["path:src", "z"])).unwrap();
        let shown: Vec<String> = locks
            .iter()
            .map(|lock| format!("{} {:?}", lock.name, lock.mode))
            .collect();
        assert_eq!(shown, ["db Exclusive", "path:src Exclusive", "z Shared"]);
    }
}
