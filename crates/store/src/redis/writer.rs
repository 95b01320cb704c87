//! Beginning and ending a transaction on the server.
//!
//! A transaction watches the head of each project that it speaks of. It ends with one MULTI … EXEC that writes
//! everything, the head among it: the server refuses it when any watched head has changed, and it refuses the whole
//! before running any of it when a command cannot be carried out, for want of memory for example.
//!
//! When the connection breaks under an EXEC, nobody knows whether it was carried out. So each commit leaves its
//! number under the writer's name. The next attempt watches the head first and then looks for the number: either it
//! is there, or the late EXEC meets a head that has changed.

use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::id::Project;
use redis::{ServerError, Value};
use rustc_hash::FxHashMap;

use super::Clock;
use super::batch::{Answers, Batch, bytes};
use super::desk::Desk;
use super::fault::{Fault, answered};
use super::keys::{self, Keys};
use super::link::Link;
use super::rows::HeadRow;
use super::send;
use crate::patience::{Patience, draw};

/// How long a commit's number is kept; longer than anybody tries to reach the server again.
const MARKER: &[u8] = b"600000";
/// A courtesy lock that its owner has forgotten ends by itself.
const LOCK: &[u8] = b"500";
/// How long the lock is waited for before going without it.
const LOCK_PATIENCE: Duration = Duration::from_millis(400);
/// After a collision, the lock is used for so long.
const CONTENDED: Duration = Duration::from_secs(2);

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum End {
    Committed,
    /// Somebody else was quicker.
    Conflict,
    Fault(Fault),
}

pub(super) struct Writer {
    pub(super) link: Link,
    pub(super) prefix: String,
    pub(super) clock: Clock,
    /// A name that no other writer has.
    id: u64,
    /// Of the commit that is under way.
    number: u64,
    /// The project under which an EXEC without an answer has left its number, if it was carried out.
    doubt: Option<Project>,
    contended: Option<Instant>,
    /// Projects that were found or made here, each with what its head was born with.
    known: FxHashMap<Project, u64>,
}

impl Writer {
    pub(super) fn new(link: Link, prefix: String, clock: Clock) -> Writer {
        Writer {
            link,
            prefix,
            clock,
            id: draw(),
            number: 0,
            doubt: None,
            contended: None,
            known: FxHashMap::default(),
        }
    }

    /// A new commit, which may take several attempts.
    pub(super) fn next(&mut self) {
        self.number += 1;
        self.doubt = None;
    }

    pub(super) fn keys(&self, project: &Project) -> Keys {
        Keys::new(&self.prefix, project)
    }

    /// Watches the project's head and reads it. `first` in its transaction, it forgets what was watched before.
    pub(super) fn begin(&mut self, project: &Project, first: bool) -> Result<Desk, Fault> {
        let keys = self.keys(project);
        let locked = first && self.is_contended() && self.lock(&keys)?;
        let mut batch = Batch::default();
        if first {
            batch.put(&[b"UNWATCH"]);
        }
        let head = keys.of("h");
        batch
            .put(&[b"WATCH", &head])
            .put(&[b"GET", &head])
            .put(&[b"TIME"])
            .put(&[b"GET", &keys.of("k")]);
        let mut answers = if first {
            self.link.fetch(keys.tag(), &batch)?
        } else {
            self.link.ask(keys.tag(), &batch)?
        };
        answers.skip(1 + usize::from(first))?;
        let stored = answers.bytes()?;
        let stored = stored.map(|bytes| HeadRow::unpack(&bytes)).transpose()?;
        let now = answers.micros()? / 1_000;
        let owner = answers.bytes()?;
        if owner.is_some_and(|owner| owner != self.name()) {
            // Somebody waits for their turn: from now on, so do we.
            self.collide();
        }
        self.still_there(project, stored.as_ref())?;
        let latest = stored.as_ref().map_or(i64::MIN, |head| head.latest);
        let mut desk = Desk::new(project.clone(), keys, stored, draw());
        desk.clock = now.max(latest);
        desk.locked = locked;
        Ok(desk)
    }

    /// What is there does not go by itself: somebody has emptied the server, and perhaps others have begun anew on it.
    fn still_there(&mut self, project: &Project, stored: Option<&HeadRow>) -> Result<(), Fault> {
        match (self.known.get(project), stored) {
            (None, None) => {}
            (None, Some(head)) => self.know(project, head),
            (Some(birth), Some(head)) if *birth == head.birth => {}
            (Some(_), _) => {
                let detail = format!("the project {project} was removed or replaced while it was open");
                return Err(Refusal::new(Code::StoreGone, detail).into());
            }
        }
        Ok(())
    }

    fn know(&mut self, project: &Project, head: &HeadRow) {
        if !self.known.contains_key(project) {
            self.known.insert(project.clone(), head.birth);
        }
    }

    /// Whether the commit that was not answered has been carried out. Asked when the head is watched.
    pub(super) fn was_committed(&mut self) -> Result<bool, Fault> {
        let Some(project) = self.doubt.clone() else {
            return Ok(false);
        };
        let keys = self.keys(&project);
        let mut batch = Batch::default();
        batch.put(&[b"GET", &keys.writer(self.id)]);
        let found = self.link.fetch(keys.tag(), &batch)?.bytes()?;
        Ok(found == Some(self.number.to_string().into_bytes()))
    }

