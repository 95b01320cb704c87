//! Replanning: when the last try of a task has failed, a planner is asked for another way.
//!
//! The failed task does not end: it waits for its planner as a parent waits for a subtask. The planner's result is a
//! fragment of a plan ([`crate::plan::fragment`]); its tasks become further subtasks in the transaction that ends the
//! planner, and the failed task completes with their results. So those that wait for it notice nothing, and no fragment is
//! ever half there, or there twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::each::Each;
use super::proposed::{self, Refused};
use super::record::{Failure, Task};
use super::retry::Retry;
use super::spec::{Json, OnUpstreamFailure, Source, Spec, When, Work, span};
use crate::code::{Code, Refusal};
use crate::event::Event;
use crate::id::{AgentName, Capability, Key, Kind, TaskId};

/// What follows the last failed try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The task goes to the dead letters, as it does where nothing is said.
    #[serde(rename = "dead_letter")]
    Letter,
    Replan(Box<Replan>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replan {
    #[serde(default)]
    pub planner: Planner,
    /// How many replannings have led to this task.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub times: u32,
}

fn is_zero(times: &u32) -> bool {
    *times == 0
}

/// Who is asked: a command, or an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planner {
    pub work: Work,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The failed task's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// What whoever plans without being named must be able to do.
pub const CAPABILITY: &str = "planning";
/// The kind of planners.
pub const KIND: &str = "replan";

const ASKED: &str = "A task of a plan has failed for good; the input tells which, what became of each try, and which tasks \
     wait for it. Find another way to what it was for. Your result is a fragment of a plan, as JSON: \
     {\"tasks\": {\"KEY\": {\"prompt\": \"...\", \"after\": [\"OTHER KEY\"]}}}. `bell plan schema` tells every key of a \
     task. The tasks that wait go on when all of yours are done.";

impl Planner {
    fn is_agent(&self) -> bool {
        matches!(self.work, Work::Prompt(_))
    }
}

impl Default for Planner {
    /// Any agent that can plan.
    fn default() -> Planner {
        Planner {
            work: Work::Prompt(ASKED.to_owned()),
            agent: None,
            needs: Capability::new(CAPABILITY).into_iter().collect(),
            timeout: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            cwd: None,
        }
    }
}

impl Replan {
    /// So often at the most, along any line from a task to what takes its place.
    pub const MOST: u32 = 3;

    pub fn may(&self) -> bool {
        self.times < Replan::MOST
    }

    /// What the planner of a failed task is asked to do.
    pub fn asked(&self, failed: &Failed<'_>) -> Spec {
        let (planner, spec) = (&self.planner, failed.spec);
        Spec {
            kind: Kind::new(KIND).expect("it is a kind"),
            agent: planner.agent.clone(),
            needs: planner.needs.clone(),
            priority: spec.priority,
            source: if planner.is_agent() {
                Source::AgentPlanner
            } else {
                spec.source
            },
            timeout: planner.timeout,
            // What cannot be used is no reason to give up either.
            retry: Some(Retry::operation()),
            env: planner.env.clone(),
            secrets: planner.secrets.clone(),
            cwd: planner.cwd.clone().or_else(|| spec.cwd.clone()),
            inputs: Some(failed.told(Replan::MOST - self.times)),
            session: spec.session.clone(),
            spec_ref: spec.spec_ref.clone(),
            ..Spec::new(
                &format!("another way for {}", failed.name()),
                planner.work.clone(),
            )
        }
    }

    /// What a task is told that stands in for one which was replanned by this.
    fn next(&self) -> OnExhausted {
        OnExhausted::Replan(Box::new(Replan {
            planner: self.planner.clone(),
            times: self.times.saturating_add(1),
        }))
    }

    /// The number of replannings is kept whatever a fragment says, so that it cannot be begun anew.
    fn follow(&self, own: Option<OnExhausted>, upstream: OnUpstreamFailure) -> Option<OnExhausted> {
        match own {
            Some(OnExhausted::Letter) => Some(OnExhausted::Letter),
            _ if upstream == OnUpstreamFailure::Continue => Some(OnExhausted::Letter),
            Some(OnExhausted::Replan(own)) if own.planner != Planner::default() => {
                Some(OnExhausted::Replan(Box::new(Replan {
                    times: self.times.saturating_add(1),
                    ..*own
                })))
            }
            _ => Some(self.next()),
        }
    }
}

/// A task whose last try has failed, with what is known of it.
#[derive(Debug)]
pub struct Failed<'a> {
    pub task: &'a Task,
    pub key: Option<&'a Key>,
    pub spec: &'a Spec,
    pub failure: &'a Failure,
    /// Its events, the latest first.
    pub history: &'a [Event],
    pub dependents: &'a [Dependent],
}

/// A task that waits for it.
#[derive(Clone, Debug)]
pub struct Dependent {
    pub id: TaskId,
    pub key: Option<Key>,
    pub when: When,
    pub spec: Spec,
}

