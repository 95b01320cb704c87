//! A server on a free port over a store in memory, and a client that knows nothing of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::home::Home;
use engine::worker::{self, Pace};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use server::{Options, Server};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) pace: watch::Sender<Pace>,
    pub(crate) served: JoinHandle<domain::store::Result<()>>,
    _folder: TempDir,
}

fn fresh() -> domain::store::Result<Arc<dyn domain::store::Store>> {
    store::open("memory:", store::Options::default())
}

pub(crate) fn options() -> Options {
    Options::new(fresh)
}

pub(crate) fn engine() -> (Engine, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine {
        store: store::open("memory:", store::Options::default()).unwrap(),
        project: domain::id::Project::default(),
        clock: Arc::new(SystemClock),
        home: Home::new(folder.path().join(".bellwether")),
        actor: "user:test".into(),
    };
    (engine, folder)
}

impl Lab {
    pub(crate) async fn new() -> Lab {
        Lab::with(options()).await
    }

    pub(crate) async fn with(options: Options) -> Lab {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (engine, folder) = engine();
        let (pace, paced) = watch::channel(Pace::Work);
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..options
        };
        let workers = worker::Options {
            jobs: 0,
            ..worker::Options::default()
        };
        let server = Server::open(engine.clone(), options, workers, paced)
            .await
            .unwrap();
        Lab {
            engine,
            address: server.address,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            pace,
            served: tokio::spawn(server.run()),
            _folder: folder,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        told(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        told(self.request(Method::POST, path).json(body)).await
    }

    /// The answer of an operation that succeeds.
    pub(crate) async fn ok(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub(crate) async fn see(&self, path: &str) -> Value {
        let (status, answer) = self.get(path).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

/// Status and document of an answer.
pub(crate) async fn told(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}

/// Code and status of a refusal.
pub(crate) fn refused((status, problem): (StatusCode, Value)) -> (String, u16) {
    assert_eq!(problem["status"], status.as_u16(), "{problem}");
    (problem["code"].as_str().unwrap().to_owned(), status.as_u16())
}
