//! What is refused before anything is written.

use domain::code::{Code, Refusal};
use domain::store::Durability;
use rig::redis::Server;
use store::driver::Driver;
use store::redis::{Options, RedisDriver};

use super::{Space, options};

fn refused(url: &str, options: &Options) -> Refusal {
    RedisDriver::open(url, options).unwrap_err()
}

#[test]
fn what_a_server_keeps_is_compared_with_what_is_promised() {
    let full = Options {
        durability: Durability::Full,
        ..options()
    };
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]).unwrap();
    let refusal = refused(&server.url(), &full);
    assert_eq!(refusal.code, Code::StoreVolatile);
    assert!(refusal.detail.contains("appendfsync everysec"), "{refusal}");
    assert!(RedisDriver::open(&server.url(), &options()).is_ok());
    server
        .command(&["CONFIG", "SET", "appendfsync", "always"])
        .unwrap();
    assert!(RedisDriver::open(&server.url(), &full).is_ok());
    server.command(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    assert_eq!(refused(&server.url(), &options()).code, Code::StoreVolatile);
    let accepting = Options {
        accept_volatile: true,
        ..full
    };
    assert!(RedisDriver::open(&server.url(), &accepting).is_ok());
    let url = format!("{}?accept_volatile=true", server.url());
    let driver = RedisDriver::open(&url, &options()).unwrap();
    assert!(driver.info().url.ends_with("accept_volatile=true"));
    server
        .command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .unwrap();
    assert_eq!(refused(&url, &accepting).code, Code::StoreUnsuitable);
}

#[test]
fn a_store_is_made_only_when_asked_for() {
    let space = Space::shared();
    let existing = Options {
        create: false,
        ..options()
    };
    assert_eq!(refused(&space.url, &existing).code, Code::StoreNotFound);
    assert!(RedisDriver::open(&space.url, &options()).is_ok());
    assert!(RedisDriver::open(&space.url, &existing).is_ok());
}

#[test]
fn a_store_of_another_layout_is_left_alone() {
    let server = Server::durable().unwrap();
    server.command(&["SET", "{bell:bell}:schema", "999"]).unwrap();
    assert_eq!(refused(&server.url(), &options()).code, Code::StoreNewer);
    server.command(&["SET", "{bell:bell}:schema", "1"]).unwrap();
    assert_eq!(refused(&server.url(), &options()).code, Code::StoreUnsuitable);
    server.command(&["SET", "{bell:bell}:schema", "junk"]).unwrap();
    assert_eq!(refused(&server.url(), &options()).code, Code::StoreNotDatabase);
}

#[test]
fn passwords_are_asked_for_and_never_shown() {
    let server = Server::start(&["--requirepass", "s3cret", "--appendonly", "yes"]).unwrap();
    let right = server.url().replace("//", "//:s3cret@");
    let driver = RedisDriver::open(&right, &options()).unwrap();
    assert!(!format!("{driver:?} {:?}", driver.info()).contains("s3cret"));
    let wrong = server.url().replace("//", "//:wr0ng@");
    for url in [&wrong, &server.url()] {
        let refusal = refused(url, &options());
        assert_eq!(refusal.code, Code::StoreDenied, "{refusal}");
        assert!(!format!("{refusal:?}").contains("wr0ng"));
    }
}

#[test]
fn a_replica_is_refused() {
    let primary = Server::durable().unwrap();
    let port = primary.port().to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port, "--appendonly", "yes"]).unwrap();
    assert_eq!(refused(&replica.url(), &options()).code, Code::StoreReadOnly);
}

#[test]
fn a_user_who_may_not_look_at_settings_must_accept_that() {
    let server = Server::durable().unwrap();
    let rules = [
        "ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", "-config",
    ];
    server.command(&rules).unwrap();
    let url = server.url().replace("//", "//ann:pw@");
    assert_eq!(refused(&url, &options()).code, Code::StoreVolatile);
    assert!(RedisDriver::open(&format!("{url}?accept_volatile=true"), &options()).is_ok());
}

#[test]
fn nobody_at_the_address_is_told_at_once() {
    let mut server = Server::durable().unwrap();
    server.stop();
    let refusal = refused(&server.url(), &options());
    assert_eq!(refusal.code, Code::StoreUnavailable);
    assert!(refusal.detail.contains(&server.port().to_string()), "{refusal}");
}
