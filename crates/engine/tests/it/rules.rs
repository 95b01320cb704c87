//! Rules: what is owed to events is done, once where it matters, and whoever fails holds up nobody.

use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::{EventNo, RuleName, TaskId, WorkerId};
use domain::plan::{self, Format};
use domain::rule::{Delivery, PENDING_MAX, Rule};
use domain::store::{Admission, AdmitLimits, Claim, Command, IntoRun, NewTask, Request, Target, View, Wants};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Spec, Work};
use domain::task::state::State;
use engine::duties::{self, Duties};
use engine::outside::Outside;
use engine::{rules, submit};
use serde_json::{Value, json};

use super::endpoint::endpoint;
use super::lab::Lab;

fn node(lab: &Lab, name: &str) -> Duties {
    let outside = Outside::new("127.0.0.1".parse().unwrap());
    Duties::new(
        lab.engine.clone(),
        WorkerId::new(name).unwrap(),
        duties::with(&outside),
    )
}

/// Goes round until nothing is left to do at this moment.
async fn settle(node: &mut Duties) {
    let mut quiet = 0;
    while quiet < 2 {
        let busy = node.turn().await < Duration::from_millis(200);
        quiet = if busy { 0 } else { quiet + 1 };
    }
}

fn name(name: &str) -> RuleName {
    RuleName::new(name).unwrap()
}

/// Adds rules written as a file of rules has them.
async fn add(lab: &Lab, text: &str) {
    let text = format!("rules:\n{text}");
    let read = plan::read_rules(text.as_bytes(), Format::Yaml, "rules.yaml", "/srv").unwrap();
    for (name, rule) in read {
        rules::add(&lab.engine, &name, &rule, None, false).await.unwrap();
    }
}

fn spec(name: &str, kind: &str) -> Spec {
    Spec {
        kind: kind.parse().unwrap(),
        ..Spec::new(name, Work::Shell("true".into()))
    }
}

async fn task(lab: &Lab, spec: &Spec) {
    let id = TaskId::new(&spec.name).unwrap();
    let admission = Admission {
        tasks: vec![NewTask::new(id, None, spec, lab.now())],
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: "user:test".into(),
        idempotency_key: None,
    };
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    store.admit(project, admission, lab.engine.now()).await.unwrap();
}

/// Claims the first of a kind and ends it.
async fn end(lab: &Lab, kind: &str, result: Result<Value, &str>) -> TaskId {
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    let claim = Claim {
        worker: WorkerId::new("w").unwrap(),
        wants: Wants {
            kinds: vec![kind.parse().unwrap()],
            ..Wants::default()
        },
        max: 1,
        ahead: 0,
        ttl: Duration::from_secs(60),
        start: true,
        seed: 7,
    };
    let leased = store
        .claim(project, claim, lab.engine.now())
        .await
        .unwrap()
        .pop()
        .unwrap();
    let command = match result {
        Ok(result) => Command::Complete {
            outcome: Outcome {
                result: Some(Json::of(&result)),
                ..Outcome::default()
            },
            cached: false,
            children: None,
        },
        Err(why) => Command::Fail {
            failure: Failure::new(why),
            usage: None,
            timed_out: false,
            no_retry: false,
        },
    };
    let request = Request {
        target: Target::Holder(leased.token, None),
        command,
        actor: "worker:w".into(),
        idempotency_key: None,
    };
    let replies = store
        .change(project, vec![request], lab.engine.now())
        .await
        .unwrap();
    replies.into_iter().next().unwrap().unwrap();
    leased.task.id
}

async fn of_kind(lab: &Lab, kind: &str) -> Vec<View> {
    let tasks = lab.tasks().await;
    tasks
        .into_iter()
        .filter(|view| view.class.kind.as_str() == kind)
        .collect()
}

async fn standing(lab: &Lab, rule: &str) -> (u64, u64) {
    let found = rules::rules(&lab.engine).await.unwrap();
    let found = found.into_iter().find(|known| known.name == name(rule)).unwrap();
    (found.standing.fired, found.standing.failed)
}

const QA: &str = "  qa: { on: task.completed, if: task.kind == 'dev', submit: { with: { PART: task.env.PART }, tasks: { qa: { run: ./qa.sh, kind: qa } } } }\n";

