//! What a rule does about an event, once. Repeating it after a crash changes nothing that has changed already.

use std::path::Path;
use std::time::Duration;

use domain::code::{self, Code, Refusal};
use domain::id::{EventNo, RunId, TaskId};
use domain::plan::{self, Format, Plan};
use domain::rule::{Action, Chosen, Delivery, Filter, Notify, Publish, Rule, Submit, Webhook};
use domain::run::RunState;
use domain::schedule::Work;
use domain::store::{self, Admission, AdmitLimits, Command, IntoRun, NewTask, Request, Seen, Target};
use domain::task::spec::{Json, Spec};
use domain::task::state::State;
use domain::{id, limits};
use serde_json::{Value, json};

use super::facts;
use crate::engine::Engine;
use crate::outside::{Call, Message, Outside, Trouble, secret};
use crate::process::{How, Launch, Launcher};
use crate::{ids, submit};

type Result<T> = std::result::Result<T, Trouble>;

/// What came of it: told by the event `rule.fired`.
pub(super) type Done = Value;

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        // A plan that is refused now will be refused again; a store that is away comes back.
        let hopeless = refusal.code.kind() == code::Kind::Input;
        Trouble {
            hopeless,
            ..Trouble::new(format!("[{}] {refusal}", refusal.code))
        }
    }
}

/// Carries an action out with what is known of the event now.
pub(super) async fn act(
    engine: &Engine,
    outside: &Outside,
    rule: &Rule,
    delivery: &Delivery,
) -> Result<Done> {
    let engine = &Engine {
        actor: delivery.actor().into(),
        ..engine.clone()
    };
    let seen = event(engine, delivery.event).await?;
    let facts = known(engine, &seen).await?;
    match &rule.action {
        Action::Submit(what) => hand_in(engine, what, delivery, &seen, &facts).await,
        Action::Webhook(hook) => call(outside, hook, delivery, &facts).await,
        Action::Publish(what) => publish(outside, what, delivery, &facts, &seen).await,
        Action::Notify(what) => notify(engine, what, delivery, &facts).await,
        Action::Reprioritize(what) => {
            let priority = what.to;
            let command = Command::Reprioritize { priority };
            change(engine, &what.tasks, &OPEN, command, delivery, &facts).await
        }
        Action::Pause(tasks) => change(engine, tasks, &IDLE, Command::Suspend, delivery, &facts).await,
        Action::Resume(tasks) => {
            change(
                engine,
                tasks,
                &[State::Suspended],
                Command::Resume,
                delivery,
                &facts,
            )
            .await
        }
        Action::Retry(tasks) => {
            let command = Command::Retry { at: None };
            change(engine, tasks, &[State::Failed], command, delivery, &facts).await
        }
    }
}

async fn event(engine: &Engine, no: EventNo) -> Result<Seen> {
    let before = EventNo(no.0.saturating_sub(1));
    let found = engine.store.events(&engine.project, before, 1).await?;
    let seen = found.into_iter().next().filter(|seen| seen.event.no == no);
    seen.ok_or_else(|| Trouble::hopeless(format!("event {} is gone", no.0)))
}

/// The event and what it is about.
async fn known(engine: &Engine, seen: &Seen) -> Result<Value> {
    let (store, project) = (&engine.store, &engine.project);
    let mut facts = json!({ "event": facts::event(seen) });
    if let Some(task) = &seen.task {
        let views = store.views(project, std::slice::from_ref(task)).await?;
        if let Some(view) = views.into_iter().flatten().next() {
            facts["task"] = facts::task(&view);
        }
    }
    if let Some(id) = seen.run
        && let Some(run) = store.run(project, id).await?
    {
        facts["run"] = facts::run(&run);
    }
    Ok(facts)
}

// ---- submit ----

