//! Connections that only take places away from others.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::ground::END_SESSIONS;
use crate::redis;

const PATIENCE: Duration = Duration::from_secs(5);
const READY: &[u8] = b"Z\0\0\0\x05I";

/// The first was let in before the crowd came, and does what has to be done from inside.
pub(super) struct Hogs {
    port: u16,
    sessions: Vec<TcpStream>,
}

impl Hogs {
    pub(super) fn of_redis(port: u16) -> Result<Hogs> {
        Ok(Hogs {
            port,
            sessions: vec![connect(port)?],
        })
    }

    pub(super) fn ask_redis(&mut self, parts: &[&str]) -> Result<()> {
        let stream = &mut self.sessions[0];
        stream.write_all(&redis::encoded(parts))?;
        let mut answer = [0; 512];
        let count = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..count]);
        ensure!(
            count > 0 && !answer.starts_with('-'),
            "the server answers: {answer}"
        );
        Ok(())
    }

    pub(super) fn of_postgres(port: u16) -> Result<Hogs> {
        let mut hogs = Hogs {
            port,
            sessions: Vec::new(),
        };
        while hogs.sessions.is_empty() {
            hogs.sessions.extend(session(port)?);
        }
        Ok(hogs)
    }

    /// Takes every place there is, ends the sessions of all others, and takes theirs as well, unless they are quicker.
    pub(super) fn crowd_postgres(&mut self, places: usize) -> Result<()> {
        self.take(places)?;
        let stream = &mut self.sessions[0];
        let length = u32::try_from(END_SESSIONS.len() + 5)?;
        let mut message = vec![b'Q'];
        message.extend(length.to_be_bytes());
        message.extend(END_SESSIONS.bytes());
        message.push(0);
        stream.write_all(&message)?;
        ensure!(is_ready(stream)?, "the sessions could not be ended");
        self.take(places)
    }

    fn take(&mut self, places: usize) -> Result<()> {
        while self.sessions.len() < places {
            match session(self.port)? {
                Some(session) => self.sessions.push(session),
                None => break,
            }
        }
        Ok(())
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A session at PostgreSQL; none when there is no place left.
fn session(port: u16) -> Result<Option<TcpStream>> {
    const WHO: &[u8] = b"user\0bell\0database\0postgres\0\0";
    let mut stream = connect(port)?;
    let mut message = u32::try_from(WHO.len() + 8)?.to_be_bytes().to_vec();
    message.extend(196_608u32.to_be_bytes());
    message.extend(WHO);
    stream.write_all(&message)?;
    Ok(is_ready(&mut stream)?.then_some(stream))
}

/// Reads until the server waits for the next statement, or refuses.
fn is_ready(stream: &mut TcpStream) -> Result<bool> {
    let mut said = Vec::new();
    let mut buffer = [0; 4_096];
    while !said.ends_with(READY) {
        let count = stream.read(&mut buffer)?;
        said.extend_from_slice(&buffer[..count]);
        if count == 0 || said.starts_with(b"E") {
            return Ok(false);
        }
    }
    Ok(true)
}