// proves: DESIGN 8, SPEC 5.2
#[tokio::test]
async fn a_rule_hands_in_what_follows_an_event() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    add(&lab, QA).await;
    let text = "name: p\ntasks:\n  build: { run: x, kind: dev, env: { PART: 'a; rm -rf /' } }\n  other: { run: x, kind: docs }\n";
    let read = plan::read(text.as_bytes(), Format::Yaml, "p.yaml").unwrap();
    let options = submit::Options {
        into: submit::Into::New,
        profile: None,
        joins: |_, _| false,
    };
    let file = std::path::Path::new("/srv/p.yaml");
    let run = submit::submit(&lab.engine, &read, file, &options)
        .await
        .unwrap()
        .run;
    end(&lab, "docs", Ok(json!(1))).await;
    settle(&mut node).await;
    assert_eq!(of_kind(&lab, "qa").await.len(), 0);
    let build = end(&lab, "dev", Ok(json!({ "files": ["x"] }))).await;
    settle(&mut node).await;
    let qa = of_kind(&lab, "qa").await.pop().unwrap();
    assert_eq!((qa.run, qa.task.state), (Some(run), State::Ready));
    let spec = qa.body.read_spec().unwrap();
    assert_eq!(
        spec.env["PART"], "a; rm -rf /",
        "values travel beside the command"
    );
    assert_eq!(spec.work, Work::Shell("./qa.sh".into()));
    assert_eq!(
        (spec.env["BELL_RULE"].as_str(), spec.cwd.as_deref()),
        ("qa", Some("/srv"))
    );
    let inputs: Value = serde_json::from_str(spec.inputs.unwrap().get()).unwrap();
    assert_eq!(inputs["task"]["id"], build.to_string());
    assert_eq!(inputs["task"]["result"]["files"][0], "x");
    assert_eq!(inputs["event"]["type"], "task.completed");
    let fired = lab.events(Kind::RuleFired).await;
    assert_eq!(fired[0]["did"]["tasks"][0], qa.task.id.to_string());
    assert_eq!(standing(&lab, "qa").await, (1, 0));
    // The run goes on where a plan is submitted again: what a rule has added is no edit of the plan.
    let again = submit::Options {
        into: submit::Into::Newest,
        ..options
    };
    let again = submit::submit(&lab.engine, &read, file, &again).await.unwrap();
    assert_eq!(again.run, run);
    assert_eq!(of_kind(&lab, "qa").await[0].task.state, State::Ready);
}

// proves: DESIGN 15
#[tokio::test]
async fn a_crash_repeats_the_deed_and_not_its_effect() {
    let lab = Lab::new();
    add(&lab, QA).await;
    task(&lab, &spec("d", "dev")).await;
    end(&lab, "dev", Ok(json!(1))).await;
    let mut first = node(&lab, "a");
    settle(&mut first).await;
    first.resign().await;
    // As if the leader had died after the admission and before the note of it.
    let event = lab.events(Kind::RuleFired).await[0]["event"].as_u64().unwrap();
    let owed = Delivery {
        rule: name("qa"),
        event: EventNo(event),
        since: lab.now(),
        depth: 1,
        tries: 0,
        error: None,
    };
    lab.edit(owed.put(lab.now())).await;
    let mut second = node(&lab, "b");
    settle(&mut second).await;
    assert_eq!(of_kind(&lab, "qa").await.len(), 1);
    assert_eq!(lab.entries(Book::Delivery).await, []);
    assert!(rules::is_settled(&lab.engine, EventNo(event)).await.unwrap());
}

// proves: DESIGN 7
#[tokio::test]
async fn two_nodes_take_an_event_once() {
    let lab = Lab::new();
    let (mut a, mut b) = (node(&lab, "a"), node(&lab, "b"));
    add(&lab, QA).await;
    for i in 0..5 {
        task(&lab, &spec(&format!("d{i}"), "dev")).await;
        end(&lab, "dev", Ok(json!(1))).await;
        a.turn().await;
        b.turn().await;
        if i == 2 {
            // The leader is silent from here on, with whatever it has begun.
            lab.pass(11);
            settle(&mut b).await;
        }
    }
    settle(&mut b).await;
    settle(&mut a).await;
    assert_eq!(of_kind(&lab, "qa").await.len(), 5);
    assert_eq!(lab.entries(Book::Delivery).await, []);
}

