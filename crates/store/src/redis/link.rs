//! The connections to the server, or to the nodes of a cluster.
//!
//! All keys of a project are on one node, so there is nothing to route but the project: the first node asked says
//! where it is, and that is remembered until it says otherwise.

use std::time::Duration;

use domain::code::{Code, Refusal};
use redis::io::tcp::TcpSettings;
use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, Value};
use rustc_hash::FxHashMap;

use super::batch::{Answers, Batch};
use super::fault::{Fault, answered, broken};

const CONNECT: Duration = Duration::from_secs(5);
/// A server that is silent for longer is taken for dead.
const SILENCE: Duration = Duration::from_secs(20);

/// How to reach the server. What is printed of it has no password.
#[derive(Clone)]
pub(super) struct Place {
    info: ConnectionInfo,
    pub(super) shown: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Place {
    /// `url` as the client library reads it; `shown` is what people may see.
    pub(super) fn new(url: &str, shown: String) -> domain::store::Result<Place> {
        let wrong = |_| Refusal::new(Code::StoreUrl, format!("`{shown}` cannot be read"));
        let info = url.into_connection_info().map_err(wrong)?;
        // The end of a batch must not wait for the answer to its beginning.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // Another part of the program may have chosen already; any choice will do.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Ok(Place { info, shown })
    }

    /// For a connection on which the server speaks unasked.
    pub(super) fn with_pushes(&self) -> Place {
        let settings = self.info.redis_settings().clone();
        let settings = settings.set_protocol(redis::ProtocolVersion::RESP3);
        Place {
            info: self.info.clone().set_redis_settings(settings),
            shown: self.shown.clone(),
        }
    }

    /// The same server's neighbour.
    fn at(&self, node: &str) -> Option<ConnectionInfo> {
        let (host, port) = node.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = match (host, self.info.addr()) {
            // An empty host means the one that was asked.
            ("", ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) => host.clone(),
            (host, _) => host.to_owned(),
        };
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls {
                insecure, tls_params, ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Some(self.info.clone().set_addr(addr))
    }

    pub(super) fn connect(&self, node: Option<&str>) -> Result<Connection, Fault> {
        let info = match node {
            None => self.info.clone(),
            Some(node) => self
                .at(node)
                .ok_or_else(|| Fault::Lost(format!("`{node}` is no address of a node")))?,
        };
        let lost = |error: redis::RedisError| match broken(&error) {
            Fault::Lost(why) => Fault::Lost(format!("{} cannot be reached: {why}", self.shown)),
            other => other,
        };
        let client = Client::open(info).map_err(lost)?;
        let connection = client.get_connection_with_timeout(CONNECT).map_err(lost)?;
        connection.set_read_timeout(Some(SILENCE)).map_err(lost)?;
        connection.set_write_timeout(Some(SILENCE)).map_err(lost)?;
        Ok(connection)
    }
}

/// The connections of one thread.
pub(super) struct Link {
    place: Place,
    /// By node; the empty name is the server of the URL.
    nodes: FxHashMap<String, Connection>,
    /// On which node the keys under a tag are.
    homes: FxHashMap<String, String>,
    /// The server was there once.
    pub(super) reached: bool,
}

impl Link {
    pub(super) fn new(place: Place) -> Link {
        Link {
            place,
            nodes: FxHashMap::default(),
            homes: FxHashMap::default(),
            reached: false,
        }
    }

    /// Whether keys under these two tags may be written together.
    pub(super) fn together(&self, one: &str, other: &str) -> bool {
        one == other || self.homes.is_empty()
    }

    /// Sends a batch to where the keys under `tag` are. The answers may be errors.
    pub(super) fn exchange(&mut self, tag: &str, batch: &Batch) -> Result<Vec<Value>, Fault> {
        if batch.count() == 0 {
            return Ok(Vec::new());
        }
        let home = self.homes.get(tag).cloned().unwrap_or_default();
        let connection = match self.nodes.remove(&home) {
            Some(connection) if connection.is_open() => Ok(connection),
            _ => self.place.connect((!home.is_empty()).then_some(&*home)),
        };
        let mut connection = match connection {
            Ok(connection) => {
                self.reached = true;
                connection
            }
            Err(fault) => {
                // A node that is gone may have left its keys to another, which the first one knows.
                self.homes.remove(tag);
                return Err(fault);
            }
        };
        match connection.req_packed_commands(batch.bytes(), 0, batch.count()) {
            Ok(values) => {
                self.nodes.insert(home, connection);
                Ok(values)
            }
            Err(error) => match broken(&error) {
                // Whatever it was, the answers that are still under way would be taken for others.
                Fault::Refused(refusal) => Err(Fault::Refused(refusal)),
                _ => {
                    self.homes.remove(tag);
                    Err(Fault::Lost(format!(
                        "the connection to {} broke: {error}",
                        self.place.shown
                    )))
                }
            },
        }
    }

    /// Remembers where a tag has moved, if that is what happened.
    pub(super) fn learn(&mut self, tag: &str, fault: &Fault) {
        if let Fault::Moved(node) = fault {
            self.homes.insert(tag.to_owned(), node.clone());
        }
    }

    /// Sends a batch of which each command must succeed.
    pub(super) fn ask(&mut self, tag: &str, batch: &Batch) -> Result<Answers, Fault> {
        let values = self.exchange(tag, batch)?;
        for value in &values {
            if let Value::ServerError(error) = value {
                let fault = answered(error);
                self.learn(tag, &fault);
                return Err(fault);
            }
        }
        Ok(Answers::new(values))
    }

    /// As [`Link::ask`], following where the tag has moved: only for what may be sent twice and watches nothing.
    pub(super) fn fetch(&mut self, tag: &str, batch: &Batch) -> Result<Answers, Fault> {
        const MOVES: usize = 5;
        let mut answers = self.ask(tag, batch);
        for _ in 0..MOVES {
            match answers {
                Err(Fault::Moved(_)) => answers = self.ask(tag, batch),
                settled => return settled,
            }
        }
        answers
    }
}
