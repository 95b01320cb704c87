//! What ended long ago goes, and what is left is sound after every piece (DESIGN 7).

use std::sync::Arc;
use std::time::Duration;

use domain::event::Kind;
use domain::id::{EventNo, Key};
use domain::limits::PAGE_MAX;
use domain::prune::{Prune, Pruned, Stage};
use domain::store::{Children, Command, Store};
use domain::task::record::{Join, Outcome};
use domain::task::state::State;
use domain::time::Timestamp;

use super::lab::{HOUR, Lab, SECOND};
use super::new::{New, chain, task};
use super::words::{ask, completion, held, id, keyed};
use crate::local::Local;
use crate::memory::MemoryDriver;
use crate::transfer::copy;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn piece(lab: &Lab, before: Timestamp, stage: Stage, dry: bool) -> Pruned {
    let prune = Prune { before, stage, dry };
    let pruned = lab.store.prune(&lab.project, prune, "user:ann".into(), lab.now());
    pruned.await.unwrap()
}

/// All of it, or its count; after every piece the store must be sound. Returns the sum, without `next`.
async fn all(lab: &Lab, before: Timestamp, dry: bool) -> Pruned {
    let mut sum = Pruned::default();
    let mut next = Some(Stage::FIRST);
    while let Some(stage) = next {
        let pruned = piece(lab, before, stage, dry).await;
        if pruned.tasks + pruned.events > 0 {
            lab.assert_sound().await;
        }
        sum.tasks += pruned.tasks;
        sum.runs += pruned.runs;
        sum.answers += pruned.answers;
        sum.events += pruned.events;
        sum.gone.extend(pruned.gone);
        next = pruned.next;
    }
    sum
}

async fn prune(lab: &Lab) -> Pruned {
    all(lab, lab.now().wall, false).await
}

async fn left(lab: &Lab) -> Vec<String> {
    let all = lab.all().await;
    all.iter().map(|view| view.task.id.to_string()).collect()
}

/// Something young, so that what is looked at is not what the next numbers follow from.
async fn latest(lab: &Lab) {
    lab.submit("latest", &[task("latest")]).await;
}

async fn drop_letter(lab: &Lab, letter: &str) {
    lab.try_do(letter, Command::DropLetter).await.unwrap();
}

// proves: DESIGN 7
pub async fn what_ended_long_ago_goes(lab: Lab) {
    assert_eq!(prune(&lab).await, Pruned::default());
    let run = lab.submit("p", &chain(&["a", "b"])).await;
    lab.add(&[task("c").key("c"), task("d").key("d").after("c")])
        .await;
    lab.drain().await;
    lab.pass(DAY);
    let middle = lab.now().wall;
    lab.pass(DAY);
    let young = lab.submit("p", &[task("e").key("e")]).await;
    lab.add(&[task("open").key("c")]).await;
    lab.done("e").await;
    let events = lab.log().await.len() as u64;
    let counted = all(&lab, middle, true).await;
    assert_eq!((counted.tasks, counted.runs), (4, 1));
    assert_eq!(left(&lab).await.len(), 6, "counting takes nothing");
    let pruned = all(&lab, middle, false).await;
    assert_eq!((pruned.tasks, pruned.runs, pruned.events), (4, 1, counted.events));
    let mut gone: Vec<String> = pruned.gone.iter().map(|(id, _)| id.to_string()).collect();
    gone.sort();
    assert_eq!(gone, ["a", "b", "c", "d"]);
    assert_eq!(left(&lab).await, ["e", "open"]);
    assert_eq!(lab.counts().await.total(), 2);
    assert_eq!(lab.store.run(&lab.project, run).await.unwrap(), None);
    let runs = lab.store.runs(&lab.project, Some("p"), 10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [young]);
    let key = |key: &str| Key::new(key).expect("a key");
    assert_eq!(
        lab.store.by_key(&lab.project, &key("c")).await.unwrap(),
        Some(id("open"))
    );
    for gone in ["a", "d"] {
        assert_eq!(lab.store.by_key(&lab.project, &key(gone)).await.unwrap(), None);
    }
    let told: Vec<Kind> = lab.log().await.iter().map(|seen| seen.event.fact.kind).collect();
    assert!(
        told.contains(&Kind::ProjectPruned) && told.contains(&Kind::LogCut),
        "{told:?}"
    );
    assert!((told.len() as u64) < events);
    assert_eq!(all(&lab, middle, false).await.tasks, 0);
    lab.add(&[task("a")]).await;
    assert_eq!(lab.drain().await, ["open", "a"], "the id is free again");
}

