//! What becomes of a task whose last try has failed when a planner is asked for another way (DESIGN 5).

use domain::code::Code;
use domain::event::Kind;
use domain::id::{Key, TaskId};
use domain::store::{Children, Command, Leased};
use domain::task::record::{Failure, Outcome};
use domain::task::replan::{OnExhausted, Planner, Replan, piece_id, planner_id};
use domain::task::spec::{OnUpstreamFailure, When};
use domain::task::state::{Reason, State};
use serde_json::Value;

use super::lab::{Lab, TTL};
use super::new::{New, task};
use super::words::{code, failure, id, ids, texts, with_result};

const FRAGMENT: &str = r#"{"tasks": {"x": {"prompt": "look"}, "y": {"prompt": "mend", "after": ["x"]}}}"#;

fn doomed() -> New {
    task("t").key("t").replan()
}

fn flow() -> [New; 4] {
    [
        task("before").key("before"),
        doomed().after("before"),
        task("after").after("t"),
        task("alert").when("t", When::Failure),
    ]
}

fn planner() -> TaskId {
    planner_id(&id("t"), 1)
}

fn piece(planner: &TaskId, key: &str) -> String {
    piece_id(planner, &Key::new(key).unwrap()).to_string()
}

/// Begins a task and fails it; what its planner gets.
async fn planning(lab: &Lab) -> Leased {
    let leased = lab.begin("t").await;
    assert_eq!(lab.fail(&leased).await.state, State::Blocked);
    lab.begin(&planner().to_string()).await
}

async fn propose(lab: &Lab, planner: &Leased, fragment: &str) {
    lab.try_held(planner, with_result(Some(fragment))).await.unwrap();
}

