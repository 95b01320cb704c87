//! `bell serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use desk::token::Role;
use domain::code::{Code, Refusal};
use engine::engine::Engine;
use engine::worker;
use futures_util::future::BoxFuture;
use mcp::{Caller, Rights, Set, Setup};
use serde::Serialize;
use server::{Mount, Options, Tls, Who};

use super::mcp::verbs::Verbs;

use crate::context::{Access, Context};
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;
use crate::{parse, reload, signals};

/// Serve the store to programs, machines and people over HTTP
///
/// Without a token it listens on this machine alone. It looks after what is due by time; with --workers it also works.
/// The first signal lets attempts and requests under way end, a second one ends it at once. HUP reads settings and certificate anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell serve
  bell serve --workers 4
  bell serve --listen 0.0.0.0:7717 --tls-certificate cert.pem --tls-key key.pem")]
pub(crate) struct Args {
    /// Listen here
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7717")]
    listen: SocketAddr,
    /// Work on this many tasks at the same time, too
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = workers)]
    workers: usize,
    /// Offer these tools to agents at /mcp: core, classic or all
    #[arg(long, value_name = "SET", default_value = "classic", value_parser = super::mcp::set)]
    tools: Set,
    /// Speak TLS with this certificate chain
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// The tools for agents, under the rights of each caller.
fn tools(setup: Setup) -> Mount {
    let service = mcp::http::service(setup, Vec::new(), Vec::new());
    let serve = move |mut request: Request, who: Who| -> BoxFuture<'static, Response> {
        let service = service.clone();
        let caller = Caller {
            actor: who.actor,
            rights: match who.role {
                Role::Reader => Rights::Read,
                Role::Worker => Rights::Work,
                Role::Operator | Role::Admin => Rights::Operate,
            },
        };
        request.extensions_mut().insert(caller);
        Box::pin(async move { service.handle(request).await.map(Body::new) })
    };
    Mount {
        path: "/mcp",
        serve: Arc::new(serve),
    }
}

/// As many as this process may have open, less what it needs itself.
fn connections() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let most = Options::new(fresh).connections;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, what holds now is what there is.
    let _ = setrlimit(Resource::Nofile, limit);
    let open = getrlimit(Resource::Nofile).current;
    let open = open.map_or(most, |open| usize::try_from(open).unwrap_or(most));
    most.min(open.saturating_sub(open / 4))
}

fn fresh() -> domain::store::Result<Arc<dyn domain::store::Store>> {
    store::open("memory:", store::Options::default())
}

fn workers(text: &str) -> std::result::Result<usize, String> {
    match text {
        "0" => Ok(0),
        _ => parse::jobs(text),
    }
}

/// The first line: whoever started the server can wait for it.
#[derive(Debug, Serialize)]
struct Listening {
    listening: String,
    pid: u32,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Refusal::new(Code::Internal, format!("no runtime: {e}")))?;
        let ended = runtime.block_on(self.serve(context));
        runtime.shutdown_background();
        ended
    }

    /// The store that is given out: one of this machine or of a database, never another server's. Where others could reach the
    /// port, none is made: there would be no token in it.
    async fn open(&self, context: &Context) -> Result<Engine> {
        if let Some(url) = context.settings.server() {
            let detail = format!(
                "`bell serve` gives out a store, and the setting `server` names another server: {url}"
            );
            return Err(invalid(detail)
                .help("leave out `--server` and BELLWETHER_SERVER; `bell config show` tells where a setting comes from")
                .into());
        }
        if self.listen.ip().is_loopback() {
            return context.open(Access::Create).await;
        }
        context.open(Access::Existing).await.map_err(|error| match error {
            Error::Refused(refusal) if refusal.code == Code::StoreNotFound => {
                let detail = format!(
                    "{} can be reached from other machines, and without a store there is no token",
                    self.listen
                );
                Refusal::new(Code::TokenRequired, detail)
                    .help("`bell token create NAME --role admin` makes one, and the store; or listen on 127.0.0.1")
                    .into()
            }
            error => error,
        })
    }

    async fn serve(self, context: &Context) -> Result {
        let engine = self.open(context).await?;
        let tls = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            _ => None,
        };
        if tls.is_none() && !self.listen.ip().is_loopback() {
            context
                .ui
                .note("warning: tokens and work travel unencrypted without TLS\n")?;
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let workers = worker::Options {
            jobs: self.workers,
            guard: std::env::current_exe().ok(),
            store_url: context.place()?.1,
            ..context.settings.worker()
        };
        let options = Options {
            listen: self.listen,
            tls,
            connections: connections(),
            drain: workers.drain,
            collector: context.settings.collector()?,
            ..Options::new(fresh)
        };
        let setup = Setup {
            engine: engine.clone(),
            tools: self.tools,
            agent: None,
            capabilities: Vec::new(),
            ttl: context.settings.claim_ttl(),
            rights: Rights::Read,
            extra: Some(Arc::new(Verbs::far(context.clone()))),
        };
        let paced = signals::pace(std::future::ready(()))?;
        let server = server::Server::open(engine, options, workers, paced).await?;
        let server = server.mount(tools(setup));
        tokio::spawn(reload::obey(context.clone(), signals::hangup()?, server.renew()));
        let listening = Listening {
            listening: format!("{scheme}://{}", server.address),
            pid: std::process::id(),
        };
        match context.ui.json {
            true => context.ui.json_line(&listening)?,
            false => context
                .ui
                .line(&format!("listening on {}", listening.listening))?,
        }
        server.run().await.map_err(|refusal| match refusal.code {
            Code::StoreUnavailable => refusal,
            _ => invalid(refusal.detail),
        })?;
        Ok(Exit::DONE)
    }
}
