//! Runs: counters, their end, what replaces what.

use domain::event;
use domain::id::{Key, RunId, Seq};
use domain::run::RunState;
use domain::store::{Admission, Command, Filter, IntoRun, Request, Target};
use domain::task::spec::When;
use domain::task::state::{Reason, State};

use super::lab::{HOUR, Lab};
use super::new::{New, chain, task};
use super::words::{ask, code, completion, id};

/// How often something happened to the run itself.
async fn times(lab: &Lab, run: RunId, kind: event::Kind) -> usize {
    let log = lab.log().await;
    log.iter()
        .filter(|seen| seen.run == Some(run) && seen.event.fact.kind == kind)
        .count()
}

async fn again(lab: &Lab, run: RunId, tasks: &[New], supersede: &[&str]) {
    let from = lab.run(run).await.digest;
    let admission = Admission {
        run: IntoRun::Existing {
            id: run,
            digest: [2; 32],
            from,
        },
        supersede: supersede.iter().map(|name| id(name)).collect(),
        ..lab.admission(tasks)
    };
    lab.admit(admission).await.unwrap();
}

async fn cancel_run(lab: &Lab, run: RunId) {
    let cancel = Command::Cancel {
        reason: Reason::Cancelled,
    };
    let request = Request {
        target: Target::Run(run),
        ..ask("any", cancel)
    };
    lab.try_all(vec![request]).await.remove(0).unwrap();
}

pub async fn counts_follow_the_tasks(lab: Lab) {
    let run = lab.submit("p", &chain(&["a", "b", "c"])).await;
    let other = lab.submit("q", &[task("z")]).await;
    lab.add(&[task("loose")]).await;
    let counts = lab.run(run).await.counts;
    assert_eq!((counts.of(State::Ready), counts.of(State::Blocked)), (1, 2));
    lab.done("a").await;
    let counts = lab.run(run).await.counts;
    assert_eq!(
        (
            counts.of(State::Completed),
            counts.of(State::Ready),
            counts.of(State::Blocked)
        ),
        (1, 1, 1)
    );
    assert_eq!(counts.total(), 3);
    assert_eq!(lab.run(other).await.counts.total(), 1);
}

pub async fn a_run_finishes_once(lab: Lab) {
    let run = lab.submit("p", &chain(&["a", "b"])).await;
    assert_eq!(lab.run(run).await.plan, "p");
    lab.done("a").await;
    assert_eq!(lab.run(run).await.state, RunState::Active);
    lab.pass(HOUR);
    lab.done("b").await;
    let end = lab.run(run).await;
    assert_eq!(
        (end.state, end.finished_at),
        (RunState::Succeeded, Some(lab.now().wall))
    );
    assert_eq!(times(&lab, run, event::Kind::RunSubmitted).await, 1);
    assert_eq!(times(&lab, run, event::Kind::RunFinished).await, 1);
    let last = lab.log().await.pop().unwrap();
    assert_eq!(last.event.fact.kind, event::Kind::RunFinished);
}

pub async fn failures_and_skips_are_told_apart(lab: Lab) {
    let alert = |name: &str, on: &str| task(name).when(on, When::Failure);
    let good = lab
        .submit("p", &[task("a"), alert("b", "a"), task("c").after("b")])
        .await;
    let bad = lab
        .submit("p", &[task("x"), alert("y", "x"), task("z").after("x")])
        .await;
    let stopped = lab.submit("p", &chain(&["u", "v"])).await;
    lab.cancel("u").await;
    while let Some(next) = lab.next().await {
        if next.task.id == id("x") {
            lab.fail(&next).await;
        } else {
            lab.complete(&next).await;
        }
    }
    let run = lab.run(good).await;
    assert_eq!((run.state, run.skipped), (RunState::Succeeded, 2));
    let run = lab.run(bad).await;
    assert_eq!((run.state, run.skipped), (RunState::Failed, 0));
    assert_eq!(lab.run(stopped).await.state, RunState::Failed);
}

pub async fn a_failed_run_may_be_cancelled_and_a_good_one_not(lab: Lab) {
    let bad = lab.submit("p", &[task("x")]).await;
    let failed = lab.next().await.unwrap();
    lab.fail(&failed).await;
    assert_eq!(lab.run(bad).await.state, RunState::Failed);
    cancel_run(&lab, bad).await;
    let end = lab.run(bad).await;
    assert_eq!(end.state, RunState::Cancelled);
    assert!(end.finished_at.is_some());
    let good = lab.submit("p", &[task("y")]).await;
    let next = lab.next().await.unwrap();
    lab.complete(&next).await;
    cancel_run(&lab, good).await;
    assert_eq!(lab.run(good).await.state, RunState::Succeeded);
    lab.assert_sound().await;
}

