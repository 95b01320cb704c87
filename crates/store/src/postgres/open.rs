//! Opening: everything that can be wrong with a server is found here, before anything is written to it.

use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::store::{Durability, Info, LeaseClock, Result};
use tokio_postgres::Row;

use super::fault::{Fault, Sql};
use super::link::{Link, Place};
use super::migrate::{self, Found};
use super::url::{self, Asked};
use super::{Clock, Options};
use crate::patience::Patience;

/// The first version of the server with everything that is used.
const SERVER: i32 = 15;

const ABOUT: &str = "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), \
     pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on', \
     current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'";

pub(super) struct Opened {
    pub(super) place: Place,
    pub(super) info: Info,
}

pub(super) fn open(url: &str, options: &Options) -> Result<Opened> {
    let asked = url::parse(url)?;
    let place = Place::new(&asked)?;
    let mut link = Link::new(
        place.clone(),
        "BEGIN",
        &[
            ("statement_timeout", "30s"),
            ("lock_timeout", "30s"),
            ("client_min_messages", "warning"),
        ],
    );
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
    Ok(Opened {
        place,
        info: Info {
            url: asked.shown,
            engine: "postgres",
            durability,
            schema: migrate::LATEST,
            leases: match options.clock {
                Clock::Server => LeaseClock::Server,
                Clock::Caller => LeaseClock::Machine,
            },
        },
    })
}

fn examine(link: &mut Link, asked: &Asked, options: &Options) -> Sql<Durability> {
    let rows = link.ask(&[], ABOUT, &[])?;
    let row = rows
        .first()
        .ok_or_else(|| Fault::Lost("the server says nothing".to_owned()))?;
    version(row)?;
    let shown = &asked.shown;
    if row.try_get::<_, bool>(2)? || row.try_get::<_, bool>(3)? {
        return Err(Refusal::new(
            Code::StoreReadOnly,
            format!("{shown} is a replica or is set to be read only"),
        )
        .help("use the address of the primary")
        .into());
    }
    let durability = persistence(row.try_get(4)?, asked, options)?;
    match migrate::look(link)? {
        Found::Current => {}
        Found::Newer(schema) => {
            return Err(Refusal::new(
                Code::StoreNewer,
                format!(
                    "{shown} has schema {schema}, this binary knows {}",
                    migrate::LATEST
                ),
            )
            .into());
        }
        Found::Foreign => {
            return Err(Refusal::new(
                Code::StoreNotDatabase,
                format!("the schema `{}` holds tables of another program", asked.schema),
            )
            .help("name another one with `?schema=NAME`")
            .into());
        }
        Found::Nothing if !options.create => {
            return Err(Refusal::new(Code::StoreNotFound, format!("there is no store at {shown}")).into());
        }
        Found::Nothing | Found::Older(_) => migrate::bring_up(link)?,
    }
    Ok(durability)
}

fn version(row: &Row) -> Sql<()> {
    let number: i32 = row.try_get(0)?;
    if number / 10_000 >= SERVER {
        return Ok(());
    }
    let version: String = row.try_get(1)?;
    Err(Refusal::new(
        Code::StoreUnsuitable,
        format!("the server's version is {version}, and {SERVER} is the first that will do"),
    )
    .into())
}

/// What the server keeps, if that is enough.
fn persistence(keeps: bool, asked: &Asked, options: &Options) -> Result<Durability> {
    if keeps {
        return Ok(options.durability);
    }
    let state = "the server runs with `fsync` or `full_page_writes` switched off";
    if options.accept_volatile || asked.accept_volatile {
        tracing::warn!(
            url = asked.shown,
            "{state}; accepted as it is: everything may be lost with the machine"
        );
        return Ok(Durability::Relaxed);
    }
    Err(Refusal::new(Code::StoreVolatile, state)
        .help("switch both on, or accept it with `--accept-volatile`"))
}
