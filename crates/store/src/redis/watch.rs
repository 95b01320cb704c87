//! Noticing the commits of other processes: every commit is told on a channel.
//!
//! What is told while the connection is down is missed, so each new subscription counts as a commit, and a
//! subscription that has heard nothing for a while is made anew: its connection may be dead without knowing it.

use std::time::{Duration, Instant};

use redis::{Connection, PushKind, RedisError, Value};

use super::batch::Batch;
use super::fault::Fault;
use super::keys;
use super::link::Place;
use crate::driver::Watch;

/// No call waits longer than this.
const WAIT: Duration = Duration::from_secs(1);
/// After one commit was told, the next is told no sooner: a busy store wakes nobody more often than this.
const REST: Duration = Duration::from_millis(1);
/// Silence after which a subscription is not trusted any more.
const TRUST: Duration = Duration::from_secs(15);

pub(super) struct RedisWatch {
    place: Place,
    channel: Vec<u8>,
    connection: Option<Connection>,
    told: Option<Instant>,
    heard: Instant,
}

impl RedisWatch {
    pub(super) fn new(place: &Place, prefix: &str) -> RedisWatch {
        RedisWatch {
            place: place.with_pushes(),
            channel: keys::channel(prefix),
            connection: None,
            told: None,
            heard: Instant::now(),
        }
    }

    fn subscribe(&self) -> Result<Connection, Fault> {
        let mut connection = self.place.connect(None)?;
        let lost = |error: RedisError| Fault::Lost(error.to_string());
        let mut batch = Batch::default();
        batch.put(&[b"SUBSCRIBE", &self.channel]);
        connection.send_packed_command(batch.bytes()).map_err(lost)?;
        while !is_push(&connection.recv_response().map_err(lost)?, &PushKind::Subscribe) {}
        Ok(connection)
    }

    /// Whether a commit is told before `end`; `None` when the connection is of no more use.
    fn listen(&mut self, end: Instant) -> Option<bool> {
        let connection = self.connection.as_mut()?;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Some(false);
            }
            connection.set_read_timeout(Some(rest)).ok()?;
            match connection.recv_response() {
                Ok(value) if is_push(&value, &PushKind::Message) => {
                    self.heard = Instant::now();
                    return Some(true);
                }
                Ok(_) => {}
                Err(error) if error.is_timeout() => return Some(false),
                Err(_) => return None,
            }
        }
    }
}

fn is_push(value: &Value, expected: &PushKind) -> bool {
    matches!(value, Value::Push { kind, .. } if kind == expected)
}

impl Watch for RedisWatch {
    fn wait(&mut self) -> bool {
        let end = Instant::now() + WAIT;
        if let Some(told) = self.told {
            std::thread::sleep(REST.saturating_sub(told.elapsed()));
        }
        if self.heard.elapsed() > TRUST {
            self.connection = None;
        }
        if self.connection.is_none() {
            match self.subscribe() {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.heard = Instant::now();
                    return true;
                }
                Err(fault) => {
                    tracing::debug!(?fault, "cannot listen to other processes");
                    std::thread::sleep(end.saturating_duration_since(Instant::now()));
                    return false;
                }
            }
        }
        match self.listen(end) {
            Some(true) => {
                // What has been told meanwhile is told with it.
                while self.listen(Instant::now() + Duration::from_micros(50)) == Some(true) {}
                self.told = Some(Instant::now());
                true
            }
            Some(false) => false,
            None => {
                self.connection = None;
                true
            }
        }
    }
}