/// Events and dependents that a planner is told of. All of it together fits into a prompt.
pub const EVENTS: usize = 40;
pub const DEPENDENTS: usize = 40;
/// Bytes of what the failed task was to do, and of what each dependent is to do.
const WORK_BYTES: usize = 4_000;
const SHORT_BYTES: usize = 300;
/// Bytes of all events together.
const HISTORY_BYTES: usize = 16 * 1024;

impl Failed<'_> {
    fn name(&self) -> String {
        called(self.key, &self.task.id)
    }

    /// The inputs of its planner.
    fn told(&self, left: u32) -> Json {
        let mut history = Vec::new();
        let mut bytes = 0;
        for event in self.history {
            let fact = &event.fact;
            bytes += fact.data.as_ref().map_or(0, |data| data.get().len());
            if bytes > HISTORY_BYTES {
                break;
            }
            history.push(json!({
                "number": event.no,
                "type": fact.kind,
                "at": fact.at.to_string(),
                "reason": fact.reason,
                "data": fact.data,
            }));
        }
        history.reverse();
        let dependents: Vec<Value> = self
            .dependents
            .iter()
            .map(|waits| {
                json!({
                    "task": waits.id,
                    "key": waits.key,
                    "name": cut(&waits.spec.name, SHORT_BYTES),
                    "when": waits.when,
                    "work": waits.spec.work.name(),
                    "text": cut(&waits.spec.work.text(), SHORT_BYTES),
                })
            })
            .collect();
        Json::of(&json!({
            "failed": {
                "task": self.task.id,
                "key": self.key,
                "name": self.spec.name,
                "work": self.spec.work.name(),
                "text": cut(&self.spec.work.text(), WORK_BYTES),
                "inputs": self.spec.inputs.as_ref().filter(|inputs| inputs.get().len() <= WORK_BYTES),
                "attempts": self.task.attempts,
                "error": self.failure.message,
                "class": self.failure.class,
                "exit": self.failure.exit,
            },
            "history": history,
            "dependents": dependents,
            "dependents_in_all": self.task.dependents,
            "replannings_left": left,
        }))
    }
}

fn called(key: Option<&Key>, id: &TaskId) -> String {
    key.map_or_else(|| id.to_string(), ToString::to_string)
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The planner that is asked after this attempt; the same id whenever it is computed.
pub fn planner_id(task: &TaskId, attempt: u32) -> TaskId {
    made(&[task.to_string().as_bytes(), b"planner", &attempt.to_le_bytes()])
}

/// The task with this key in the fragment of this planner.
pub fn piece_id(planner: &TaskId, key: &Key) -> TaskId {
    made(&[planner.to_string().as_bytes(), b"piece", key.as_str().as_bytes()])
}

fn made(parts: &[&[u8]]) -> TaskId {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    TaskId::Uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What the planner of a task goes by among the tasks of its run.
pub fn planner_key(key: Option<&Key>, id: &TaskId) -> Option<Key> {
    Key::new(&format!("{}/planner", called(key, id))).ok()
}

/// The task that a fragment stands in for.
#[derive(Debug)]
pub struct Place<'a> {
    pub id: &'a TaskId,
    pub key: Option<&'a Key>,
    pub spec: &'a Spec,
    pub replan: &'a Replan,
    /// What an agent proposes is not trusted with commands.
    pub by_agent: bool,
}

impl Place<'_> {
    /// What the keys of a fragment begin with among the tasks of the run.
    pub fn prefix(key: Option<&Key>, id: &TaskId) -> String {
        format!("{}/", called(key, id))
    }

    /// What a key of the fragment is among the tasks of the run.
    pub fn key(&self, key: &Key) -> Result<Key, Refusal> {
        let whole = format!("{}{key}", Place::prefix(self.key, self.id));
        Key::new(&whole)
            .map_err(|refusal| wrong(format!("the key `{key}` is too long here: {}", refusal.detail)))
    }

    /// A task of the fragment as it takes its place.
    pub fn piece(&self, key: &Key, own: &Spec) -> Result<Spec, Refusal> {
        let mut spec = own.clone();
        if self.by_agent {
            self.admit(key, &mut spec)?;
        }
        let by = if self.by_agent {
            Source::AgentPlanner
        } else {
            self.spec.source
        };
        spec.source = if own.source == Source::Human {
            by
        } else {
            own.source
        };
        spec.cwd = match (&self.spec.cwd, &spec.cwd) {
            (Some(folder), Some(own)) => Some(Path::new(folder).join(own).display().to_string()),
            (folder, own) => own.clone().or_else(|| folder.clone()),
        };
        spec.session = spec.session.or_else(|| self.spec.session.clone());
        spec.spec_ref = spec.spec_ref.or_else(|| self.spec.spec_ref.clone());
        spec.on_exhausted = self
            .replan
            .follow(spec.on_exhausted.take(), spec.on_upstream_failure);
        if let Work::Each(each) = &spec.work {
            let mut each: Each =
                serde_json::from_str(each.get()).map_err(|e| wrong(format!("`{key}`: {e}")))?;
            each.task.on_exhausted = spec.on_exhausted.take();
            spec.work = Work::Each(Json::of(&each));
        }
        Ok(spec)
    }

    /// Besides what any agent may ask for, it may have done once more what the failed task did.
    fn admit(&self, key: &Key, spec: &mut Spec) -> Result<(), Refusal> {
        if spec.work == self.spec.work && !matches!(spec.work, Work::Prompt(_) | Work::Breakpoint(_)) {
            spec.env = self.spec.env.clone();
            spec.secrets = self.spec.secrets.clone();
            spec.cwd = None;
            let by_command =
                |replan: &Replan| replan.planner != self.replan.planner && !replan.planner.is_agent();
            return match &spec.on_exhausted {
                Some(OnExhausted::Replan(own)) if by_command(own) => Err(refused(key, Refused::Planner)),
                _ => Ok(()),
            };
        }
        proposed::admit(spec).map_err(|what| refused(key, what))
    }
}

