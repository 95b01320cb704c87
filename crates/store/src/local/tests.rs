//! What shares a transaction, and what does not fail with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use domain::code::{Code, Refusal};
use domain::id::{Project, TaskId};
use domain::limits;
use domain::store::{
    Admission, AdmitLimits, Admitted, Filter, Info, IntoRun, NewEdge, NewTask, On, Result, Store,
};
use domain::task::spec::{Spec, When, Work};
use domain::time::{Now, Timestamp};
use tokio::task::{JoinHandle, yield_now};

use super::Local;
use crate::driver::{Driver, Read};
use crate::kernel::tx::Tx;
use crate::memory::MemoryDriver;

/// A driver in memory that stops before its first transaction until it is let on, counts them, and cannot write
/// some tasks.
struct Gated {
    inner: MemoryDriver,
    at_gate: Sender<()>,
    gate: Receiver<()>,
    transactions: Arc<AtomicUsize>,
}

impl Driver for Gated {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        if self.transactions.fetch_add(1, Ordering::SeqCst) == 0 {
            self.at_gate.send(()).unwrap();
            self.gate.recv().unwrap();
        }
        self.inner.write(&mut |tx| {
            work(tx)?;
            commit(tx)
        })
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        self.inner.reader()
    }
}

fn commit(tx: &mut dyn Tx) -> Result<()> {
    let Some(project) = tx.project(&Project::default(), false)? else {
        return Ok(());
    };
    let found = tx.find(project, &[id("full"), id("panic")])?;
    assert!(found[1].is_none(), "a defect, played");
    match found[0] {
        Some(_) => Err(Refusal::new(Code::StoreFull, "the disk is full, played")),
        None => Ok(()),
    }
}

/// A store whose writer stands at the gate with one admission in hand.
struct Bench {
    store: Arc<Local>,
    data: MemoryDriver,
    gate: Sender<()>,
    transactions: Arc<AtomicUsize>,
    first: JoinHandle<Result<Admitted>>,
}

async fn bench() -> Bench {
    let (at_gate, arrived) = channel();
    let (gate, let_on) = channel();
    let data = MemoryDriver::default();
    let transactions = Arc::default();
    let driver = Gated {
        inner: data.clone(),
        at_gate,
        gate: let_on,
        transactions: Arc::clone(&transactions),
    };
    let store = Arc::new(Local::open(driver).unwrap());
    let first = ask(&store, admission("first", &[]));
    while arrived.try_recv().is_err() {
        yield_now().await;
    }
    Bench {
        store,
        data,
        gate,
        transactions,
        first,
    }
}

impl Bench {
    /// Asks for all of these while the writer cannot move, then lets it on.
    async fn ask_together(&self, asked: Vec<Admission>) -> Vec<JoinHandle<Result<Admitted>>> {
        let waiting: Vec<_> = asked.into_iter().map(|one| ask(&self.store, one)).collect();
        let queue = self.store.asks.as_ref().unwrap();
        while queue.max_capacity() - queue.capacity() < waiting.len() {
            yield_now().await;
        }
        self.gate.send(()).unwrap();
        waiting
    }

    async fn stored(&self) -> Vec<String> {
        stored(&self.store).await
    }
}

async fn stored(store: &Local) -> Vec<String> {
    let project = Project::default();
    let page = store.list(&project, Filter::default(), Default::default(), limits::PAGE_MAX);
    let page = page.await.unwrap();
    page.iter().map(|view| view.task.id.to_string()).collect()
}

fn ask(store: &Arc<Local>, admission: Admission) -> JoinHandle<Result<Admitted>> {
    let store = store.clone();
    tokio::spawn(async move { store.admit(&Project::default(), admission, NOW).await })
}

const NOW: Now = Now {
    wall: Timestamp(1_000),
    mono: 0,
};

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn admission(name: &str, after: &[&str]) -> Admission {
    let spec = Spec::new(name, Work::Prompt(name.to_owned()));
    let edge = |on: &&str| NewEdge {
        on: On::Task(id(on)),
        when: When::Success,
    };
    let task = NewTask {
        after: after.iter().map(edge).collect(),
        ..NewTask::new(id(name), None, &spec, NOW.wall)
    };
    Admission {
        tasks: vec![task],
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: "user:ann".into(),
        idempotency_key: None,
    }
}

/// What became of each: the code of its refusal, if any.
async fn codes(waiting: Vec<JoinHandle<Result<Admitted>>>) -> Vec<Option<Code>> {
    let mut codes = Vec::new();
    for answer in waiting {
        codes.push(answer.await.unwrap().err().map(|refusal| refusal.code));
    }
    codes
}

#[tokio::test]
async fn whatever_waits_is_one_transaction() {
    let bench = bench().await;
    let names: Vec<String> = (0..100).map(|i| format!("t{i}")).collect();
    let asked = names.iter().map(|name| admission(name, &[])).collect();
    let waiting = bench.ask_together(asked).await;
    assert!(codes(waiting).await.iter().all(Option::is_none));
    assert_eq!(bench.transactions.load(Ordering::SeqCst), 2);
    assert_eq!(bench.stored().await[1..], names, "in order of arrival");
    bench.first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_is_the_answer_of_one() {
    let bench = bench().await;
    let asked = vec![
        admission("a", &[]),
        admission("b", &["ghost"]),
        admission("c", &["a"]),
    ];
    let waiting = bench.ask_together(asked).await;
    let expected = [None, Some(Code::PrerequisiteNotFound), None];
    assert_eq!(codes(waiting).await, expected);
    assert_eq!(bench.transactions.load(Ordering::SeqCst), 2);
    assert_eq!(bench.stored().await, ["first", "a", "c"]);
}

#[tokio::test]
async fn a_request_that_cannot_be_written_fails_alone() {
    for (poison, code) in [("full", Code::StoreFull), ("panic", Code::Internal)] {
        let bench = bench().await;
        let asked = vec![
            admission("a", &[]),
            admission(poison, &[]),
            admission("b", &["a"]),
        ];
        let waiting = bench.ask_together(asked).await;
        assert_eq!(codes(waiting).await, [None, Some(code), None]);
        assert_eq!(bench.stored().await, ["first", "a", "b"]);
        assert_eq!(bench.transactions.load(Ordering::SeqCst), 1 + 1 + 3);
        let project = Project::default();
        assert!(bench.store.check(&project).await.unwrap().is_empty());
        // The thread goes on.
        ask(&bench.store, admission("later", &[])).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_was_asked_is_done_before_the_store_is_gone() {
    let bench = bench().await;
    let waiting = bench
        .ask_together(vec![admission("a", &[]), admission("b", &[])])
        .await;
    let Bench {
        store, data, first, ..
    } = bench;
    for caller in waiting.into_iter().chain([first]) {
        caller.abort();
        let _ = caller.await;
    }
    drop(Arc::into_inner(store).expect("the callers are gone"));
    let again = Local::open(data).unwrap();
    assert_eq!(stored(&again).await, ["first", "a", "b"]);
}
