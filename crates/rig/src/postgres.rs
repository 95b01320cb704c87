//! PostgreSQL: servers with a data folder of their own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::machine;
use crate::tls::Authority;
use crate::watched::Watched;

/// Where tests find the server that they share.
pub const SHARED: &str = "BELLWETHER_TEST_POSTGRES";

/// Debian keeps each version in a folder of its own.
const VERSIONS: &str = "/usr/lib/postgresql";
const PATIENCE: Duration = Duration::from_secs(30);
/// Whom a server runs as when tests run as root, whom it refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// The URL of the server that all tests share.
///
/// # Panics
/// When there is none: a test that needs it fails, it is never skipped.
pub fn shared() -> String {
    std::env::var(SHARED).unwrap_or_else(|_| {
        panic!("{SHARED} is not set: `cargo xtask test` starts a server, `cargo xtask servers` keeps one")
    })
}

/// A URL like `url` with a schema that nobody else uses.
pub fn fresh(url: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}schema=test_{}_{count}", std::process::id())
}

/// Takes away what was written under a URL from [`fresh`].
pub fn sweep(url: &str) {
    let schema = url.rsplit_once("schema=").map_or("", |(_, schema)| schema);
    // A server that was stopped has nothing to tidy up.
    let _ = sql_at(
        url,
        &format!("SET client_min_messages = error; DROP SCHEMA IF EXISTS {schema} CASCADE"),
    );
}

/// Runs statements on the server of this URL; what they answer, a line for a row and `|` between columns.
pub fn sql_at(url: &str, sql: &str) -> Result<String> {
    let server = url.split('?').next().unwrap_or(url);
    let output = Command::new(programs()?.join("psql"))
        .args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args(["--dbname", server, "--command", sql])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Makes sure that there is a server to start.
pub fn install() -> Result<()> {
    if programs().is_err() {
        machine::install("postgresql")?;
        programs()?;
    }
    Ok(())
}

/// The folder with the programs of the newest version.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))));
    let found = found.filter(|(_, bin)| bin.join("initdb").exists()).max();
    found
        .map(|(_, bin)| bin)
        .with_context(|| format!("there is no PostgreSQL server below {VERSIONS}"))
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
    /// Makes and starts one with settings such as `["fsync=off"]`.
    pub fn start(settings: &[&str]) -> Result<Server> {
        Server::make(settings, None)
    }

    /// One that also speaks TLS; with the URL for that.
    pub fn encrypted(authority: &Authority) -> Result<(Server, String)> {
        let server = Server::make(&[], Some(authority))?;
        let url = format!("postgres://bell@localhost:{}/postgres", server.port);
        Ok((server, url))
    }

    fn make(settings: &[&str], authority: Option<&Authority>) -> Result<Server> {
        install()?;
        let folder = tempfile::tempdir()?;
        if let Some((_, user, group)) = other_user()? {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let mut server = Server {
            folder,
            port: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
            settings: settings.iter().map(|part| (*part).to_owned()).collect(),
            process: None,
        };
        let [program, arguments @ ..] =
            &server.command("initdb", &["-U", "bell", "--no-sync", "-E", "UTF8"])?[..]
        else {
            bail!("no program");
        };
        let made = Command::new(program)
            .args(arguments)
            .args(["--auth", "trust", "--locale", "C.UTF-8"])
            .current_dir(server.folder.path())
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        if let Some(authority) = authority {
            server.encrypt(authority)?;
        }
        server.run()?;
        Ok(server)
    }

    fn encrypt(&mut self, authority: &Authority) -> Result<()> {
        let [certificate, key] = authority.copy(self.folder.path())?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        if let Some((_, user, group)) = other_user()? {
            chown(&certificate, Some(user), Some(group))?;
            chown(&key, Some(user), Some(group))?;
        }
        self.settings.extend([
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ]);
        Ok(())
    }

    /// A program of the server's with its data folder, as the user who may run it.
    fn command(&self, program: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let mut command = Vec::new();
        if let Some((name, _, _)) = other_user()? {
            let switch = ["setpriv", "--reuid", name, "--regid", name, "--init-groups", "--"];
            // The group of `nobody` has another name.
            let switch = if name == "nobody" {
                &["setpriv", "--reuid=65534", "--clear-groups", "--"][..]
            } else {
                &switch
            };
            command.extend(switch.iter().map(|part| (*part).to_owned()));
        }
        command.push(programs()?.join(program).display().to_string());
        command.extend([
            "-D".to_owned(),
            self.folder.path().join("data").display().to_string(),
        ]);
        command.extend(arguments.iter().map(|part| (*part).to_owned()));
        Ok(command)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everybody is let in from this machine, as the owner of the server.
    pub fn url(&self) -> String {
        format!("postgres://bell@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder with the data, for what a test wants to put there.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`].
    pub fn run(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let port = self.port.to_string();
        let mut settings = vec![
            format!("unix_socket_directories={}", folder.display()),
            "listen_addresses=127.0.0.1".to_owned(),
            "max_connections=400".to_owned(),
            "logging_collector=off".to_owned(),
        ];
        settings.extend(self.settings.iter().cloned());
        let mut arguments = vec!["-p", &port];
        for setting in &settings {
            arguments.extend(["-c", setting]);
        }
        let command = self.command("postgres", &arguments)?;
        let process = Watched::start(&command[0], &command[1..])?;
        let end = Instant::now() + PATIENCE;
        while sql_at(&self.url(), "SELECT 1").is_err() {
            ensure!(process.is_alive(), "the server ended at once");
            ensure!(Instant::now() < end, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it in the middle of whatever it does, and its sessions with it.
    pub fn kill(&mut self) {
        // Sessions outlive a killed server for as long as they are busy; in this mode the server ends them first.
        self.end(Signal::QUIT);
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(process) = self.process.take() {
            process.signal(signal);
            let end = Instant::now() + PATIENCE;
            while (process.is_alive() || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok())
                && Instant::now() < end
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    pub fn sql(&self, sql: &str) -> Result<String> {
        sql_at(&self.url(), sql)
    }
}

/// Name, user and group to run as; `None` when tests do not run as root.
fn other_user() -> Result<Option<(&'static str, u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    for name in USERS {
        let number = |what: &str| -> Option<u32> {
            let output = Command::new("id").args([what, name]).output().ok()?;
            String::from_utf8_lossy(&output.stdout).trim().parse().ok()
        };
        if let (Some(user), Some(group)) = (number("-u"), number("-g")) {
            return Ok(Some((name, user, group)));
        }
    }
    bail!("a server does not run as root, and there is neither of the users {USERS:?}")
}
