//! Subtasks, and parents that wait for them.

use domain::code::Code;
use domain::store::{Admission, AdmitLimits, Children, Command, Leased};
use domain::task::record::{Join, Outcome};
use domain::task::spec::When;
use domain::task::state::{Reason, State};

use super::lab::{Lab, SECOND};
use super::new::{New, task};
use super::words::{code, completion, held, texts, with_result};

fn leaving(lab: &Lab, children: &[New], join: Option<Join>) -> Command {
    Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(lab.admission(children)),
            join,
        }),
    }
}

async fn leave(lab: &Lab, parent: &Leased, children: &[New], join: Option<Join>) -> State {
    let command = leaving(lab, children, join);
    lab.try_held(parent, command).await.unwrap().state
}

// proves: SPEC 1.7
pub async fn a_parent_completes_with_its_children(lab: Lab) {
    lab.add(&[task("p"), task("after").after("p")]).await;
    let parent = lab.begin("p").await;
    let children = [task("x"), task("y").after("x").key("why")];
    assert_eq!(
        leave(&lab, &parent, &children, Some(Join::Complete)).await,
        State::Blocked
    );
    let row = lab.view("p").await.task;
    assert_eq!((row.reason, row.children), (Some(Reason::Joining), 2));
    assert!(row.lease.is_none(), "a joining parent frees its worker");
    assert_eq!(lab.view("x").await.task.parent, Some(row.seq));
    let x = lab.begin("x").await;
    lab.try_held(&x, with_result(Some("1"))).await.unwrap();
    lab.pass(SECOND);
    let y = lab.begin("y").await;
    let reply = lab.try_held(&y, with_result(Some("[2]"))).await.unwrap();
    assert_eq!(texts(&reply.unblocked), ["after"], "through the parent");
    let view = lab.view("p").await;
    assert_eq!(view.task.state, State::Completed);
    assert_eq!(view.task.finished_at, Some(lab.now().wall));
    assert_eq!(
        view.outcome.unwrap().result.unwrap().get(),
        r#"{"why":[2],"x":1}"#
    );
}

pub async fn a_parent_goes_on_after_its_children(lab: Lab) {
    lab.add(&[task("p").priority(2)]).await;
    let parent = lab.begin("p").await;
    let children = [task("x"), task("y")];
    leave(&lab, &parent, &children, Some(Join::Continue)).await;
    lab.broken("x").await;
    assert_eq!(lab.done("y").await, ["p"], "any end of a child will do");
    assert_eq!(lab.reason("p").await, Some(Reason::Joining));
    let again = lab.begin("p").await;
    assert_eq!(again.task.lease.as_ref().unwrap().attempt, 2);
    lab.complete(&again).await;
    assert_eq!(lab.state("p").await, State::Completed);
}

pub async fn a_parent_need_not_wait(lab: Lab) {
    lab.add(&[task("p"), task("after").after("p")]).await;
    let parent = lab.begin("p").await;
    let command = leaving(&lab, &[task("x"), task("y").after("x")], None);
    let reply = lab.try_held(&parent, command).await.unwrap();
    assert_eq!(reply.state, State::Completed);
    assert_eq!(texts(&reply.unblocked), ["after"]);
    assert_eq!(lab.view("p").await.task.children, 2);
    assert_eq!(lab.drain().await.len(), 3);
}

pub async fn a_failed_child_fails_the_join(lab: Lab) {
    lab.add(&[
        task("p"),
        task("after").after("p"),
        task("alert").when("p", When::Failure),
    ])
    .await;
    let parent = lab.begin("p").await;
    leave(&lab, &parent, &[task("x"), task("y")], Some(Join::Complete)).await;
    let x = lab.begin("x").await;
    let reply = lab.fail(&x).await;
    assert_eq!(texts(&reply.cancelled), ["after", "p"]);
    assert_eq!(texts(&reply.unblocked), ["alert"]);
    assert_eq!(lab.reason("p").await, Some(Reason::UpstreamFailed));
    lab.retry("x").await;
    assert_eq!(lab.states(&["p", "after"]).await, [State::Blocked; 2]);
    assert_eq!(lab.view("p").await.task.join, Some(Join::Complete));
    lab.drain().await;
    assert_eq!(lab.states(&["p", "after"]).await, [State::Completed; 2]);
}

