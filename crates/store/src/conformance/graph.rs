//! Who waits for whom, and what the end of one means for the others (SPEC 1.9, DESIGN 4).

use domain::code::Code;
use domain::run::RunState;
use domain::store::Command;
use domain::task::spec::{OnUpstreamFailure, When};
use domain::task::state::{Reason, State};

use super::lab::Lab;
use super::new::{New, chain, task};
use super::words::{code, completion, held, id, texts};

// proves: SPEC 1.9
pub async fn a_line(lab: Lab) {
    lab.add(&chain(&["a", "b", "c"])).await;
    assert_eq!(lab.done("a").await, ["b"]);
    assert_eq!(lab.done("b").await, ["c"]);
    assert_eq!(lab.done("c").await, [""; 0]);
}

// proves: SPEC 1.9
pub async fn a_fan_out_and_in(lab: Lab) {
    let middle: Vec<String> = (10..60).map(|i| format!("m{i}")).collect();
    let mut tasks = vec![task("root")];
    tasks.extend(middle.iter().map(|name| task(name).after("root")));
    tasks.push(middle.iter().fold(task("end"), |end, name| end.after(name)));
    lab.add(&tasks).await;
    assert_eq!(lab.done("root").await, middle);
    let leased = lab.claim_up_to(50).await;
    for (i, leased) in leased.iter().enumerate() {
        let unblocked = texts(&lab.complete(leased).await.unblocked);
        assert_eq!(unblocked.len(), usize::from(i == 49), "after {i}");
    }
    lab.done("end").await;
}

fn diamond() -> Vec<New> {
    vec![
        task("a"),
        task("b").after("a"),
        task("c").after("a"),
        task("d").after("b").after("c"),
    ]
}

// proves: SPEC 1.9
pub async fn a_diamond_waits_for_both_sides(lab: Lab) {
    lab.add(&diamond()).await;
    assert_eq!(lab.done("a").await, ["b", "c"]);
    assert_eq!(lab.done("b").await, [""; 0]);
    assert_eq!(lab.state("d").await, State::Blocked);
    assert_eq!(lab.done("c").await, ["d"]);
    lab.done("d").await;
}

// proves: SPEC 1.3, SPEC 1.7
pub async fn only_the_newly_unblocked_are_told(lab: Lab) {
    lab.add(&[
        task("a").priority(10),
        task("b").priority(10),
        task("one").after("a"),
        task("both").after("a").after("b"),
        task("other").after("b"),
    ])
    .await;
    assert_eq!(lab.done("a").await, ["one"]);
    assert_eq!(lab.done("b").await, ["both", "other"]);
}

// proves: SPEC 1.3
pub async fn a_failure_cascades_to_the_end(lab: Lab) {
    lab.add(&chain(&["a", "b", "c"])).await;
    assert_eq!(lab.broken("a").await, ["b", "c"]);
    for name in ["b", "c"] {
        let row = lab.view(name).await.task;
        assert_eq!(
            (row.state, row.reason),
            (State::Cancelled, Some(Reason::UpstreamFailed))
        );
        assert_eq!(row.finished_at, Some(lab.now().wall));
    }
}

// proves: SPEC 1.9
pub async fn a_failure_in_the_middle_leaves_the_beginning(lab: Lab) {
    lab.add(&chain(&["a", "b", "c", "d", "e"])).await;
    lab.done("a").await;
    lab.done("b").await;
    assert_eq!(lab.broken("c").await, ["d", "e"]);
    assert_eq!(
        lab.states(&["a", "b", "c", "d", "e"]).await,
        [
            State::Completed,
            State::Completed,
            State::Failed,
            State::Cancelled,
            State::Cancelled
        ]
    );
}

// proves: SPEC 1.9
pub async fn one_side_of_a_diamond_fails(lab: Lab) {
    lab.add(&diamond()).await;
    lab.done("a").await;
    assert_eq!(lab.broken("b").await, ["d"]);
    assert_eq!(lab.done("c").await, [""; 0]);
    assert_eq!(
        lab.states(&["b", "c", "d"]).await,
        [State::Failed, State::Completed, State::Cancelled]
    );
}