pub async fn a_run_without_tasks_has_succeeded(lab: Lab) {
    let run = lab.submit("p", &[]).await;
    let end = lab.run(run).await;
    assert_eq!(
        (end.state, end.finished_at.is_some()),
        (RunState::Succeeded, true)
    );
    lab.assert_sound().await;
}

pub async fn a_cancelled_run_stays_cancelled(lab: Lab) {
    let run = lab.submit("p", &chain(&["a", "b"])).await;
    cancel_run(&lab, run).await;
    cancel_run(&lab, run).await;
    assert_eq!(lab.run(run).await.state, RunState::Cancelled);
    assert_eq!(times(&lab, run, event::Kind::RunCancelled).await, 1);
    lab.cancel("a").await;
    let end = lab.run(run).await;
    assert_eq!(end.state, RunState::Cancelled);
    assert!(end.finished_at.is_some());
    let only_cancel = Request {
        target: Target::Run(run),
        ..ask("any", Command::Suspend)
    };
    assert!(lab.try_all(vec![only_cancel]).await.remove(0).is_err());
    let unknown = Request {
        target: Target::Run(RunId(uuid::Uuid::from_u128(77))),
        ..ask("any", Command::Suspend)
    };
    assert!(lab.try_all(vec![unknown]).await.remove(0).is_err());
}

pub async fn a_retry_resumes_the_run(lab: Lab) {
    let run = lab.submit("p", &chain(&["a", "b"])).await;
    lab.broken("a").await;
    assert_eq!(lab.run(run).await.state, RunState::Failed);
    lab.retry("a").await;
    let resumed = lab.run(run).await;
    assert_eq!((resumed.state, resumed.finished_at), (RunState::Active, None));
    lab.drain().await;
    assert_eq!(lab.run(run).await.state, RunState::Succeeded);
    assert_eq!(times(&lab, run, event::Kind::RunResumed).await, 1);
    assert_eq!(times(&lab, run, event::Kind::RunFinished).await, 2);
}

pub async fn superseded_tasks_no_longer_count(lab: Lab) {
    let keyed = |id: &str, key: &str| task(id).key(key);
    let run = lab
        .submit(
            "p",
            &[keyed("a1", "a"), keyed("b1", "b").after("a1"), keyed("c1", "c")],
        )
        .await;
    lab.broken("a1").await;
    let c1 = lab.begin("c1").await;
    again(
        &lab,
        run,
        &[keyed("a2", "a"), keyed("b2", "b").after("a2"), keyed("c2", "c")],
        &["a1", "b1", "c1"],
    )
    .await;
    let after = lab.run(run).await;
    assert_eq!((after.counts.total(), after.digest), (3, [2; 32]));
    assert_eq!(after.state, RunState::Active);
    assert_eq!(lab.counts().await.total(), 6);
    assert_eq!(
        lab.state("a1").await,
        State::Failed,
        "what has ended stays as it ended"
    );
    assert_eq!(lab.story("a1").await.last(), Some(&"superseded"));
    assert_eq!(lab.reason("c1").await, Some(Reason::Superseded));
    assert!(lab.try_held(&c1, completion()).await.is_err());
    lab.release(&c1).await;
    let page = lab
        .store
        .list(&lab.project, Filter::default(), Seq(0), 100)
        .await
        .unwrap();
    let shown: Vec<_> = page.iter().map(|view| view.task.id.to_string()).collect();
    assert_eq!(shown, ["a2", "b2", "c2"]);
    let key = Key::new("a").unwrap();
    assert_eq!(
        lab.store.by_key(&lab.project, &key).await.unwrap(),
        Some(id("a2"))
    );
    lab.drain().await;
    assert_eq!(lab.run(run).await.state, RunState::Succeeded);
}

pub async fn what_waits_for_a_superseded_task_learns_it(lab: Lab) {
    let run = lab.submit("p", &[task("a1")]).await;
    lab.add(&[
        task("outside").after("a1"),
        task("clean").when("a1", When::Finished),
    ])
    .await;
    again(&lab, run, &[task("a2")], &["a1"]).await;
    assert_eq!(lab.reason("outside").await, Some(Reason::UpstreamCancelled));
    assert_eq!(lab.state("clean").await, State::Ready);
    // Superseding twice, or with nothing in its place, does no harm.
    again(&lab, run, &[], &["a1", "a2"]).await;
    assert_eq!(lab.run(run).await.counts.total(), 0);
}

