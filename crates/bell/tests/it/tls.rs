//! Servers behind TLS, with certificates of a moment: who they are is looked at, or nothing is said to them.

use std::path::Path;

use rig::tls::Authority;

use crate::bench::{Bench, Said};

/// Adds and lists a task; no file of certificates means those of the machine, which know nothing of ours.
fn try_it(bench: &Bench, url: &str, trusted: Option<&Path>) -> Said {
    let mut said = None;
    for args in [&["task", "add", "x", "--json"][..], &["task", "list", "--json"]] {
        let mut command = bench.command(&[&["--store", url], args].concat());
        command.env("XDG_STATE_HOME", bench.path());
        command.env_remove("SSL_CERT_DIR").env_remove("SSL_CERT_FILE");
        if let Some(file) = trusted {
            command.env("SSL_CERT_FILE", file);
        }
        said = Some(Said::of(&mut command));
    }
    said.unwrap()
}

#[track_caller]
fn is_refused(said: &Said) {
    assert_eq!(said.exit, 4, "{said:?}");
    let problem: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.to_lowercase().contains("certificate"), "{problem}");
}

// proves: DESIGN 7
#[test]
fn redis_is_spoken_to_when_its_certificate_is_right() {
    let authority = Authority::new().unwrap();
    let (server, url) = rig::redis::Server::encrypted(&authority).unwrap();
    let bench = Bench::new();
    let said = try_it(&bench, &url, Some(&authority.root()));
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("\"count\":1"), "{said:?}");
    is_refused(&try_it(&bench, &url, None));
    let other = Authority::new().unwrap();
    is_refused(&try_it(&bench, &url, Some(&other.root())));
    let by_number = url.replace("localhost", "127.0.0.1");
    is_refused(&try_it(&bench, &by_number, Some(&authority.root())));
    drop(server);
}

// proves: DESIGN 7
#[test]
fn postgres_is_spoken_to_when_its_certificate_is_right() {
    let authority = Authority::new().unwrap();
    let (server, url) = rig::postgres::Server::encrypted(&authority).unwrap();
    let bench = Bench::new();
    let with = |root: &Path| format!("{url}?sslmode=verify-full&sslrootcert={}", root.display());
    let said = try_it(&bench, &with(&authority.root()), None);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("\"count\":1"), "{said:?}");

    is_refused(&try_it(&bench, &format!("{url}?sslmode=verify-full"), None));
    let other = Authority::new().unwrap();
    is_refused(&try_it(&bench, &with(&other.root()), None));
    let by_number = with(&authority.root()).replace("localhost", "127.0.0.1");
    is_refused(&try_it(&bench, &by_number, None));
    drop(server);
}
