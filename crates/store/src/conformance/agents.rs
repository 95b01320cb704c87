//! Registered agents: what a claim finds for them, how much they hold, and what becomes of what they give up
//! (DESIGN 9; SPEC 2.5, 3.3).

use domain::agent::{Load, Profile};
use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::event::Kind;
use domain::id::AgentName;
use domain::limits::PAGE_MAX;
use domain::store::{Claim, Command, Leased, Result, Wants};
use domain::task::spec::Json;
use domain::task::state::State;
use serde_json::{Value, json};

use super::lab::{Lab, SECOND, TTL};
use super::new::{steady, task};
use super::words::{code, ids, worker};

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

async fn say(lab: &Lab, agent: &str, profile: Value) -> Result<()> {
    let edit = Edit::put(Entry::new(Book::Agent, agent, &profile));
    let edited = lab
        .store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now());
    edited.await
}

fn profile(capabilities: &[&str], capacity: u32) -> Value {
    json!({ "capabilities": capabilities, "capacity": capacity, "registered_at": 0, "seen_at": 0 })
}

async fn register(lab: &Lab, agent: &str, capabilities: &[&str], capacity: u32) {
    say(lab, agent, profile(capabilities, capacity)).await.unwrap();
}

async fn take(lab: &Lab, agent: &str, max: usize) -> Vec<Leased> {
    let wants = Wants {
        agent: Some(name(agent)),
        ..Wants::default()
    };
    lab.claim(Claim {
        wants,
        max,
        worker: worker(agent),
        ..lab.wish()
    })
    .await
}

async fn load(lab: &Lab, agent: &str) -> Load {
    let keys = [format!("agent:{agent}").into()];
    let found = lab
        .store
        .entries_of(&lab.project, Book::Gauge, &keys)
        .await
        .unwrap();
    found[0].read().unwrap()
}

fn route(agent: Option<&str>) -> Command {
    Command::Route {
        agent: agent.map(name),
        decision: Json::of(&json!({ "selected": agent })),
    }
}

/// What agents are said to have is what they have.
pub(super) async fn assert_counted(lab: &Lab) {
    let agents = lab.store.entries(&lab.project, Book::Agent, "", PAGE_MAX);
    let agents = agents.await.unwrap();
    let all = if agents.is_empty() {
        Vec::new()
    } else {
        lab.all().await
    };
    for agent in agents {
        let mut counted = Load::default();
        let of = |class_agent: &Option<AgentName>| {
            class_agent.as_ref().is_some_and(|of| *of.as_str() == *agent.key)
        };
        for view in all.iter().filter(|view| of(&view.class.agent)) {
            let works = view.task.lease.is_some();
            counted.active += u32::from(works);
            counted.queued += u32::from(!works && view.class.routed && !view.task.state.is_terminal());
        }
        assert_eq!(load(lab, &agent.key).await, counted, "{}", agent.key);
    }
}

// proves: SPEC 3.3, DESIGN 9
pub async fn an_agent_is_found_what_it_can_do(lab: Lab) {
    let tasks = [
        task("both").needs(&["python", "review"]),
        task("java").needs(&["java"]),
        task("none"),
        task("bob").agent("bob"),
    ];
    lab.add(&tasks).await;
    register(&lab, "ann", &["python", "review", "javascript"], 5).await;
    assert_eq!(ids(&take(&lab, "ann", 9).await), ["both", "none"]);
    let log = lab.log().await;
    let told = log
        .iter()
        .filter(|seen| seen.event.fact.kind == Kind::TaskEntered(State::Running));
    let data: Vec<Value> = told
        .map(|seen| serde_json::from_str(seen.event.fact.data.as_ref().unwrap().get()).unwrap())
        .collect();
    assert_eq!(data[0], json!({ "attempt": 1, "agent": "ann" }));
    assert_eq!(
        ids(&take(&lab, "bob", 9).await),
        ["bob"],
        "nobody is registered as bob"
    );
    assert_eq!(load(&lab, "ann").await.active, 2);
}

