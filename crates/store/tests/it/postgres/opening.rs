//! What is refused before anything is written, and what opening makes.

use domain::code::{Code, Refusal};
use domain::store::{Durability, LeaseClock};
use rig::postgres::{Server, sql_at};
use store::driver::Driver;
use store::postgres::{Clock, Options, PgDriver};

use super::{Space, options};

fn refused(url: &str, options: &Options) -> Refusal {
    PgDriver::open(url, options).unwrap_err()
}

#[test]
fn a_store_is_made_only_when_asked_for() {
    let space = Space::shared();
    let existing = Options {
        create: false,
        ..options()
    };
    assert_eq!(refused(&space.url, &existing).code, Code::StoreNotFound);
    assert!(PgDriver::open(&space.url, &options()).is_ok());
    assert!(PgDriver::open(&space.url, &existing).is_ok());
}

#[test]
fn many_who_open_at_once_make_one_store() {
    let space = Space::shared();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| PgDriver::open(&space.url, &options()).map(drop));
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[test]
fn a_newer_store_and_a_foreign_one_are_left_alone() {
    let space = Space::shared();
    PgDriver::open(&space.url, &options()).unwrap();
    let schema = space.url.rsplit_once("schema=").unwrap().1;
    let set = |version: &str| {
        sql_at(
            &space.url,
            &format!("UPDATE {schema}.meta SET value = '{version}' WHERE name = 'schema'"),
        )
        .unwrap();
    };
    set("999");
    assert_eq!(refused(&space.url, &options()).code, Code::StoreNewer);
    set("junk");
    assert_eq!(refused(&space.url, &options()).code, Code::StoreNotDatabase);
    sql_at(
        &space.url,
        &format!("DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}; CREATE TABLE {schema}.customers (name text)"),
    )
    .unwrap();
    let refusal = refused(&space.url, &options());
    assert_eq!(refusal.code, Code::StoreNotDatabase);
    assert!(refusal.help.unwrap().contains("schema="));
    assert_eq!(
        sql_at(&space.url, &format!("SELECT count(*) FROM {schema}.customers")).unwrap(),
        "0"
    );
}

#[test]
fn what_a_server_keeps_is_compared_with_what_is_promised() {
    let server = Server::start(&["fsync=off"]).unwrap();
    assert_eq!(refused(&server.url(), &options()).code, Code::StoreVolatile);
    let accepting = Options {
        accept_volatile: true,
        durability: Durability::Full,
        ..options()
    };
    let driver = PgDriver::open(&server.url(), &accepting).unwrap();
    assert_eq!(
        driver.info().durability,
        Durability::Relaxed,
        "it promises no more than the server does"
    );
    let forbid = "ALTER DATABASE postgres SET default_transaction_read_only = on";
    server.sql(forbid).unwrap();
    assert_eq!(refused(&server.url(), &accepting).code, Code::StoreReadOnly);
}

#[test]
fn passwords_are_asked_for_and_never_shown() {
    let server = Server::start(&[]).unwrap();
    for sql in [
        "CREATE ROLE ann LOGIN PASSWORD 's3cr@t'",
        "CREATE DATABASE team OWNER ann",
        "CREATE ROLE eve LOGIN PASSWORD 'pw'",
    ] {
        server.sql(sql).unwrap();
    }
    std::fs::write(
        server.data().join("pg_hba.conf"),
        "host all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    let port = server.port();
    let url = |user: &str, database: &str| format!("postgres://{user}@127.0.0.1:{port}/{database}");
    // From now on nobody is let in without a password.
    assert_eq!(server.sql("SELECT pg_reload_conf()").unwrap(), "t");
    while server.sql("SELECT 1").is_ok() {
        std::thread::yield_now();
    }
    let driver = PgDriver::open(&url("ann:s3cr%40t", "team"), &options()).unwrap();
    assert_eq!(driver.info().leases, LeaseClock::Machine);
    assert!(!format!("{driver:?} {:?}", driver.info()).contains("s3cr"));
    for (url, code) in [
        (url("ann:wr0ng", "team"), Code::StoreDenied),
        (url("ann", "team"), Code::StoreDenied),
        (url("nobody:wr0ng", "team"), Code::StoreDenied),
        (url("ann:s3cr%40t", "teem"), Code::StoreNotFound),
        (url("eve:pw", "team"), Code::StoreDenied),
    ] {
        let refusal = refused(&url, &options());
        assert_eq!(refusal.code, code, "{refusal}");
        let shown = format!("{refusal:?}");
        assert!(!shown.contains("wr0ng") && !shown.contains("s3cr"), "{shown}");
    }
}

#[test]
fn nobody_at_the_address_is_told_at_once() {
    let mut server = Server::start(&[]).unwrap();
    server.stop();
    let refusal = refused(&server.url(), &options());
    assert_eq!(refusal.code, Code::StoreUnavailable);
    assert!(refusal.detail.contains(&server.port().to_string()), "{refusal}");
}

#[test]
fn leases_go_by_the_clock_of_the_server() {
    let space = Space::shared();
    let options = Options {
        clock: Clock::Server,
        ..options()
    };
    let driver = PgDriver::open(&space.url, &options).unwrap();
    assert_eq!(driver.info().leases, LeaseClock::Server);
}
