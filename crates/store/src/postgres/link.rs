//! One connection, used from one thread that blocks.
//!
//! What is written need not be waited for: orders are sent one behind the other without waiting, and their answers are
//! looked at before the answer to the next question, or to the commit.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::store::Result;
use rustc_hash::FxHashMap;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::NoTls;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Connection, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::{Fault, Sql};
use super::set::{self, Part};
use super::url::{Asked, Tls};

const CONNECT: Duration = Duration::from_secs(5);
/// A server that is silent for longer is taken for dead; statements end themselves before.
const SILENCE: Duration = Duration::from_secs(40);

pub(super) type Param = Box<dyn ToSql + Sync + Send>;
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How to reach the server. What is printed of it has no password.
#[derive(Clone)]
pub(super) struct Place {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    pub(super) schema: Arc<str>,
    pub(super) pooled: bool,
    pub(super) shown: Arc<str>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Place {
    pub(super) fn new(asked: &Asked) -> Result<Place> {
        let wrong =
            |why: String| Refusal::new(Code::StoreUrl, format!("`{}` cannot be used: {why}", asked.shown));
        // The words of this error quote no part of the URL.
        let mut config: Config = asked
            .server
            .parse()
            .map_err(|_| wrong("it is not of the form postgres://USER@HOST:PORT/DATABASE".to_owned()))?;
        if config.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host".to_owned()));
        }
        config
            .application_name("bellwether")
            .connect_timeout(CONNECT)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(20));
        let tls = match asked.tls.unwrap_or_else(|| usual(&config)) {
            Tls::No => {
                config.ssl_mode(tokio_postgres::config::SslMode::Disable);
                None
            }
            Tls::Verified => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                Some(verified(asked.roots.as_deref().map(Path::new)).map_err(wrong)?)
            }
        };
        Ok(Place {
            config,
            tls,
            schema: (&*asked.schema).into(),
            pooled: asked.pooled,
            shown: (&*asked.shown).into(),
        })
    }

    /// Connects, and hands the connection to `drive`, which must see to it that it is polled. Whoever accepts and says nothing
    /// is no server.
    pub(super) async fn connect<D: Drive>(&self, drive: D) -> Sql<Client> {
        let lost = |why: String| Fault::Lost(format!("{} cannot be reached: {why}", self.shown));
        let hosts = self.config.get_hosts().len().max(1) as u32;
        let patience = CONNECT * (hosts + 1);
        match tokio::time::timeout(patience, self.greet(drive)).await {
            Ok(Err(Fault::Lost(why))) => Err(lost(why)),
            Ok(greeted) => greeted,
            Err(_) => Err(lost(format!("no answer within {} s", patience.as_secs()))),
        }
    }

    async fn greet<D: Drive>(&self, drive: D) -> Sql<Client> {
        Ok(match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                drive.drive(connection);
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                drive.drive(connection);
                client
            }
        })
    }
}

/// Keeps a connection going beside whoever uses it.
pub(super) trait Drive {
    fn drive<S>(self, connection: Connection<Socket, S>)
    where
        S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static;
}

struct Quietly;

impl Drive for Quietly {
    fn drive<S>(self, connection: Connection<Socket, S>)
    where
        S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
    {
        tokio::spawn(async move {
            // Whoever uses the connection is told of its end too.
            let _ = connection.await;
        });
    }
}

