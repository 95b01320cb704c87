//! PostgreSQL as a store that several machines share.
//!
//! In reading order: the URL and what a server must be (`url`, `open`, `migrate`), the connection (`link`, `fault`), how
//! things look as rows and statements (`rows`, `cells`, `table`, `set`, `query`, over `crate::tables`), a transaction (`desk`, `tx`, `line`, `apply`)
//! and what is kept from one to the next (`names`, `own`), reading (`read`, `snapshot`, `list`, `check`), and how other processes' commits are noticed (`watch`).
//!
//! Rules live in the kernel. A transaction locks the head of its project first, so those of one project go one after the
//! other; the rows that it changes are then nobody else's, and need no locks of their own.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path would stand for one lifetime of `Cells`, where readers of rows must take any"
)]

mod apply;
mod cells;
mod check;
mod desk;
mod fault;
mod line;
mod link;
mod list;
mod migrate;
mod names;
mod open;
mod own;
#[cfg(test)]
mod plans;
mod query;
mod read;
mod rows;
mod set;
mod snapshot;
mod table;
mod tx;
mod url;
mod watch;

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use domain::caught::{Catcher, catch};
use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::{Durability, Info, Result};

use crate::driver::{Driver, Read, Watch};
use crate::kernel::tx::Tx;
use crate::patience::{Patience, draw};
use crate::uses::Uses;
use fault::{Fault, Sql};
use link::{Link, Order, Param};
use names::Names;
use own::Own;
use set::Part;
use tx::PgTx;
use watch::Herald;

#[derive(Clone, Debug)]
pub struct Options {
    pub durability: Durability,
    /// Makes the store if there is none.
    pub create: bool,
    /// A server that keeps less than `durability` promises will do.
    pub accept_volatile: bool,
    pub clock: Clock,
    /// How long a server that has gone away is waited for.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            durability: Durability::default(),
            create: false,
            accept_volatile: false,
            clock: Clock::Server,
            patience: Duration::from_secs(30),
        }
    }
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The server's, which all machines share.
    #[default]
    Server,
    /// Whatever the caller says: for tests, which move time by hand.
    Caller,
}