/// 5, 15, 20 and 10 tasks a level, each behind one to four of the level before.
// proves: SPEC 1.9
pub async fn a_layered_graph_runs_through(lab: Lab) {
    let mut tasks = Vec::new();
    let mut above: Vec<String> = Vec::new();
    for (level, (width, behind)) in [(5, 0), (15, 2), (20, 3), (10, 4)].into_iter().enumerate() {
        let names: Vec<String> = (0..width).map(|i| format!("l{level}-{i}")).collect();
        for (i, name) in names.iter().enumerate() {
            let on = (0..behind).map(|k| &above[(i * 7 + k * 3) % above.len()]);
            tasks.push(on.fold(task(name), |task, on| task.after(on)));
        }
        above = names;
    }
    lab.add(&tasks).await;
    let order = lab.drain().await;
    assert_eq!(order.len(), 50);
    let place = |name: &str| order.iter().position(|done| done == name).unwrap();
    for task in &tasks {
        for (on, _) in &task.after {
            assert!(place(on) < place(&task.id), "{on} before {}", task.id);
        }
    }
}

// proves: SPEC 1.9
pub async fn the_roots_of_a_thousand(lab: Lab) {
    let mut tasks = Vec::new();
    for root in 0..100 {
        let name = format!("r{root}");
        tasks.push(task(&name));
        tasks.extend((0..9).map(|i| task(&format!("{name}-{i}")).after(&name)));
    }
    lab.add(&tasks).await;
    assert_eq!(lab.drain().await.len(), 1_000);
    assert_eq!(lab.counts().await.of(State::Completed), 1_000);
}

pub async fn an_alert_follows_a_failure(lab: Lab) {
    lab.add(&[
        task("ship"),
        task("alert").when("ship", When::Failure),
        task("after").after("ship"),
        task("deep-alert").when("after", When::Failure),
    ])
    .await;
    let leased = lab.begin("ship").await;
    let reply = lab.fail(&leased).await;
    assert_eq!(texts(&reply.unblocked), ["alert", "deep-alert"]);
    assert_eq!(texts(&reply.cancelled), ["after"]);
}

// proves: DESIGN 4
pub async fn an_alert_that_is_not_needed_is_skipped(lab: Lab) {
    lab.add(&[
        task("ship"),
        task("alert").when("ship", When::Failure),
        task("page").after("alert"),
        task("after").after("ship"),
    ])
    .await;
    let leased = lab.begin("ship").await;
    let reply = lab.complete(&leased).await;
    assert_eq!(texts(&reply.unblocked), ["after"]);
    assert_eq!(texts(&reply.cancelled), ["alert", "page"]);
    for name in ["alert", "page"] {
        assert_eq!(lab.reason(name).await, Some(Reason::NotNeeded));
    }
}

pub async fn a_cleanup_follows_any_end(lab: Lab) {
    lab.add(&["a", "b", "c"].map(|name| task(name).priority(10)))
        .await;
    lab.add(&["a", "b", "c"].map(|on| task(&format!("clean-{on}")).when(on, When::Finished)))
        .await;
    assert_eq!(lab.done("a").await, ["clean-a"]);
    lab.broken("b").await;
    lab.cancel("c").await;
    assert_eq!(
        lab.states(&["clean-a", "clean-b", "clean-c"]).await,
        [State::Ready; 3]
    );
}

// proves: DESIGN 4
pub async fn a_user_cancel_is_told_apart(lab: Lab) {
    lab.add(&[
        task("a"),
        task("b").after("a"),
        task("c").after("b"),
        task("alert").when("a", When::Failure),
        task("patient").after("a").upstream(OnUpstreamFailure::Block),
        task("regardless")
            .after("a")
            .upstream(OnUpstreamFailure::Continue),
    ])
    .await;
    let cancelled = lab.cancel("a").await;
    assert_eq!(cancelled, ["a", "alert", "b", "c", "patient", "regardless"]);
    assert_eq!(lab.reason("a").await, Some(Reason::Cancelled));
    for name in ["b", "c", "alert", "patient", "regardless"] {
        assert_eq!(lab.reason(name).await, Some(Reason::UpstreamCancelled), "{name}");
    }
}