// proves: SPEC 5.5, DESIGN 8
#[tokio::test]
async fn a_broken_endpoint_is_tried_again_and_holds_up_nobody() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    let (broken, mended) = (endpoint(&[500]).await, endpoint(&[503, 200]).await);
    add(
        &lab,
        &format!(
            "  broken: {{ on: task.submitted, if: task.kind == 'dev', webhook: '{}' }}\n",
            broken.url
        ),
    )
    .await;
    add(
        &lab,
        &format!(
            "  mended: {{ on: task.submitted, if: task.kind == 'dev', webhook: '{}' }}\n",
            mended.url
        ),
    )
    .await;
    add(
        &lab,
        "  told: { on: rule.failed, submit: { tasks: { look: { prompt: look, kind: look } } } }\n",
    )
    .await;
    task(&lab, &spec("x", "dev")).await;
    settle(&mut node).await;
    assert_eq!(
        (broken.calls().await, standing(&lab, "broken").await),
        (1, (0, 0))
    );
    lab.pass(2);
    settle(&mut node).await;
    assert_eq!(
        (broken.calls().await, standing(&lab, "mended").await),
        (2, (1, 0))
    );
    lab.pass(3);
    settle(&mut node).await;
    assert_eq!(broken.calls().await, 2, "four seconds are not over");
    lab.pass(1);
    settle(&mut node).await;
    assert_eq!(
        (broken.calls().await, standing(&lab, "broken").await),
        (3, (0, 1))
    );
    let failed = lab.events(Kind::RuleFailed).await;
    assert_eq!((failed.len(), &failed[0]["tries"]), (1, &json!(3)));
    assert_eq!(failed[0]["error"], "the endpoint answered 500: no");
    assert_eq!(of_kind(&lab, "look").await.len(), 1, "somebody is told");
    assert_eq!(rules::letters(&lab.engine).await.unwrap().len(), 1);
    let heard = broken.heard().await;
    let same = |text: &&String| text.to_lowercase().contains("idempotency-key: rule:broken:");
    assert_eq!(heard.iter().filter(same).count(), heard.len(), "{heard:?}");
    assert!(heard[0].contains(r#""type":"task.submitted""#));
}

#[tokio::test]
async fn a_rule_that_is_swamped_waits_alone() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    let broken = endpoint(&[500]).await;
    add(
        &lab,
        &format!(
            "  broken: {{ on: task.submitted, if: task.kind == 'dev', webhook: '{}' }}\n",
            broken.url
        ),
    )
    .await;
    add(
        &lab,
        "  fine: { on: task.submitted, if: task.kind == 'dev', submit: { tasks: { n: { run: x, kind: n } } } }\n",
    )
    .await;
    for i in 0..PENDING_MAX + 20 {
        task(&lab, &spec(&format!("t{i}"), "dev")).await;
    }
    settle(&mut node).await;
    assert_eq!(of_kind(&lab, "n").await.len(), PENDING_MAX + 20);
    assert_eq!(broken.calls().await, PENDING_MAX);
    assert_eq!(lab.entries(Book::Delivery).await.len(), PENDING_MAX);
    for _ in 0..8 {
        lab.pass(2);
        settle(&mut node).await;
    }
    assert_eq!(standing(&lab, "broken").await, (0, PENDING_MAX as u64 + 20));
}

// proves: DESIGN 8
#[tokio::test]
async fn a_circle_of_rules_is_stopped_and_told() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    add(
        &lab,
        "  ping: { on: task.submitted, if: task.kind == 'a', depth: 6, submit: { tasks: { b: { run: x, kind: b } } } }\n  \
           pong: { on: task.submitted, if: task.kind == 'b', depth: 6, submit: { tasks: { a: { run: x, kind: a } } } }\n",
    )
    .await;
    task(&lab, &spec("first", "a")).await;
    settle(&mut node).await;
    assert_eq!(lab.tasks().await.len(), 1 + 6);
    let failed = lab.events(Kind::RuleFailed).await;
    assert_eq!((failed.len(), &failed[0]["depth"]), (1, &json!(7)));
    assert!(failed[0]["error"].as_str().unwrap().contains("circle"));
}

