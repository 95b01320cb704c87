//! What every request can reach.

use std::sync::Arc;

use domain::id::Project;
use engine::engine::Engine;
use tokio::sync::{Semaphore, watch};

use crate::auth::Auth;
use crate::body::Bodies;
use crate::keep::Keepers;
use crate::measure::Answered;
use crate::options::Options;
use crate::stream::Streams;
use crate::ticket::Tickets;
use crate::toil::Toil;
use crate::trace::Tracer;

#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    pub(crate) auth: Auth,
    pub(crate) tickets: Tickets,
    pub(crate) toil: Toil,
    pub(crate) keepers: Keepers,
    pub(crate) streams: Streams,
    pub(crate) tracer: Option<Arc<Tracer>>,
    pub(crate) answered: Answered,
    /// One permit for each connection.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) bodies: Bodies,
    /// One permit for each request under way.
    pub(crate) room: Semaphore,
    /// The description of the interface, made once.
    pub(crate) description: String,
    /// True once the server takes its leave: whoever waits is answered at once.
    pub(crate) leaving: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(inner: Inner) -> App {
        App(Arc::new(inner))
    }

    /// Resolves when the server takes its leave.
    pub(crate) async fn left(&self) {
        let mut leaving = self.leaving.clone();
        if leaving.wait_for(|leaving| *leaving).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Follows what happens in a project from now on, when traces are told.
    pub(crate) fn trace(&self, project: &Project) {
        // Those beyond the bound of projects are left out.
        if self.tracer.is_some() {
            drop(self.streams.of(project));
        }
    }

    /// The engine of a project, in the name of `actor`.
    pub(crate) fn engine(&self, project: Project, actor: Arc<str>) -> Engine {
        Engine {
            project,
            actor,
            ..self.engine.clone()
        }
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