pub async fn a_blocked_dependent_waits_for_the_retry(lab: Lab) {
    lab.add(&[
        task("a"),
        task("b").after("a").upstream(OnUpstreamFailure::Block),
        task("c").after("b"),
    ])
    .await;
    assert_eq!(lab.broken("a").await, [""; 0]);
    assert_eq!(lab.states(&["b", "c"]).await, [State::Blocked; 2]);
    assert!(lab.next().await.is_none());
    lab.retry("a").await;
    assert_eq!(lab.drain().await, ["a", "b", "c"]);
}

// proves: DESIGN 4
pub async fn a_dependent_may_go_on_regardless(lab: Lab) {
    lab.add(&[
        task("a"),
        task("b").after("a").upstream(OnUpstreamFailure::Continue),
        task("c").after("b"),
    ])
    .await;
    let leased = lab.begin("a").await;
    assert_eq!(texts(&lab.fail(&leased).await.unblocked), ["b"]);
    assert_eq!(lab.drain().await, ["b", "c"]);
}

// proves: SPEC 1.9
pub async fn a_retry_revives_what_fell(lab: Lab) {
    lab.add(&[
        task("a"),
        task("x"),
        task("b").after("a"),
        task("c").after("b"),
        task("both").after("a").after("x"),
        task("gone").after("b"),
    ])
    .await;
    lab.cancel("gone").await;
    let (a, x) = (lab.next().await.unwrap(), lab.next().await.unwrap());
    lab.fail(&a).await;
    lab.fail(&x).await;
    assert_eq!(lab.states(&["b", "c", "both"]).await, [State::Cancelled; 3]);
    lab.retry("a").await;
    // What a person cancelled stays so, and so does what another failure keeps down.
    assert_eq!(
        lab.states(&["a", "b", "c", "both", "gone"]).await,
        [
            State::Ready,
            State::Blocked,
            State::Blocked,
            State::Cancelled,
            State::Cancelled
        ]
    );
    assert_eq!(lab.reason("b").await, Some(Reason::Revived));
    assert_eq!(lab.done("a").await, ["b"]);
    lab.retry("x").await;
    assert_eq!(lab.state("both").await, State::Blocked);
    assert_eq!(lab.drain().await.len(), 4);
    assert_eq!(lab.counts().await.of(State::Completed), 5);
}

pub async fn what_gets_another_go_waits_for_what_got_one_too(lab: Lab) {
    // Numbers decide which of two is tried again first.
    lab.add(&[
        task("x").priority(10),
        task("alert").when("x", When::Failure),
        task("go-on").after("x").upstream(OnUpstreamFailure::Continue),
        task("tidy").when("x", When::Finished),
    ])
    .await;
    let behind = ["alert", "go-on", "tidy"];
    let fail_all = async || {
        let x = lab.begin("x").await;
        lab.fail(&x).await;
        for leased in lab.claim_up_to(3).await {
            lab.fail(&leased).await;
        }
    };
    fail_all().await;
    assert_eq!(lab.states(&behind).await, [State::Failed; 3]);

    lab.retry("alert").await;
    assert_eq!(lab.state("alert").await, State::Ready);
    lab.retry("x").await;
    for name in ["go-on", "tidy"] {
        assert_eq!(lab.retry(name).await, State::Blocked);
    }
    assert_eq!(lab.states(&behind).await, [State::Blocked; 3]);
    lab.suspend("tidy").await;
    fail_all().await;
    assert_eq!(
        lab.states(&behind).await,
        [State::Failed, State::Failed, State::Suspended]
    );
    lab.resume("tidy").await;
    assert_eq!(lab.state("tidy").await, State::Ready);
    let tidy = lab.begin("tidy").await;
    lab.fail(&tidy).await;

    for name in ["x", "alert", "go-on", "tidy"] {
        lab.retry(name).await;
    }
    assert_eq!(lab.done("x").await, ["go-on", "tidy"]);
    assert_eq!(lab.state("alert").await, State::Cancelled);
    assert_eq!(lab.reason("alert").await, Some(Reason::NotNeeded));
    assert_eq!(lab.drain().await, ["go-on", "tidy"]);
    lab.assert_sound().await;
}

