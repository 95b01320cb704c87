//! A part of a server that nobody else uses, removed when it is over.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::code::{Code, Refusal};
use domain::store::Durability;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_postgres::{Client, NoTls};

/// A URL that may hold a password.
#[derive(Clone)]
pub(crate) enum Server {
    Postgres(String),
    Redis(String),
}

impl Server {
    /// The server of this URL, if it is one.
    pub(crate) fn named(url: &str) -> Result<Option<Server>, Refusal> {
        let server = match url.split("://").next() {
            Some("postgres" | "postgresql") => Server::Postgres(url.to_owned()),
            Some("redis") => Server::Redis(url.to_owned()),
            _ => return Ok(None),
        };
        let taken = |name: &str| url.contains(&format!("?{name}=")) || url.contains(&format!("&{name}="));
        for name in ["schema", "prefix", "sslmode", "poll"] {
            if taken(name) {
                let why = format!("a benchmark chooses `{name}` itself");
                return Err(Refusal::new(Code::StoreUrl, why).help(format!("leave `{name}` out of the URL")));
            }
        }
        Ok(Some(server))
    }
}

pub(crate) enum Connection {
    Postgres(Client),
    Redis(Box<redis::Connection>),
}

pub(crate) struct Space {
    url: String,
    name: String,
    pub(crate) connection: Connection,
}

impl Space {
    pub(crate) fn open(server: &Server, durability: Durability) -> Result<Space, Refusal> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "bench_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let (url, connection) = match server {
            Server::Postgres(url) => (url, Connection::Postgres(postgres(url, &name, durability)?)),
            Server::Redis(url) => (url, Connection::Redis(Box::new(redis(url)?))),
        };
        Ok(Space {
            url: url.clone(),
            name,
            connection,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// For a store of ours.
    pub(crate) fn url(&self) -> String {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        match self.connection {
            Connection::Postgres(_) => format!("{}{mark}schema={}&sslmode=disable", self.url, self.name),
            Connection::Redis(_) => format!("{}{mark}prefix={}", self.url, self.name),
        }
    }

    /// A raw loop's key; all are swept together with ours, whose names begin alike.
    pub(crate) fn key(&self, name: &str) -> Vec<u8> {
        format!("{{bell:{}:raw}}:{name}", self.name).into_bytes()
    }

    pub(crate) fn postgres(&self) -> Result<&Client, Refusal> {
        match &self.connection {
            Connection::Postgres(client) => Ok(client),
            Connection::Redis(_) => Err(wrong(&"this is no PostgreSQL server")),
        }
    }

    pub(crate) fn redis(&mut self) -> Result<&mut redis::Connection, Refusal> {
        match &mut self.connection {
            Connection::Redis(connection) => Ok(connection),
            Connection::Postgres(_) => Err(wrong(&"this is no Redis server")),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // A server that went away meanwhile keeps what it has.
        match &mut self.connection {
            Connection::Postgres(client) => {
                let drop = format!(
                    "SET client_min_messages = error; DROP SCHEMA IF EXISTS {} CASCADE",
                    self.name
                );
                let _ = wait(client.batch_execute(&drop));
            }
            Connection::Redis(connection) => {
                let _ = sweep(connection, &format!("{{bell:{}[}}:]*", self.name));
            }
        }
    }
}

fn sweep(connection: &mut redis::Connection, pattern: &str) -> redis::RedisResult<()> {
    let mut cursor = 0u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(connection)?;
        for key in keys {
            redis::cmd("UNLINK").arg(key).exec(connection)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

fn postgres(url: &str, schema: &str, durability: Durability) -> Result<Client, Refusal> {
    let level = match durability {
        Durability::Full => "on",
        Durability::Relaxed => "off",
    };
    let prepare = format!(
        "CREATE SCHEMA {schema}; SET search_path = {schema}; SET synchronous_commit = {level}; \
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"
    );
    wait(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&prepare).await?;
        Ok(client)
    })
    .map_err(|e: tokio_postgres::Error| wrong(&e))
}

fn redis(url: &str) -> Result<redis::Connection, Refusal> {
    let client = redis::Client::open(url).map_err(|e| wrong(&e))?;
    client.get_connection().map_err(|e| wrong(&e))
}

/// Raw loops are written as they would be anywhere; a thread more or less makes no difference to them.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(future))
}

fn wrong(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(
        Code::StoreUnavailable,
        format!("the server cannot be measured: {error}"),
    )
}
