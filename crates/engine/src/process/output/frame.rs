use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{ROOM, TAIL};

/// Says which part of the output the ring holds. Written before the ring is overwritten and again
/// afterwards, like the counter of a sequence lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The output may be overwritten in the ring up to here: what is [`TAIL`] before it is gone.
    pub(super) claimed: u64,
    /// The output is complete up to here.
    pub(super) written: u64,
}

/// Tells a whole frame from one that a crash or a concurrent write left torn.
const SEAL: u64 = 0xB311_3E78_E200_0001;

impl Frame {
    /// The first byte of the output that the ring still holds for sure.
    pub(super) fn ring_start(self) -> u64 {
        self.claimed.saturating_sub(TAIL)
    }

    /// Returns `None` while the output still fits, and an error of kind `InvalidData` if torn.
    pub(super) fn load(file: &File) -> io::Result<Option<Self>> {
        if file.metadata()?.len() <= ROOM {
            return Ok(None);
        }
        let mut bytes = [0; 24];
        file.read_exact_at(&mut bytes, ROOM)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let frame = Self {
            claimed: word(0),
            written: word(8),
        };
        if frame.seal() == word(16) {
            Ok(Some(frame))
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    pub(super) fn save(self, file: &File) -> io::Result<()> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.claimed.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.written.to_le_bytes());
        bytes[16..].copy_from_slice(&self.seal().to_le_bytes());
        file.write_all_at(&bytes, ROOM)
    }

    fn seal(self) -> u64 {
        self.claimed ^ self.written.rotate_left(32) ^ SEAL
    }
}

/// Where a byte of the output lies in the file, and how many follow it there without a break.
pub(super) fn place(offset: u64) -> (u64, u64) {
    if offset < ROOM {
        return (offset, ROOM - offset);
    }
    let in_ring = (offset - ROOM) % TAIL;
    (ROOM - TAIL + in_ring, TAIL - in_ring)
}