#[tokio::test]
async fn tasks_are_moved_in_line_paused_and_tried_again() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    add(
        &lab,
        "  soon: { on: schedule.added, reprioritize: kind=dev to critical }\n  \
           calm: { on: schedule.edited, pause: kind=dev state=ready }\n  \
           goes: { on: schedule.removed, resume: all }\n  \
           again: { on: schedule.missed, retry: 'task=@event.data.task' }\n",
    )
    .await;
    for id in ["d1", "d2"] {
        task(&lab, &spec(id, "dev")).await;
    }
    task(&lab, &spec("f", "fix")).await;
    let say = async |kind, data: Value| {
        let entry = Entry::new(Book::Setting, "x", &1);
        lab.edit(Edit::put(entry).with_event(kind, &data)).await;
    };
    say(Kind::ScheduleAdded, json!({})).await;
    settle(&mut node).await;
    let priorities: Vec<u8> = lab
        .tasks()
        .await
        .iter()
        .map(|view| view.task.priority.value())
        .collect();
    assert_eq!(priorities, [10, 10, 5]);
    say(Kind::ScheduleEdited, json!({})).await;
    settle(&mut node).await;
    let states = async || -> Vec<State> { lab.tasks().await.iter().map(|view| view.task.state).collect() };
    assert_eq!(states().await, [State::Suspended, State::Suspended, State::Ready]);
    say(Kind::ScheduleRemoved, json!({})).await;
    settle(&mut node).await;
    assert_eq!(states().await, [State::Ready; 3]);
    end(&lab, "fix", Err("no")).await;
    say(Kind::ScheduleMissed, json!({ "task": "f" })).await;
    settle(&mut node).await;
    assert_eq!(states().await, [State::Ready; 3]);
    let failed = TaskId::new("f").unwrap();
    let history = lab.engine.store.history(&lab.engine.project, &failed, 1);
    assert_eq!(&*history.await.unwrap()[0].event.fact.actor, "rule:again@1");
}

#[tokio::test]
async fn a_rule_begins_where_it_was_added_and_goes_on_where_it_was_replaced() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    task(&lab, &spec("before", "dev")).await;
    add(&lab, "  n: { on: task.submitted, if: task.kind == 'dev', submit: { tasks: { n: { run: x, kind: n } } } }\n").await;
    settle(&mut node).await;
    assert_eq!(of_kind(&lab, "n").await.len(), 0);
    task(&lab, &spec("between", "dev")).await;
    let rule: Rule = rules::rules(&lab.engine).await.unwrap()[0].rule.as_ref().clone();
    let refused = rules::add(
        &lab.engine,
        &name("n"),
        &Rule {
            depth: 3,
            ..rule.clone()
        },
        None,
        false,
    )
    .await;
    assert_eq!(refused.unwrap_err().code, domain::code::Code::RuleExists);
    let replaced = rules::add(
        &lab.engine,
        &name("n"),
        &Rule {
            depth: 3,
            ..rule.clone()
        },
        None,
        true,
    )
    .await;
    assert_eq!(replaced.unwrap(), rules::Added::Replaced);
    settle(&mut node).await;
    assert_eq!(of_kind(&lab, "n").await.len(), 1);
    rules::remove(&lab.engine, &name("n")).await.unwrap();
    assert_eq!(lab.entries(Book::Cursor).await, []);
    task(&lab, &spec("after", "dev")).await;
    settle(&mut node).await;
    assert_eq!(of_kind(&lab, "n").await.len(), 1);
}

// proves: DESIGN 7
#[tokio::test]
async fn where_nothing_happens_nothing_is_written() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    add(&lab, QA).await;
    task(&lab, &spec("x", "docs")).await;
    for _ in 0..20 {
        node.turn().await;
        lab.pass(1);
    }
    let head = lab.engine.store.chain(&lab.engine.project).await.unwrap().last;
    assert!(rules::is_settled(&lab.engine, head).await.unwrap());
    let before = lab.engine.store.changed(0).await;
    for _ in 0..60 {
        node.turn().await;
        lab.pass(1);
    }
    let after = tokio::time::timeout(Duration::from_millis(20), lab.engine.store.changed(before)).await;
    assert!(after.is_err(), "an idle process has written");
}