/// On this machine nobody listens in; anywhere else, the server must prove who it is.
fn usual(config: &Config) -> Tls {
    use tokio_postgres::config::Host;
    let local = |host: &Host| match host {
        Host::Tcp(name) => {
            let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    if config.get_hosts().iter().all(local) {
        Tls::No
    } else {
        Tls::Verified
    }
}

fn verified(roots: Option<&Path>) -> std::result::Result<MakeRustlsConnect, String> {
    // Another part of the program may have chosen already; any choice will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut store = rustls::RootCertStore::empty();
    match roots {
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // A certificate that cannot be read is one that is not trusted.
                let _ = store.add(certificate);
            }
        }
        Some(file) => {
            use rustls::pki_types::CertificateDer;
            use rustls::pki_types::pem::PemObject;
            let unreadable = |why: String| format!("the certificates in {}: {why}", file.display());
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                store
                    .add(certificate)
                    .map_err(|error| unreadable(error.to_string()))?;
            }
        }
    }
    if store.is_empty() {
        return Err("there are no certificates to trust".to_owned());
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// What is sent without waiting for its answer.
pub(super) enum Order {
    /// A transaction begins. Only where none is open may a connection be made anew.
    Begin(Arc<str>),
    Commit,
    RollBack,
    /// Statements without parameters.
    Plain(Arc<str>),
    /// One statement, or several as one.
    Write(Vec<Part>),
}

impl Order {
    pub(super) fn write(sql: &'static str, params: Vec<Param>) -> Order {
        Order::Write(vec![Part { sql, params }])
    }
}

pub(super) struct Link {
    pub(super) place: Place,
    /// What each transaction begins with.
    begin: Arc<str>,
    /// What each session begins with.
    session: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    live: Option<Live>,
    /// A transaction was begun, and nobody has ended it: it may have ended with its connection.
    open: bool,
    /// That transaction may be silent for as long as its connection lives.
    long: bool,
    /// The server was there once.
    pub(super) reached: bool,
}

struct Live {
    client: Client,
    /// Questions.
    statements: FxHashMap<&'static str, Statement>,
    writes: FxHashMap<set::Key, Statement>,
}

/// Statements that write are combined in a few dozen ways. Beyond this many, all are prepared anew.
const WRITES: usize = 128;

impl Link {
    /// `settings` are for each session, or each transaction when sessions are shared.
    pub(super) fn new(place: Place, begin: &str, settings: &[(&str, &str)]) -> Link {
        let schema = &place.schema;
        let all = [("search_path", &**schema)];
        let all = all.iter().chain(settings);
        let (begin, session) = if place.pooled {
            let local = all.map(|(name, value)| format!("; SET LOCAL {name} = '{value}'"));
            (format!("{begin}{}", local.collect::<String>()), String::new())
        } else {
            let set = all.map(|(name, value)| format!("SET {name} = '{value}';"));
            (begin.to_owned(), set.collect())
        };
        Link {
            place,
            begin: begin.into(),
            session,
            runtime: Builder::new_current_thread().enable_all().build().ok(),
            live: None,
            open: false,
            long: false,
            reached: false,
        }
    }

    /// There is a connection, and nothing is known against it.
    pub(super) fn is_up(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.client.is_closed())
    }

    /// Begins a transaction, with the next exchange.
    pub(super) fn begin(&self) -> Order {
        Order::Begin(self.begin.clone())
    }

    /// Lets the statements of the transaction that is open take as long as they must, as those that go through everything do.
    /// That the server is still there is left to the keepalives of the connection.
    pub(super) fn take_time(&mut self) -> Sql<()> {
        self.long = true;
        self.send(&[Order::Plain("SET LOCAL statement_timeout = 0".into())])
    }

    fn run<T>(&mut self, orders: &[Order], work: impl AsyncFnOnce(&mut Live) -> Sql<T>) -> Sql<T> {
        let begins = matches!(orders.first(), Some(Order::Begin(_)));
        let anew = !self.open || begins;
        self.long &= !anew;
        self.open |= begins;
        self.open &= !matches!(orders.last(), Some(Order::Commit | Order::RollBack));
        let gone = || Fault::Refused(Refusal::new(Code::Internal, "no runtime for the connection"));
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let done = runtime.block_on(async {
            let live = match &mut self.live {
                Some(live) if !live.client.is_closed() => live,
                stale if !anew => {
                    *stale = None;
                    return Err(Fault::Lost(
                        "the connection broke inside a transaction".to_owned(),
                    ));
                }
                stale => {
                    *stale = None;
                    let client = self.place.connect(Quietly).await?;
                    self.reached = true;
                    client.batch_execute(&self.session).await?;
                    stale.insert(Live {
                        client,
                        statements: FxHashMap::default(),
                        writes: FxHashMap::default(),
                    })
                }
            };
            if self.long {
                return work(live).await;
            }
            let answer = tokio::time::timeout(SILENCE, work(live)).await;
            answer.unwrap_or_else(|_| {
                Err(Fault::Lost(format!(
                    "{} has been silent for {} s",
                    self.place.shown,
                    SILENCE.as_secs()
                )))
            })
        });
        if matches!(done, Err(Fault::Lost(_))) {
            self.live = None;
        }
        done
    }

    /// Sends the orders, and waits for all of their answers.
    pub(super) fn send(&mut self, orders: &[Order]) -> Sql<()> {
        if orders.is_empty() {
            return Ok(());
        }
        let pooled = self.place.pooled;
        self.run(orders, async |live| {
            let orders = live.prepare(orders, None, pooled).await?;
            exchange(live, orders, None).await.map(drop)
        })
    }

    /// Sends the orders and behind them a question.
    pub(super) fn ask(&mut self, orders: &[Order], sql: &'static str, params: Params<'_>) -> Sql<Vec<Row>> {
        let pooled = self.place.pooled;
        self.run(orders, async |live| {
            let orders = live.prepare(orders, Some(sql), pooled).await?;
            exchange(live, orders, Some((sql, params))).await
        })
    }

    /// As [`Link::ask`], for statements that are not worth keeping.
    pub(super) fn ask_once(&mut self, orders: &[Order], sql: &str, params: Params<'_>) -> Sql<Vec<Row>> {
        let pooled = self.place.pooled;
        self.run(orders, async |live| {
            let orders = live.prepare(orders, None, pooled).await?;
            exchange(live, orders, None).await?;
            Ok(live.client.query(sql, params).await?)
        })
    }
}

