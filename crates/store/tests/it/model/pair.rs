//! Two stores that are asked the same.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::fmt::Debug;
use std::time::Duration;

use domain::id::{Kind, RunId, Seq};
use domain::prune::{Prune, Stage};
use domain::store::{Admission, Children, Claim, Command, Held, IntoRun, Leased, Request, Target, View};
use domain::task::lock::Lock;
use domain::task::record::{ClassNo, Outcome};
use domain::task::spec::OnUpstreamFailure;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use store::conformance::lab::{HOUR, TTL};
use store::conformance::words::{ask, failure, with_result, worker};
use store::conformance::{Fresh, Lab};
use uuid::Uuid;

use super::draw::{draw, kind_of};
use super::replayed;
use super::step::{Into, Sketch, Step};

pub(super) struct Pair {
    labs: [Lab; 2],
    /// Everything that was ever handed out, stale or not.
    leases: Vec<Leased>,
    tasks: Vec<String>,
    /// Tasks that were ever drawn: no name is used twice.
    made: usize,
    runs: Vec<RunId>,
    /// The last admission and the last request of a holder, with their idempotency keys.
    added: Option<Admission>,
    asked: Option<Request>,
    keys: u32,
}

impl Pair {
    pub(super) fn new(one: &Fresh, other: &Fresh) -> Pair {
        Pair {
            labs: [Lab::new(one.store.clone()), Lab::new(other.store.clone())],
            leases: Vec::new(),
            tasks: Vec::new(),
            made: 0,
            runs: Vec::new(),
            added: None,
            asked: None,
            keys: 0,
        }
    }

    /// Asks both and compares; the answer of the first.
    async fn both<T: PartialEq + Debug>(&self, ask: impl AsyncFn(&Lab) -> T) -> T {
        let [one, other] = &self.labs;
        let (one, other) = (ask(one).await, ask(other).await);
        assert_eq!(one, other, "the stores disagree");
        one
    }

    pub(super) async fn take(&mut self, step: &Step) {
        match step {
            Step::Add(sketches, into) => self.add(sketches, *into).await,
            Step::AddAgain => {
                if let Some(admission) = self.added.clone() {
                    self.both(async |lab| lab.admit(admission.clone()).await)
                        .await
                        .ok();
                }
            }
            Step::Claim {
                worker: name,
                max,
                start,
                kind,
                run,
            } => {
                let kinds = kind.iter().map(|kind| kind_of(*kind)).collect();
                let run = self.runs.last().copied().filter(|_| *run);
                self.claim(*name, *max, *start, kinds, run).await;
            }
            Step::Start(lease) => {
                let at = Some(Timestamp(self.labs[0].now().wall.0 - 500));
                self.hold(*lease, Command::Start { at }).await;
            }
            Step::Renew(lease) => {
                let renew = Command::Renew {
                    ttl: None,
                    progress: None,
                };
                self.hold(*lease, renew).await;
            }
            Step::Complete(lease) => {
                self.hold(*lease, done()).await;
                self.learn().await;
            }
            Step::Leave(lease, sketches, join) => {
                let children = Children {
                    admission: Box::new(self.admission(sketches)),
                    join: *join,
                };
                let command = Command::Complete {
                    outcome: Outcome::default(),
                    cached: false,
                    children: Some(children),
                };
                self.hold(*lease, command).await;
                self.learn().await;
            }
            Step::Fail { lease, no_retry } => {
                let mut command = failure("it broke");
                if let Command::Fail { no_retry: never, .. } = &mut command {
                    *never = *no_retry;
                }
                self.hold(*lease, command).await;
                self.learn().await;
            }
            Step::Release(lease) => self.hold(*lease, Command::Release).await,
            Step::Again => {
                if let Some(request) = self.asked.clone() {
                    self.request(request).await;
                }
            }
            Step::Cancel(task) => {
                let reason = Reason::Cancelled;
                self.ask(*task, Command::Cancel { reason }).await;
            }
            Step::CancelRun(run) => {
                if let Some(run) = pick(&self.runs, *run) {
                    let reason = Reason::Cancelled;
                    let mut request = ask("any", Command::Cancel { reason });
                    request.target = Target::Run(*run);
                    self.request(request).await;
                }
            }
            Step::Suspend(task) => self.ask(*task, Command::Suspend).await,
            Step::Resume(task) => self.ask(*task, Command::Resume).await,
            Step::Retry(task) => self.ask(*task, Command::Retry { at: None }).await,
            Step::RetryLater(task) => {
                let at = Some(self.labs[0].now().wall.after(HOUR));
                self.ask(*task, Command::Retry { at }).await;
            }
            Step::Resolve(task, accept) => {
                let outcome = Outcome::default();
                self.ask(
                    *task,
                    Command::Resolve {
                        accept: *accept,
                        outcome,
                    },
                )
                .await;
            }
            Step::DropLetter(task) => self.ask(*task, Command::DropLetter).await,
            Step::BreakLock { lock, at_once } => {
                let lab = &self.labs[0];
                let held = lab.store.locks(&lab.project).await.unwrap();
                if let Some(held) = pick(&held, *lock) {
                    let command = Command::BreakLock {
                        name: held.name.clone(),
                        why: "why not".to_owned(),
                        at_once: *at_once,
                    };
                    self.request(ask(&held.holder.to_string(), command)).await;
                }
            }
            Step::Pass(seconds) => self.pass(Duration::from_secs(*seconds)),
            Step::Jump(seconds) => self.labs.iter().for_each(|lab| lab.jump(seconds * 1_000)),
            Step::Tick => drop(self.tick().await),
            Step::Lose(name) => {
                let name = worker(&format!("w{name}"));
                self.both(async |lab| lab.store.lose(&lab.project, &name, lab.now()).await)
                    .await
                    .unwrap();
            }
            Step::Prune(ago) => self.prune(*ago).await,
        }
        self.assert_sane().await;
    }

