//! The store under the script, and what can be done to it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Engine;
use super::hog::Hogs;
use crate::watched::Watched;
use crate::{postgres, redis};

/// Connections of the server; few enough to use them all up.
const CONNECTIONS: usize = 60;
/// Long enough for waiting to matter, and far from the patience of a process.
const AWAY: Duration = Duration::from_secs(2);
const CUTS: u32 = 12;

pub(super) enum Ground {
    Sqlite(SmallDisk),
    Postgres(postgres::Server),
    Redis(redis::Server),
}

impl Ground {
    pub(super) fn start(engine: Engine) -> Result<Ground> {
        Ok(match engine {
            Engine::Sqlite => Ground::Sqlite(SmallDisk::mount()?),
            Engine::Postgres => Ground::Postgres(postgres::Server::start(&[&format!(
                "max_connections={CONNECTIONS}"
            )])?),
            Engine::Redis => Ground::Redis(redis::Server::durable()?),
        })
    }

    pub(super) fn url(&self) -> String {
        match self {
            Ground::Sqlite(disk) => format!("sqlite:{}", disk.path().join("bell.db").display()),
            Ground::Postgres(server) => server.url(),
            Ground::Redis(server) => server.url(),
        }
    }

    /// A program that reaches the store, in `folder`.
    pub(super) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = match self {
            Ground::Sqlite(disk) => disk.command(program, folder),
            _ => Command::new(program),
        };
        command.current_dir(folder);
        command
    }

    /// Kills the server and starts it again. False where there is none.
    pub(super) fn crash(&mut self) -> Result<bool> {
        match self {
            Ground::Sqlite(_) => return Ok(false),
            Ground::Postgres(server) => {
                server.kill();
                sleep(AWAY);
                server.run()?;
            }
            Ground::Redis(server) => {
                server.kill();
                sleep(AWAY);
                server.run()?;
            }
        }
        Ok(true)
    }

    pub(super) fn cut(&self) -> Result<()> {
        for _ in 0..CUTS {
            match self {
                Ground::Sqlite(_) => bail!("a file has no connections"),
                Ground::Postgres(server) => drop(server.sql(END_SESSIONS)?),
                Ground::Redis(server) => drop(server.command(&["CLIENT", "KILL", "TYPE", "normal"])?),
            }
            sleep(AWAY / CUTS);
        }
        Ok(())
    }

    /// Takes all the room there is.
    pub(super) fn fill(&self) -> Result<()> {
        match self {
            Ground::Sqlite(disk) => disk.sh("cat /dev/zero > filler 2>/dev/null; true"),
            Ground::Redis(server) => server.command(&["CONFIG", "SET", "maxmemory", "1"]).map(drop),
            // The server answers as it does when the disk has no room for a table.
            Ground::Postgres(server) => server.sql(NO_ROOM).map(drop),
        }
    }

    /// Gives it back.
    pub(super) fn relieve(&self) -> Result<()> {
        match self {
            Ground::Sqlite(disk) => disk.sh("rm filler"),
            Ground::Redis(server) => server.command(&["CONFIG", "SET", "maxmemory", "0"]).map(drop),
            Ground::Postgres(server) => server.sql("DROP FUNCTION no_room CASCADE").map(drop),
        }
    }

    /// Leaves no connection to anybody for a while; on a file, no turn to write.
    pub(super) fn crowd(&self) -> Result<()> {
        match self {
            Ground::Sqlite(disk) => disk.sh("flock bell.db.write sleep 2"),
            Ground::Postgres(server) => {
                let mut hogs = Hogs::of_postgres(server.port())?;
                until(AWAY, || hogs.crowd_postgres(CONNECTIONS))
            }
            Ground::Redis(server) => {
                let mut hogs = Hogs::of_redis(server.port())?;
                hogs.ask_redis(&["CONFIG", "SET", "maxclients", "1"])?;
                until(AWAY, || hogs.ask_redis(&["CLIENT", "KILL", "TYPE", "normal"]))?;
                hogs.ask_redis(&["CONFIG", "SET", "maxclients", "10000"])
            }
        }
    }
}

/// Does it again and again for so long.
fn until(span: Duration, mut act: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + span;
    while Instant::now() < end {
        act()?;
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

const NO_ROOM: &str = "\
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS \
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
CREATE TRIGGER no_room BEFORE INSERT ON bellwether.event EXECUTE FUNCTION no_room()";

/// A file system of a few megabytes that only its own processes see, and that is gone with its owner.
pub(super) struct SmallDisk {
    folder: TempDir,
    holder: Watched,
}

const HOLD: &str = "mount -t tmpfs -o size=96m,mode=777 bell \"$0\" && sleep 100000";

impl SmallDisk {
    fn mount() -> Result<SmallDisk> {
        let folder = tempfile::tempdir()?;
        let mut arguments: Vec<String> = vec!["--mount".to_owned()];
        if !rustix::process::getuid().is_root() {
            arguments.extend(["--user".to_owned(), "--map-root-user".to_owned()]);
        }
        arguments.extend(["sh", "-c", HOLD].map(str::to_owned));
        arguments.push(folder.path().display().to_string());
        let disk = SmallDisk {
            holder: Watched::start("unshare", &arguments)?,
            folder,
        };
        let end = Instant::now() + Duration::from_secs(10);
        while disk.sh("mountpoint -q .").is_err() {
            ensure!(disk.holder.is_alive(), "no file system may be mounted here");
            ensure!(Instant::now() < end, "the file system is not mounted");
            sleep(Duration::from_millis(10));
        }
        Ok(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()));
        if !rustix::process::getuid().is_root() {
            command.args([
                &format!("--user=/proc/{}/ns/user", self.holder.pid()),
                "--preserve-credentials",
            ]);
        }
        // Whoever enters is in another folder first. The process stays the same.
        command.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]);
        command.arg(folder).arg(program);
        command
    }

    fn sh(&self, line: &str) -> Result<()> {
        let output = self
            .command(Path::new("sh"), self.path())
            .args(["-c", line])
            .stdin(Stdio::null())
            .output()
            .context("entering the file system")?;
        ensure!(
            output.status.success(),
            "`{line}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

pub(super) const END_SESSIONS: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'bellwether'";
