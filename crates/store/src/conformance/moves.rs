//! A project moves into and out of this store; the other side is memory (DESIGN 7).

use std::sync::Arc;

use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::limits::PAGE_MAX;
use domain::store::{Filter, Store};
use domain::task::state::State;
use domain::transfer::{Closed, Next, Piece};

use super::lab::{HOUR, Lab, SECOND};
use super::new::{New, chain, steady, task};
use super::words::{ask, code, completion, held, keyed};
use crate::local::Local;
use crate::memory::MemoryDriver;
use crate::transfer::{abort, copy};

fn memory() -> Arc<dyn Store> {
    Arc::new(Local::open(MemoryDriver::default()).expect("threads start"))
}

/// The same clock and project on another store.
fn on(lab: &Lab, store: Arc<dyn Store>) -> Lab {
    lab.on(store)
}

async fn go(from: &Lab, to: &Lab) -> domain::store::Result<()> {
    let moved = copy(&*from.store, &*to.store, &from.project, || from.now(), |_| {});
    moved.await.map(drop)
}

/// Something of everything: runs, edges, leases, locks, parked and dead ones, answers, entries.
async fn fill(lab: &Lab) {
    lab.submit("p", &chain(&["a", "b", "c"])).await;
    lab.add(&["l1", "l2", "l3"].map(|name| task(name).lock("path:src").key("same")))
        .await;
    let timed = [
        task("later").run_at(lab.now().wall.after(HOUR)),
        task("often").retry(steady(3)),
        task("dead"),
        task("after").after("dead"),
    ];
    lab.add(&timed).await;
    lab.add(&[task("child").key("same").parent("later")]).await;
    let wide: Vec<New> = (0..1_100)
        .map(|i| task(&format!("w{i}")).after("later"))
        .collect();
    lab.add(&wide).await;
    lab.done("a").await;
    for _ in 0..4 {
        let leased = lab.next().await.unwrap();
        if ["often", "dead"].contains(&leased.task.id.to_string().as_str()) {
            lab.fail(&leased).await;
        }
    }
    lab.try_all(vec![keyed(ask("w7", domain::store::Command::Suspend), "once")])
        .await;
    let edit = Edit::put(Entry::new(Book::Schedule, "nightly", &1).due(Some(lab.now().wall)));
    let edited = lab
        .store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now());
    edited.await.unwrap();
}

/// All rows, leases and places aside: those are given anew.
async fn rows(lab: &Lab) -> Vec<String> {
    let filter = Filter {
        superseded: true,
        ..Filter::default()
    };
    let mut rows = Vec::new();
    let mut after = Default::default();
    loop {
        let page = lab
            .store
            .list(&lab.project, filter.clone(), after, PAGE_MAX)
            .await
            .unwrap();
        let Some(last) = page.last() else { return rows };
        after = last.task.seq;
        for mut view in page {
            view.task.class = Default::default();
            if let Some(lease) = &mut view.task.lease {
                lease.expires = 0;
            }
            rows.push(format!("{view:?}"));
        }
    }
}

async fn assert_same(there: &Lab, here: &Lab) {
    assert_eq!(rows(here).await, rows(there).await);
    assert_eq!(here.log().await, there.log().await);
    assert_eq!(
        here.store.status(&here.project).await.unwrap(),
        there.store.status(&there.project).await.unwrap()
    );
    assert_eq!(
        here.store.locks(&here.project).await.unwrap(),
        there.store.locks(&there.project).await.unwrap()
    );
    assert_eq!(
        here.store.runs(&here.project, None, 9).await.unwrap(),
        there.store.runs(&there.project, None, 9).await.unwrap()
    );
    let same = domain::id::Key::new("same").unwrap();
    assert_eq!(
        here.store.by_key(&here.project, &same).await.unwrap(),
        there.store.by_key(&there.project, &same).await.unwrap()
    );
    here.assert_sound().await;
}