// proves: SPEC 2.5, SPEC 3.4
pub async fn an_agent_holds_no_more_than_its_capacity(lab: Lab) {
    let tasks: Vec<_> = (0..8).map(|i| task(&format!("t{i}"))).collect();
    lab.add(&tasks).await;
    register(&lab, "ann", &[], 3).await;
    let held = take(&lab, "ann", 9).await;
    assert_eq!(ids(&held), ["t0", "t1", "t2"]);
    assert!(take(&lab, "ann", 9).await.is_empty());
    lab.complete(&held[1]).await;
    assert_eq!(ids(&take(&lab, "ann", 9).await), ["t3"]);
    assert_eq!(lab.claim_up_to(1).await.len(), 1, "others go on");
    let mut leaving = profile(&[], 9);
    leaving["leaving"] = json!(true);
    say(&lab, "ann", leaving).await.unwrap();
    assert!(take(&lab, "ann", 9).await.is_empty());
    register(&lab, "ann", &[], 4).await;
    assert_eq!(
        ids(&take(&lab, "ann", 9).await),
        ["t5"],
        "what it holds still counts"
    );
}

pub async fn what_an_agent_gives_up_is_for_anybody(lab: Lab) {
    register(&lab, "ann", &["python"], 9).await;
    let tasks =
        ["released", "failed", "expired", "done"].map(|id| task(id).needs(&["python"]).retry(steady(2)));
    lab.add(&tasks).await;
    lab.add(&[task("hers").agent("ann")]).await;
    let held = take(&lab, "ann", 9).await;
    assert_eq!(held.len(), 5);
    for id in ["released", "done"] {
        let class = lab.view(id).await.class;
        assert_eq!((class.agent, class.routed), (Some(name("ann")), true));
    }
    let by = |id: &str| {
        held.iter()
            .find(|leased| leased.task.id.to_string() == id)
            .unwrap()
    };
    lab.release(by("released")).await;
    lab.fail(by("failed")).await;
    lab.complete(by("done")).await;
    lab.pass(TTL);
    lab.catch_up().await;
    for id in ["released", "failed", "expired"] {
        assert_eq!(lab.view(id).await.class.agent, None, "{id}");
    }
    assert_eq!(lab.view("done").await.class.agent, Some(name("ann")));
    assert_eq!(lab.view("hers").await.class.agent, Some(name("ann")));
    assert_eq!(load(&lab, "ann").await, Load::default());
    lab.pass(2 * SECOND);
    lab.catch_up().await;
    let others = Wants {
        capabilities: vec!["python".parse().unwrap()],
        ..Wants::default()
    };
    let found = lab.claim(Claim {
        wants: others,
        max: 9,
        ..lab.wish()
    });
    assert_eq!(found.await.len(), 3);
}

// proves: SPEC 3.4, DESIGN 9
pub async fn work_is_routed_to_who_has_room(lab: Lab) {
    register(&lab, "ann", &[], 2).await;
    let tasks = [
        task("a"),
        task("b").after("a"),
        task("c"),
        task("d").agent("bob"),
        task("e"),
    ];
    lab.add(&tasks).await;
    for id in ["a", "b"] {
        lab.try_do(id, route(Some("ann"))).await.unwrap();
    }
    assert_eq!(load(&lab, "ann").await, Load { active: 0, queued: 2 });
    assert_eq!(
        code(lab.try_do("c", route(Some("ann"))).await),
        Code::NoAvailableAgent
    );
    assert_eq!(
        code(lab.try_do("c", route(Some("eve"))).await),
        Code::AgentNotFound
    );
    assert_eq!(
        code(lab.try_do("d", route(Some("ann"))).await),
        Code::InvalidTransition
    );
    assert_eq!(lab.state("c").await, State::Ready);
    lab.begin("c").await;
    let a = take(&lab, "ann", 1).await.pop().unwrap();
    assert_eq!(load(&lab, "ann").await, Load { active: 1, queued: 1 });
    assert_eq!(code(lab.try_do("a", route(None)).await), Code::InvalidTransition);
    lab.complete(&a).await;
    lab.try_do("b", route(None)).await.unwrap();
    assert_eq!(load(&lab, "ann").await, Load::default());
    lab.begin("b").await;
    lab.try_do("e", route(Some("ann"))).await.unwrap();
    lab.cancel("e").await;
    assert_eq!(load(&lab, "ann").await, Load::default());
    assert_eq!(
        lab.story("a").await,
        ["submitted", "routed", "running", "completed"]
    );
}