    pub(super) fn in_doubt(&self) -> Option<&Project> {
        self.doubt.as_ref()
    }

    /// Sends everything, if nobody else has committed meanwhile. With nothing to send, it only tells that.
    pub(super) fn commit(&mut self, desks: &mut [Desk]) -> End {
        let Some(tag) = desks.first().map(|desk| desk.keys.tag().to_owned()) else {
            return End::Committed;
        };
        let mut batch = Batch::default();
        if let Err(fault) = self.announce(desks) {
            return End::Fault(fault);
        }
        batch.put(&[b"MULTI"]);
        let mut marked = None;
        for desk in desks.iter_mut() {
            if desk.locked {
                batch.put(&[b"DEL", &desk.keys.of("k")]);
            }
            if !desk.is_dirty() {
                continue;
            }
            desk.head.version += 1;
            if let Err(refusal) = send::commands(desk, &mut batch) {
                return End::Fault(Fault::Refused(refusal));
            }
            batch.put(&[b"SET", &desk.keys.of("h"), &desk.head.pack()]);
            if marked.is_none() {
                let number = self.number.to_string();
                let marker = desk.keys.writer(self.id);
                batch.put(&[b"SET", &marker, number.as_bytes(), b"PX", MARKER]);
                batch.put(&[b"PUBLISH", &keys::channel(&self.prefix), number.as_bytes()]);
                marked = Some(desk.project.clone());
            }
        }
        batch.put(&[b"EXEC"]);
        match self.link.exchange(&tag, &batch) {
            Ok(values) => {
                let end = self.ended(&tag, values);
                if matches!(end, End::Committed) {
                    let written = desks.iter().filter(|desk| desk.is_dirty());
                    written.for_each(|desk| self.know(&desk.project, &desk.head));
                }
                end
            }
            Err(Fault::Lost(why)) => {
                self.doubt = marked;
                End::Fault(Fault::Lost(why))
            }
            Err(fault) => End::Fault(fault),
        }
    }

    fn ended(&mut self, tag: &str, mut values: Vec<Value>) -> End {
        let last = values.pop();
        // The reason is said when a command is queued, or by MULTI itself.
        let reason = values.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(answered(error)),
            _ => None,
        });
        match last {
            Some(Value::Nil) => {
                self.collide();
                End::Conflict
            }
            Some(Value::Array(results)) => match results.iter().find_map(failed) {
                None => End::Committed,
                // Only a key of a foreign type can do this.
                Some(error) => End::Fault(answered(error)),
            },
            Some(Value::ServerError(error)) => {
                let fault = reason.unwrap_or_else(|| answered(&error));
                self.link.learn(tag, &fault);
                End::Fault(fault)
            }
            _ => End::Fault(Fault::Lost("the server answers out of turn".to_owned())),
        }
    }

    /// New projects are listed before they exist: the list is only an index, and lies on another node of a cluster.
    fn announce(&mut self, desks: &[Desk]) -> Result<(), Fault> {
        let new = desks.iter().filter(|desk| desk.created);
        let names: Vec<&str> = new.map(|desk| desk.project.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let key = keys::projects(&self.prefix);
        let mut batch = Batch::default();
        batch.put_all(&[b"SADD", &key], &names, 1);
        self.link.fetch(&String::from_utf8_lossy(&key), &batch)?;
        Ok(())
    }

    // ---- the courtesy lock ----

    fn name(&self) -> Vec<u8> {
        format!("{:x}", self.id).into_bytes()
    }

    fn is_contended(&self) -> bool {
        self.contended.is_some_and(|until| Instant::now() < until)
    }

    fn collide(&mut self) {
        self.contended = Some(Instant::now() + CONTENDED);
    }

    /// Waits for its turn; false when that takes too long, which is no reason not to try.
    fn lock(&mut self, keys: &Keys) -> Result<bool, Fault> {
        let (key, name) = (keys.of("k"), self.name());
        let mut patience = Patience::new(
            LOCK_PATIENCE,
            Duration::from_micros(200),
            Duration::from_millis(4),
        );
        loop {
            let mut batch = Batch::default();
            batch
                .put(&[b"SET", &key, &name, b"NX", b"PX", LOCK])
                .put(&[b"GET", &key]);
            let mut answers = self.link.fetch(keys.tag(), &batch)?;
            let fresh = bytes(answers.value()?)?.is_some();
            if fresh || answers.bytes()?.is_some_and(|owner| owner == name) {
                return Ok(true);
            }
            if !patience.wait() {
                return Ok(false);
            }
        }
    }

    // ---- time ----

    /// The server's clock in microseconds.
    pub(super) fn micros(&mut self) -> Result<i64, Fault> {
        let mut batch = Batch::default();
        batch.put(&[b"TIME"]);
        Ok(self.ask_anywhere(&batch)?.micros()?)
    }

    pub(super) fn time(&mut self) -> Result<i64, Fault> {
        Ok(self.micros()? / 1_000)
    }

    fn ask_anywhere(&mut self, batch: &Batch) -> Result<Answers, Fault> {
        self.link.ask("", batch)
    }
}

fn failed(value: &Value) -> Option<&ServerError> {
    match value {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

pub(super) fn unreachable(why: &str, patience: Duration) -> Refusal {
    Refusal::new(
        Code::StoreUnavailable,
        format!("given up after {} s: {why}", patience.as_secs()),
    )
}
