//! Teams that nobody had to name, and what their members learn from each other.

use std::path::Path;

use domain::agent::Profile;
use domain::agent::route::Strategy;
use domain::book::Book;
use domain::event::Kind;
use domain::id::TeamName;
use domain::plan::{self, Format};
use domain::store::View;
use engine::agents::router::Router;
use engine::agents::{self, learn, registry, teams};
use engine::submit::{self, Into, Options};

use super::agents::{add, add_under, cap, completed, end, failed, name, take_with};
use super::lab::Lab;

async fn register(lab: &Lab, agent: &str, capacity: u32) {
    let profile = Profile {
        capabilities: vec![cap("python")],
        capacity,
        ..Profile::default()
    };
    registry::register(&lab.engine, &name(agent), profile)
        .await
        .unwrap();
}

/// A run in which each of these does one task well, one after the other.
async fn run(lab: &Lab, agents: &[&str]) {
    let mut text = "name: common\ntasks:\n".to_owned();
    for i in 0..agents.len() {
        text += &format!("  t{i}: {{ prompt: x, needs: [python] }}\n");
    }
    let plan = plan::read(text.as_bytes(), Format::Yaml, "plan.yaml").unwrap();
    let options = Options {
        into: Into::New,
        profile: None,
        joins: |_, _| false,
    };
    submit::submit(&lab.engine, &plan, Path::new("/plan.yaml"), &options)
        .await
        .unwrap();
    for agent in agents {
        let held = take_with(lab, agent, &[], 1).await;
        lab.pass(1);
        end(lab, &held[0], completed(None)).await;
    }
    learn::catch_up(&lab.engine, 9).await.unwrap();
}

async fn members(lab: &Lab, team: &str) -> Vec<String> {
    let found = teams::find(&lab.engine, &TeamName::new(team).unwrap()).await;
    let (_, team) = found.unwrap().unwrap();
    team.members.iter().map(ToString::to_string).collect()
}

async fn profile(lab: &Lab, agent: &str) -> Profile {
    agents::existing(&lab.engine, &name(agent))
        .await
        .unwrap()
        .1
        .profile
}

async fn view(lab: &Lab, id: &str) -> View {
    let tasks = lab.tasks().await.into_iter();
    tasks
        .filter(|view| view.task.id.to_string() == id)
        .last()
        .unwrap()
}

// proves: SPEC 3.6, DESIGN 9
#[tokio::test]
async fn who_often_does_well_in_the_same_runs_is_a_team() {
    let lab = Lab::new();
    for agent in ["ann", "bob", "eve"] {
        register(&lab, agent, 5).await;
    }
    run(&lab, &["ann", "bob", "ann"]).await;
    run(&lab, &["eve"]).await;
    assert!(lab.entries(Book::Team).await.is_empty(), "once is chance");
    run(&lab, &["bob", "ann"]).await;
    assert_eq!(members(&lab, "with-ann").await, ["ann", "bob"]);
    for _ in 0..2 {
        run(&lab, &["ann", "bob", "eve"]).await;
    }
    assert_eq!(members(&lab, "with-ann").await, ["ann", "bob", "eve"]);
    assert_eq!(lab.entries(Book::Team).await.len(), 1);
    let told = lab.events(Kind::TeamSet).await;
    assert_eq!(told.len(), 2, "only what changes is written");
    let before = lab.entries(Book::Habit).await;
    learn::forget(&lab.engine).await.unwrap();
    learn::catch_up(&lab.engine, 99).await.unwrap();
    assert_eq!(lab.entries(Book::Habit).await, before);
    registry::deregister(&lab.engine, &name("bob")).await.unwrap();
    learn::catch_up(&lab.engine, 9).await.unwrap();
    assert_eq!(members(&lab, "with-ann").await, ["ann", "eve"]);
}

