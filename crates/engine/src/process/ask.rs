//! A program that is asked one question, such as `git` for what has changed: it ends by itself and its answer is
//! small.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What it writes to stdout. An exit status other than 0 is an error with what it says on stderr.
pub fn ask(program: &str, args: &[impl AsRef<OsStr>], folder: &Path) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let complaint = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stderr.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
            read.map(|_| text)
        })
    });
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    }
    let ended = child.wait()?;
    let complaint = complaint.and_then(|thread| thread.join().ok()?.ok());
    if ended.success() {
        return Ok(answer);
    }
    let said = complaint.unwrap_or_default();
    Err(io::Error::other(format!("{program}: {}", said.trim())))
}