async fn hand_in(
    engine: &Engine,
    what: &Submit,
    delivery: &Delivery,
    seen: &Seen,
    facts: &Value,
) -> Result<Done> {
    let inputs = inputs(facts);
    let amend = |spec: &mut Spec| {
        let with = what
            .with
            .iter()
            .filter_map(|(name, way)| Some((name.clone(), way.text(facts)?)));
        for (name, value) in variables(delivery, facts).into_iter().chain(with) {
            if !value.contains('\0') {
                spec.env.insert(name, value);
            }
        }
        let own = spec.inputs.as_ref().map(|own| serde_json::from_str(own.get()));
        spec.inputs = match own {
            None => Some(Json::of(&inputs)),
            // What the task says itself stands before what is added.
            Some(Ok(Value::Object(own))) => {
                let mut all = inputs.clone();
                all.as_object_mut()
                    .into_iter()
                    .for_each(|all| all.extend(own.clone()));
                Some(Json::of(&all))
            }
            Some(_) => spec.inputs.take(),
        };
    };
    // A run's own events do not lengthen it.
    let run = seen.run.filter(|_| seen.task.is_some());
    let run = open(engine, run).await?;
    let key = delivery.idempotency_key();
    let at = seen.event.fact.at;
    let name = |i: usize| TaskId::Uuid(ids::derived(&engine.project, &format!("{key}:{i}"), at));
    let work = match &what.work {
        Work::Task(spec) => {
            let mut spec = (**spec).clone();
            amend(&mut spec);
            vec![NewTask::new(name(0), None, &spec, at)]
        }
        Work::Plan { file, text } => {
            let path = Path::new(file);
            let mut plan: Plan = plan::read(text.as_bytes(), Format::of(path, text.as_bytes()), file)
                .or_else(|_| plan::read(text.as_bytes(), Format::Json, file))
                .map_err(Refusal::from)?;
            if !plan.unsupported.is_empty() {
                return Err(Refusal::from(plan.unsupported).into());
            }
            plan.tasks.iter_mut().for_each(|task| amend(&mut task.spec));
            if run.is_none() && plan.tasks.len() > 1 {
                let id = RunId(ids::derived(&engine.project, &key, at));
                return once(submit::submit_once(engine, &plan, path, id, key).await)
                    .map(|()| json!({ "run": id }));
            }
            let mut work = submit::prepare(engine, &plan, path, &[])?;
            for (i, task) in work.iter_mut().enumerate() {
                // Without a key, so that the plan of the run does not take it for one of its own.
                (task.id, task.key) = (name(i), None);
            }
            work
        }
    };
    let tasks: Vec<TaskId> = work.iter().map(|task| task.id.clone()).collect();
    let admission = Admission {
        tasks: work,
        run: run.unwrap_or(IntoRun::None),
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: engine.actor.clone(),
        idempotency_key: Some(key),
    };
    let stored = engine.store.admit(&engine.project, admission, engine.now()).await;
    once(stored.map(drop))?;
    let shown: Vec<_> = tasks.iter().take(SHOWN).collect();
    Ok(json!({ "tasks": shown, "count": tasks.len() }))
}

/// Tasks named in an event.
const SHOWN: usize = 20;

/// It may have been handed in before, when the task of the event stood otherwise.
fn once(stored: store::Result<()>) -> Result<()> {
    match stored {
        Err(refusal) if matches!(refusal.code, Code::IdempotencyConflict | Code::TaskExists) => Ok(()),
        stored => Ok(stored?),
    }
}

/// A run that takes more work; a cancelled one does not.
async fn open(engine: &Engine, id: Option<RunId>) -> Result<Option<IntoRun>> {
    let Some(id) = id else { return Ok(None) };
    let run = engine.store.run(&engine.project, id).await?;
    let into = |run: domain::run::Run| IntoRun::Existing {
        id,
        digest: run.digest,
        from: run.digest,
    };
    Ok(run.filter(|run| run.state != RunState::Cancelled).map(into))
}

/// What the tasks find as their inputs. The inputs of the task of the event are without what a rule had added to them:
/// they would grow from rule to rule.
fn inputs(facts: &Value) -> Value {
    let mut inputs = facts.clone();
    if let Some(own) = inputs["task"]["inputs"].as_object_mut() {
        for added in ["event", "task", "run"] {
            own.remove(added);
        }
    }
    if inputs["task"].is_null()
        && let Some(inputs) = inputs.as_object_mut()
    {
        inputs.remove("task");
    }
    inputs
}

/// Variables of tasks and of commands that rules start.
fn variables(delivery: &Delivery, facts: &Value) -> Vec<(String, String)> {
    let event = &facts["event"];
    let of = |name: &str, value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.map(|text| (name.to_owned(), text))
    };
    let told = [
        of("BELL_EVENT_TYPE", &event["type"]),
        of("BELL_EVENT_TASK", &event["task"]),
        of("BELL_EVENT_KEY", &event["key"]),
        of("BELL_EVENT_RUN", &event["run"]),
        Some(("BELL_EVENT_NUMBER".to_owned(), delivery.event.0.to_string())),
        Some(("BELL_RULE".to_owned(), delivery.rule.to_string())),
    ];
    told.into_iter().flatten().collect()
}

// ---- outside ----

/// Bytes of an answer that are kept for the error.
const ANSWER: usize = 500;

async fn call(outside: &Outside, hook: &Webhook, delivery: &Delivery, facts: &Value) -> Result<Done> {
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("idempotency-key".to_owned(), delivery.idempotency_key()),
    ];
    for (name, value) in &hook.headers {
        headers.push((name.clone(), secret(value)?));
    }
    let answer = outside.call(Call {
        method: "POST",
        url: &hook.url,
        headers,
        body: Some(document(delivery, facts)),
        timeout: hook.timeout(),
        keep: ANSWER,
    });
    let answer = answer.await?;
    if (200..300).contains(&answer.status) {
        return Ok(json!({ "status": answer.status }));
    }
    let said = String::from_utf8_lossy(&answer.body);
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    Err(Trouble::new(format!(
        "the endpoint answered {}: {said}",
        answer.status
    )))
}