    // ---- steps ----

    fn pass(&self, span: Duration) {
        self.labs.iter().for_each(|lab| lab.pass(span));
    }

    async fn tick(&self) -> Option<Timestamp> {
        self.both(async |lab| lab.tick().await).await.next
    }

    async fn add(&mut self, sketches: &[Sketch], into: Into) {
        let mut admission = self.admission(sketches);
        match into {
            Into::Nothing => {}
            Into::NewRun => {
                let id = RunId(Uuid::from_u128(self.runs.len() as u128 + 1));
                self.runs.push(id);
                admission.run = IntoRun::New {
                    id,
                    plan: "p".to_owned(),
                    digest: [1; 32],
                    newest: None,
                };
            }
            Into::OldRun { run, instead } => {
                let Some(run) = pick(&self.runs, run).copied() else {
                    return;
                };
                admission.run = IntoRun::Existing {
                    id: run,
                    digest: [1; 32],
                    from: [1; 32],
                };
                let of_run = |view: &&View| view.run == Some(run) && !view.task.superseded;
                let all = self.labs[0].all().await;
                let replaced: Vec<_> = all
                    .iter()
                    .filter(of_run)
                    .map(|view| view.task.id.clone())
                    .collect();
                admission.supersede = pick(&replaced, instead).into_iter().cloned().collect();
            }
        }
        self.keys += 1;
        admission.idempotency_key = Some(format!("add{}", self.keys));
        let answer = self.both(async |lab| lab.admit(admission.clone()).await).await;
        if answer.is_ok() {
            self.added = Some(admission);
        }
        self.learn().await;
    }

    fn admission(&mut self, sketches: &[Sketch]) -> Admission {
        let lab = &self.labs[0];
        let mut known = self.tasks.clone();
        let mut tasks = Vec::new();
        for sketch in sketches {
            let id = format!("t{}", self.made);
            self.made += 1;
            tasks.push(draw(sketch, &id, &known, lab.now().wall));
            known.push(id);
        }
        lab.admission(&tasks)
    }