pub async fn what_is_asked_for_by_name_does_not_wait_for_a_dead_edge(lab: Lab) {
    lab.add(&[
        task("x"),
        task("y"),
        task("alert").when("x", When::Failure).when("y", When::Failure),
    ])
    .await;
    for leased in lab.claim_up_to(2).await {
        lab.fail(&leased).await;
    }
    let alert = lab.begin("alert").await;
    lab.fail(&alert).await;
    lab.retry("x").await;
    lab.done("x").await;
    assert_eq!(lab.retry("alert").await, State::Ready);
    let alert = lab.begin("alert").await;
    lab.fail(&alert).await;
    // One edge is dead, the other open.
    lab.retry("y").await;
    assert_eq!(lab.retry("alert").await, State::Blocked);
    let y = lab.begin("y").await;
    lab.fail(&y).await;
    lab.done("alert").await;
    lab.assert_sound().await;
}

pub async fn a_retry_tells_what_is_not_needed_after_all(lab: Lab) {
    let run = lab
        .submit(
            "p",
            &[
                task("a").priority(8),
                task("b"),
                task("x").after("a").when("b", When::Failure),
                task("patient").after("x").upstream(OnUpstreamFailure::Block),
                task("alert").when("x", When::Failure).priority(0),
            ],
        )
        .await;
    lab.broken("a").await;
    lab.done("b").await;
    assert_eq!(lab.reason("x").await, Some(Reason::UpstreamFailed));
    assert_eq!(
        lab.states(&["patient", "alert"]).await,
        [State::Blocked, State::Ready]
    );
    lab.retry("a").await;
    // No failure keeps `x` down any more, but there is nothing for it to do either.
    for name in ["x", "patient", "alert"] {
        assert_eq!(lab.reason(name).await, Some(Reason::NotNeeded), "{name}");
    }
    lab.done("a").await;
    assert_eq!(lab.run(run).await.state, RunState::Succeeded);
}

pub async fn a_retry_blocks_what_was_unblocked(lab: Lab) {
    lab.add(&[
        task("a"),
        task("alert").when("a", When::Failure),
        task("clean").when("a", When::Finished).priority(2),
    ])
    .await;
    lab.broken("a").await;
    let alert = lab.begin("alert").await;
    lab.retry("a").await;
    // What has begun goes on; what has not waits again.
    assert_eq!(
        lab.states(&["alert", "clean"]).await,
        [State::Running, State::Blocked]
    );
    lab.complete(&alert).await;
    assert_eq!(lab.done("a").await, ["clean"]);
    assert_eq!(lab.state("alert").await, State::Completed);
}

pub async fn a_suspended_dependent_keeps_count(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c").after("a").after("b")])
        .await;
    lab.suspend("c").await;
    lab.done("a").await;
    assert_eq!(lab.resume("c").await, State::Blocked);
    lab.suspend("c").await;
    lab.done("b").await;
    assert_eq!(lab.state("c").await, State::Suspended);
    assert_eq!(lab.resume("c").await, State::Ready);
}

// proves: SPEC 1.9
pub async fn a_mixed_graph_of_six(lab: Lab) {
    lab.add(&[
        task("a").priority(8),
        task("b"),
        task("c").after("a"),
        task("d").after("a").after("b"),
        task("e").after("c").when("d", When::Finished),
        task("f").when("e", When::Failure),
    ])
    .await;
    let leased = lab.claim_up_to(2).await;
    let replies = lab
        .try_all(leased.iter().map(|leased| held(leased, completion())).collect())
        .await;
    let unblocked: Vec<_> = replies
        .iter()
        .map(|reply| texts(&reply.as_ref().unwrap().unblocked))
        .collect();
    assert_eq!(unblocked, [vec!["c"], vec!["d"]]);
    let (d, c) = (lab.next().await.unwrap(), lab.next().await.unwrap());
    let (c, d) = if d.task.id == id("c") { (d, c) } else { (c, d) };
    lab.fail(&d).await;
    assert_eq!(texts(&lab.complete(&c).await.unblocked), ["e"]);
    lab.done("e").await;
    assert_eq!(lab.reason("f").await, Some(Reason::NotNeeded));
    assert_eq!(
        code(lab.try_do("f", Command::Retry { at: None }).await),
        Code::InvalidTransition
    );
}
