//! What every request can reach.

use std::sync::Arc;

use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::Result;
use engine::engine::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::auth::Auth;
use crate::body::Bodies;
use crate::keep::Keepers;
use crate::leave::Guests;
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
    pub(crate) room: Arc<Semaphore>,
    /// The description of the interface, made once.
    pub(crate) description: String,
    /// Who was given leases here.
    pub(crate) guests: Guests,
    /// True once the server takes its leave: it gives out no more leases.
    pub(crate) leaving: watch::Receiver<bool>,
    /// True once nothing is waited for any longer: whoever waits is answered, and the listener closes.
    pub(crate) closing: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(inner: Inner) -> App {
        App(Arc::new(inner))
    }

    /// Resolves when the server takes its leave.
    pub(crate) async fn left(&self) {
        come(self.leaving.clone()).await;
    }

    /// Resolves when it is about to be gone.
    pub(crate) async fn closed(&self) {
        come(self.closing.clone()).await;
    }

    /// Room for one more request, for as long as it is under way.
    pub(crate) fn room(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let detail = format!("{} requests are under way", self.options.requests);
            Refusal::new(Code::TooManyRequests, detail)
        })
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

async fn come(mut told: watch::Receiver<bool>) {
    if told.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