pub async fn runs_are_listed_newest_first(lab: Lab) {
    let mut runs = Vec::new();
    for (plan, name) in [("p", "a"), ("q", "b"), ("p", "c")] {
        runs.push(lab.submit(plan, &[task(name)]).await);
    }
    let list = async |plan, limit| {
        let runs = lab.store.runs(&lab.project, plan, limit).await.unwrap();
        runs.iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [runs[2], runs[1], runs[0]]);
    assert_eq!(list(Some("p"), 10).await, [runs[2], runs[0]]);
    assert_eq!(list(None, 1).await, [runs[2]]);
    assert_eq!(list(Some("r"), 10).await, []);
    let unknown = RunId(uuid::Uuid::from_u128(77));
    assert_eq!(lab.store.run(&lab.project, unknown).await.unwrap(), None);
    let into = Admission {
        run: IntoRun::Existing {
            id: unknown,
            digest: [0; 32],
            from: [0; 32],
        },
        ..lab.admission(&[task("d")])
    };
    assert_eq!(code(lab.admit(into).await), domain::code::Code::RunNotFound);
}

pub async fn of_two_submissions_at_once_one_looks_again(lab: Lab) {
    let first = lab.submit("p", &[task("a")]).await;
    let new = |seen| IntoRun::New {
        id: RunId(uuid::Uuid::from_u128(78)),
        plan: "p".to_owned(),
        digest: [1; 32],
        newest: Some(seen),
    };
    let refused = code(
        lab.admit(Admission {
            run: new(None),
            ..lab.admission(&[task("b")])
        })
        .await,
    );
    assert_eq!(refused, domain::code::Code::RunChanged);
    let edit = |from| IntoRun::Existing {
        id: first,
        digest: [2; 32],
        from,
    };
    lab.admit(Admission {
        run: edit([1; 32]),
        ..lab.admission(&[task("c")])
    })
    .await
    .unwrap();
    let refused = code(
        lab.admit(Admission {
            run: edit([1; 32]),
            ..lab.admission(&[task("d")])
        })
        .await,
    );
    assert_eq!(refused, domain::code::Code::RunChanged);
    lab.admit(Admission {
        run: new(Some(first)),
        ..lab.admission(&[task("e")])
    })
    .await
    .unwrap();
}

pub async fn keys_lead_to_the_newest_run(lab: Lab) {
    let find = async |key: &str| {
        let key = Key::new(key).unwrap();
        lab.store.by_key(&lab.project, &key).await.unwrap()
    };
    assert_eq!(find("k").await, None);
    lab.add(&[task("outside").key("k")]).await;
    assert_eq!(find("k").await, Some(id("outside")));
    lab.add(&[task("later").key("k")]).await;
    assert_eq!(find("k").await, Some(id("later")));
    lab.submit("p", &[task("one").key("k"), task("named")]).await;
    lab.submit("p", &[task("two").key("k"), task("other").key("o")])
        .await;
    lab.add(&[task("last").key("k")]).await;
    assert_eq!(find("k").await, Some(id("two")));
    assert_eq!(find("o").await, Some(id("other")));
    assert_eq!(
        find("named").await,
        Some(id("named")),
        "in a run the id is a key too"
    );
}

pub async fn subtasks_take_no_name_of_a_planned_task(lab: Lab) {
    let find = async |key: &str| {
        let key = Key::new(key).unwrap();
        lab.store.by_key(&lab.project, &key).await.unwrap()
    };
    lab.submit("p", &[task("parent"), task("planned").key("k")]).await;
    lab.begin("parent").await;
    lab.add(&[
        task("first").key("k").parent("parent"),
        task("second").key("own").parent("parent"),
        task("third").key("own").parent("parent"),
    ])
    .await;
    assert_eq!(find("k").await, Some(id("planned")));
    assert_eq!(find("own").await, Some(id("third")), "among subtasks the latest");
    assert_eq!(find("first").await, None);
    lab.add(&[task("fourth").key("own").parent("parent")]).await;
    assert_eq!(find("own").await, Some(id("fourth")));
}

pub async fn subtasks_join_the_run_of_their_parent(lab: Lab) {
    let run = lab.submit("p", &[task("parent")]).await;
    lab.begin("parent").await;
    lab.add(&[task("child").parent("parent"), task("loose")]).await;
    assert_eq!(lab.view("child").await.run, Some(run));
    assert_eq!(lab.view("loose").await.run, None);
    assert_eq!(lab.run(run).await.counts.total(), 2);
}
