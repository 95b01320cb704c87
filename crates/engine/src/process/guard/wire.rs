//! What a worker tells its guard: one short line each, so that a write is whole or did not happen.

use std::fmt;
use std::time::Duration;

use crate::process::group::Group;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A command is about to be started; whether it was, the next two tell.
    Starting,
    Started(Group),
    NotStarted,
    Ended(Group),
    /// The worker's leases hold until this time since boot.
    Renewed(Duration),
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => writeln!(f, "?"),
            Self::NotStarted => writeln!(f, "!"),
            Self::Started(group) => writeln!(f, "+{}", group.as_raw()),
            Self::Ended(group) => writeln!(f, "-{}", group.as_raw()),
            Self::Renewed(until) => writeln!(f, "={}", until.as_millis()),
        }
    }
}

/// Cuts a stream of bytes into news. A line that makes no sense is skipped: the mark still finds
/// whom it was about.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<News> {
        self.pending.extend_from_slice(bytes);
        let whole = self
            .pending
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.pending.drain(..whole).collect();
        String::from_utf8_lossy(&lines)
            .lines()
            .filter_map(parse)
            .collect()
    }
}

fn parse(line: &str) -> Option<News> {
    let value = line.get(1..)?;
    let group = || Group::from_raw(value.parse().ok()?);
    match line.as_bytes().first()? {
        b'+' => group().map(News::Started),
        b'-' => group().map(News::Ended),
        b'=' => value
            .parse()
            .ok()
            .map(|ms| News::Renewed(Duration::from_millis(ms))),
        b'?' => Some(News::Starting),
        b'!' => Some(News::NotStarted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_survive_any_cut() {
        let group = Group::from_raw(77).unwrap();
        let renewed = News::Renewed(Duration::from_millis(5));
        let news = [
            News::Starting,
            News::Started(group),
            renewed,
            News::Ended(group),
            News::NotStarted,
        ];
        let text: String = news.iter().map(ToString::to_string).collect();
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let read: Vec<News> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|cut| reader.read(cut))
                .collect();
            assert_eq!(read, news);
        }
    }

    #[test]
    fn nonsense_names_nobody() {
        let read = Reader::default().read(b"+0\n+1\n+-5\n+x\n\n#\n\xff\n+9");
        assert_eq!(read, []);
    }
}