async fn publish(
    outside: &Outside,
    what: &Publish,
    delivery: &Delivery,
    facts: &Value,
    seen: &Seen,
) -> Result<Done> {
    let routing_key = what.routing_key.fill(facts);
    let message = Message {
        address: &secret(&what.url)?,
        exchange: &what.exchange,
        routing_key: &routing_key,
        id: delivery.idempotency_key(),
        sort: seen.event.fact.kind.as_str(),
        at: u64::try_from(seen.event.fact.at.0 / 1_000).unwrap_or_default(),
        body: &document(delivery, facts),
        mandatory: what.mandatory,
        timeout: what.timeout(),
    };
    outside.publish(message).await?;
    Ok(json!({ "exchange": what.exchange, "routing_key": routing_key }))
}

fn document(delivery: &Delivery, facts: &Value) -> Vec<u8> {
    let mut document = inputs(facts);
    document["rule"] = delivery.rule.as_str().into();
    document.to_string().into_bytes()
}

/// How long a command of the operator's may run.
const NOTIFY: Duration = Duration::from_secs(60);

async fn notify(engine: &Engine, what: &Notify, delivery: &Delivery, facts: &Value) -> Result<Done> {
    let folder = engine.home.scratch("rules");
    let record = folder.join(delivery.key().replace(':', "-"));
    let io = |e: std::io::Error| Trouble::new(format!("{}: {e}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(io)?;
    let mut launch = Launch::new(&what.argv, what.cwd.clone().into(), record.clone());
    launch.env = variables(delivery, facts);
    launch
        .env
        .push(("BELLWETHER_PROJECT".to_owned(), engine.project.to_string()));
    launch.stdin = Some(document(delivery, facts));
    launch.timeout = Some(NOTIFY);
    let running = Launcher::unguarded("rules").launch(launch);
    let running = running.map_err(|e| Trouble::new(e.to_string()))?;
    let ended = running.wait().await;
    let said = crate::execute::command::last_line(&record);
    let _ = std::fs::remove_file(&record);
    match ended.how {
        How::Exit(0) => Ok(json!({ "exit": 0 })),
        how => {
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            Err(Trouble::new(format!("the command ended with {how:?}{said}")))
        }
    }
}

// ---- tasks that are there ----

/// States of tasks that wait for something.
const IDLE: [State; 4] = [State::Pending, State::Blocked, State::Ready, State::Retrying];
const OPEN: [State; 6] = [
    State::Pending,
    State::Blocked,
    State::Ready,
    State::Retrying,
    State::Suspended,
    State::Awaiting,
];
/// Tasks changed in one transaction.
const BATCH: usize = 250;
/// Tasks changed by one event.
const CHANGED_MAX: usize = 100_000;

async fn change(
    engine: &Engine,
    tasks: &Filter,
    states: &[State],
    command: Command,
    delivery: &Delivery,
    facts: &Value,
) -> Result<Done> {
    let chosen = tasks.choose(facts);
    let ids = choose(engine, &chosen, states).await?;
    let (mut changed, mut refused) = (0, 0);
    for batch in ids.chunks(BATCH) {
        let request = |id: &TaskId| Request {
            target: Target::Id(id.clone()),
            command: command.clone(),
            actor: engine.actor.clone(),
            // What else rules do may be done twice.
            idempotency_key: matches!(command, Command::Retry { .. })
                .then(|| format!("{}:{id}", delivery.idempotency_key())),
        };
        let requests = batch.iter().map(request).collect();
        for reply in engine
            .store
            .change(&engine.project, requests, engine.now())
            .await?
        {
            match reply {
                Ok(_) => changed += 1,
                Err(_) => refused += 1,
            }
        }
    }
    Ok(json!({ "changed": changed, "refused": refused }))
}

async fn choose(engine: &Engine, chosen: &Chosen, states: &[State]) -> Result<Vec<TaskId>> {
    let (store, project) = (&engine.store, &engine.project);
    let states = chosen.states(states);
    let meant = |view: &store::View| states.contains(&view.task.state) && chosen.takes(view);
    if let Some(tasks) = chosen.tasks() {
        let ids: Vec<TaskId> = tasks.iter().filter_map(|id| TaskId::new(id).ok()).collect();
        let views = store.views(project, &ids).await?;
        let views = views.into_iter().flatten().filter(meant);
        return Ok(views.map(|view| view.task.id).collect());
    }
    let run = match chosen.runs() {
        None => None,
        Some([]) => return Ok(Vec::new()),
        Some([run, ..]) => run.parse().ok(),
    };
    let filter = store::Filter {
        states: states.clone(),
        kind: chosen.kind().and_then(|kind| id::Kind::new(kind).ok()),
        // Of several runs the filter tells them apart.
        run: run.filter(|_| chosen.runs().is_some_and(|runs| runs.len() == 1)),
        ..store::Filter::default()
    };
    let (mut ids, mut after) = (Vec::new(), id::Seq(0));
    loop {
        let page = store
            .list(project, filter.clone(), after, limits::PAGE_MAX)
            .await?;
        let last = page.len() < limits::PAGE_MAX;
        after = page.last().map_or(after, |view| view.task.seq);
        ids.extend(page.into_iter().filter(meant).map(|view| view.task.id));
        if ids.len() > CHANGED_MAX {
            let detail = format!("more than {CHANGED_MAX} tasks are meant");
            return Err(Trouble::hopeless(detail));
        }
        if last {
            return Ok(ids);
        }
    }
}