// proves: DESIGN 9
#[tokio::test]
async fn outside_of_runs_a_task_and_its_subtasks_are_done_together() {
    let lab = Lab::new();
    for agent in ["ann", "bob"] {
        register(&lab, agent, 5).await;
    }
    for family in 0..2 {
        let parent = format!("p{family}");
        add(&lab, [parent.clone()], |_| ()).await;
        let held = take_with(&lab, "ann", &[], 1).await;
        let children = [format!("c{family}"), format!("d{family}")];
        add_under(&lab, Some(&parent), children, |_| ()).await;
        for _ in 0..2 {
            let child = take_with(&lab, "bob", &[], 1).await;
            end(&lab, &child[0], completed(None)).await;
        }
        end(&lab, &held[0], completed(None)).await;
        learn::catch_up(&lab.engine, 9).await.unwrap();
        assert_eq!(lab.entries(Book::Team).await.len(), family, "once is chance");
    }
    assert_eq!(members(&lab, "with-ann").await, ["ann", "bob"]);
}

// proves: DESIGN 9, SPEC 3.3
#[tokio::test]
async fn what_one_has_learned_the_others_try() {
    let lab = Lab::new();
    let engine = &lab.engine;
    register(&lab, "ann", 1).await;
    register(&lab, "bob", 5).await;
    let team = TeamName::new("data").unwrap();
    let change = teams::Change {
        members: Some(vec![name("ann"), name("bob")]),
        ..teams::Change::default()
    };
    teams::set(engine, &team, &change).await.unwrap();
    let ids = ["a", "b", "c", "d", "e"].map(str::to_owned);
    add(&lab, ids, |spec| spec.needs = vec![cap("sql")]).await;
    for _ in 0..2 {
        assert!(
            take_with(&lab, "bob", &[], 1).await.is_empty(),
            "he knows nothing of it"
        );
        let held = take_with(&lab, "ann", &["sql"], 1).await;
        end(&lab, &held[0], completed(None)).await;
        learn::catch_up(engine, 9).await.unwrap();
    }
    let ann = profile(&lab, "ann").await;
    assert_eq!(ann.shown, [(cap("sql"), 0.55)].into());
    assert_eq!(profile(&lab, "bob").await.tries, [(cap("sql"), 0.17)].into());
    assert!(
        take_with(&lab, "bob", &[], 1).await.is_empty(),
        "what is to be tried is not claimed"
    );
    let held = take_with(&lab, "ann", &[], 1).await;
    assert_eq!(held.len(), 1, "what she has shown is hers");
    let mut router = Router::open(engine).await.unwrap();
    let decision = router
        .decide(&view(&lab, "d").await, Strategy::Quality, &[])
        .unwrap();
    assert_eq!((decision.selected.as_str(), decision.confidence), ("bob", 0.1));
    assert_eq!(decision.tries, [cap("sql")]);
    for id in ["d", "e"] {
        let view = view(&lab, id).await;
        let decision = router.decide(&view, Strategy::Quality, &[]).unwrap();
        router.assign(engine, &view.task.id, &decision).await.unwrap();
        let held = take_with(&lab, "bob", &[], 1).await;
        end(&lab, &held[0], completed(None)).await;
    }
    learn::catch_up(engine, 9).await.unwrap();
    let bob = profile(&lab, "bob").await;
    assert!(bob.has(&cap("sql")) && bob.tries.is_empty(), "{bob:?}");
}

// proves: DESIGN 9
#[tokio::test]
async fn a_named_team_has_a_record_of_its_own() {
    let lab = Lab::new();
    let engine = &lab.engine;
    register(&lab, "ann", 5).await;
    let team = TeamName::new("web").unwrap();
    let change = teams::Change {
        add: vec![name("ann"), name("stranger")],
        ..teams::Change::default()
    };
    teams::set(engine, &team, &change).await.unwrap();
    add(&lab, ["a", "b"].map(str::to_owned), |spec| {
        spec.team = Some(TeamName::new("web").unwrap());
    })
    .await;
    add(&lab, ["c".to_owned()], |_| ()).await;
    for command in [completed(None), failed(), completed(None)] {
        let held = take_with(&lab, "ann", &[], 1).await;
        end(&lab, &held[0], command).await;
    }
    learn::catch_up(engine, 9).await.unwrap();
    let record = teams::record(engine, &team).await.unwrap();
    assert_eq!((record.sum.completed, record.sum.failed), (1, 1));
    teams::remove(engine, &team).await.unwrap();
    learn::catch_up(engine, 9).await.unwrap();
    assert_eq!(teams::record(engine, &team).await.unwrap().tasks(), 0);
}
