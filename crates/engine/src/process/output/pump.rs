use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::mask::Mask;
use super::record::Record;

/// As much as a pipe holds.
const PIECE: usize = 64 * 1024;
/// Room for the first look: most commands print little or nothing, and a large piece of fresh memory costs more than they do.
const FIRST: usize = 4 * 1024;
/// What an escaped child may still add once its command is over.
const REST_MAX: usize = 16;
/// How long a disk that hangs may hold up the end of an attempt.
const DISK_WAIT_MAX: Duration = Duration::from_secs(5);

/// What became of an attempt's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes that went into the record, kept or since overwritten.
    pub written: u64,
    /// The bytes that could not be written at all.
    pub lost: u64,
    /// Why the first of them was lost.
    pub fault: Option<String>,
}

/// Moves output from the pipe to the record, and copies of it to whoever watches.
///
/// The disk is touched on a blocking thread, one piece at a time: a slow disk slows the command, as a
/// terminal would, and nothing else. A silent command costs neither thread nor file.
#[derive(Debug)]
pub(crate) struct Pump {
    pipe: Option<Receiver>,
    watcher: Option<mpsc::Sender<Vec<u8>>>,
    record: Whereabouts,
    unrecorded: u64,
    veil: Option<Veil>,
}

/// Hides what must not be kept, across the borders of pieces.
#[derive(Debug)]
struct Veil {
    mask: Mask,
    held: Vec<u8>,
}

impl Veil {
    /// Replaces a piece by what may be shown of it.
    fn hide(&mut self, piece: &mut Vec<u8>, last: bool) {
        let mut shown = Vec::with_capacity(piece.len());
        self.mask.push(piece, &mut self.held, &mut shown);
        if last {
            self.mask.end(&mut self.held, &mut shown);
        }
        *piece = shown;
    }
}

/// The record is either here or out with the thread that writes to it.
#[derive(Debug)]
enum Whereabouts {
    Here(Box<Record>, Vec<u8>),
    Out(JoinHandle<(Box<Record>, Vec<u8>)>),
    /// The runtime went down under the writer.
    Closed,
}

impl Pump {
    pub(crate) fn new(
        pipe: PipeReader,
        record: PathBuf,
        watcher: Option<mpsc::Sender<Vec<u8>>>,
        mask: Option<Mask>,
    ) -> io::Result<Self> {
        let pipe = Some(Receiver::from_owned_fd(OwnedFd::from(pipe))?);
        let record = Whereabouts::Here(Box::new(Record::new(record)), Vec::new());
        Ok(Self {
            pipe,
            watcher,
            record,
            unrecorded: 0,
            veil: mask.map(|mask| Veil {
                mask,
                held: Vec::new(),
            }),
        })
    }

    /// Whether anybody may still print.
    pub(crate) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Moves one piece. Cancel safe: a piece that is being written when the future is dropped is
    /// waited for by the next call.
    pub(crate) async fn step(&mut self) {
        self.settle().await;
        let Some(pipe) = &self.pipe else { return };
        match pipe.readable().await {
            Ok(()) => _ = self.take(Receiver::try_read_buf),
            Err(_) => self.pipe = None,
        }
    }

    /// Takes what is left in the pipe without waiting for those who may still hold it.
    pub(crate) async fn finish(mut self) -> Captured {
        let rest = async {
            for _ in 0..REST_MAX {
                self.settle().await;
                // Asks the pipe itself: readiness that the runtime has not seen yet counts as well.
                let read = |pipe: &Receiver, buffer: &mut Vec<u8>| {
                    Ok(rustix::io::read(pipe, rustix::buffer::spare_capacity(buffer))?)
                };
                if !self.take(read) {
                    break;
                }
            }
            self.settle().await;
            if self.veil.as_ref().is_some_and(|veil| !veil.held.is_empty()) {
                self.pipe = None;
                self.pass(Vec::new());
                self.settle().await;
            }
        };
        let in_time = tokio::time::timeout(DISK_WAIT_MAX, rest).await.is_ok();
        match self.record {
            Whereabouts::Here(record, _) => Captured {
                written: record.written(),
                lost: record.lost() + self.unrecorded,
                fault: record.into_fault(),
            },
            Whereabouts::Out(_) | Whereabouts::Closed => {
                let fault = if in_time {
                    "capture was stopped"
                } else {
                    "the disk does not answer"
                };
                Captured {
                    written: 0,
                    lost: self.unrecorded,
                    fault: Some(fault.to_owned()),
                }
            }
        }
    }

    /// Waits until the record is back.
    async fn settle(&mut self) {
        if let Whereabouts::Out(writing) = &mut self.record {
            self.record = match writing.await {
                Ok((record, mut buffer)) => {
                    buffer.clear();
                    Whereabouts::Here(record, buffer)
                }
                Err(_) => Whereabouts::Closed,
            };
        }
    }

    /// Reads one piece and sends the record off with it. Returns whether there may be more.
    fn take(&mut self, read: impl FnOnce(&Receiver, &mut Vec<u8>) -> io::Result<usize>) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let mut buffer = match &mut self.record {
            Whereabouts::Here(_, buffer) => std::mem::take(buffer),
            _ => Vec::new(),
        };
        buffer.reserve_exact(if buffer.capacity() == 0 { FIRST } else { PIECE });
        let count = read(pipe, &mut buffer);
        match count {
            Ok(0) => self.pipe = None,
            Ok(_) => {}
            Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(ref error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.pipe = None,
        }
        let taken = !buffer.is_empty();
        self.pass(buffer);
        taken
    }

    /// Sends what may be shown of a piece to the record and the watcher.
    fn pass(&mut self, mut buffer: Vec<u8>) {
        if let Some(veil) = &mut self.veil {
            veil.hide(&mut buffer, self.pipe.is_none());
        }
        self.show(&buffer);
        self.record = match std::mem::replace(&mut self.record, Whereabouts::Closed) {
            Whereabouts::Here(record, _) if buffer.is_empty() => Whereabouts::Here(record, buffer),
            Whereabouts::Here(mut record, _) => Whereabouts::Out(spawn_blocking(move || {
                record.append(&buffer);
                (record, buffer)
            })),
            _ => {
                self.unrecorded += buffer.len() as u64;
                Whereabouts::Closed
            }
        };
    }

    /// A watcher that does not keep up misses pieces; the record has them.
    fn show(&self, bytes: &[u8]) {
        if let (Some(watcher), false) = (&self.watcher, bytes.is_empty()) {
            let _ = watcher.try_send(bytes.to_vec());
        }
    }
}
