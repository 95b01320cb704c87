//! Taking a lock from whoever holds it.

use api::ask;
use api::list::{Broken, Evicted};
use api::time::Time;
use domain::code::{Code, Refusal, nearest};
use domain::store::{Command, HeldLock, Request, Result, Target};
use domain::task::lock::{LIMIT, Lock, Mode};
use domain::task::spec::check_text;
use engine::engine::Engine;

use crate::{find, invalid};

/// Its holders can do nothing more with their tasks. The lock is free when they have stopped, or at once.
pub async fn break_it(engine: &Engine, asked: &ask::Break) -> Result<Broken> {
    if asked.reason.trim().is_empty() {
        return Err(invalid("`reason` is empty").help("say why; the log keeps it"));
    }
    check_text("`reason`", &asked.reason)?;
    let name = match asked.name.starts_with(LIMIT) {
        true => asked.name.clone(),
        false => Lock::new(&asked.name, Mode::Exclusive)?.name,
    };
    find::catch_up(engine).await?;
    let (store, project) = (&engine.store, &engine.project);
    let held = store.locks(project).await?;
    let request = |lock: &HeldLock| Request {
        target: Target::Id(lock.holder.clone()),
        command: Command::BreakLock {
            name: name.clone(),
            why: asked.reason.clone(),
            at_once: asked.now,
        },
        actor: engine.actor.clone(),
        idempotency_key: None,
    };
    let requests: Vec<Request> = held
        .iter()
        .filter(|lock| lock.name == name)
        .map(request)
        .collect();
    if requests.is_empty() {
        return Err(not_held(engine, &name, &held));
    }
    let replies = store.change(project, requests, engine.now()).await?;
    let mut broken = Broken {
        lock: name,
        holders: Vec::new(),
    };
    for reply in replies {
        match reply {
            Ok(reply) => broken.holders.push(Evicted {
                task: reply.task,
                free_at: reply.expires_at.map(Time),
            }),
            // It has let go by itself meanwhile.
            Err(refusal) if refusal.code == Code::LockNotHeld => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(broken)
}

fn not_held(engine: &Engine, name: &str, held: &[HeldLock]) -> Refusal {
    let detail = format!(
        "nobody in project {} holds the lock `{}`",
        engine.project,
        name.escape_debug()
    );
    let refusal = Refusal::new(Code::LockNotHeld, detail);
    match nearest(name, held.iter().map(|lock| lock.name.as_str())) {
        Some(near) => refusal.help(format!("did you mean `{near}`? `bell lock list` shows all")),
        None => refusal.help("`bell lock list` shows the locks that are held"),
    }
}
