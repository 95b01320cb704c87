//! Opening: everything that can be wrong with a server is found here, before anything is written to it.

use domain::code::{Code, Refusal};
use domain::store::{Durability, Info, LeaseClock, Result};

use super::batch::Batch;
use super::fault::{Fault, answered};
use super::keys;
use super::link::{Link, Place};
use super::url::{self, Asked};
use super::{Clock, Options};
use crate::patience::Patience;
use redis::Value;
use std::time::Duration;

/// The number of the layout that this version writes.
const SCHEMA: u32 = 2;
/// The first version of the server with everything that is used.
const SERVER: u32 = 7;

pub(super) struct Found {
    pub(super) place: Place,
    pub(super) prefix: String,
    pub(super) info: Info,
}

pub(super) fn open(url: &str, options: &Options) -> Result<Found> {
    let asked = url::parse(url)?;
    let place = Place::new(&asked.server, asked.shown.clone())?;
    let mut link = Link::new(place.clone());
    let mut patience = Patience::new(
        options.patience,
        Duration::from_millis(50),
        Duration::from_secs(1),
    );
    let durability = loop {
        match examine(&mut link, &asked, options) {
            Ok(durability) => break durability,
            Err(Fault::Refused(refusal)) => return Err(refusal),
            // A server that is starting, or was there a moment ago, is worth waiting for; one that is not there is not.
            Err(fault) => {
                let worth = link.reached || matches!(fault, Fault::Later(_));
                if !(worth && patience.wait()) {
                    return Err(fault.refusal());
                }
            }
        }
    };
    Ok(Found {
        place,
        prefix: asked.prefix,
        info: Info {
            url: asked.shown,
            engine: "redis",
            durability,
            schema: SCHEMA,
            leases: match options.clock {
                Clock::Server => LeaseClock::Server,
                Clock::Caller => LeaseClock::Machine,
            },
        },
    })
}

fn examine(link: &mut Link, asked: &Asked, options: &Options) -> std::result::Result<Durability, Fault> {
    let about = about(link)?;
    version(&about)?;
    if field(&about, "loading") == Some("1") {
        return Err(Fault::Later("the server is loading its data".to_owned()));
    }
    if field(&about, "role") == Some("slave") {
        return Err(Refusal::new(
            Code::StoreReadOnly,
            format!("{} is a replica, which cannot be written", asked.shown),
        )
        .help("use the address of the primary")
        .into());
    }
    let settings = settings(link)?;
    let accept = options.accept_volatile || asked.accept_volatile;
    let durability = persistence(&settings, asked, options.durability, accept)?;
    schema(link, asked, options.create)?;
    Ok(durability)
}

fn about(link: &mut Link) -> std::result::Result<String, Fault> {
    let mut batch = Batch::default();
    for section in ["server", "persistence", "replication"] {
        batch.put(&[b"INFO", section.as_bytes()]);
    }
    let mut answers = link.ask("", &batch)?;
    let mut about = String::new();
    for _ in 0..3 {
        about += &String::from_utf8_lossy(&answers.bytes()?.unwrap_or_default());
    }
    Ok(about)
}

fn field<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = about.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
}

fn version(about: &str) -> Result<()> {
    let version = field(about, "redis_version").unwrap_or("unknown");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= SERVER) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::StoreUnsuitable,
        format!("the server's version is {version}, and {SERVER} is the first that will do"),
    ))
}

/// `None` when the server does not tell.
#[derive(Debug)]
struct Settings {
    eviction: Option<String>,
    appendonly: Option<String>,
    appendfsync: Option<String>,
}

fn settings(link: &mut Link) -> std::result::Result<Settings, Fault> {
    let mut batch = Batch::default();
    let names = ["maxmemory-policy", "appendonly", "appendfsync"];
    for name in names {
        batch.put(&[b"CONFIG", b"GET", name.as_bytes()]);
    }
    let mut found = Vec::with_capacity(names.len());
    for value in link.exchange("", &batch)? {
        found.push(match value {
            Value::Array(pair) => match pair.into_iter().nth(1) {
                Some(Value::BulkString(bytes)) => String::from_utf8(bytes).ok(),
                _ => None,
            },
            // Managed servers often forbid or hide this command.
            Value::ServerError(error) => match answered(&error) {
                Fault::Later(why) => return Err(Fault::Later(why)),
                _ => None,
            },
            _ => None,
        });
    }
    let mut found = found.into_iter();
    let mut next = || found.next().flatten();
    Ok(Settings {
        eviction: next(),
        appendonly: next(),
        appendfsync: next(),
    })
}