// proves: DESIGN 7
pub async fn what_is_still_needed_stays(lab: Lab) {
    let later = lab.now().wall.after(400 * DAY);
    lab.add(&[
        task("input"),
        task("letter").after("input"),
        task("fell").after("letter"),
        task("far").after("fell"),
        task("done"),
        task("waits").after("done").run_at(later),
    ])
    .await;
    let run = lab.submit("p", &[task("x"), task("y")]).await;
    let outside = lab.submit("q", &[task("z")]).await;
    lab.add(&[task("on-z").after("z").run_at(later)]).await;
    for _ in 0..6 {
        let leased = lab.next().await.unwrap();
        match leased.task.id.to_string().as_str() {
            "letter" | "y" => drop(lab.fail(&leased).await),
            _ => drop(lab.complete(&leased).await),
        }
    }
    latest(&lab).await;
    lab.pass(DAY);
    assert_eq!(prune(&lab).await.tasks, 0);
    assert_eq!(left(&lab).await.len(), 11);
    // Tried again, the letter finds its input, and what fell with it comes back.
    assert_eq!(lab.retry("letter").await, State::Ready);
    assert_eq!(lab.states(&["fell", "far"]).await, [State::Blocked; 2]);
    lab.drain().await;
    lab.cancel("waits").await;
    lab.cancel("on-z").await;
    drop_letter(&lab, "y").await;
    latest_again(&lab).await;
    lab.pass(DAY);
    let pruned = prune(&lab).await;
    // The run that `on-z` waited for goes when that has gone.
    assert_eq!(pruned.tasks + prune(&lab).await.tasks, 11);
    assert_eq!(left(&lab).await, ["last"]);
    for gone in [run, outside] {
        assert_eq!(lab.store.run(&lab.project, gone).await.unwrap(), None);
    }
}

async fn latest_again(lab: &Lab) {
    lab.submit("last", &[task("last")]).await;
}

// proves: DESIGN 7
pub async fn a_large_run_goes_piece_by_piece(lab: Lab) {
    // Prerequisites that are listed behind what depends on them, and before it: neither order alone would do.
    let back: Vec<New> = (0..600)
        .map(|i| {
            let task = task(&format!("b{i}"));
            if i < 599 {
                task.after(&format!("b{}", i + 1))
            } else {
                task
            }
        })
        .collect();
    let there: Vec<New> = (0..600)
        .map(|i| {
            let task = task(&format!("t{i}"));
            if i > 0 {
                task.after(&format!("t{}", i - 1))
            } else {
                task
            }
        })
        .collect();
    let letter = vec![task("letter").priority(10)];
    let run = lab.submit("p", &[letter, back, there].concat()).await;
    lab.broken("letter").await;
    lab.drain().await;
    latest(&lab).await;
    lab.pass(DAY);
    let before = lab.now().wall;
    for dry in [true, false] {
        assert_eq!(
            all(&lab, before, dry).await.tasks,
            0,
            "the oldest is a dead letter"
        );
    }
    drop_letter(&lab, "letter").await;
    assert_eq!(all(&lab, before, true).await.tasks, 1_201);
    let looked = piece(&lab, before, Stage::FIRST, false).await;
    assert_eq!(looked.tasks, 0, "they are looked at in several pieces");
    let mut next = looked.next;
    let mut gone = 0;
    while gone == 0 {
        let pruned = piece(&lab, before, next.expect("more to do"), false).await;
        (next, gone) = (pruned.next, pruned.tasks);
    }
    assert!(gone < 1_201);
    lab.assert_sound().await;
    let half = lab.run(run).await;
    assert_eq!(half.counts.total(), 1_201 - gone);
    // Whoever died here left nothing undone that another does not do.
    let rest = all(&lab, before, false).await;
    assert_eq!(gone + rest.tasks, 1_201);
    assert_eq!(rest.runs, 1);
    assert_eq!(left(&lab).await, ["latest"]);
}

pub async fn a_family_goes(lab: Lab) {
    lab.add(&[task("parent"), task("single")]).await;
    let leased = lab.begin("parent").await;
    let children = [task("c1").parent("parent"), task("c2").parent("parent")];
    let complete = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(lab.admission(&children)),
            join: Some(Join::Complete),
        }),
    };
    lab.try_held(&leased, complete).await.unwrap();
    lab.done("single").await;
    lab.done("c1").await;
    lab.pass(DAY);
    assert_eq!(
        prune(&lab).await.tasks,
        1,
        "the parent waits, so its subtasks stay"
    );
    lab.broken("c2").await;
    drop_letter(&lab, "c2").await;
    latest(&lab).await;
    lab.pass(DAY);
    prune(&lab).await;
    prune(&lab).await;
    assert_eq!(left(&lab).await, ["latest"]);
}

