//! The listener: one port, with or without TLS, until the pace says otherwise.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use domain::code::{Code, Refusal};
use domain::store::Result;
use engine::engine::Engine;
use engine::worker::{self, Pace};
use tokio::sync::{Semaphore, watch};

use crate::app::{App, Inner};
use crate::auth::Auth;
use crate::body::Bodies;
use crate::door::Door;
use crate::keep::Keepers;
use crate::leave::{self, Guests};
use crate::measure::Answered;
use crate::mount::Mount;
use crate::options::{Options, Tls};
use crate::stream::Streams;
use crate::ticket::Tickets;
use crate::toil::Toil;
use crate::trace::Tracer;
use crate::{frame, http, openapi};

/// How long requests may take to end when all the time of a drain is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Where it listens; a port that was asked for as 0 is known here.
    pub address: SocketAddr,
    app: App,
    leave: watch::Sender<bool>,
    close: watch::Sender<bool>,
    pace: watch::Receiver<Pace>,
    mounts: Vec<Mount>,
    tls: Arc<OnceLock<(Tls, RustlsConfig)>>,
}

impl Server {
    /// Takes the port. Refused where others could reach it and no token exists.
    pub async fn open(
        engine: Engine,
        options: Options,
        workers: worker::Options,
        pace: watch::Receiver<Pace>,
    ) -> Result<Server> {
        if !options.listen.ip().is_loopback() && desk::token::all(&engine).await?.is_empty() {
            let detail = format!(
                "{} can be reached from other machines, and there is no token",
                options.listen
            );
            return Err(Refusal::new(Code::TokenRequired, detail)
                .help("`bell token create NAME --role admin` makes one; or listen on 127.0.0.1"));
        }
        let taken = |e: std::io::Error| {
            let detail = format!("{} cannot be listened on: {e}", options.listen);
            Refusal::new(Code::InvalidArgument, detail).help("choose another address with --listen")
        };
        let listener = TcpListener::bind(options.listen).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let (leave, leaving) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let tracer = options
            .collector
            .clone()
            .map(|collector| Arc::new(Tracer::begin(collector)));
        let app = App::new(Inner {
            auth: Auth::new(engine.clone()),
            tickets: Tickets::default(),
            toil: Toil::new(options.toil),
            keepers: Keepers::new(engine.clone(), workers, pace.clone()),
            streams: Streams::new(engine.clone(), closing.clone(), tracer.clone()),
            tracer,
            answered: Answered::default(),
            bodies: Bodies::new(options.body, options.arrival, options.bulk),
            room: Arc::new(Semaphore::new(options.requests)),
            connections: Arc::new(Semaphore::new(options.connections)),
            description: openapi::describe(&http::ops()).to_string(),
            guests: Guests::default(),
            leaving,
            closing,
            options,
            engine,
        });
        Ok(Server {
            listener,
            address,
            app,
            leave,
            close,
            pace,
            mounts: Vec::new(),
            tls: Arc::default(),
        })
    }

    /// What may be changed while the server runs.
    pub fn renew(&self) -> Renew {
        Renew(Arc::clone(&self.tls))
    }

    /// Puts a service of another room under a path.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Server {
        self.mounts.push(mount);
        self
    }

    /// Answers until the pace says otherwise, then lets attempts and requests under way end.
    pub async fn run(mut self) -> Result<()> {
        let (engine, options) = (&self.app.engine, &self.app.options);
        self.app.keepers.keep(&engine.project);
        self.app.streams.of(&engine.project)?;
        for project in engine.store.projects().await? {
            self.app.keepers.keep(&project);
            self.app.trace(&project);
        }
        let router = frame::router(&self.app, http::ops(), self.mounts);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let (drain, leave, close) = (options.drain, self.leave, self.close);
        let (stop, app, leaver_app) = (handle.clone(), self.app.clone(), self.app.clone());
        let leaver = tokio::spawn(async move {
            let asked = self
                .pace
                .wait_for(|pace| *pace > Pace::Work)
                .await
                .map(|pace| *pace);
            leave.send_replace(true);
            let now = asked.is_ok_and(|pace| pace == Pace::Stop);
            let begun = Instant::now();
            if !now {
                let mut pace = self.pace.clone();
                tokio::select! {
                    () = leave::idle(&leaver_app) => {}
                    () = tokio::time::sleep(drain) => {}
                    _ = pace.wait_for(|pace| *pace == Pace::Stop) => {}
                }
            }
            close.send_replace(true);
            let left = drain.saturating_sub(begun.elapsed()).max(LAST_WORDS);
            stop.graceful_shutdown(Some(if now { Duration::ZERO } else { left }));
            if !now && self.pace.wait_for(|pace| *pace == Pace::Stop).await.is_ok() {
                stop.shutdown();
            }
        });
        let head = options.head;
        let door = Door {
            room: Arc::clone(&self.app.connections),
            head,
            silence: options.silence,
            closing: self.app.closing.clone(),
        };
        let served = match &options.tls {
            None => {
                let mut server = axum_server::from_tcp(self.listener)
                    .map_err(|e| broken(&e))?
                    .acceptor(door)
                    .handle(handle);
                patient(server.http_builder(), head);
                server.serve(service).await
            }
            Some(tls) => {
                let config = config(tls).await?;
                drop(self.tls.set((tls.clone(), config.clone())));
                let server = axum_server::from_tcp_rustls(self.listener, config).map_err(|e| broken(&e))?;
                let mut server = server.map(|tls| tls.acceptor(door)).handle(handle);
                patient(server.http_builder(), head);
                server.serve(service).await
            }
        };
        app.keepers.end().await;
        if let Some(tracer) = &app.tracer {
            tracer.end().await;
        }
        leaver.abort();
        served.map_err(|e| broken(&e))
    }
}

/// A running server, for whoever changes something about it.
#[derive(Clone, Debug)]
pub struct Renew(Arc<OnceLock<(Tls, RustlsConfig)>>);

impl Renew {
    /// Reads the certificate anew, for the connections that come from now on; false where there is none. One that cannot be
    /// used changes nothing.
    pub async fn certificate(&self) -> Result<bool> {
        let Some((tls, config)) = self.0.get() else {
            return Ok(false);
        };
        let read = config.reload_from_pem_file(&tls.certificate, &tls.key).await;
        read.map(|()| true).map_err(|e| unusable(tls, &e))
    }
}

fn unusable(tls: &Tls, error: &std::io::Error) -> Refusal {
    let detail = format!(
        "{} and {} cannot be used: {error}",
        tls.certificate.display(),
        tls.key.display()
    );
    Refusal::new(Code::ConfigInvalid, detail).help("give a certificate chain and its key as PEM files")
}

fn patient(
    builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>,
    head: Duration,
) {
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(hyper_util::rt::TokioTimer::new())
        .max_header_list_size(64 * 1024)
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(Duration::from_secs(30)));
}

async fn config(tls: &Tls) -> Result<RustlsConfig> {
    // Somebody else in this process may have chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
        .await
        .map_err(|e| unusable(tls, &e))
}

fn broken(error: &std::io::Error) -> Refusal {
    Refusal::new(Code::StoreUnavailable, format!("the listener failed: {error}"))
}

/// Opens a server and runs it to its end.
pub async fn serve(
    engine: Engine,
    options: Options,
    workers: worker::Options,
    pace: watch::Receiver<Pace>,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let server = Server::open(engine, options, workers, pace).await?;
    ready(server.address);
    server.run().await
}
