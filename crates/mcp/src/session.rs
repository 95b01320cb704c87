//! One client on one store: who it is, what it may do, and what it holds.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, TaskId, Token, WorkerId};
use domain::store::{Command, Leased, Reply, Request, Result, Target};
use engine::engine::Engine;
use engine::ids;

use crate::call::Call;
use crate::extra::Extra;
use crate::holds::{Held, Holds};
use crate::tool::args::Args;
use crate::tool::{Rights, Set};

/// What a session is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub engine: Engine,
    pub tools: Set,
    /// As whom it claims when a call names nobody; else it gets a name from its client.
    pub agent: Option<AgentName>,
    /// What it offers beside what a call names.
    pub capabilities: Vec<Capability>,
    /// How long a lease lasts without a renewal.
    pub ttl: Duration,
    /// Of callers that bring no rights of their own.
    pub rights: Rights,
    /// Further tools for the set `all`.
    pub extra: Option<Arc<dyn Extra>>,
}

/// Who calls, where that is known before the session is: put into the extensions of an HTTP request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As events name it.
    pub actor: Arc<str>,
    pub rights: Rights,
}

pub(crate) struct Session {
    pub(crate) setup: Setup,
    pub(crate) holds: Arc<Holds>,
    name: OnceLock<WorkerId>,
}

impl Session {
    pub(crate) fn new(setup: Setup) -> Session {
        Session {
            holds: Holds::new(setup.engine.clone()),
            setup,
            name: OnceLock::new(),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.setup.engine
    }

    /// Under which name this session works: its agent's, or one of its own that tells its client.
    pub(crate) fn worker(&self, call: &Call) -> WorkerId {
        let fresh = || {
            let named = self.setup.agent.as_ref();
            named
                .and_then(|agent| WorkerId::new(agent.as_str()).ok())
                .unwrap_or_else(|| own_name(&call.client()))
        };
        self.name.get_or_init(fresh).clone()
    }

    /// Who acts, as events name it.
    pub(crate) fn actor(&self, call: &Call) -> Arc<str> {
        match call.caller() {
            Some(caller) => caller.actor.clone(),
            None => format!("agent:{}", self.worker(call)).into(),
        }
    }

    /// The engine in the name of whoever calls.
    pub(crate) fn engine_for(&self, call: &Call) -> Engine {
        Engine {
            actor: self.actor(call),
            ..self.engine().clone()
        }
    }

    /// Keeps what was handed out, so that later calls need no token.
    pub(crate) fn keep(&self, leased: &Leased, ttl: Duration) {
        if let Some(lease) = &leased.task.lease {
            self.holds
                .keep(leased.task.id.clone(), leased.token, lease.worker.clone(), ttl);
        }
    }

    /// The lease on a task: by the token that the call brings, or as this session holds it.
    pub(crate) fn held(&self, task: &TaskId, args: &Args, call: &Call) -> Result<(Token, WorkerId)> {
        let held = self.holds.get(task);
        if let Some(token) = args.named::<Token>("token")? {
            let worker = held.map(|held| held.worker);
            return Ok((token, worker.unwrap_or_else(|| self.worker(call))));
        }
        match held {
            Some(Held { token, worker, .. }) => Ok((token, worker)),
            None => Err(Refusal::new(
                Code::TokenNeeded,
                format!("this session has no lease on task {task}"),
            )
            .help("pass the `token` that the claim gave, or claim the task")),
        }
    }

    /// Carries out a command of a lease holder. A lease that turns out to be over is held no longer.
    pub(crate) async fn settle(
        &self,
        task: &TaskId,
        args: &Args,
        call: &Call,
        command: Command,
    ) -> Result<Reply> {
        let (token, worker) = self.held(task, args, call)?;
        let keeps = matches!(command, Command::Start { .. } | Command::Renew { .. });
        let ttl = match &command {
            Command::Renew { ttl, .. } => *ttl,
            _ => None,
        };
        let target = Target::Holder(token, Some(task.clone()));
        let actor: Arc<str> = format!("worker:{worker}").into();
        let request = Request {
            target: target.clone(),
            command,
            actor: actor.clone(),
            idempotency_key: args.maybe("idempotency_key").map(str::to_owned),
        };
        let reply = self.one(request).await;
        match &reply {
            Ok(_) if keeps && self.holds.get(task).is_some() => self.holds.renewed(task, ttl),
            Ok(_) if keeps => self
                .holds
                .keep(task.clone(), token, worker, ttl.unwrap_or(self.setup.ttl)),
            Ok(_) => self.holds.forget(task),
            Err(refusal) if refusal.code == Code::LeaseLost => {
                self.holds.forget(task);
                self.confirm(target, actor).await;
            }
            Err(_) => {}
        }
        reply
    }

    /// Of a task that was cancelled under its holder: the holder now knows, so what it locked is free.
    async fn confirm(&self, target: Target, actor: Arc<str>) {
        let release = Request {
            target,
            command: Command::Release,
            actor,
            idempotency_key: None,
        };
        // Refused unless it was cancelled, and then nothing is left to do.
        drop(self.one(release).await);
    }

    pub(crate) async fn one(&self, request: Request) -> Result<Reply> {
        let engine = self.engine();
        let mut replies = engine
            .store
            .change(&engine.project, vec![request], engine.now())
            .await?;
        replies
            .pop()
            .unwrap_or_else(|| Err(Refusal::new(Code::Internal, "a request got no answer")))
    }
}

/// `CLIENT.xxxxxxxx`: of the client's name whatever a worker's name may have.
fn own_name(client: &str) -> WorkerId {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '-'
        }
    };
    let client: String = client.chars().take(40).map(plain).collect();
    let client = match client.trim_matches('-') {
        "" => "agent",
        client => client,
    };
    let unique = ids::seed() as u32;
    WorkerId::new(&format!("{client}.{unique:08x}")).expect("letters, digits, dashes and a dot make a name")
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_after_its_client() {
        let name = |client: &str| {
            own_name(client)
                .to_string()
                .rsplit_once('.')
                .unwrap()
                .0
                .to_owned()
        };
        assert_eq!(name("Claude Code"), "Claude-Code");
        assert_eq!(name("--x"), "x");
        assert_eq!(name("日本"), "agent");
        assert_ne!(own_name("a"), own_name("a"));
    }
}