pub async fn an_agent_that_comes_late_has_what_it_has(lab: Lab) {
    lab.add(&[task("a").agent("ann"), task("b").agent("ann")]).await;
    let held = take(&lab, "ann", 1).await;
    register(&lab, "ann", &[], 1).await;
    assert!(take(&lab, "ann", 1).await.is_empty());
    lab.complete(&held[0]).await;
    assert_eq!(ids(&take(&lab, "ann", 1).await), ["b"]);
}

pub async fn a_lock_is_handed_on_past_an_agent(lab: Lab) {
    register(&lab, "ann", &[], 9).await;
    let tasks = ["a", "b", "c"].map(|id| task(id).lock("db"));
    lab.add(&tasks).await;
    for id in ["a", "b", "c"] {
        let held = take(&lab, "ann", 9).await;
        assert_eq!(ids(&held), [id]);
        lab.complete(&held[0]).await;
    }
}

async fn form(lab: &Lab, team: &str, members: &[&str]) -> Result<()> {
    let team = Entry::new(Book::Team, team, &json!({ "members": members, "since": 0 }));
    let edited = lab
        .store
        .edit(&lab.project, vec![Edit::put(team)], "user:ann".into(), lab.now());
    edited.await
}

// proves: DESIGN 9, DESIGN 5
pub async fn work_for_a_team_is_done_by_its_members(lab: Lab) {
    let tasks = [
        task("web").team("web").needs(&["css"]),
        task("data").team("data"),
        task("any"),
    ];
    lab.add(&tasks).await;
    assert_eq!(ids(&take(&lab, "ann", 9).await), ["any"], "there are no teams");
    form(&lab, "web", &["ann", "bob"]).await.unwrap();
    form(&lab, "data", &["eve"]).await.unwrap();
    register(&lab, "ann", &[], 5).await;
    register(&lab, "bob", &["css"], 5).await;
    assert!(take(&lab, "ann", 9).await.is_empty(), "she lacks what it needs");
    assert!(lab.claim_up_to(9).await.is_empty(), "nobody in particular");
    let held = take(&lab, "bob", 9).await;
    assert_eq!(ids(&held), ["web"]);
    lab.release(&held[0]).await;
    assert_eq!(lab.view("web").await.class.team, Some("web".parse().unwrap()));
    assert_eq!(ids(&take(&lab, "eve", 9).await), ["data"], "not even registered");
    form(&lab, "web", &["eve"]).await.unwrap();
    assert!(take(&lab, "bob", 9).await.is_empty(), "he has left");
}

pub async fn who_was_chosen_need_not_be_fit(lab: Lab) {
    register(&lab, "ann", &[], 5).await;
    form(&lab, "web", &["bob"]).await.unwrap();
    lab.add(&[task("a").needs(&["css"]), task("b").team("web")]).await;
    assert!(take(&lab, "ann", 9).await.is_empty());
    for id in ["a", "b"] {
        lab.try_do(id, route(Some("ann"))).await.unwrap();
    }
    let held = take(&lab, "ann", 9).await;
    assert_eq!(ids(&held), ["a", "b"]);
    lab.release(&held[0]).await;
    assert!(take(&lab, "ann", 9).await.is_empty());
}

pub async fn teams_that_make_no_sense_are_refused(lab: Lab) {
    for (name, members) in [("web", &[][..]), ("web", &["b", "a"]), ("w b", &["a"])] {
        assert_eq!(code(form(&lab, name, members).await), Code::InvalidArgument);
    }
}

pub async fn profiles_that_make_no_sense_are_refused(lab: Lab) {
    for bad in [profile(&[], 0), json!({}), profile(&["a b"], 1)] {
        assert_eq!(code(say(&lab, "ann", bad).await), Code::InvalidArgument);
    }
    assert_eq!(
        code(say(&lab, "a b", profile(&[], 1)).await),
        Code::InvalidArgument
    );
    let text = serde_json::to_string(&Profile::default()).unwrap();
    assert_eq!(
        serde_json::from_str::<Profile>(&text).unwrap(),
        Profile::default()
    );
}
