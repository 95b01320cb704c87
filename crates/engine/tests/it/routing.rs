//! Work that is given to agents without being asked, and agents that are held ahead of time.

use std::path::Path;

use domain::agent::Profile;
use domain::agent::profile::Prior;
use domain::agent::route::Strategy;
use domain::agent::routing::{ROUTING, Routing};
use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::{AgentName, Capability, WorkerId};
use domain::plan::{self, Format};
use domain::store::View;
use domain::task::spec::Spec;
use domain::task::state::State;
use engine::agents::{hold, registry};
use engine::duties::{Duties, Duty, routing};
use engine::submit::{self, Into, Options};

use super::agents::{add, completed, end, failed, take};
use super::lab::Lab;

async fn register(lab: &Lab, agent: &str, skill: &str, capacity: u32) {
    let profile = Profile {
        capabilities: vec![Capability::new(skill).unwrap()],
        capacity,
        ..Profile::default()
    };
    let name = AgentName::new(agent).unwrap();
    registry::register(&lab.engine, &name, profile).await.unwrap();
}

async fn set(lab: &Lab, routing: Routing) -> Duties {
    lab.edit(Edit::put(Entry::new(Book::Setting, ROUTING, &routing)))
        .await;
    let duties: Vec<Box<dyn Duty>> = vec![Box::new(routing::Routing::default())];
    let mut duties = Duties::new(lab.engine.clone(), WorkerId::new("leader").unwrap(), duties);
    duties.turn().await;
    duties
}

async fn view(lab: &Lab, key: &str) -> View {
    let tasks = lab.tasks().await.into_iter();
    let named = |view: &View| {
        let key_is = view.body.key.as_ref().is_some_and(|known| known.as_str() == key);
        key_is || view.task.id.to_string() == key
    };
    tasks.filter(named).last().unwrap()
}

async fn doer(lab: &Lab, key: &str) -> Option<String> {
    view(lab, key).await.class.agent.map(|agent| agent.to_string())
}

// proves: SPEC 2.2, SPEC 2.6, DESIGN 9
#[tokio::test]
async fn what_becomes_ready_is_given_to_who_is_best() {
    let lab = Lab::new();
    register(&lab, "ann", "python", 1).await;
    register(&lab, "bob", "sql", 5).await;
    let sql = |spec: &mut Spec| spec.needs = vec![Capability::new("sql").unwrap()];
    add(&lab, ["before".to_owned()], sql).await;
    let mut duties = set(
        &lab,
        Routing {
            auto: Some(Strategy::Quality),
            hold: Some(60),
            ahead: None,
        },
    )
    .await;
    let python = |spec: &mut Spec| spec.needs = vec![Capability::new("python").unwrap()];
    add(&lab, ["a", "b"].map(str::to_owned), python).await;
    duties.turn().await;
    assert_eq!(
        doer(&lab, "before").await,
        None,
        "it was there before the setting"
    );
    assert_eq!(doer(&lab, "a").await.as_deref(), Some("ann"));
    assert_eq!(doer(&lab, "b").await, None, "ann has room for one");
    let told = lab.events(Kind::TaskRouted).await;
    assert!(
        told[0]["reason"].as_str().unwrap().contains("kept for it until"),
        "{told:?}"
    );
    let held = take(&lab, "ann", 1).await;
    end(&lab, &held[0], completed(None)).await;
    duties.turn().await;
    assert!(hold::all(&lab.engine).await.unwrap().is_empty());
    add(&lab, ["c".to_owned()], python).await;
    duties.turn().await;
    assert_eq!(doer(&lab, "c").await.as_deref(), Some("ann"));
    lab.pass(61);
    duties.turn().await;
    assert_eq!(doer(&lab, "c").await, None, "it was not taken in time");
    duties.turn().await;
    assert_eq!(doer(&lab, "c").await, None, "and is for anybody now");
}

// proves: SPEC 2.6
#[tokio::test]
async fn what_was_said_of_an_agent_counts_with_its_first_task() {
    let lab = Lab::new();
    let auto = Some(Strategy::Quality);
    let routing = Routing {
        auto,
        ..Routing::default()
    };
    let profile = Profile {
        capabilities: vec![Capability::new("python").unwrap()],
        prior: Some(Prior {
            success_rate: Some(0.8),
            tasks: 50,
            ..Prior::default()
        }),
        ..Profile::default()
    };
    let name = AgentName::new("ann").unwrap();
    registry::register(&lab.engine, &name, profile).await.unwrap();
    let mut duties = set(&lab, routing).await;
    let python = |spec: &mut Spec| spec.needs = vec![Capability::new("python").unwrap()];
    add(&lab, ["a".to_owned()], python).await;
    duties.turn().await;
    let told = lab.events(Kind::TaskRouted).await;
    assert!(told[0].to_string().contains("80% of 50 succeeded"), "{told:?}");
}

// proves: SPEC 3.6, DESIGN 4
#[tokio::test]
async fn an_agent_is_held_for_what_comes_next_on_the_critical_path() {
    let lab = Lab::new();
    register(&lab, "ann", "python", 5).await;
    register(&lab, "bob", "sql", 1).await;
    let mut duties = set(
        &lab,
        Routing {
            ahead: Some(90),
            ..Routing::default()
        },
    )
    .await;
    let text = "name: p
tasks:
  long: { prompt: x, needs: [python], estimate: 2m, retry: { attempts: 2, backoff: fixed, initial: 10s, jitter: 0 } }
  short: { prompt: x, needs: [python], estimate: 1m }
  next: { prompt: x, needs: [sql], estimate: 5m, after: [long] }
  aside: { prompt: x, needs: [sql], estimate: 1m, after: [short] }";
    let plan = plan::read(text.as_bytes(), Format::Yaml, "plan.yaml").unwrap();
    let options = Options {
        into: Into::New,
        profile: None,
        joins: |_, _| false,
    };
    submit::submit(&lab.engine, &plan, Path::new("/plan.yaml"), &options)
        .await
        .unwrap();
    duties.turn().await;
    let held = take(&lab, "ann", 9).await;
    let long = held
        .iter()
        .find(|leased| leased.body.key.as_ref().is_some_and(|key| key.as_str() == "long"))
        .unwrap();
    duties.turn().await;
    assert_eq!(doer(&lab, "next").await, None, "two minutes are left");
    lab.pass(31);
    let engine = &lab.engine;
    duties.turn().await;
    assert_eq!(doer(&lab, "next").await.as_deref(), Some("bob"));
    assert_eq!(doer(&lab, "aside").await, None, "nothing hangs on it");
    let told = lab.events(Kind::TaskRouted).await;
    let reason = told[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("ahead of time, since it is on the critical path"),
        "{reason}"
    );
    end(&lab, long, failed()).await;
    duties.turn().await;
    assert_eq!(doer(&lab, "next").await, None, "it is not coming any more");
    lab.pass(11);
    engine.store.tick(&engine.project, engine.now()).await.unwrap();
    let held = take(&lab, "ann", 1).await;
    assert_eq!(held.len(), 1, "the next try");
    assert_eq!(view(&lab, "next").await.task.state, State::Blocked);
    lab.pass(40);
    duties.turn().await;
    assert_eq!(doer(&lab, "next").await.as_deref(), Some("bob"));
    end(&lab, &held[0], completed(None)).await;
    assert_eq!(take(&lab, "bob", 1).await.len(), 1);
    duties.turn().await;
    assert!(hold::all(engine).await.unwrap().is_empty());
}
