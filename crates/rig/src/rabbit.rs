//! RabbitMQ: a broker of one's own, and what is in its queues.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use amqprs::channel::{
    BasicGetArguments, Channel, ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::machine;
use crate::tls::Authority;
use crate::watched::Watched;

/// Debian's own beside it changes to another user, who may not write here.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Erlang takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const USER: &str = "bell";
pub const PASSWORD: &str = "sesame-7781";

/// A message as it lay in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub routing_key: String,
    pub body: String,
    /// Written to disk by the broker.
    pub is_kept: bool,
}

/// A broker with one topic exchange, `events`, whose messages all go to the queue `all`. Both survive it.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    /// For AMQP, for AMQP over TLS, for nodes among themselves, and for finding nodes.
    ports: [u16; 4],
    runtime: Runtime,
    names: Option<Watched>,
    process: Option<Watched>,
}

impl Server {
    /// Starts one that also speaks TLS, with a certificate of this authority.
    pub fn start(authority: &Authority) -> Result<Server> {
        install()?;
        let folder = tempfile::tempdir()?;
        let ports = free_ports()?;
        let [plain, tls, ..] = ports;
        std::fs::write(
            folder.path().join("rabbitmq.conf"),
            format!(
                "listeners.tcp.1 = 127.0.0.1:{plain}\nlisteners.ssl.1 = 127.0.0.1:{tls}\n\
                 ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n\
                 loopback_users = none\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n\
                 disk_free_limit.absolute = 1MB\n",
                authority.root().display(),
                authority.certificate().display(),
                authority.key().display(),
            ),
        )?;
        std::fs::write(folder.path().join("plugins"), "[].\n")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mut server = Server {
            folder,
            ports,
            runtime,
            names: None,
            process: None,
        };
        server.run()?;
        server.runtime.block_on(declare(server.ports[0]))?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{}", self.ports[0])
    }

    pub fn url_encrypted(&self) -> String {
        format!("amqps://{USER}:{PASSWORD}@localhost:{}", self.ports[1])
    }

    /// Starts it again after [`Server::kill`].
    pub fn run(&mut self) -> Result<()> {
        let [plain, _, nodes, names] = self.ports;
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        // Who finds nodes would otherwise be started by the first of them, and stay.
        if self.names.is_none() {
            let arguments = ["-port", &names.to_string(), "-address", "127.0.0.1"].map(str::to_owned);
            self.names = Some(Watched::start("epmd", &arguments)?);
        }
        let variables = [
            ("HOME", at("")),
            ("RUNNING_UNDER_SYSTEMD", "1".to_owned()),
            ("RABBITMQ_NODENAME", format!("bell{plain}@localhost")),
            ("RABBITMQ_MNESIA_BASE", at("mnesia")),
            ("RABBITMQ_LOG_BASE", at("log")),
            ("RABBITMQ_PID_FILE", at("pid")),
            ("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")),
            ("RABBITMQ_DIST_PORT", nodes.to_string()),
            ("ERL_EPMD_PORT", names.to_string()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            ),
        ];
        let process = Watched::start_with(PROGRAM, &[], &variables)?;
        let end = Instant::now() + PATIENCE;
        while !self.is_ready() {
            ensure!(process.is_alive(), "{PROGRAM} ended: {}", log(&at("log")));
            ensure!(
                Instant::now() < end,
                "{PROGRAM} does not answer: {}",
                log(&at("log"))
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let port = self.ports[0];
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(Duration::from_secs(5), open(port)).await;
            matches!(answer, Ok(Ok(_)))
        })
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::KILL);
            let end = Instant::now() + PATIENCE;
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[0])).is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Takes everything out of the queue `all`.
    pub fn take(&self) -> Result<Vec<Message>> {
        self.runtime.block_on(take(self.ports[0]))
    }

    /// How many messages lie in the queue `all`.
    pub fn count(&self) -> Result<u32> {
        self.runtime.block_on(async {
            let (_connection, channel) = open(self.ports[0]).await?;
            let mut passive = QueueDeclareArguments::durable_client_named(QUEUE);
            passive.passive(true);
            let told = channel.queue_declare(passive).await?;
            let (_, messages, _) = told.context("the broker does not tell of its queue")?;
            Ok(messages)
        })
    }
}

/// Makes sure that there is a broker to start.
pub fn install() -> Result<()> {
    if !Path::new(PROGRAM).exists() {
        machine::install("rabbitmq-server")?;
        ensure!(
            Path::new(PROGRAM).exists(),
            "apt-get could not install rabbitmq-server"
        );
    }
    Ok(())
}

const EXCHANGE: &str = "events";
const QUEUE: &str = "all";

async fn open(port: u16) -> Result<(Connection, Channel)> {
    let login = OpenConnectionArguments::new("127.0.0.1", port, USER, PASSWORD);
    let connection = Connection::open(&login).await?;
    let channel = connection.open_channel(None).await?;
    Ok((connection, channel))
}

async fn declare(port: u16) -> Result<()> {
    let (_connection, channel) = open(port).await?;
    let mut exchange = ExchangeDeclareArguments::new(EXCHANGE, "topic");
    exchange.durable(true);
    channel.exchange_declare(exchange).await?;
    channel
        .queue_declare(QueueDeclareArguments::durable_client_named(QUEUE))
        .await?;
    channel
        .queue_bind(QueueBindArguments::new(QUEUE, EXCHANGE, "bell.#"))
        .await?;
    Ok(())
}

async fn take(port: u16) -> Result<Vec<Message>> {
    let (_connection, channel) = open(port).await?;
    let mut found = Vec::new();
    let mut next = BasicGetArguments::new(QUEUE);
    next.no_ack(true);
    while let Some((got, properties, body)) = channel.basic_get(next.clone()).await? {
        found.push(Message {
            id: properties.message_id().context("a message has no id")?.clone(),
            routing_key: got.routing_key().clone(),
            body: String::from_utf8(body)?,
            is_kept: properties.delivery_mode() == Some(2),
        });
    }
    Ok(found)
}

fn free_ports() -> Result<[u16; 4]> {
    let held: Vec<TcpListener> = (0..4)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()?;
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// What it has said so far.
fn log(folder: &str) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default());
    texts.collect()
}
