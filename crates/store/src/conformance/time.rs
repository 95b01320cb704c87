//! What happens by itself, on a clock that is moved by hand.

use domain::book::{Book, Edit, Entry};
use domain::store::{Command, Ticked};
use domain::task::score::Score;
use domain::task::state::State;
use serde_json::json;

use super::lab::{HOUR, Lab, SECOND, TTL};
use super::new::{steady, task};
use super::words::completion;

pub async fn a_task_waits_for_its_time(lab: Lab) {
    let at = lab.now().wall.after(HOUR);
    let tasks = [
        task("a").run_at(at),
        task("past").run_at(lab.now().wall),
        task("b").after("past").run_at(at),
        task("c").after("a").run_at(at),
    ];
    assert_eq!(
        lab.add(&tasks).await,
        [State::Pending, State::Ready, State::Pending, State::Pending]
    );
    lab.done("past").await;
    lab.pass(HOUR - SECOND);
    lab.catch_up().await;
    assert!(lab.next().await.is_none());
    lab.pass(SECOND);
    lab.catch_up().await;
    assert_eq!(
        lab.states(&["a", "b", "c"]).await,
        [State::Ready, State::Ready, State::Blocked]
    );
    assert_eq!(lab.drain().await.len(), 3);
}

// proves: SPEC 2.4
pub async fn a_try_waits_for_its_back_off(lab: Lab) {
    lab.add(&[task("a").retry(steady(2))]).await;
    lab.broken("a").await;
    lab.pass(SECOND / 2);
    lab.tick().await;
    assert_eq!(lab.state("a").await, State::Retrying);
    lab.pass(SECOND / 2);
    lab.tick().await;
    assert_eq!(lab.state("a").await, State::Ready);
    lab.done("a").await;
    assert_eq!(
        lab.story("a").await,
        [
            "submitted",
            "running",
            "retrying",
            "ready",
            "running",
            "completed"
        ]
    );
}

// proves: SPEC 1.6, SPEC 1.7
pub async fn scores_rise_with_the_clock(lab: Lab) {
    lab.add(&[
        task("steady"),
        task("due").deadline(48 * HOUR),
        task("after").after("steady").deadline(12 * HOUR),
    ])
    .await;
    assert_eq!(lab.view("due").await.task.score, Score(27_500));
    lab.pass(11 * HOUR + HOUR / 2);
    lab.catch_up().await;
    lab.done("steady").await;
    assert_eq!(
        lab.view("after").await.task.score,
        Score(42_500),
        "scored for the moment it becomes ready"
    );
    lab.pass(13 * HOUR);
    let ticked = lab.tick().await;
    assert!(ticked.moved >= 1);
    assert_eq!(lab.view("due").await.task.score, Score(32_500));
    lab.pass(23 * HOUR);
    lab.catch_up().await;
    assert_eq!(lab.view("due").await.task.score, Score(40_000));
    lab.pass(24 * HOUR);
    lab.catch_up().await;
    assert_eq!(lab.view("due").await.task.score, Score(45_000));
    assert_eq!(lab.tick().await, Ticked::default(), "nothing is left to wait for");
    assert_eq!(lab.drain().await, ["after", "due"]);
}

// proves: DESIGN 7
pub async fn leases_ignore_the_wall_clock(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    lab.jump(1_000 * 3_600_000);
    lab.tick().await;
    assert_eq!(lab.state("a").await, State::Running);
    lab.jump(-2_000 * 3_600_000);
    lab.tick().await;
    lab.pass(TTL - SECOND);
    assert!(lab.try_held(&leased, completion()).await.is_ok());
}

pub async fn the_next_moment_is_told(lab: Lab) {
    assert_eq!(lab.tick().await, Ticked::default());
    let at = lab.now().wall.after(HOUR);
    lab.add(&[task("a").run_at(at.after(HOUR)), task("b").run_at(at)])
        .await;
    assert_eq!(lab.tick().await.next, Some(at));
    lab.pass(HOUR);
    lab.catch_up().await;
    assert_eq!(lab.tick().await.next, Some(at.after(HOUR)));
}

pub async fn a_suspended_wait_is_not_woken(lab: Lab) {
    lab.add(&[
        task("a").run_at(lab.now().wall.after(HOUR)),
        task("b").retry(steady(2)),
    ])
    .await;
    lab.broken("b").await;
    lab.suspend("a").await;
    lab.suspend("b").await;
    lab.pass(2 * HOUR);
    lab.catch_up().await;
    assert_eq!(lab.states(&["a", "b"]).await, [State::Suspended; 2]);
    assert_eq!(lab.resume("b").await, State::Ready);
    assert_eq!(lab.resume("a").await, State::Ready);
}

pub async fn a_retry_may_be_later(lab: Lab) {
    lab.add(&[task("a")]).await;
    lab.broken("a").await;
    let at = lab.now().wall.after(HOUR);
    let reply = lab.try_do("a", Command::Retry { at: Some(at) }).await.unwrap();
    assert_eq!((reply.state, reply.retry_at), (State::Retrying, Some(at)));
    assert!(lab.next().await.is_none());
    assert_eq!(lab.retry("a").await, State::Ready, "now after all");
    lab.broken("a").await;
    let past = Some(lab.now().wall);
    let reply = lab.try_do("a", Command::Retry { at: past }).await.unwrap();
    assert_eq!(reply.state, State::Ready);
}

// proves: DESIGN 8
pub async fn a_deadline_counts_what_such_work_usually_takes(lab: Lab) {
    let known = |usual: u64| json!({ "completed": 3, "failed": 0, "latest": [usual, 36_000_000, usual] });
    let habit = |kind: &str, usual| Edit::put(Entry::new(Book::Habit, kind, &known(usual)));
    let habits = vec![habit("kind build", 3_600_000), habit("kind lint", 60_000)];
    let edited = lab.store.edit(&lab.project, habits, "system".into(), lab.now());
    edited.await.unwrap();
    let build = |id: &str| task(id).kind("build");
    let soon = HOUR / 30;
    lab.add(&[
        build("learned").deadline(soon),
        build("said").deadline(soon).estimate(HOUR),
        build("other").deadline(soon).estimate(10 * HOUR),
        build("calm"),
        // By what such work takes, its deadline would be farther than by the clock alone.
        task("quick").kind("lint").deadline(soon),
        task("unknown").deadline(soon),
    ])
    .await;
    let row = async |id: &str| {
        let task = lab.view(id).await.task;
        (task.estimate, task.score)
    };
    let learned = row("learned").await;
    assert_eq!(learned, row("said").await);
    assert_eq!(learned.0, Some(HOUR));
    assert_eq!(row("quick").await, row("unknown").await);
    assert_eq!(row("other").await.0, Some(10 * HOUR));
    assert_eq!((row("calm").await.0, row("unknown").await.0), (None, None));
}
