//! The machine that figures come from, and what the process takes of it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::samples::Samples;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub memory_bytes: u64,
    pub os: String,
    pub filesystem: String,
    /// Median of writing 4 KiB over existing bytes and syncing the data.
    pub fsync_us: f64,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores, {:.1} GiB, {}, {}, a 4 KiB write with fdatasync takes {:.0} µs",
            self.cores,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.os,
            self.filesystem,
            self.fsync_us
        )
    }
}

impl Machine {
    /// Looks at the machine, and measures the disk below `folder`.
    pub(crate) fn look(folder: &Path) -> io::Result<Machine> {
        let name = rustix::system::uname();
        let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        Ok(Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes().unwrap_or_default(),
            os: format!(
                "{} {} {}",
                part(name.sysname()),
                part(name.release()),
                part(name.machine())
            ),
            filesystem: filesystem(folder).unwrap_or_else(|| "unknown".to_owned()),
            fsync_us: fsync(folder)?.as_secs_f64() * 1e6,
        })
    }
}

fn memory_bytes() -> Option<u64> {
    kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The line of `/proc` texts that begins with `name`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1_024)
}

/// Memory of this process that is in RAM now; `None` where the system does not tell.
pub(crate) fn rss() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Its greatest value since [`forget_peak`].
pub(crate) fn rss_peak() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// See `proc(5)`, `clear_refs`. Where it fails, the peak stays an upper bound.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The type of the file system that `folder` lies on, from the mount with the longest path above it.
pub(crate) fn filesystem(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        let kind = right.split(' ').next()?.to_owned();
        folder.starts_with(&point).then_some((point.len(), kind))
    };
    // Of mounts on the same point, the last one is on top.
    let over = mounts
        .lines()
        .filter_map(mount)
        .max_by_key(|(length, _)| *length)?;
    Some(over.1)
}

const BLOCK: usize = 4_096;
const BLOCKS: u64 = 128;

fn fsync(folder: &Path) -> io::Result<Duration> {
    let file: File = tempfile::tempfile_in(folder)?;
    file.write_all_at(&vec![1; BLOCK * BLOCKS as usize], 0)?;
    file.sync_all()?;
    let block = [2; BLOCK];
    let one = |at: u64| {
        let start = Instant::now();
        file.write_all_at(&block, at * BLOCK as u64)?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    let all: io::Result<Vec<Duration>> = (0..BLOCKS).map(one).collect();
    Ok(Samples::new(all?).p50())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_proc_texts() {
        assert_eq!(kib("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kib("VmPeak:\t 9 kB\n", "VmRSS:"), None);
    }
}
