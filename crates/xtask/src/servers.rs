//! The servers that tests share.

use anyhow::Result;
use rig::{postgres, rabbit, redis};

/// They end when this is dropped.
pub(crate) struct Servers {
    redis: redis::Server,
    postgres: postgres::Server,
}

impl Servers {
    pub(crate) fn start() -> Result<Servers> {
        // Tests start brokers of their own, and have no time to fetch one.
        rabbit::install()?;
        // What tests of power loss need they start for themselves.
        let redis = redis::Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"])?;
        let postgres = postgres::Server::start(&[])?;
        Ok(Servers { redis, postgres })
    }

    /// What tests look for in their environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            (redis::SHARED, self.redis.url()),
            (postgres::SHARED, self.postgres.url()),
        ]
    }
}

/// Keeps them for whoever runs tests by hand, until the input ends.
pub(crate) fn run() -> Result<bool> {
    let servers = Servers::start()?;
    for (name, value) in servers.variables() {
        println!("export {name}={value}");
    }
    eprintln!("they end with this program: Ctrl-D or Ctrl-C");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(true)
}