// proves: DESIGN 5
pub async fn a_fragment_takes_the_place_of_what_failed(lab: Lab) {
    lab.add(&flow()).await;
    lab.done("before").await;
    let leased = lab.begin("t").await;
    let reply = lab.try_held(&leased, failure("the disk is full")).await.unwrap();
    assert_eq!(
        (reply.state, reply.reason),
        (State::Blocked, Some(Reason::Replanning))
    );
    assert!(reply.cancelled.is_empty());
    assert_eq!(lab.states(&["after", "alert"]).await, [State::Blocked; 2]);
    assert_eq!(lab.store.status(&lab.project).await.unwrap().dead_letters, 0);

    let leased = lab.begin(&planner().to_string()).await;
    assert_eq!(leased.body.key.as_ref().unwrap().as_str(), "t/planner");
    assert_eq!(leased.body.after.len(), 1, "what came before is told");
    let spec = leased.body.read_spec().unwrap();
    let told: Value = serde_json::from_str(spec.inputs.unwrap().get()).unwrap();
    assert_eq!(told["failed"]["error"], "the disk is full");
    assert_eq!(told["failed"]["text"], "do t");
    assert_eq!(told["replannings_left"], 3);
    let waiting: Vec<&Value> = told["dependents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["task"])
        .collect();
    assert_eq!(waiting, ["after", "alert"]);
    let history = told["history"].as_array().unwrap();
    assert!(
        history.iter().any(|event| event["type"] == "task.running"),
        "{history:?}"
    );

    propose(&lab, &leased, FRAGMENT).await;
    assert_eq!(lab.state("t").await, State::Blocked);
    let (x, y) = (piece(&planner(), "x"), piece(&planner(), "y"));
    assert_eq!(lab.view(&x).await.body.key.unwrap().as_str(), "t/x");
    let leased = lab.begin(&x).await;
    lab.try_held(&leased, with_result(Some("1"))).await.unwrap();
    let leased = lab.begin(&y).await;
    let reply = lab.try_held(&leased, with_result(Some("[2]"))).await.unwrap();
    assert_eq!(texts(&reply.unblocked), ["after"]);
    let view = lab.view("t").await;
    let outcome = view.outcome.unwrap();
    assert_eq!((view.task.state, outcome.error), (State::Completed, None));
    assert_eq!(outcome.result.unwrap().get(), r#"{"x":1,"y":[2]}"#);
    assert_eq!(lab.reason("alert").await, Some(Reason::NotNeeded));
    lab.done("after").await;
    let told: Vec<_> = lab
        .log()
        .await
        .into_iter()
        .map(|seen| seen.event.fact.kind)
        .collect();
    assert_eq!(
        told.iter().filter(|kind| **kind == Kind::TaskReplanned).count(),
        1
    );
    assert!(!told.contains(&Kind::TaskEscalated));
}

/// What takes the place may fail, too, and be replanned, until that was three times.
// proves: DESIGN 5
pub async fn the_third_replanning_is_the_last(lab: Lab) {
    lab.add(&flow()).await;
    lab.done("before").await;
    let mut current = id("t");
    for times in 1..=3 {
        let leased = lab.begin(&current.to_string()).await;
        assert_eq!(
            lab.fail(&leased).await.state,
            State::Blocked,
            "replanning {times}"
        );
        let planner = planner_id(&current, 1);
        let leased = lab.begin(&planner.to_string()).await;
        propose(&lab, &leased, r#"{"tasks": {"again": {"prompt": "again"}}}"#).await;
        current = piece_id(&planner, &Key::new("again").unwrap());
    }
    let last = current.to_string();
    let leased = lab.begin(&last).await;
    let reply = lab.fail(&leased).await;
    assert_eq!(
        (reply.state, reply.reason),
        (State::Failed, Some(Reason::Exhausted))
    );
    assert!(lab.view(&last).await.task.dead_letter);
    assert_eq!(lab.reason("t").await, Some(Reason::UpstreamFailed));
    assert_eq!(
        lab.states(&["after", "alert"]).await,
        [State::Cancelled, State::Ready]
    );
    lab.retry(&last).await;
    lab.drain().await;
    assert_eq!(lab.states(&["t", "after"]).await, [State::Completed; 2]);
}

pub async fn what_is_no_fragment_changes_nothing(lab: Lab) {
    lab.add(&[doomed()]).await;
    let leased = planning(&lab).await;
    let many: Vec<String> = (0..51).map(|i| format!(r#""k{i}": {{"prompt": "x"}}"#)).collect();
    let many = format!(r#"{{"tasks": {{{}}}}}"#, many.join(","));
    let before = lab.log().await.len();
    for (result, expected) in [
        (None, Code::PlanFragment),
        (Some("7"), Code::PlanFragment),
        (Some(r#"{"tasks": {}}"#), Code::PlanFragment),
        (
            Some(r#"{"tasks": {"x": {"prompt": "a", "after": ["b"]}}}"#),
            Code::PlanFragment,
        ),
        (
            Some(
                r#"{"tasks": {"x": {"prompt": "a", "after": ["y"]}, "y": {"prompt": "b", "after": ["x"]}}}"#,
            ),
            Code::PlanFragment,
        ),
        (Some(many.as_str()), Code::LimitExceeded),
    ] {
        assert_eq!(
            code(lab.try_held(&leased, with_result(result)).await),
            expected,
            "{result:?}"
        );
    }
    // Nor do subtasks beside it stay.
    let both = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(lab.admission(&[task("beside")])),
            join: None,
        }),
    };
    assert_eq!(code(lab.try_held(&leased, both).await), Code::PlanFragment);
    assert_eq!(lab.log().await.len(), before);
    assert_eq!(lab.all().await.len(), 2);
    propose(&lab, &leased, FRAGMENT).await;
    lab.drain().await;
    assert_eq!(lab.state("t").await, State::Completed);
}

/// A planner that dies is asked again, and its late answer is nobody's.
// proves: DESIGN 5, DESIGN 15
pub async fn a_fragment_goes_in_once(lab: Lab) {
    lab.add(&[doomed()]).await;
    let dead = planning(&lab).await;
    lab.pass(TTL);
    lab.tick().await;
    let leased = lab.begin(&planner().to_string()).await;
    let late = lab.try_held(&dead, with_result(Some(FRAGMENT))).await;
    assert_eq!(code(late), Code::LeaseLost);
    propose(&lab, &leased, FRAGMENT).await;
    assert_eq!(
        code(lab.try_held(&leased, with_result(Some(FRAGMENT))).await),
        Code::LeaseLost
    );
    assert_eq!(lab.all().await.len(), 4);
    assert_eq!(lab.view("t").await.task.open, 2);
    assert_eq!(lab.drain().await.len(), 2);
    assert_eq!(lab.state("t").await, State::Completed);
}

pub async fn a_failed_planner_fails_its_task(lab: Lab) {
    lab.add(&flow()).await;
    lab.done("before").await;
    let leased = planning(&lab).await;
    let hopeless = Command::Fail {
        failure: Failure::new("there is no other way"),
        usage: None,
        timed_out: false,
        no_retry: true,
    };
    let reply = lab.try_held(&leased, hopeless).await.unwrap();
    assert_eq!(texts(&reply.cancelled), ["after", "t"]);
    assert_eq!(texts(&reply.unblocked), ["alert"]);
    assert_eq!(lab.store.status(&lab.project).await.unwrap().dead_letters, 1);
    // Asking the planner again brings everything back.
    lab.retry(&planner().to_string()).await;
    assert_eq!(lab.states(&["t", "after"]).await, [State::Blocked; 2]);
    let leased = lab.begin(&planner().to_string()).await;
    propose(&lab, &leased, FRAGMENT).await;
    lab.drain().await;
    assert_eq!(lab.states(&["t", "after"]).await, [State::Completed; 2]);
}

pub async fn nobody_plans_for_what_is_over(lab: Lab) {
    lab.add(&[doomed()]).await;
    let leased = planning(&lab).await;
    assert_eq!(lab.cancel("t").await, [planner().to_string(), "t".to_owned()]);
    let late = lab.try_held(&leased, with_result(Some(FRAGMENT))).await;
    assert_eq!(code(late), Code::LeaseLost);
    lab.release(&leased).await;
    assert_eq!(lab.all().await.len(), 2);

    // What stands in for a task goes with it.
    lab.add(&[task("u").key("u").replan()]).await;
    let leased = lab.begin("u").await;
    lab.fail(&leased).await;
    let planner = planner_id(&id("u"), 1);
    let leased = lab.begin(&planner.to_string()).await;
    propose(&lab, &leased, FRAGMENT).await;
    let (x, y) = (piece(&planner, "x"), piece(&planner, "y"));
    lab.cancel("u").await;
    assert_eq!(lab.states(&["u", &x, &y]).await, [State::Cancelled; 3]);

    // A failure that counts as done is none to plan for.
    let done = task("done").replan().upstream(OnUpstreamFailure::Continue);
    lab.add(&[done]).await;
    let leased = lab.begin("done").await;
    assert_eq!(lab.fail(&leased).await.state, State::Failed);
}

/// An agent gets the facts, and may plan prompts; commands are for people.
// proves: DESIGN 10
pub async fn an_agent_plans_no_commands(lab: Lab) {
    let mut new = task("t").key("t");
    let planner_of = Planner {
        needs: Vec::new(),
        ..Planner::default()
    };
    new.spec.on_exhausted = Some(OnExhausted::Replan(Box::new(Replan {
        planner: planner_of,
        times: 0,
    })));
    lab.add(&[new]).await;
    let leased = planning(&lab).await;
    let command = r#"{"tasks": {"x": {"run": "rm -rf ."}}}"#;
    assert_eq!(
        code(lab.try_held(&leased, with_result(Some(command))).await),
        Code::PlanFragment
    );
    let text =
        serde_json::to_string("Here it is:\n```json\n{\"tasks\": {\"x\": {\"prompt\": \"mend it\"}}}\n```")
            .unwrap();
    propose(&lab, &leased, &text).await;
    assert_eq!(ids(&lab.claim_up_to(9).await), [piece(&planner(), "x")]);
}