/// An alert among the subtasks that nobody has to raise.
pub async fn a_subtask_that_was_not_needed_is_no_loss(lab: Lab) {
    for (number, join) in [Join::Complete, Join::Continue].into_iter().enumerate() {
        let [p, x, alert, after] = ["p", "x", "alert", "after"].map(|name| format!("{name}{number}"));
        lab.add(&[task(&p), task(&after).after(&p)]).await;
        let parent = lab.begin(&p).await;
        let children = [task(&x), task(&alert).when(&x, When::Failure)];
        leave(&lab, &parent, &children, Some(join)).await;
        lab.broken(&x).await;
        assert_eq!(lab.state(&alert).await, State::Ready);
        lab.retry(&x).await;
        let x = lab.begin(&x).await;
        lab.try_held(&x, with_result(Some("1"))).await.unwrap();
        assert_eq!(lab.reason(&alert).await, Some(Reason::NotNeeded));
        if join == Join::Complete {
            let result = lab.view(&p).await.outcome.unwrap().result.unwrap();
            assert_eq!(result.get(), format!(r#"{{"x{number}":1}}"#));
        }
        lab.drain().await;
        assert_eq!(lab.states(&[&p, &after]).await, [State::Completed; 2]);
        lab.assert_sound().await;
    }
}

// proves: SPEC 1.2
pub async fn who_waits_for_subtasks_is_cancelled_with_them(lab: Lab) {
    lab.add(&[task("p")]).await;
    let parent = lab.begin("p").await;
    leave(
        &lab,
        &parent,
        &[task("x"), task("y").after("x")],
        Some(Join::Complete),
    )
    .await;
    let x = lab.begin("x").await;
    leave(&lab, &x, &[task("deep")], Some(Join::Continue)).await;
    let mut cancelled = lab.cancel("p").await;
    cancelled.sort_unstable();
    assert_eq!(cancelled, ["deep", "p", "x", "y"]);
    assert_eq!(lab.states(&["p", "x", "y", "deep"]).await, [State::Cancelled; 4]);
    assert!(lab.next().await.is_none());
}

pub async fn many_subtasks_are_cancelled_with_their_parent(lab: Lab) {
    lab.add(&[task("p"), task("after").after("p")]).await;
    let parent = lab.begin("p").await;
    let children: Vec<New> = (0..600).map(|i| task(&format!("x{i}"))).collect();
    let mut admission = lab.admission(&children);
    admission.limits.children = u32::MAX;
    let command = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(admission),
            join: Some(Join::Complete),
        }),
    };
    lab.try_held(&parent, command).await.unwrap();
    lab.done("x0").await;
    assert_eq!(
        lab.cancel("p").await.len(),
        601,
        "the other 599, itself and what follows"
    );
    lab.catch_up().await;
    assert!(lab.next().await.is_none());
    lab.assert_sound().await;
}

pub async fn a_join_without_children_is_over(lab: Lab) {
    for join in [Join::Complete, Join::Continue] {
        let name = format!("{join:?}");
        lab.add(&[task(&name)]).await;
        let parent = lab.begin(&name).await;
        leave(&lab, &parent, &[], Some(join)).await;
        lab.drain().await;
        assert_eq!(lab.state(&name).await, State::Completed, "{join:?}");
    }
}

pub async fn subtasks_are_bounded(lab: Lab) {
    lab.add(&[task("p")]).await;
    let parent = lab.begin("p").await;
    let children = Children {
        admission: Box::new(Admission {
            limits: AdmitLimits {
                prerequisites: 50,
                children: 1,
            },
            ..lab.admission(&[task("x"), task("y")])
        }),
        join: None,
    };
    let command = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(children),
    };
    assert_eq!(code(lab.try_held(&parent, command).await), Code::LimitExceeded);
    let twice = leaving(&lab, &[task("p")], None);
    assert_eq!(code(lab.try_held(&parent, twice).await), Code::TaskExists);
    assert_eq!(lab.state("p").await, State::Running);
    assert_eq!(lab.counts().await.total(), 1);
    lab.complete(&parent).await;
    let late = lab.try_add(&[task("z").parent("p")]).await;
    assert_eq!(code(late), Code::InvalidTransition);
}

pub async fn a_join_that_waits_for_itself_is_refused(lab: Lab) {
    lab.add(&[
        task("p"),
        task("q").after("p"),
        task("r").key("report").after("q"),
    ])
    .await;
    let parent = lab.begin("p").await;
    for (on, path) in [
        ("p", "p -> x -> p"),
        ("q", "p -> x -> q -> p"),
        ("r", "p -> x -> report -> q -> p"),
    ] {
        let children = [task("free"), task("x").after(on)];
        let command = leaving(&lab, &children, Some(Join::Complete));
        let refusal = lab.try_held(&parent, command).await.unwrap_err();
        assert_eq!(refusal.code, Code::DependencyCycle, "{on}");
        assert_eq!(refusal.detail, format!("tasks wait for each other: {path}"));
        let help = "take it out of `after`, or let the parent end without `join`";
        assert_eq!(refusal.cure(), help);
    }
    assert_eq!(lab.state("p").await, State::Running);
    let command = leaving(&lab, &[task("x").after("q")], None);
    lab.try_held(&parent, command).await.unwrap();
}

pub async fn subtasks_see_what_ends_in_the_same_call(lab: Lab) {
    lab.add(&[task("p"), task("q")]).await;
    let parent = lab.begin("p").await;
    let other = lab.begin("q").await;
    let children = leaving(&lab, &[task("x").after("q")], Some(Join::Complete));
    let replies = lab
        .try_all(vec![held(&parent, children), held(&other, completion())])
        .await;
    assert_eq!(texts(&replies[1].as_ref().unwrap().unblocked), ["x"]);
    lab.done("x").await;
    assert_eq!(lab.state("p").await, State::Completed);
}