/// What the server keeps, if that is enough.
fn persistence(settings: &Settings, asked: &Asked, wanted: Durability, accept: bool) -> Result<Durability> {
    if let Some(policy) = settings
        .eviction
        .as_deref()
        .filter(|policy| *policy != "noeviction")
    {
        return Err(Refusal::new(
            Code::StoreUnsuitable,
            format!("the server throws keys away when its memory is full (`maxmemory-policy {policy}`)"),
        )
        .help("set `maxmemory-policy noeviction` on the server"));
    }
    let (appendonly, fsync) = (settings.appendonly.as_deref(), settings.appendfsync.as_deref());
    let kept = match (appendonly, fsync) {
        (Some("yes"), Some("always")) => Some(Durability::Full),
        (Some("yes"), Some("everysec")) => Some(Durability::Relaxed),
        _ => None,
    };
    let enough = kept == Some(Durability::Full) || kept.is_some() && wanted == Durability::Relaxed;
    if enough {
        return Ok(wanted);
    }
    let known = appendonly.is_some() && fsync.is_some();
    let state = if known {
        format!(
            "the server has `appendonly {}` and `appendfsync {}`",
            appendonly.unwrap_or_default(),
            fsync.unwrap_or_default()
        )
    } else {
        "the server does not tell how it keeps what it acknowledges (`CONFIG GET` is forbidden)".to_owned()
    };
    if accept {
        tracing::warn!(
            url = asked.shown,
            "{state}; accepted as it is: acknowledged work may be lost with the server"
        );
        return Ok(Durability::Relaxed);
    }
    let needed = match wanted {
        Durability::Full => "`appendonly yes` and `appendfsync always`",
        Durability::Relaxed => "`appendonly yes` and `appendfsync everysec`",
    };
    let detail = format!("{state}; durability `{}` needs {needed}", wanted.as_str());
    Err(Refusal::new(Code::StoreVolatile, detail).help(
        "change the server, ask for less (`durability = \"relaxed\"`), or accept it with `--accept-volatile`",
    ))
}

/// Notes the layout's number in a store that has none; refuses any other.
fn schema(link: &mut Link, asked: &Asked, create: bool) -> std::result::Result<(), Fault> {
    let key = keys::schema(&asked.prefix);
    let tag = String::from_utf8_lossy(&key).into_owned();
    let mut batch = Batch::default();
    if create {
        batch.put(&[b"SET", &key, SCHEMA.to_string().as_bytes(), b"NX"]);
    }
    batch.put(&[b"GET", &key]);
    let mut answers = link.fetch(&tag, &batch)?;
    answers.skip(usize::from(create))?;
    let Some(found) = answers.bytes()? else {
        return Err(Refusal::new(
            Code::StoreNotFound,
            format!("there is no store at {}", asked.shown),
        )
        .into());
    };
    let text = String::from_utf8_lossy(&found);
    match text.parse::<u32>() {
        Ok(SCHEMA) => Ok(()),
        Ok(schema) if schema > SCHEMA => Err(Refusal::new(
            Code::StoreNewer,
            format!("{} has schema {schema}, this binary knows {SCHEMA}", asked.shown),
        )
        .into()),
        Ok(schema @ 1..SCHEMA) => Err(Refusal::new(
            Code::StoreUnsuitable,
            format!("{} has schema {schema}, from before the first release, this binary knows {SCHEMA}", asked.shown),
        )
        .help("copy it to a file with the version that made it (`bell store copy`), and from there to another prefix")
        .into()),
        _ => Err(Refusal::new(
            Code::StoreNotDatabase,
            format!("{} holds keys of another program under this prefix", asked.shown),
        )
        .into()),
    }
}
