//! The store in memory: the executable specification of a driver, and a queue for programs that need no disk.
//!
//! `table` is an ordered map that can undo, `shelf` a project's tables and how one `WriteSet` changes them,
//! `tx` and `read` the two halves of the contract over a shelf, `check` the comparison of everything that is
//! kept twice. Nothing here is clever; where another driver disagrees, that one is wrong.
//!
//! [`WriteSet`]: crate::kernel::tx::WriteSet

mod check;
mod read;
mod shelf;
mod table;
mod tx;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::code::{Code, Refusal};
use domain::id::{Project, Seq};
use domain::run::RunNo;
use domain::store::{Durability, Info, LeaseClock, Result};

use crate::driver::{Driver, Read};
use crate::kernel::tx::{ProjectNo, Tx};
use shelf::Shelf;

/// A store that ends with its last handle. Clones share the data, so that several processes on one store can be
/// played in one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDriver {
    data: Shared,
}

/// Writers hold the lock for their whole transaction, so readers only ever see committed data.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<RwLock<Data>>);

#[derive(Debug, Default)]
struct Data {
    /// A project's number is its index.
    shelves: Vec<Shelf>,
    numbers: BTreeMap<Project, ProjectNo>,
    /// How many projects are committed.
    committed: usize,
}

impl Shared {
    // A writer that panicked has rolled back while it unwound, so what the lock protects is sound.
    fn read(&self) -> RwLockReadGuard<'_, Data> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Data> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Data {
    fn create(&mut self, name: &Project) -> ProjectNo {
        let no = ProjectNo(self.shelves.len() as u32);
        self.shelves.push(Shelf::new(name.clone()));
        self.numbers.insert(name.clone(), no);
        no
    }

    fn shelf_of(&self, name: &Project) -> Option<&Shelf> {
        self.numbers.get(name).map(|no| &self.shelves[no.0 as usize])
    }

    fn shelf(&self, no: ProjectNo) -> Result<&Shelf> {
        self.shelves.get(no.0 as usize).ok_or_else(|| unknown(no))
    }

    fn shelf_mut(&mut self, no: ProjectNo) -> Result<&mut Shelf> {
        self.shelves.get_mut(no.0 as usize).ok_or_else(|| unknown(no))
    }

    /// Task numbers are given once in the whole store.
    fn next_seq(&self) -> Seq {
        let last = self.shelves.iter().map(Shelf::last_seq).max();
        Seq(last.map_or(0, |seq| seq.0) + 1)
    }

    fn next_run(&self) -> RunNo {
        let last = self.shelves.iter().map(Shelf::last_run).max();
        RunNo(last.map_or(0, |no| no.0) + 1)
    }

    fn commit(&mut self) {
        self.shelves.iter_mut().for_each(Shelf::commit);
        self.committed = self.shelves.len();
    }

    fn roll_back(&mut self) {
        for shelf in self.shelves.drain(self.committed..) {
            self.numbers.remove(&shelf.name);
        }
        self.shelves.iter_mut().for_each(Shelf::roll_back);
    }
}

fn unknown(no: ProjectNo) -> Refusal {
    Refusal::new(Code::Internal, format!("there is no project number {}", no.0))
}

impl Driver for MemoryDriver {
    fn info(&self) -> Info {
        Info {
            url: "memory:".to_owned(),
            engine: "memory",
            durability: Durability::Relaxed,
            schema: 0,
            leases: LeaseClock::Machine,
        }
    }

    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        let mut data = self.data.write();
        let open = Open(&mut data);
        work(&mut tx::MemoryTx::new(open.0))?;
        open.0.commit();
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        Ok(Box::new(read::MemoryRead::new(self.data.clone())))
    }
}

/// An open transaction: whatever is not committed when it ends, by an error or a panic, is undone.
struct Open<'a>(&'a mut Data);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.roll_back();
    }
}