// proves: DESIGN 7
pub async fn a_live_project_moves_and_goes_on(lab: Lab) {
    let (source, last) = (on(&lab, memory()), on(&lab, memory()));
    fill(&source).await;
    let leased = source.store.leased(&source.project, None).await.unwrap();
    assert!(!leased.is_empty());
    go(&source, &lab).await.unwrap();
    assert_same(&source, &lab).await;
    assert_eq!(code(source.try_add(&[task("late")]).await), Code::ProjectMoved);
    go(&source, &lab).await.unwrap();
    // The same again, out of this store.
    go(&lab, &last).await.unwrap();
    assert_same(&lab, &last).await;
    for lease in leased {
        let request = domain::store::Request {
            target: domain::store::Target::Holder(lease.token, None),
            command: completion(),
            actor: "worker:w".into(),
            idempotency_key: None,
        };
        let moved = lab.store.change(&lab.project, vec![request.clone()], lab.now());
        assert_eq!(code(moved.await), Code::ProjectMoved);
        last.try_all(vec![request]).await.remove(0).unwrap();
    }
    let again = keyed(ask("w7", domain::store::Command::Suspend), "once");
    let events = last.log().await.len();
    last.try_all(vec![again]).await.remove(0).unwrap();
    assert_eq!(
        last.log().await.len(),
        events,
        "an answer that was given is given again"
    );
    last.resume("w7").await;
    let done = last.drain().await;
    assert_eq!(done.iter().filter(|id| id.starts_with('w')).count(), 1_100);
    assert!(done.contains(&"l3".to_owned()), "the lock is handed on");
    last.assert_sound().await;
}

pub async fn an_interrupted_move_goes_on(lab: Lab) {
    let source = on(&lab, memory());
    fill(&source).await;
    let leaving = Closed::Leaving {
        to: lab.store.info().url,
    };
    let arriving = Closed::Arriving {
        from: source.store.info().url,
    };
    source.store.close(&lab.project, Some(leaving)).await.unwrap();
    lab.store.close(&lab.project, Some(arriving)).await.unwrap();
    let mut next = Next::FIRST;
    for _ in 0..2 {
        let (piece, then) = source.store.dump(&lab.project, next).await.unwrap();
        lab.store
            .load(&lab.project, piece, None, lab.now())
            .await
            .unwrap();
        next = then.unwrap();
    }
    let page = source
        .store
        .events(&lab.project, Default::default(), 10)
        .await
        .unwrap();
    let piece = Piece {
        events: page.into_iter().map(|seen| seen.event).collect(),
        ..Piece::default()
    };
    lab.store
        .load(&lab.project, piece, None, lab.now())
        .await
        .unwrap();
    assert_eq!(code(lab.try_add(&[task("early")]).await), Code::ProjectMoved);
    assert!(
        lab.store
            .claim(&lab.project, lab.wish(), lab.now())
            .await
            .is_err()
    );
    go(&source, &lab).await.unwrap();
    assert_same(&source, &lab).await;
    lab.pass(2 * HOUR);
    assert!(!lab.drain().await.is_empty());
}

pub async fn an_aborted_move_can_be_made_again(lab: Lab) {
    let source = on(&lab, memory());
    fill(&source).await;
    let leaving = Closed::Leaving {
        to: lab.store.info().url,
    };
    let arriving = Closed::Arriving {
        from: source.store.info().url,
    };
    source.store.close(&lab.project, Some(leaving)).await.unwrap();
    lab.store.close(&lab.project, Some(arriving)).await.unwrap();
    let mut next = Some(Next::FIRST);
    while let Some(at) = next {
        let (piece, then) = source.store.dump(&lab.project, at).await.unwrap();
        lab.store
            .load(&lab.project, piece, None, lab.now())
            .await
            .unwrap();
        next = then;
    }
    abort(&*source.store, &*lab.store, &lab.project).await.unwrap();
    source.pass(SECOND);
    source.catch_up().await;
    source.done("often").await;
    let edit = Edit::remove(Book::Schedule, "nightly");
    let edited = source
        .store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now());
    edited.await.unwrap();
    let leased = source.store.leased(&lab.project, None).await.unwrap();
    source
        .store
        .lose(&lab.project, &leased[0].worker, lab.now())
        .await
        .unwrap();
    go(&source, &lab).await.unwrap();
    assert_same(&source, &lab).await;
    assert_eq!(
        lab.store
            .entries(&lab.project, Book::Schedule, "", 9)
            .await
            .unwrap(),
        []
    );
    let refused = abort(&*source.store, &*lab.store, &lab.project).await;
    assert_eq!(code(refused), Code::ProjectMoved, "it has arrived");
}

pub async fn a_target_of_its_own_is_left_alone(lab: Lab) {
    let source = on(&lab, memory());
    source.add(&[task("a")]).await;
    lab.add(&[task("mine")]).await;
    assert_eq!(code(go(&source, &lab).await), Code::InvalidArgument);
    assert_eq!(lab.state("mine").await, State::Ready);
    source.done("a").await;
    let leased = lab.begin("mine").await;
    lab.try_all(vec![held(&leased, completion())])
        .await
        .remove(0)
        .unwrap();
}
