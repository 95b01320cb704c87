//! Pools that follow their load.

use domain::book::{Book, Edit, Entry};
use domain::event::Kind as EventKind;
use domain::id::{Kind, PoolName, WorkerId};
use domain::pool::{Crew, Pool};
use domain::store::{Admission, AdmitLimits, IntoRun, NewTask};
use domain::task::spec::{Spec, Work};
use engine::ids;
use engine::worker::pool::Scaler;
use engine::worker::{Activity, Slots};
use tokio::sync::watch;

use super::lab::Lab;

async fn add(lab: &Lab, kind: &str, count: usize) {
    let task = |_| {
        let mut spec = Spec::new("t", Work::Shell("true".into()));
        spec.kind = Kind::new(kind).unwrap();
        NewTask::new(ids::task(), None, &spec, lab.now())
    };
    let admission = Admission {
        tasks: (0..count).map(task).collect(),
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: "user:test".into(),
        idempotency_key: None,
    };
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    store.admit(project, admission, lab.engine.now()).await.unwrap();
}

struct Bundle {
    lab: Lab,
    scaler: Scaler,
    slots: watch::Receiver<Slots>,
    activity: watch::Sender<Activity>,
}

impl Bundle {
    async fn new(pool: &str) -> Bundle {
        let lab = Lab::new();
        let (activity, doing) = watch::channel(Activity::default());
        let (name, worker) = (PoolName::new(pool).unwrap(), WorkerId::new("w").unwrap());
        let (scaler, slots) = Scaler::open(lab.engine.clone(), name, worker, doing)
            .await
            .unwrap();
        Bundle {
            lab,
            scaler,
            slots,
            activity,
        }
    }

    async fn look(&mut self) -> usize {
        self.scaler.turn().await.unwrap();
        self.slots.borrow().count
    }

    fn busy(&self, running: usize) {
        self.activity.send_replace(Activity { running, idle: false });
    }

    async fn finish_all(&self) {
        let (store, project) = (&self.lab.engine.store, &self.lab.engine.project);
        for view in self.lab.tasks().await {
            let request = domain::store::Request {
                target: domain::store::Target::Id(view.task.id),
                command: domain::store::Command::Cancel {
                    reason: domain::task::state::Reason::Cancelled,
                },
                actor: "user:test".into(),
                idempotency_key: None,
            };
            store
                .change(project, vec![request], self.lab.engine.now())
                .await
                .unwrap();
        }
    }
}

// proves: SPEC 5.6, DESIGN 8
#[tokio::test]
async fn a_pool_grows_to_its_bound_and_shrinks_when_the_work_is_done() {
    let mut bundle = Bundle::new("dev").await;
    assert_eq!(bundle.look().await, 2);
    add(&bundle.lab, "qa", 50).await;
    assert_eq!(bundle.look().await, 2, "the work of others does not count");
    add(&bundle.lab, "dev", 10).await;
    assert_eq!(bundle.look().await, 2);
    add(&bundle.lab, "fix", 1).await;
    for slots in 3..=10 {
        assert_eq!(bundle.look().await, slots);
    }
    assert_eq!(bundle.look().await, 10);
    bundle.finish_all().await;
    bundle.busy(10);
    assert_eq!(bundle.look().await, 10, "nobody who works is retired");
    bundle.busy(0);
    for slots in (2..10).rev() {
        assert_eq!(bundle.look().await, slots);
    }
    assert_eq!(bundle.look().await, 2);
    let scaled = bundle.lab.events(EventKind::PoolScaled).await;
    assert_eq!(scaled.len(), 1 + 8 + 8);
    assert_eq!((&scaled[1]["from"], &scaled[1]["to"]), (&2.into(), &3.into()));
    let crew: Crew = bundle.lab.entries(Book::Pool).await[0].read().unwrap();
    assert_eq!((crew.slots, crew.ups, crew.downs), (2, 8, 8));
    bundle.scaler.close().await;
    assert_eq!(bundle.lab.entries(Book::Pool).await, []);
}

// proves: SPEC 5.6
#[tokio::test]
async fn what_is_set_for_a_pool_holds_at_the_next_look() {
    let mut bundle = Bundle::new("deploy").await;
    add(&bundle.lab, "deploy", 20).await;
    assert_eq!(bundle.look().await, 1, "a fixed pool stays");
    let kinds = vec![Kind::new("deploy").unwrap(), Kind::new("rollback").unwrap()];
    let set = Pool {
        kinds: kinds.clone(),
        min: 3,
        max: 4,
        ..Pool::default()
    };
    bundle
        .lab
        .edit(Edit::put(Entry::new(Book::Pool, "deploy", &set)))
        .await;
    assert_eq!(bundle.look().await, 3);
    assert_eq!(bundle.slots.borrow().kinds, kinds);
    assert_eq!(bundle.look().await, 4);
}

#[tokio::test]
async fn an_unknown_pool_is_refused() {
    let lab = Lab::new();
    let (_, doing) = watch::channel(Activity::default());
    let opened = Scaler::open(
        lab.engine.clone(),
        PoolName::new("dve").unwrap(),
        WorkerId::new("w").unwrap(),
        doing,
    );
    let refusal = opened.await.unwrap_err();
    assert_eq!(refusal.code, domain::code::Code::PoolNotFound);
    assert_eq!(refusal.help.as_deref(), Some("did you mean `dev`?"));
}