/// How writing sessions are set. The planner's doubts are taken away: every statement has an index to go by, and a plan
/// that was made while a table was small must not read all of it when it has grown.
const WRITING: [(&str, &str); 13] = [
    ("statement_timeout", "30s"),
    // Others wait for the head for as long as its holder is alive, and no longer.
    ("lock_timeout", "15s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_sort", "off"),
    ("enable_memoize", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// What asks whether a commit that was not answered has been carried out.
const COMMITTED: &str = "SELECT number FROM writer WHERE id = $1";
const MARK: &str = "INSERT INTO writer (id, number) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE \
     SET number = excluded.number, at = now()";
const FORGET: &str = "DELETE FROM writer WHERE at < now() - interval '1 day'";

/// Marks of processes that are gone are taken away with every so many commits.
const FORGETTING: i64 = 100_000;

/// The one writer of this process.
pub struct PgDriver {
    link: Link,
    names: Names,
    own: Own,
    uses: Uses,
    clock: Clock,
    info: Info,
    patience: Duration,
    herald: Arc<Herald>,
    /// A name that no other writer has.
    id: i64,
    /// Of the commit that is under way.
    number: i64,
    /// The project whose head the commit without an answer held; whoever holds it next knows what became of it.
    doubt: Option<Project>,
}

impl PgDriver {
    /// Opens the store at a URL like `postgres://user:password@host:5432/database?schema=team`. A server that cannot keep
    /// what the store promises is refused.
    pub fn open(url: &str, options: &Options) -> Result<PgDriver> {
        // Whoever opens may be inside a runtime, where nobody may wait for another.
        let opened = std::thread::scope(|scope| scope.spawn(|| open::open(url, options)).join());
        let opened =
            opened.unwrap_or_else(|_| Err(Refusal::new(Code::Internal, "opening the store panicked")))?;
        let commit = match opened.info.durability {
            Durability::Full => "on",
            Durability::Relaxed => "off",
        };
        let mut settings = WRITING.to_vec();
        settings.push(("synchronous_commit", commit));
        let herald = Arc::new(Herald::default());
        Ok(PgDriver {
            link: Link::new(opened.place, "BEGIN", &settings),
            names: Names::default(),
            own: Own::default(),
            uses: Uses::default(),
            clock: options.clock,
            info: opened.info,
            patience: options.patience,
            herald,
            id: draw() as i64,
            number: 0,
            doubt: None,
        })
    }

    /// Runs the work once, and commits it.
    fn attempt(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Sql<Result<()>> {
        let doubt = self.doubt.clone();
        let (id, number) = (self.id, self.number);
        let mut tx = PgTx::new(
            &mut self.link,
            &mut self.names,
            &mut self.own,
            &self.uses,
            self.clock,
        );
        if let Some(project) = doubt {
            match was_committed(&mut tx, &project, id, number) {
                Ok(false) => self.doubt = None,
                Ok(true) => return self.roll_back().map(Ok),
                Err(fault) => {
                    self.roll_back_after(&fault)?;
                    return Err(fault);
                }
            }
        }
        let done = catch(Catcher::Doubts, || work(&mut tx));
        let (begun, dirty, broken) = (tx.begun, tx.is_dirty(), tx.broken.take());
        let (mut orders, desks) = (std::mem::take(&mut tx.orders), std::mem::take(&mut tx.desks));
        let sound = broken.is_none() && matches!(done, Ok(Ok(())));
        if !sound || !dirty {
            if !sound {
                self.names.forget();
                self.own.kept.forget();
            }
            if let Some(fault) = broken {
                self.roll_back_after(&fault)?;
                return Err(fault);
            }
            // A transaction that has only read holds the head all the same.
            let over = if begun { self.roll_back() } else { Ok(()) };
            return match done {
                Err(panic) => resume_unwind(panic),
                Ok(answer) => over.map(|()| answer),
            };
        }
        let server_time = self.clock == Clock::Server;
        let dirty = desks.iter().filter(|desk| desk.dirty);
        let mut heads: Vec<Part> = dirty.map(|desk| desk.save(server_time)).collect();
        let params: Vec<Param> = vec![Box::new(id), Box::new(number)];
        heads.push(Part { sql: MARK, params });
        match (heads.len(), orders.last_mut()) {
            // Nothing else is about these tables, so they go with what is written last.
            (..=2, Some(Order::Write(parts))) => parts.extend(heads),
            (..=2, _) => orders.push(Order::Write(heads)),
            // Statements that write the same table go one by one.
            _ => orders.extend(heads.into_iter().map(|part| Order::Write(vec![part]))),
        }
        if number % FORGETTING == 1 {
            orders.push(Order::Plain(FORGET.into()));
        }
        orders.push(Order::Commit);
        match self.link.send(&orders) {
            Ok(()) => {
                self.names.keep();
                self.own
                    .committed(desks.iter().filter(|desk| desk.dirty), server_time);
                self.herald.call();
                Ok(Ok(()))
            }
            Err(fault) => {
                self.names.forget();
                self.own.kept.forget();
                if let Fault::Lost(_) = &fault {
                    self.doubt = desks.first().map(|desk| desk.name.clone());
                }
                self.roll_back_after(&fault)?;
                Err(fault)
            }
        }
    }

    /// A connection that broke has taken its transaction with it.
    fn roll_back_after(&mut self, fault: &Fault) -> Sql<()> {
        match fault {
            Fault::Lost(_) => Ok(()),
            Fault::Later(_) | Fault::Refused(_) => self.roll_back(),
        }
    }

    fn roll_back(&mut self) -> Sql<()> {
        match self.link.send(&[Order::RollBack]) {
            // Then it is rolled back as well.
            Err(Fault::Lost(_)) => Ok(()),
            done => done,
        }
    }
}

/// Whether the commit that was not answered has been carried out. The transaction that it was for held the project's
/// head until it ended, so once the head is had, it has ended.
fn was_committed(tx: &mut PgTx<'_>, project: &Project, id: i64, number: i64) -> Sql<bool> {
    tx.open(project, false)?;
    let orders = std::mem::take(&mut tx.orders);
    let found = tx.link.ask(&orders, COMMITTED, &[&id])?;
    let last = cells::first(&found, |cells| cells.int())?;
    Ok(last == Some(number))
}

impl Driver for PgDriver {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.number += 1;
        self.doubt = None;
        let mut patience = Patience::new(self.patience, Duration::from_millis(5), Duration::from_secs(1));
        loop {
            match self.attempt(work) {
                Ok(answer) => return answer,
                Err(Fault::Refused(refusal)) => return Err(refusal),
                Err(Fault::Lost(why) | Fault::Later(why)) => {
                    tracing::debug!(%why, "waiting for the server");
                    if !patience.wait() {
                        return Err(unreachable(&why, self.patience));
                    }
                }
            }
        }
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        Ok(Box::new(read::PgRead::new(
            self.link.place.clone(),
            self.uses.clone(),
            self.patience,
        )))
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(watch::PgWatch::new(
            &self.link.place,
            self.herald.clone(),
        )))
    }
}

impl Drop for PgDriver {
    /// A command that ends with its commit may end before the watch has told of it, and others would not know for a second.
    fn drop(&mut self) {
        if self.herald.is_behind() && self.link.is_up() && !self.link.place.pooled {
            let telling = watch::telling(&self.link.place.schema);
            let _ = self.link.send(&[Order::Plain(telling.into())]);
        }
    }
}

pub(super) fn unreachable(why: &str, patience: Duration) -> Refusal {
    Refusal::new(
        Code::StoreUnavailable,
        format!("given up after {} s: {why}", patience.as_secs()),
    )
}

impl fmt::Debug for PgDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDriver")
            .field("place", &self.link.place)
            .finish_non_exhaustive()
    }
}
