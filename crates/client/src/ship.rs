//! What attempts of this machine print goes to the server while they run, and the rest of it before they end there.
//!
//! Output is read from where it is captured, so nothing is lost when the server is away for a while, and bytes are
//! numbered, so nothing is kept twice.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::code::Code;
use domain::id::{Project, Seq, TaskId, Token};
use domain::store::{Command, Leased, Reply, Request, Result, Target};
use futures_util::future::join_all;
use rustc_hash::FxHashMap;

use crate::link::Link;

/// Between two looks at output that grows.
const EVERY: Duration = Duration::from_millis(250);
/// Bytes of one request.
const PIECE: usize = 256 * 1024;

/// What an attempt has printed from some byte on.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    pub bytes: Vec<u8>,
    /// Bytes that are no longer there, before `bytes`.
    pub dropped: u64,
    /// Where the next look begins.
    pub end: u64,
}

/// Reads what an attempt of this machine printed, given its task, its number and the first byte wanted.
pub type Reader = dyn Fn(&Project, Seq, u32, u64) -> Printed + Send + Sync;

#[derive(Clone)]
pub(crate) struct Shipper(Arc<Inner>);

struct Inner {
    link: Link,
    reader: Arc<Reader>,
    open: Mutex<FxHashMap<Token, Arc<tokio::sync::Mutex<Parcel>>>>,
    begun: std::sync::Once,
}

/// How far the output of one attempt has come.
struct Parcel {
    project: Project,
    task: TaskId,
    token: Token,
    attempt: u32,
    /// In the file of this machine.
    read: u64,
    /// On the server. What is no UTF-8 is longer there.
    sent: u64,
    /// Bytes of the server's that are on their way or were not acknowledged.
    held: Vec<u8>,
}

impl Shipper {
    pub(crate) fn new(link: Link, reader: Arc<Reader>) -> Shipper {
        Shipper(Arc::new(Inner {
            link,
            reader,
            open: Mutex::default(),
            begun: std::sync::Once::new(),
        }))
    }

    /// Attempts that begin on this machine.
    pub(crate) fn began(&self, project: &Project, leased: &[Leased]) {
        if leased.is_empty() {
            return;
        }
        let mut open = self.open();
        for leased in leased {
            let parcel = Parcel {
                project: project.clone(),
                task: leased.task.id.clone(),
                token: leased.token,
                attempt: leased.task.attempt(),
                read: 0,
                sent: 0,
                held: Vec::new(),
            };
            open.insert(leased.token, Arc::new(tokio::sync::Mutex::new(parcel)));
        }
        drop(open);
        self.0
            .begun
            .call_once(|| drop(tokio::spawn(look(Arc::downgrade(&self.0)))));
    }

    /// Sends the rest of what is about to end.
    pub(crate) async fn ending(&self, requests: &[Request]) {
        let ends = requests.iter().filter_map(end);
        let parcels: Vec<_> = ends
            .filter_map(|token| self.open().get(&token).cloned())
            .collect();
        join_all(parcels.iter().map(|parcel| self.0.send(parcel, true))).await;
    }

    /// Forgets what has ended.
    pub(crate) fn ended(&self, ends: &[Option<Token>], replies: &[Result<Reply>]) {
        let mut open = self.open();
        for (token, reply) in ends.iter().zip(replies) {
            // A suspended attempt that ended is ended again later.
            let later = matches!(reply, Err(refusal) if refusal.code == Code::InvalidTransition);
            if let Some(token) = token.filter(|_| !later) {
                open.remove(&token);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, FxHashMap<Token, Arc<tokio::sync::Mutex<Parcel>>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The attempt that a request ends.
pub(crate) fn end(request: &Request) -> Option<Token> {
    let ends = matches!(
        request.command,
        Command::Complete { .. } | Command::Fail { .. } | Command::Release
    );
    match &request.target {
        Target::Holder(token, _) if ends => Some(*token),
        _ => None,
    }
}

async fn look(shipper: std::sync::Weak<Inner>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(inner) = shipper.upgrade() else { return };
        let shipper = Shipper(inner);
        let parcels: Vec<_> = shipper.open().values().cloned().collect();
        join_all(parcels.iter().map(|parcel| shipper.0.send(parcel, false))).await;
    }
}

impl Inner {
    /// Sends what is new. What cannot be sent now is sent with the next look.
    async fn send(&self, parcel: &tokio::sync::Mutex<Parcel>, whole: bool) {
        let mut parcel = parcel.lock().await;
        if let Err(refusal) = self.try_send(&mut parcel, whole).await {
            // Of a server that is away the link tells, once for all.
            if refusal.code != Code::ServerUnreachable {
                tracing::warn!(task = %parcel.task, error = %refusal, "output could not be sent");
            }
            if refusal.code == Code::LeaseLost {
                let token = parcel.token;
                self.open
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&token);
            }
        }
    }

    async fn try_send(&self, parcel: &mut Parcel, whole: bool) -> Result<()> {
        loop {
            if parcel.held.is_empty() {
                let new = self.read(parcel).await;
                let keep = if whole { 0 } else { unfinished(&new.bytes) };
                let taken = &new.bytes[..new.bytes.len() - keep];
                if new.dropped > 0 {
                    let told = format!("\n[… {} bytes were not kept …]\n", new.dropped);
                    parcel.held.extend_from_slice(told.as_bytes());
                }
                parcel
                    .held
                    .extend_from_slice(String::from_utf8_lossy(taken).as_bytes());
                parcel.read = new.end - keep as u64;
                if parcel.held.is_empty() {
                    return Ok(());
                }
            }
            let piece = &parcel.held[..parcel.held.len().min(PIECE)];
            let piece = &piece[..piece.len() - unfinished(piece)];
            let output = String::from_utf8_lossy(piece).into_owned();
            let length = output.len() as u64;
            let sent = self
                .link
                .print(&parcel.project, &parcel.task, parcel.token, parcel.sent, output)
                .await?;
            // A server that lost its files has less than it once said: the rest goes behind what it has.
            let taken = sent.saturating_sub(parcel.sent).min(length);
            parcel.held.drain(..usize::try_from(taken).unwrap_or(0));
            if taken < length {
                parcel.sent = sent;
                return Ok(());
            }
            parcel.sent += length;
        }
    }

    async fn read(&self, parcel: &Parcel) -> Printed {
        let (reader, project) = (Arc::clone(&self.reader), parcel.project.clone());
        let (seq, attempt, from) = (parcel.token.seq, parcel.attempt, parcel.read);
        let read = tokio::task::spawn_blocking(move || reader(&project, seq, attempt, from)).await;
        read.unwrap_or(Printed {
            end: from,
            ..Printed::default()
        })
    }
}

/// How many bytes at the end are the beginning of a character whose rest is not there yet.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let needs = match bytes[bytes.len() - back] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => 0,
        };
        return if needs > back { back } else { 0 };
    }
    0
}

impl fmt::Debug for Shipper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipper")
            .field("open", &self.open().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = "aß€𝄞".as_bytes();
        let cut = |at: usize| unfinished(&text[..at]);
        assert_eq!(
            (0..=text.len()).map(cut).collect::<Vec<_>>(),
            [0, 0, 1, 0, 1, 2, 0, 1, 2, 3, 0]
        );
        assert_eq!(unfinished(b"a\xff"), 0);
        assert_eq!(unfinished(b"\x80\x80\x80\x80"), 0);
    }
}