    /// Which tasks there are now.
    async fn learn(&mut self) {
        let all = self.labs[0].all().await;
        self.tasks = all.iter().map(|view| view.task.id.to_string()).collect();
    }

    /// Piece by piece to the end.
    async fn prune(&mut self, ago: i64) {
        const PIECES: usize = 1_000;
        let before = Timestamp(self.labs[0].now().wall.0 - ago * 1_000);
        let mut next = Some(Stage::FIRST);
        for _ in 0..PIECES {
            let Some(stage) = next.take() else { break };
            let prune = Prune {
                before,
                stage,
                dry: false,
            };
            let pruned = self
                .both(async |lab| {
                    let pruned = lab
                        .store
                        .prune(&lab.project, prune.clone(), "user:ann".into(), lab.now());
                    pruned.await.unwrap()
                })
                .await;
            next = pruned.next;
        }
        assert_eq!(next, None, "it comes to no end");
        self.learn().await;
    }

    async fn claim(&mut self, name: u8, max: usize, start: bool, kinds: Vec<Kind>, run: Option<RunId>) {
        let leased = self
            .both(async |lab| {
                let mut claim = Claim {
                    worker: worker(&format!("w{name}")),
                    max,
                    ahead: max % 3,
                    start,
                    ..lab.wish()
                };
                claim.wants.kinds = kinds.clone();
                claim.wants.run = run;
                let answer = lab.store.claim(&lab.project, claim, lab.now()).await;
                answer
                    .unwrap_or_default()
                    .into_iter()
                    .map(plain)
                    .collect::<Vec<_>>()
            })
            .await;
        self.leases.extend(leased);
    }

    async fn hold(&mut self, lease: usize, command: Command) {
        // The newest are the likeliest to be still good.
        let Some(leased) = self
            .leases
            .iter()
            .rev()
            .nth(lease % self.leases.len().clamp(1, 6))
        else {
            return;
        };
        self.keys += 1;
        let request = Request {
            target: Target::Holder(leased.token, None),
            command,
            actor: "worker:w".into(),
            idempotency_key: (self.keys.is_multiple_of(3)).then(|| format!("k{}", self.keys)),
        };
        self.asked = Some(request.clone());
        self.request(request).await;
    }

    async fn ask(&mut self, task: usize, command: Command) {
        if let Some(task) = pick(&self.tasks, task) {
            self.request(ask(task, command)).await;
        }
    }

    async fn request(&self, request: Request) {
        self.both(async |lab| lab.try_all(vec![request.clone()]).await)
            .await;
    }

    // ---- what must hold ----

    /// On the first store, which agrees with the other: nobody holds what another holds, no task is held twice, and
    /// everything kept twice is equal.
    async fn assert_sane(&self) {
        let lab = &self.labs[0];
        let findings = lab.store.check(&lab.project).await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
        let held = lab.store.locks(&lab.project).await.unwrap();
        let lock = |at: usize| Lock {
            name: held[at].name.clone(),
            mode: held[at].mode,
        };
        for (i, one) in held.iter().enumerate() {
            for (k, other) in held[..i].iter().enumerate() {
                let clash = one.holder != other.holder && lock(i).conflicts(&lock(k));
                assert!(!clash, "{one:?} beside {other:?}");
            }
        }
        let mut leased: Vec<_> = self.leased().await.into_iter().map(|held| held.id).collect();
        let count = leased.len();
        leased.dedup();
        assert_eq!(leased.len(), count);
    }

    async fn leased(&self) -> Vec<Held> {
        self.both(async |lab| lab.store.leased(&lab.project, None).await.unwrap())
            .await
    }

