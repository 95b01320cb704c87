//! Requests to one server, and what becomes of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::answer::Printed;
use api::problem::Told;
use api::remote::{CHANGED_WAIT, Call, VERSION, VERSION_HEADER};
use domain::code::{Code, Refusal};
use domain::id::{Project, TaskId, Token};
use domain::store::Result;
use domain::time::show_duration;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use crate::reach::Reach;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, beside what the server holds it back.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that is idle for longer is not used again: a server hangs up after 10 s, and must not do so just when something
/// is sent that cannot be sent twice.
const IDLE: Duration = Duration::from_secs(5);
/// Tries of a request that changes nothing.
const TRIES: u32 = 3;
/// Between the first and the second; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// A token; it prints as stars.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug)]
pub struct Link {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
    /// Shared by all who ask this server.
    reach: Arc<Reach>,
}

impl Link {
    /// To a server by its URL, such as `https://bell.example:7717`. Connects when something is asked.
    pub fn new(url: &str, token: Option<Secret>) -> Result<Link> {
        let base = url.trim_end_matches('/');
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            let detail = format!("`{}` is no URL of a server", url.escape_debug());
            return Err(
                Refusal::new(Code::InvalidArgument, detail).help("write for example http://127.0.0.1:7717")
            );
        }
        // Somebody else in this process may have chosen already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE + CHANGED_WAIT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Refusal::new(Code::Internal, format!("no HTTP client: {e}")))?;
        Ok(Link {
            http,
            base: base.to_owned(),
            token,
            reach: Arc::default(),
        })
    }

    pub fn url(&self) -> &str {
        &self.base
    }

    /// How much longer a server that is away is left alone.
    pub(crate) fn rest(&self) -> Duration {
        self.reach.rest()
    }

    /// Carries out a verb that changes nothing; tried again when the connection breaks.
    pub(crate) async fn look<T: DeserializeOwned>(&self, project: &Project, call: &Call) -> Result<T> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.ask(project, call).await {
                Err(refusal) if refusal.code == Code::ServerUnreachable => tokio::time::sleep(pause).await,
                told => return told,
            }
            pause *= 2;
        }
        self.ask(project, call).await
    }

    /// Carries out a verb once.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, project: &Project, call: &Call) -> Result<T> {
        let request = self.verb(project, call)?;
        self.send(request).await
    }

    /// The same without leaving a server alone that is away: a lease ends meanwhile.
    pub(crate) async fn insist<T: DeserializeOwned>(&self, project: &Project, call: &Call) -> Result<T> {
        let request = self.verb(project, call)?;
        self.deliver(request).await
    }

    fn verb(&self, project: &Project, call: &Call) -> Result<RequestBuilder> {
        let body = serde_json::to_vec(call)
            .map_err(|e| Refusal::new(Code::Internal, format!("a request cannot be written: {e}")))?;
        let request = self.http.post(format!("{}/v1/store", self.base));
        Ok(request
            .query(&[("project", project.as_str())])
            .header(VERSION_HEADER, VERSION)
            .header("content-type", "application/json")
            .body(body))
    }

    /// Asks an operation that is described, by its path and query.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.send(self.http.get(format!("{}{path}", self.base)).query(query))
            .await
    }

    /// Adds to what an attempt printed; answers how far the output then goes.
    pub(crate) async fn print(
        &self,
        project: &Project,
        task: &TaskId,
        token: Token,
        at: u64,
        output: String,
    ) -> Result<u64> {
        let body = serde_json::json!({ "token": token, "at": at, "output": output });
        let mut url = self.http_url()?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["v1", "tasks", &task.to_string(), "output"]);
        }
        let request = self
            .http
            .post(url)
            .query(&[("project", project.as_str())])
            .json(&body);
        let printed: Printed = self.send(request).await?;
        Ok(printed.bytes)
    }

    fn http_url(&self) -> Result<reqwest::Url> {
        reqwest::Url::parse(&self.base)
            .map_err(|e| Refusal::new(Code::InvalidArgument, format!("`{}` is no URL: {e}", self.base)))
    }

    /// Asks an operation about one task.
    pub async fn get_of_task<T: DeserializeOwned>(
        &self,
        task: &TaskId,
        what: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        let mut url = self.http_url()?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["v1", "tasks", &task.to_string(), what]);
        }
        self.send(self.http.get(url).query(query)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let rest = self.rest();
        if !rest.is_zero() {
            let pause = show_duration(rest);
            let detail = format!("{} could not be reached; it is asked again in {pause}", self.base);
            return Err(unreachable(detail));
        }
        self.deliver(request).await
    }

    async fn deliver<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let request = match &self.token {
            Some(Secret(token)) => request.bearer_auth(token),
            None => request,
        };
        let begun = Instant::now();
        let answer = request.send().await.map_err(|e| self.failed(begun, &e))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|e| self.failed(begun, &e))?;
        self.reach.answered(&self.base);
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|e| self.foreign(&e.to_string()));
        }
        match serde_json::from_slice::<Told>(&bytes) {
            Ok(told) => Err(told.into()),
            Err(_) => Err(self.foreign(&format!("status {status}"))),
        }
    }

    fn failed(&self, begun: Instant, error: &reqwest::Error) -> Refusal {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let refusal = unreachable(format!("{} cannot be reached: {cause}", self.base));
        self.reach.failed(begun, &self.base, &refusal);
        refusal
    }

    fn foreign(&self, what: &str) -> Refusal {
        let detail = format!(
            "{} does not answer like this version of Bellwether: {what}",
            self.base
        );
        Refusal::new(Code::ServerVersion, detail)
    }
}

fn unreachable(detail: String) -> Refusal {
    Refusal::new(Code::ServerUnreachable, detail).help("check the URL, and that `bell serve` runs there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    // proves: DESIGN 5
    #[tokio::test]
    async fn a_lease_is_held_on_to_while_a_server_that_is_away_is_left_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let link = Link::new(&format!("http://{address}"), None).unwrap();
        let (project, call) = (Project::default(), Call::Change(Vec::new()));
        while link.rest().is_zero() {
            let refusal = link.ask::<Vec<u8>>(&project, &call).await.unwrap_err();
            assert_eq!(refusal.code, Code::ServerUnreachable);
        }

        let listener = TcpListener::bind(address).unwrap();
        let server = std::thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            let _ = caller.read(&mut [0; 4_096]).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]";
            caller.write_all(answer.as_bytes()).unwrap();
        });
        let left_alone = link.ask::<Vec<u8>>(&project, &call).await.unwrap_err();
        assert!(left_alone.detail.contains("it is asked again in"), "{left_alone}");
        let told: Vec<u8> = link.insist(&project, &call).await.unwrap();
        assert!(told.is_empty());
        assert!(link.rest().is_zero(), "everybody may ask again");
        server.join().unwrap();
    }
}