// proves: DESIGN 7, DESIGN 10
pub async fn the_log_begins_later(lab: Lab) {
    lab.add(&[task("old").run_at(lab.now().wall.after(400 * DAY)), task("gone")])
        .await;
    lab.done("gone").await;
    lab.pass(DAY);
    let before = lab.now().wall;
    lab.pass(SECOND);
    lab.add(&[task("young")]).await;
    let last = lab.log().await.last().unwrap().event.no;
    all(&lab, before, false).await;
    let begin = lab.beginning().await.after.last;
    assert!(begin > EventNo(0) && begin < last);
    let log = lab.log().await;
    assert_eq!(
        log[0].event.no,
        EventNo(begin.0 + 1),
        "a page from the start begins there"
    );
    let beyond = lab.store.events(&lab.project, last, PAGE_MAX).await.unwrap();
    assert_eq!(beyond[0].event.no, EventNo(last.0 + 1));
    assert_eq!(lab.story("old").await, [""; 0]);
    lab.cancel("old").await;
    assert_eq!(lab.story("old").await, ["cancelled"]);
    assert_eq!(lab.story("young").await, ["submitted"]);
}

pub async fn answers_are_forgotten(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c")]).await;
    let once = |key: &str, command: Command| lab.try_all(vec![keyed(ask("a", command), key)]);
    once("early", Command::Suspend).await.remove(0).unwrap();
    lab.pass(HOUR);
    let before = lab.now().wall;
    lab.pass(HOUR);
    once("late", Command::Resume).await.remove(0).unwrap();
    assert_eq!(all(&lab, before, true).await.answers, 1);
    assert_eq!(all(&lab, before, false).await.answers, 1);
    once("early", Command::Suspend).await.remove(0).unwrap();
    assert_eq!(lab.state("a").await, State::Suspended, "the key was free");
    once("late", Command::Resume).await.remove(0).unwrap();
    assert_eq!(
        lab.state("a").await,
        State::Suspended,
        "that one only repeats its answer"
    );
}

pub async fn numbers_are_given_once(lab: Lab) {
    lab.submit("p", &[task("a")]).await;
    lab.done("a").await;
    lab.pass(DAY);
    assert_eq!(
        prune(&lab).await.tasks,
        0,
        "the next numbers follow from the last ones"
    );
    let number = lab.view("a").await.task.seq;
    lab.submit("p", &[task("b")]).await;
    lab.pass(DAY);
    assert_eq!(prune(&lab).await.tasks, 1);
    assert!(lab.view("b").await.task.seq > number);
}

pub async fn one_project_at_a_time(lab: Lab) {
    let other = lab.beside("other");
    for lab in [&lab, &other] {
        lab.add(&chain(&["a", "b"])).await;
        lab.drain().await;
    }
    for lab in [&lab, &other] {
        latest(lab).await;
    }
    lab.pass(DAY);
    assert_eq!(prune(&lab).await.tasks, 2);
    assert_eq!(left(&other).await, ["a", "b", "latest"]);
    other.assert_sound().await;
    assert_eq!(prune(&other).await.tasks, 2);
}

pub async fn a_pruned_project_moves(lab: Lab) {
    lab.add(&[task("failing")]).await;
    lab.broken("failing").await;
    lab.submit("p", &chain(&["a", "b"])).await;
    lab.drain().await;
    lab.submit("q", &[task("open")]).await;
    lab.pass(DAY);
    assert_eq!(prune(&lab).await.tasks, 2);
    let memory: Arc<dyn Store> = Arc::new(Local::open(MemoryDriver::default()).expect("threads start"));
    let there = lab.on(memory);
    let moved = copy(&*lab.store, &*there.store, &lab.project, || lab.now(), |_| {});
    moved.await.unwrap();
    there.assert_sound().await;
    assert_eq!(left(&there).await, ["failing", "open"]);
    let leased = there.begin("open").await;
    there
        .try_all(vec![held(&leased, completion())])
        .await
        .remove(0)
        .unwrap();
    // Back again, into a project that is closed where it came from.
    assert!(lab.try_add(&[task("late")]).await.is_err());
    let keys = lab.beginning().await;
    assert_eq!(keys, there.beginning().await);
}
