use std::io;
use std::path::Path;

use super::record::Record;

/// Adds to a record what was printed elsewhere, and returns how far the output now goes.
///
/// `at` says where the bytes belong: what is there already is not written again, and nothing is written behind a hole.
/// Whoever gets another end than it expected sends the rest from there. Writers of one record take turns.
pub fn append(path: &Path, at: Option<u64>, bytes: &[u8]) -> io::Result<u64> {
    let mut record = Record::resume(path.to_owned())?;
    let end = record.written();
    let at = at.unwrap_or(end);
    if at <= end {
        let known = usize::try_from(end - at).unwrap_or(usize::MAX);
        record.append(&bytes[known.min(bytes.len())..]);
    }
    let end = record.written();
    match record.into_fault() {
        Some(fault) => Err(io::Error::other(fault)),
        None => Ok(end),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_from;
    use super::*;

    #[test]
    fn what_is_sent_twice_is_written_once_and_never_behind_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/7-1");
        assert_eq!(append(&path, Some(0), b"one ").unwrap(), 4);
        assert_eq!(append(&path, Some(0), b"one two").unwrap(), 7);
        assert_eq!(append(&path, Some(9), b"four").unwrap(), 7);
        assert_eq!(append(&path, None, b" three").unwrap(), 13);
        assert_eq!(append(&path, Some(3), b"x").unwrap(), 13);
        assert_eq!(read_from(&path, 0).unwrap().bytes, b"one two three");
    }

    #[test]
    fn a_long_output_keeps_its_beginning_and_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7-1");
        let piece = [b'x'; 100_000];
        for n in 1..=15_u64 {
            assert_eq!(append(&path, None, &piece).unwrap(), n * 100_000);
        }
        append(&path, Some(1_500_000), b"end").unwrap();
        let output = read_from(&path, 0).unwrap();
        assert_eq!(output.bytes.len() as u64 + output.dropped, 1_500_003);
        assert!(output.bytes.ends_with(b"xend") && output.dropped > 0);
    }
}
