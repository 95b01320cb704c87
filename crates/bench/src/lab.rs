//! What every workload is given: where, how durable, how large.

use std::path::PathBuf;

use domain::code::Refusal;
use domain::store::Durability;

use crate::bed::{Bed, Mix};
use crate::options::Options;
use crate::place::Place;
use crate::raw::{Raw, SameRows};
use crate::space::Space;

pub(crate) struct Lab {
    pub(crate) place: Place,
    pub(crate) durability: Durability,
    pub(crate) accept_volatile: bool,
    pub(crate) quick: bool,
    pub(crate) guard: Option<PathBuf>,
    samples: Option<usize>,
    at_most: usize,
}

impl Lab {
    pub(crate) fn open(options: &Options) -> Result<Lab, Refusal> {
        Ok(Lab {
            place: Place::find(options.store.as_deref())?,
            durability: options.durability,
            accept_volatile: options.accept_volatile,
            quick: options.quick,
            guard: options.guard.clone(),
            samples: options.samples.map(|samples| samples.max(1)),
            at_most: options.at_most.unwrap_or(usize::MAX).max(1),
        })
    }

    /// A fresh store.
    pub(crate) fn bed(&self) -> Result<Bed, Refusal> {
        Bed::open(self)
    }

    /// What the store keeps of what it has acknowledged; a server may keep less than it was asked to.
    pub(crate) fn keeps(&self) -> Result<&'static str, Refusal> {
        Ok(match &self.place {
            Place::Memory(_) => "none",
            Place::Disk(_) => self.durability.as_str(),
            Place::Server(..) => self.bed()?.store.info().durability.as_str(),
        })
    }

    /// A part of the server that nobody else uses; none where there is no server.
    pub(crate) fn space(&self) -> Result<Option<Space>, Refusal> {
        match &self.place {
            Place::Server(server, _) => Space::open(server, self.durability).map(Some),
            Place::Memory(_) | Place::Disk(_) => Ok(None),
        }
    }

    /// The raw limit to compare with; there is none for a store in memory.
    pub(crate) fn raw(&self) -> Result<Option<Raw>, Refusal> {
        match self.place {
            Place::Memory(_) => Ok(None),
            Place::Disk(_) | Place::Server(..) => Raw::open(self).map(Some),
        }
    }

    /// The limit for whoever writes all that we write, in batches of this size; known for SQLite alone.
    pub(crate) async fn same_rows(&self, batch: usize) -> Result<Option<SameRows>, Refusal> {
        match self.place {
            Place::Disk(_) => SameRows::open(self, batch).await.map(Some),
            Place::Memory(_) | Place::Server(..) => Ok(None),
        }
    }

    /// Fills the logs of both until they have been turned over, so that commits overwrite as they do for most of a
    /// store's life, and do not append.
    pub(crate) async fn wear_in(&self, bed: &Bed, raw: Option<&mut Raw>) -> Result<(), Refusal> {
        bed.fill(self.tasks(30_000, 30_000), Mix::One).await?;
        if let Some(raw) = raw {
            raw.fill(self.tasks(90_000, 90_000), 1_000, Mix::One)?;
        }
        Ok(())
    }

    /// The least share of the raw drain that DESIGN 14 asks for.
    pub(crate) fn drain_floor(&self) -> f64 {
        match self.place {
            Place::Server(..) => 0.35,
            Place::Memory(_) | Place::Disk(_) => 0.5,
        }
    }

    /// A number of tasks.
    pub(crate) fn tasks(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }.min(self.at_most)
    }

    /// A number of samples.
    pub(crate) fn samples(&self, usual: usize) -> usize {
        self.samples.unwrap_or(usual)
    }
}
