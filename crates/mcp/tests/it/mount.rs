//! A listener on loopback with nothing but the tools, as a server would mount them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use domain::id::Project;
use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::home::Home;
use mcp::{Caller, Rights, Set, Setup, http};

/// Serves the tools of `set` under `/mcp` on `port`, or on any that is free for 0.
pub(crate) async fn start(url: &str, set: Set, port: u16) -> SocketAddr {
    let setup = Setup {
        engine: engine(url),
        tools: set,
        agent: None,
        capabilities: Vec::new(),
        ttl: Duration::from_secs(60),
        rights: Rights::Operate,
        extra: None,
    };
    let tools = http::service(setup, Vec::new(), Vec::new());
    let app = Router::new()
        .nest_service("/mcp", tools)
        .layer(middleware::from_fn(introduce));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

pub(crate) fn engine(url: &str) -> Engine {
    let options = store::Options {
        create: true,
        ..store::Options::default()
    };
    Engine {
        store: store::open(url, options).unwrap(),
        project: Project::default(),
        clock: Arc::new(SystemClock),
        home: Home::new(std::env::temp_dir()),
        actor: "user:test".into(),
    }
}

/// Stands in for a server that knows its callers by their tokens.
async fn introduce(mut request: Request, next: Next) -> Response {
    let named = request
        .headers()
        .get("x-caller")
        .and_then(|name| name.to_str().ok());
    if let Some(name) = named.map(str::to_owned) {
        let rights = match name.as_str() {
            "reader" => Rights::Read,
            _ => Rights::Work,
        };
        let actor = format!("token:{name}").into();
        request.extensions_mut().insert(Caller { actor, rights });
    }
    next.run(request).await
}
