//! What a server is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::store::{Result, Store};

use crate::trace::Collector;

/// Makes an empty store in memory: forecasts play plans through in it.
pub type Fresh = fn() -> Result<Arc<dyn Store>>;

#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    pub tls: Option<Tls>,
    /// Bytes of one request's body.
    pub body: usize,
    /// Bodies over 64 KiB that are read at the same time; further ones wait.
    pub bulk: usize,
    /// How long a body may take to arrive.
    pub arrival: Duration,
    /// How long the head of a request may take to arrive.
    pub head: Duration,
    /// How long an operation may take, beside what it was asked to wait.
    pub patience: Duration,
    /// Requests under way at the same time; those beyond are refused.
    pub requests: usize,
    /// Connections at the same time; those beyond are hung up on.
    pub connections: usize,
    /// Connections that listen to the stream at the same time.
    pub streams: usize,
    /// How often a connection of the stream is asked whether it is there.
    pub ping: Duration,
    /// How long it may say nothing, or take nothing.
    pub silence: Duration,
    /// How long a drain waits for requests under way.
    pub drain: Duration,
    /// Who is told of traces.
    pub collector: Option<Collector>,
    /// How long a forecast or a proof may take.
    pub toil: Duration,
    pub fresh: Fresh,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Options {
    pub fn new(fresh: Fresh) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 7717)),
            tls: None,
            body: 64 * 1024 * 1024,
            bulk: 8,
            arrival: Duration::from_secs(30),
            head: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            requests: 4_096,
            connections: 16_384,
            streams: 4_096,
            ping: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            collector: None,
            toil: Duration::from_secs(20),
            fresh,
        }
    }
}