fn refused(key: &Key, what: Refused) -> Refusal {
    wrong(format!("`{key}` is or has {what}, which an agent may not plan"))
        .help("plan prompts, questions and waits, and the very command of the task that has failed")
}

/// A fragment that cannot be used.
pub fn wrong(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::PlanFragment, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(spec: &'a Spec, replan: &'a Replan, id: &'a TaskId, by_agent: bool) -> Place<'a> {
        Place {
            id,
            key: None,
            spec,
            replan,
            by_agent,
        }
    }

    #[test]
    fn ids_are_the_same_again_and_differ_otherwise() {
        let id = TaskId::new("t").unwrap();
        let planner = planner_id(&id, 1);
        assert_eq!(planner, planner_id(&id, 1));
        assert_ne!(planner, planner_id(&id, 2));
        assert_ne!(planner, planner_id(&TaskId::new("u").unwrap(), 1));
        let key = Key::new("a").unwrap();
        assert_ne!(piece_id(&planner, &key), piece_id(&planner_id(&id, 2), &key));
        assert_eq!(TaskId::new(&planner.to_string()).unwrap(), planner);
    }

    #[test]
    fn a_line_of_replannings_ends() {
        let mut spec = Spec::new("t", Work::Shell("false".into()));
        let id = TaskId::new("t").unwrap();
        let mut replan = Replan::default();
        for times in 1..=Replan::MOST {
            assert!(replan.may());
            // Whatever the fragment says of it.
            let own = (times == 2).then(|| OnExhausted::Replan(Box::default()));
            spec.on_exhausted = own;
            let piece = place(&spec, &replan, &id, false)
                .piece(&Key::new("k").unwrap(), &spec)
                .unwrap();
            let Some(OnExhausted::Replan(next)) = piece.on_exhausted else {
                panic!("it goes on");
            };
            assert_eq!(next.times, times);
            replan = *next;
        }
        assert!(!replan.may());
    }

    #[test]
    fn an_agent_plans_no_commands_of_its_own() {
        let mut failed = Spec::new("t", Work::Shell("make".into()));
        failed.env.insert("CC".into(), "cc".into());
        let (id, replan) = (TaskId::new("t").unwrap(), Replan::default());
        let place = place(&failed, &replan, &id, true);
        let key = Key::new("k").unwrap();
        let mut again = Spec::new("k", Work::Shell("make".into()));
        again.env.insert("LD_PRELOAD".into(), "x.so".into());
        let admitted = place.piece(&key, &again).unwrap();
        assert_eq!(
            (admitted.env, admitted.source),
            (failed.env.clone(), Source::AgentPlanner)
        );
        let mut prompt = Spec::new("k", Work::Prompt("mend it".into()));
        prompt.secrets.push("TOKEN".into());
        assert!(place.piece(&key, &prompt).unwrap().secrets.is_empty());
        let other = Spec::new("k", Work::Shell("rm -rf .".into()));
        let refusal = place.piece(&key, &other).unwrap_err();
        assert_eq!(refusal.code, Code::PlanFragment);
        let by_command = Place {
            by_agent: false,
            ..place
        };
        assert!(by_command.piece(&key, &other).is_ok());
    }

    #[test]
    fn a_piece_works_where_the_failed_task_did() {
        let mut failed = Spec::new("t", Work::Shell("make".into()));
        failed.cwd = Some("/srv/app".into());
        let (id, replan) = (TaskId::new("t").unwrap(), Replan::default());
        let place = place(&failed, &replan, &id, false);
        let key = Key::new("k").unwrap();
        let mut own = Spec::new("k", Work::Shell("make".into()));
        assert_eq!(place.piece(&key, &own).unwrap().cwd.unwrap(), "/srv/app");
        own.cwd = Some("sub".into());
        assert_eq!(place.piece(&key, &own).unwrap().cwd.unwrap(), "/srv/app/sub");
        assert_eq!(place.key(&key).unwrap().as_str(), "t/k");
    }
}
