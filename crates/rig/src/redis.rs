//! Redis: single servers and small clusters.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::machine;
use crate::tls::Authority;
use crate::watched::Watched;

/// Where tests find the server that they share.
pub const SHARED: &str = "BELLWETHER_TEST_REDIS";

const PROGRAM: &str = "redis-server";
const PATIENCE: Duration = Duration::from_secs(20);

/// The URL of the server that all tests share.
///
/// # Panics
/// When there is none: a test that needs it fails, it is never skipped.
pub fn shared() -> String {
    std::env::var(SHARED).unwrap_or_else(|_| {
        panic!("{SHARED} is not set: `cargo xtask test` starts a server, `cargo xtask servers` keeps one")
    })
}

/// A URL like `url` with a prefix that nobody else uses.
pub fn fresh(url: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}prefix=test.{}.{count}", std::process::id())
}

/// Takes away what was written under a URL from [`fresh`].
pub fn sweep(url: &str) {
    const SWEEP: &str =
        "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end return 0";
    let prefix = url.rsplit_once("prefix=").map_or("", |(_, prefix)| prefix);
    // A server that was stopped has nothing to tidy up.
    let _ = command_at(url, &["EVAL", SWEEP, "0", &format!("{{bell:{prefix}[}}:]*")]);
}

/// Makes sure that there is a server to start.
pub fn install() -> Result<()> {
    if !machine::runs(PROGRAM) {
        machine::install(PROGRAM)?;
        ensure!(machine::runs(PROGRAM), "apt-get could not install {PROGRAM}");
    }
    Ok(())
}

/// A server of one's own.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    process: Option<Watched>,
}

impl Server {
    /// Starts one with settings such as `["--appendfsync", "always"]` beside the usual ones.
    pub fn start(settings: &[&str]) -> Result<Server> {
        install()?;
        let mut server = Server {
            folder: tempfile::tempdir()?,
            port: free_port()?,
            settings: settings.iter().map(|part| (*part).to_owned()).collect(),
            process: None,
        };
        server.run()?;
        Ok(server)
    }

    /// One that keeps what it acknowledges.
    pub fn durable() -> Result<Server> {
        Server::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One that keeps what it acknowledges and also speaks TLS; with the URL for that.
    pub fn encrypted(authority: &Authority) -> Result<(Server, String)> {
        let port = free_port()?;
        let server = Server::start(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &authority.certificate().display().to_string(),
            "--tls-key-file",
            &authority.key().display().to_string(),
            "--tls-ca-cert-file",
            &authority.root().display().to_string(),
            "--tls-auth-clients",
            "no",
        ])?;
        Ok((server, format!("rediss://localhost:{port}")))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`].
    pub fn run(&mut self) -> Result<()> {
        let mut arguments = vec![
            "--bind".to_owned(),
            "127.0.0.1".to_owned(),
            "--port".to_owned(),
            self.port.to_string(),
            "--dir".to_owned(),
            self.folder.path().display().to_string(),
            "--logfile".to_owned(),
            self.folder.path().join("log").display().to_string(),
            "--save".to_owned(),
            String::new(),
        ];
        arguments.extend(self.settings.iter().cloned());
        let process = Watched::start(PROGRAM, &arguments)?;
        let end = Instant::now() + PATIENCE;
        while !self.is_ready() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(process.is_alive(), "{PROGRAM} ended: {}", log());
            ensure!(Instant::now() < end, "{PROGRAM} does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process = Some(process);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.command(&["PING"])
            .is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(process) = self.process.take() {
            process.signal(signal);
            let end = Instant::now() + PATIENCE;
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Sends one command and returns the beginning of the answer as it comes over the wire.
    pub fn command(&self, parts: &[&str]) -> Result<String> {
        command(self.port, parts)
    }
}

/// Sends one command to the server of this URL, as [`Server::command`] does.
pub fn command_at(url: &str, parts: &[&str]) -> Result<String> {
    let place = url.rsplit_once("://").map_or(url, |(_, place)| place);
    let port = place
        .split(['?', '/'])
        .next()
        .and_then(|place| place.rsplit_once(':'));
    let port = port.and_then(|(_, port)| port.parse().ok());
    command(port.with_context(|| format!("`{url}` has no port"))?, parts)
}

fn command(port: u16, parts: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&encoded(parts))?;
    let mut buffer = vec![0; 1 << 16];
    let count = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// A command as it goes over the wire.
pub(crate) fn encoded(parts: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", parts.len());
    for part in parts {
        text += &format!("${}\r\n{part}\r\n", part.len());
    }
    text.into_bytes()
}

fn free_port() -> Result<u16> {
    // A node of a cluster has a second port, ten thousand further up.
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if port < 50_000 && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 10_000)).is_ok() {
            return Ok(port);
        }
    }
}

/// Three nodes that share the slots.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Result<Cluster> {
        let settings = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
        ];
        let nodes = (0..3)
            .map(|_| Server::start(&settings))
            .collect::<Result<Vec<_>>>()?;
        for (node, (first, last)) in nodes.iter().zip([(0, 5_460), (5_461, 10_922), (10_923, 16_383)]) {
            let (first, last) = (first.to_string(), last.to_string());
            expect(&node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?)?;
        }
        let first = nodes[0].port().to_string();
        for (epoch, node) in (1..).zip(&nodes) {
            expect(&node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &u32::to_string(&epoch)])?)?;
            expect(&node.command(&["CLUSTER", "MEET", "127.0.0.1", &first])?)?;
        }
        let cluster = Cluster { nodes };
        let end = Instant::now() + PATIENCE;
        while !cluster.is_whole() {
            ensure!(Instant::now() < end, "the nodes do not come together");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(cluster)
    }

    fn is_whole(&self) -> bool {
        self.nodes.iter().all(|node| {
            let info = node.command(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    }

    pub fn url(&self) -> String {
        self.nodes[0].url()
    }
}

fn expect(answer: &str) -> Result<()> {
    if answer.starts_with("+OK") {
        return Ok(());
    }
    bail!("a node answers: {answer}")
}
