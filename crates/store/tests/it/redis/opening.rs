//! What is refused before anything is written.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

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

/// The first connection to `server` breaks once it has greeted; the others do not.
fn breaks_once(server: &Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), server.port());
    std::thread::spawn(move || {
        for (at, caller) in listener.incoming().enumerate() {
            let caller = caller.unwrap();
            let called = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut asks, mut asked) = (caller.try_clone().unwrap(), called.try_clone().unwrap());
            let (mut answers, mut answered) = (called, caller);
            std::thread::spawn(move || {
                if at == 0 {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = asks.read(&mut bytes) {
                        if bytes[..count].windows(8).any(|eight| eight == b"\r\nINFO\r\n") {
                            break;
                        }
                        asked.write_all(&bytes[..count]).unwrap();
                    }
                    drop(asks.shutdown(Shutdown::Both));
                } else {
                    drop(std::io::copy(&mut asks, &mut asked));
                }
                drop(asked.shutdown(Shutdown::Both));
            });
            std::thread::spawn(move || drop(std::io::copy(&mut answers, &mut answered)));
        }
    });
    port
}

#[test]
fn a_server_that_was_there_a_moment_ago_is_waited_for() {
    let server = Server::durable().unwrap();
    let url = format!("redis://127.0.0.1:{}", breaks_once(&server));
    RedisDriver::open(&url, &options()).unwrap();
}
