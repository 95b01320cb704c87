//! Redis as a store that several machines share.
//!
//! In reading order: the URL and what a server must be (`url`, `open`), how rows and keys look (`rows`, `pack`,
//! `keys`), the connections (`link`, `batch`, `fault`), a transaction (`writer`, `tx`, `overlay`, `desk`, `send`) over what is
//! stored (`base`) or kept from the one before (`names`, `own`), reading (`read`, `snapshot`, `list`, `check`), and how other processes' commits are noticed
//! (`watch`).
//!
//! Rules live in the kernel. A transaction reads what it needs, keeps what it writes to itself, and sends all of it
//! at the end, provided nobody else has committed since it began; else its work is run again.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path would stand for one lifetime of `Base`, where questions must take any"
)]

mod base;
mod batch;
mod check;
mod desk;
mod fault;
mod gone;
mod keys;
mod link;
mod list;
mod names;
mod open;
mod overlay;
mod own;
mod pack;
mod read;
mod rows;
mod send;
mod snapshot;
mod tx;
mod url;
mod watch;
mod writer;

use std::fmt;
use std::panic::resume_unwind;
use std::time::Duration;

use domain::caught::{Catcher, catch};
use domain::store::{Durability, Info, Result};

use crate::driver::{Driver, Read, Watch};
use crate::kernel::tx::Tx;
use crate::patience::Patience;
use fault::Fault;
use link::{Link, Place};
use names::Names;
use overlay::RedisTx;
use own::Own;
use writer::{End, Writer};

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

/// The one writer of this process.
pub struct RedisDriver {
    writer: Writer,
    names: Names,
    own: Own,
    place: Place,
    prefix: String,
    info: Info,
    patience: Duration,
}

impl RedisDriver {
    /// Opens the store at a URL like `redis://user:password@host:6379/0?prefix=team`. A server that cannot keep what
    /// the store promises is refused.
    pub fn open(url: &str, options: &Options) -> Result<RedisDriver> {
        let found = open::open(url, options)?;
        let link = Link::new(found.place.clone());
        Ok(RedisDriver {
            writer: Writer::new(link, found.prefix.clone(), options.clock),
            names: Names::default(),
            own: Own::default(),
            place: found.place,
            prefix: found.prefix,
            info: found.info,
            patience: options.patience,
        })
    }

    /// Runs the work once. `None` when it has to be run again.
    fn attempt(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>,
    ) -> std::result::Result<Option<Result<()>>, Fault> {
        let in_doubt = self.writer.in_doubt().cloned();
        let mut tx = RedisTx::new(&mut self.writer, &mut self.names, &self.own);
        if let Some(project) = in_doubt {
            // The head is watched before the number is looked for.
            let opened = tx.open(&project);
            if let Some(fault) = tx.broken.take() {
                return Err(fault);
            }
            opened?;
            if tx.writer.was_committed()? {
                return Ok(Some(Ok(())));
            }
        }
        let done = catch(Catcher::Doubts, || work(&mut tx));
        let (broken, mut desks) = (tx.broken.take(), std::mem::take(&mut tx.desks));
        if let Some(fault) = broken {
            return Err(fault);
        }
        let sound = matches!(done, Ok(Ok(())));
        if !sound {
            // Nothing is sent, but what was read may have been torn: then it proves nothing.
            desks.iter_mut().for_each(desk::Desk::forget);
        }
        match self.writer.commit(&mut desks) {
            End::Committed => {
                let written = desks.into_iter().filter(desk::Desk::is_dirty);
                written.for_each(|desk| self.own.committed(desk));
                match done {
                    Ok(answer) => Ok(Some(answer)),
                    Err(panic) => resume_unwind(panic),
                }
            }
            End::Conflict => Ok(None),
            End::Fault(fault) => Err(fault),
        }
    }
}

impl Driver for RedisDriver {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.writer.next();
        let mut lost = Patience::new(self.patience, Duration::from_millis(20), Duration::from_secs(1));
        let mut beaten = Patience::new(
            self.patience,
            Duration::from_micros(200),
            Duration::from_millis(50),
        );
        loop {
            match self.attempt(work) {
                Ok(Some(answer)) => return answer,
                Ok(None) => {
                    if !beaten.wait() {
                        let why = "others commit to this project all the time";
                        return Err(writer::unreachable(why, self.patience));
                    }
                }
                Err(Fault::Refused(refusal)) => return Err(refusal),
                Err(Fault::Moved(_)) => {
                    if !beaten.wait() {
                        return Err(writer::unreachable(
                            "the project moves all the time",
                            self.patience,
                        ));
                    }
                }
                Err(Fault::Lost(why) | Fault::Later(why)) => {
                    tracing::debug!(%why, "waiting for the server");
                    if !lost.wait() {
                        return Err(writer::unreachable(&why, self.patience));
                    }
                }
            }
        }
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        Ok(Box::new(read::RedisRead::new(
            Link::new(self.place.clone()),
            self.prefix.clone(),
            self.patience,
        )))
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(Box::new(watch::RedisWatch::new(&self.place, &self.prefix)))
    }
}

impl fmt::Debug for RedisDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDriver")
            .field("place", &self.place)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
