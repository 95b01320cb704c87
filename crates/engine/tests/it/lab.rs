//! A memory store and a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::{Project, Seq};
use domain::store::{Filter, View};
use domain::time::Timestamp;
use engine::clock::ManualClock;
use engine::engine::Engine;
use engine::home::Home;

pub(crate) const START: Timestamp = Timestamp(1_770_000_000_000);

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    clock: Arc<ManualClock>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let clock = Arc::new(ManualClock::new(START));
        let engine = Engine {
            store: store::open("memory:", store::Options::default()).unwrap(),
            project: Project::default(),
            clock: clock.clone(),
            home: Home::new("nowhere"),
            actor: "user:test".into(),
        };
        Lab { engine, clock }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.now().wall
    }

    pub(crate) async fn edit(&self, edit: Edit) {
        let (store, project) = (&self.engine.store, &self.engine.project);
        let edited = store.edit(project, vec![edit], "user:test".into(), self.engine.now());
        edited.await.unwrap();
    }

    pub(crate) async fn entries(&self, book: Book) -> Vec<Entry> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        store.entries(project, book, "", 1_000).await.unwrap()
    }

    pub(crate) async fn tasks(&self) -> Vec<View> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        let listed = store.list(project, Filter::default(), Seq(0), 1_000);
        listed.await.unwrap()
    }

    /// The data of all events of a kind.
    pub(crate) async fn events(&self, kind: Kind) -> Vec<serde_json::Value> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        let seen = store.events(project, Default::default(), 1_000).await.unwrap();
        let facts = seen
            .into_iter()
            .map(|seen| seen.event.fact)
            .filter(|fact| fact.kind == kind);
        facts
            .map(|fact| serde_json::from_str(fact.data.unwrap().get()).unwrap())
            .collect()
    }
}
