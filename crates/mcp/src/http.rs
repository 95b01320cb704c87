//! Sessions over streamable HTTP, as a tower service that a server mounts under a path.
//!
//! Whoever mounts it puts a [`Caller`](crate::Caller) into the extensions of each request, once it knows who calls.
//! Protocol versions with sessions get one each, which holds leases as one over stdio does. The newest version has none:
//! there each request is on its own and brings the tokens of the leases that it is about.

use std::sync::Arc;
use std::time::Duration;

use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};

use crate::server::Server;
use crate::session::Setup;

/// What to mount, for example with `Router::nest_service("/mcp", …)`.
pub type Service = StreamableHttpService<Server, LocalSessionManager>;

/// A session whose client has not been heard of for this long is closed; its leases then run out.
const SILENCE_MAX: Duration = Duration::from_secs(2 * 3_600);

/// Pages of this machine itself, on any port.
const LOOPBACK: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// `hosts` are the names under which the server may be called, `origins` the pages whose scripts may call it; both
/// beside those of loopback.
pub fn service(setup: Setup, hosts: Vec<String>, origins: Vec<String>) -> Service {
    let mut sessions = LocalSessionManager::default();
    sessions.session_config = SessionConfig::default();
    sessions.session_config.keep_alive = Some(SILENCE_MAX);
    let origins = LOOPBACK.iter().map(|&own| own.to_owned()).chain(origins);
    let mut config = StreamableHttpServerConfig::default()
        .with_allowed_origins(origins)
        .enforce_origin_validation();
    config.allowed_hosts.extend(hosts);
    StreamableHttpService::new(move || Ok(Server::new(setup.clone())), Arc::new(sessions), config)
}