impl Live {
    /// Prepares what the orders and the question need; the orders that are left to send. Where sessions are shared, the
    /// beginning of the transaction comes first: it says in which schema to look.
    async fn prepare<'o>(
        &mut self,
        orders: &'o [Order],
        question: Option<&'static str>,
        pooled: bool,
    ) -> Sql<&'o [Order]> {
        let writes = orders.iter().filter_map(|order| match order {
            Order::Write(parts) => Some(parts),
            _ => None,
        });
        let mut new: FxHashMap<set::Key, &[Part]> = FxHashMap::default();
        for parts in writes {
            let key = set::key(parts);
            if !self.writes.contains_key(&key) {
                new.insert(key, parts);
            }
        }
        let question = question.filter(|sql| !self.statements.contains_key(sql));
        let rest = match orders {
            [begin @ Order::Begin(_), rest @ ..] if pooled && !(new.is_empty() && question.is_none()) => {
                exchange(self, std::slice::from_ref(begin), None).await?;
                rest
            }
            all => all,
        };
        if self.writes.len() + new.len() > WRITES && !new.is_empty() {
            self.writes.clear();
            let all = orders.iter().filter_map(|order| match order {
                Order::Write(parts) => Some((set::key(parts), &**parts)),
                _ => None,
            });
            new = all.collect();
        }
        for (key, parts) in new {
            let statement = self.client.prepare(&set::text(parts)).await?;
            self.writes.insert(key, statement);
        }
        if let Some(sql) = question {
            let statement = self.client.prepare(sql).await?;
            self.statements.insert(sql, statement);
        }
        Ok(rest)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = std::result::Result<T, tokio_postgres::Error>> + 'a>>;

/// Polls once, which sends the request.
async fn once<T>(answer: &mut Answer<'_, T>) -> Poll<std::result::Result<T, tokio_postgres::Error>> {
    poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await
}

/// Requests go out in the order in which their futures are first polled, and answers come in that order.
async fn exchange(
    live: &Live,
    orders: &[Order],
    question: Option<(&'static str, Params<'_>)>,
) -> Sql<Vec<Row>> {
    let mut waiting: Vec<Answer<'_, ()>> = Vec::with_capacity(orders.len());
    for order in orders {
        let mut answer: Answer<'_, ()> = match order {
            Order::Begin(sql) | Order::Plain(sql) => Box::pin(live.client.batch_execute(sql)),
            Order::Commit => Box::pin(live.client.batch_execute("COMMIT")),
            Order::RollBack => Box::pin(live.client.batch_execute("ROLLBACK")),
            Order::Write(parts) => Box::pin(async {
                let params: Vec<&(dyn ToSql + Sync)> = parts
                    .iter()
                    .flat_map(|part| &part.params)
                    .map(|param| &**param as &(dyn ToSql + Sync))
                    .collect();
                live.client
                    .execute(&live.writes[&set::key(parts)], &params)
                    .await
                    .map(drop)
            }),
        };
        match once(&mut answer).await {
            Poll::Ready(done) => done?,
            Poll::Pending => waiting.push(answer),
        }
    }
    let mut rows: Option<Answer<'_, Vec<Row>>> = None;
    let mut found = Vec::new();
    if let Some((sql, params)) = question {
        let mut answer: Answer<'_, Vec<Row>> = Box::pin(live.client.query(&live.statements[sql], params));
        match once(&mut answer).await {
            Poll::Ready(done) => found = done?,
            Poll::Pending => rows = Some(answer),
        }
    }
    for answer in waiting {
        answer.await?;
    }
    if let Some(rows) = rows {
        found = rows.await?;
    }
    Ok(found)
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may be a thread that must not wait.
            runtime.shutdown_background();
        }
    }
}