    /// Everything that the reading verbs tell.
    pub(super) async fn compare(&self) {
        for lab in &self.labs {
            lab.assert_sound().await;
            replayed::assert_agrees(lab).await;
        }
        let views = self
            .both(async |lab| {
                let all = lab.all().await;
                all.into_iter().map(plain_view).collect::<Vec<_>>()
            })
            .await;
        self.both(async |lab| lab.log().await).await;
        self.both(async |lab| lab.store.status(&lab.project).await)
            .await
            .unwrap();
        self.both(async |lab| lab.store.runs(&lab.project, None, 100).await)
            .await
            .unwrap();
        self.both(async |lab| lab.store.locks(&lab.project).await)
            .await
            .unwrap();
        let seqs: Vec<Seq> = views.iter().map(|view| view.task.seq).collect();
        self.both(async |lab| lab.store.edges(&lab.project, &seqs).await)
            .await
            .unwrap();
        self.both(async |lab| lab.store.results(&lab.project, &seqs).await)
            .await
            .unwrap();
        for id in views.iter().map(|view| &view.task.id) {
            self.both(async |lab| lab.store.neighbours(&lab.project, id, 3).await)
                .await
                .unwrap();
            self.both(async |lab| lab.store.history(&lab.project, id, 5).await)
                .await
                .unwrap();
            self.both(async |lab| lab.store.ahead(&lab.project, id, 10).await)
                .await
                .unwrap();
        }
    }

    /// Drives every task to an end: whatever has happened, some way leads there.
    pub(super) async fn drain(&mut self) {
        for _ in 0..400 {
            // Old leases run out, and what waits for its time is due.
            let next = self.tick().await;
            self.claim(0, 100, true, Vec::new(), None).await;
            for held in self.leased().await {
                let mut request = ask("any", done());
                request.target = Target::Holder(held.token, None);
                self.request(request).await;
            }
            let views = self.labs[0].all().await;
            let open: Vec<_> = views
                .iter()
                .filter(|view| !view.task.state.is_terminal())
                .collect();
            if open.is_empty() && self.leased().await.is_empty() {
                return;
            }
            for view in &open {
                let command = match view.task.state {
                    State::Suspended => Command::Resume,
                    State::Awaiting => Command::Resolve {
                        accept: true,
                        outcome: Outcome::default(),
                    },
                    _ => continue,
                };
                self.request(ask(&view.task.id.to_string(), command)).await;
            }
            // A task that waits for the retry of a failed one gets it.
            if open.iter().all(|view| view.task.state == State::Blocked) {
                for view in views.iter().filter(|view| view.task.state == State::Failed) {
                    let again = Command::Retry { at: None };
                    self.request(ask(&view.task.id.to_string(), again)).await;
                }
                // What it waits for may have been superseded since and is not tried again: then a user gives up.
                if !views.iter().any(|view| view.task.state == State::Failed) {
                    let forlorn =
                        |task: &&View| task.task.upstream == OnUpstreamFailure::Block && task.task.dead > 0;
                    for view in open.iter().copied().filter(forlorn) {
                        let cancel = Command::Cancel {
                            reason: Reason::Cancelled,
                        };
                        self.request(ask(&view.task.id.to_string(), cancel)).await;
                    }
                }
            }
            let wait = next.map_or(Duration::ZERO, |at| at.since(self.labs[0].now().wall));
            self.pass(TTL.max(wait.min(HOUR)));
        }
        let stuck: Vec<_> = (self.labs[0].all().await.into_iter())
            .filter(|view| !view.task.state.is_terminal() || view.task.lease.is_some())
            .map(|view| view.task)
            .collect();
        panic!("these are stuck: {stuck:#?}");
    }
}

/// The result of everybody; planners leave it as a fragment.
fn done() -> Command {
    with_result(Some(
        r#"{"tasks": {"a": {"prompt": "a"}, "b": {"prompt": "b", "after": ["a"]}}}"#,
    ))
}

fn pick<T>(all: &[T], at: usize) -> Option<&T> {
    (!all.is_empty()).then(|| &all[at % all.len()])
}

/// Numbers of classes are a store's own affair.
fn plain(mut leased: Leased) -> Leased {
    leased.task.class = ClassNo(0);
    leased
}

fn plain_view(mut view: View) -> View {
    view.task.class = ClassNo(0);
    view
}
