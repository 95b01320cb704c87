use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frame::{Frame, place};
use super::{HEAD, ROOM, TAIL};

/// A writer that laps the reader this often prints gigabytes a second; then the head must do.
const TRIES: u32 = 64;

/// A consistent view of a record: what is kept, in order, and what lies between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub bytes: Vec<u8>,
    /// How many bytes of the output are missing at [`Output::gap_at`].
    pub dropped: u64,
    /// Where in `bytes` the missing part belongs.
    pub gap_at: usize,
    /// The length of the output so far: pass it to [`read_from`] to get what comes next.
    pub end: u64,
}

/// Reads a live, finished or crashed record. One that does not exist is a silent command's: empty.
pub fn read(path: &Path) -> io::Result<Output> {
    read_from(path, 0)
}

/// Like [`read`], but only what was printed from this offset on.
pub fn read_from(path: &Path, offset: u64) -> io::Result<Output> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Output {
                end: offset,
                ..Output::default()
            });
        }
        opened => opened?,
    };
    for _ in 0..TRIES {
        match attempt(&file, offset) {
            Ok(Some(output)) => return Ok(output),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    head_only(&file, offset)
}

/// Returns `None` if the writer overtook the reader.
fn attempt(file: &File, offset: u64) -> io::Result<Option<Output>> {
    let Some(before) = Frame::load(file)? else {
        let end = file.metadata()?.len().min(ROOM);
        let bytes = span(file, offset, end)?;
        let is_whole = Frame::load(file)?.is_none();
        let gap_at = bytes.len();
        return Ok(is_whole.then_some(Output {
            bytes,
            dropped: 0,
            gap_at,
            end: end.max(offset),
        }));
    };
    let end = before.written;
    let head = span(file, offset, HEAD)?;
    let tail_from = before.ring_start().max(HEAD).max(offset);
    let tail = span(file, tail_from, end)?;
    let after = Frame::load(file)?.ok_or(io::ErrorKind::InvalidData)?;
    let kept_from = after.ring_start().max(tail_from);
    if kept_from > end.max(tail_from) {
        return Ok(None);
    }
    let overwritten = usize::try_from(kept_from - tail_from).unwrap_or(usize::MAX);
    let gap_at = head.len();
    let mut bytes = head;
    bytes.extend_from_slice(&tail[overwritten.min(tail.len())..]);
    let dropped = kept_from - offset.max(HEAD).min(kept_from);
    Ok(Some(Output {
        bytes,
        dropped,
        gap_at,
        end: end.max(offset),
    }))
}

/// What is certain even if the frame is not.
fn head_only(file: &File, offset: u64) -> io::Result<Output> {
    let bytes = span(file, offset, HEAD)?;
    let end = (ROOM).max(offset);
    let gap_at = bytes.len();
    Ok(Output {
        bytes,
        dropped: TAIL.min(end - offset),
        gap_at,
        end,
    })
}

/// Reads the part of the output from one offset to another, wherever it lies.
fn span(file: &File, mut from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)];
    let mut rest = bytes.as_mut_slice();
    while !rest.is_empty() {
        let (place, room) = place(from);
        let (piece, later) = rest.split_at_mut(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        file.read_exact_at(piece, place)?;
        from += piece.len() as u64;
        rest = later;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    /// The byte printed at an offset: any misplaced piece shows.
    fn byte(offset: u64) -> u8 {
        (offset % 251) as u8
    }

    fn stream(from: u64, to: u64) -> Vec<u8> {
        (from..to).map(byte).collect()
    }

    #[track_caller]
    fn check(total: u64, piece: usize, offset: u64, kept: &[(u64, u64)], dropped: u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/record");
        let mut record = Record::new(path.clone());
        for chunk in stream(0, total).chunks(piece) {
            record.append(chunk);
        }
        let output = read_from(&path, offset).unwrap();
        let expected: Vec<u8> = kept.iter().flat_map(|(from, to)| stream(*from, *to)).collect();
        assert!(
            output.bytes == expected,
            "{} bytes instead of {}",
            output.bytes.len(),
            expected.len()
        );
        assert_eq!((output.dropped, output.end), (dropped, total));
        assert!(path.metadata().unwrap().len() <= ROOM + 24);
    }

    #[test]
    fn what_fits_is_the_file() {
        check(10, 3, 0, &[(0, 10)], 0);
        check(ROOM, 60_000, 0, &[(0, ROOM)], 0);
        check(ROOM, 60_000, 7, &[(7, ROOM)], 0);
    }

    #[test]
    fn beyond_that_head_and_tail_are_kept() {
        for total in [ROOM + 1, ROOM + TAIL, 10 * 1024 * 1024 + 7] {
            let start = total - TAIL;
            check(total, 65_536, 0, &[(0, HEAD), (start, total)], start - HEAD);
            check(
                total,
                1_000_000,
                HEAD + 5,
                &[(start.max(HEAD + 5), total)],
                start.saturating_sub(HEAD + 5),
            );
            check(total, 65_536, total - 9, &[(total - 9, total)], 0);
            check(total, 65_536, total, &[], 0);
        }
    }

    #[test]
    fn a_reader_beside_the_writer_never_sees_a_wrong_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let mut record = Record::new(path.clone());
        let total = 24 * ROOM;
        let writer = std::thread::spawn(move || {
            let mut at = 0;
            while at < total {
                let to = total.min(at + 40_961);
                record.append(&stream(at, to));
                at = to;
            }
        });
        let mut is_last = false;
        while !is_last {
            is_last = writer.is_finished();
            let output = read(&path).unwrap();
            let tail = output.gap_at as u64 + output.dropped;
            assert!(output.bytes[..output.gap_at] == stream(0, output.gap_at as u64));
            assert!(
                output.bytes[output.gap_at..] == stream(tail, output.end),
                "gap {tail}, {}",
                output.end
            );
        }
        writer.join().unwrap();
        assert_eq!(read(&path).unwrap().end, total);
    }

    #[test]
    fn a_torn_frame_leaves_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let mut record = Record::new(path.clone());
        record.append(&stream(0, ROOM + 100));
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[9; 5], ROOM + 3).unwrap();
        let output = read(&path).unwrap();
        assert!(output.bytes == stream(0, HEAD));
        assert_eq!(output.dropped, TAIL);
    }
}
