//! Serves tools over HTTP on loopback, for suites that test the protocol: `mount STORE core|classic|all PORT`. Says its
//! address and stays until its stdin is closed.

#![expect(clippy::unwrap_used, reason = "a tool of tests")]

#[path = "../tests/it/mount.rs"]
mod mount;

use std::io::Read;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, set, port] = words.as_slice() else {
        eprintln!("mount STORE core|classic|all PORT");
        std::process::exit(2);
    };
    let set = mcp::Set::parse(set).unwrap();
    println!(
        "http://{}/mcp",
        mount::start(url, set, port.parse().unwrap()).await
    );
    let wait = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
}
