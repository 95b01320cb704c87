//! One connection: what it asks for, and what it is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::problem::Problem;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use axum::http::HeaderMap;
use desk::log::Types;
use domain::code::{Code, Refusal};
use domain::store::Result;
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::Stream;
use super::listeners::Listener;
use super::metric::MetricType;
use crate::app::App;

/// Bytes of one message of a client: it only says what it wants.
pub(crate) const MESSAGE_BYTES: usize = 64 * 1024;

/// What a connection keeps for reading, and gathers before it writes: listeners say little, and each message is sent at once.
pub(crate) const BUFFER_BYTES: usize = 4 * 1024;

/// Who is connected, so that a token that is revoked ends the stream as well.
pub(crate) struct Peer {
    pub(crate) headers: HeaderMap,
    pub(crate) address: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Subscribe {
        #[serde(default)]
        metric_types: Vec<MetricType>,
        #[serde(default)]
        events: Option<Wish>,
    },
    Unsubscribe {
        #[serde(default)]
        metric_types: Vec<MetricType>,
        /// No events any more.
        #[serde(default)]
        events: bool,
    },
    Pong {},
}

/// Which events, and from where on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    /// Those behind this number; from now on, when absent.
    after: Option<u64>,
    types: Vec<String>,
}

/// The events that a connection follows.
struct Following {
    types: Types,
    /// All up to here were sent or left out.
    after: u64,
}

struct Socket {
    app: App,
    stream: Arc<Stream>,
    listener: Arc<Listener>,
    ws: WebSocket,
    following: Option<Following>,
    last: watch::Receiver<u64>,
    heard: Instant,
}

/// Why a connection is over.
struct Over(Option<(u16, &'static str)>);

/// Serves a connection to its end; room for it has been taken.
pub(crate) async fn serve(app: App, stream: Arc<Stream>, ws: WebSocket, peer: Peer) {
    let id = engine::ids::task().to_string();
    let now = stream.engine.now().wall;
    let (listener, queue) = stream.listeners.enter(id.clone(), now);
    let mut socket = Socket {
        last: stream.tail.last(),
        listener,
        ws,
        following: None,
        heard: Instant::now(),
        app: app.clone(),
        stream: Arc::clone(&stream),
    };
    let Over(why) = socket.run(queue, &peer).await;
    stream.listeners.leave(&id);
    app.streams.leave();
    if let Some((code, reason)) = why {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let close = socket.ws.send(Message::Close(Some(frame)));
        drop(timeout(app.options.ping, close).await);
    }
}

impl Socket {
    async fn run(&mut self, mut queue: mpsc::Receiver<Utf8Bytes>, peer: &Peer) -> Over {
        if let Err(over) = self.welcome().await {
            return over;
        }
        let (app, ping) = (self.app.clone(), self.app.options.ping);
        let mut beat = tokio::time::interval_at(Instant::now() + ping, ping);
        loop {
            let behind = self
                .following
                .as_ref()
                .is_some_and(|one| one.after < *self.last.borrow());
            let ended = tokio::select! {
                said = self.ws.recv() => self.hear(said).await,
                Some(text) = queue.recv() => self.tell(text).await,
                news = news(&mut self.last, behind), if self.following.is_some() => match news {
                    true => self.events().await,
                    false => Err(Over(Some((close_code::AWAY, "the server takes its leave")))),
                },
                _ = beat.tick() => self.beat(peer).await,
                () = app.closed() => Err(Over(Some((close_code::AWAY, "the server takes its leave")))),
            };
            if let Err(over) = ended {
                return over;
            }
        }
    }

    async fn welcome(&mut self) -> std::result::Result<(), Over> {
        let welcome = json!({
            "type": "welcome",
            "connection_id": self.listener.id,
            "timestamp": self.stream.engine.now().wall.to_string(),
            "available_metrics": MetricType::ALL,
            "last_event": *self.last.borrow(),
        });
        self.send(welcome.to_string().into()).await
    }

    async fn hear(
        &mut self,
        said: Option<std::result::Result<Message, axum::Error>>,
    ) -> std::result::Result<(), Over> {
        let Some(Ok(said)) = said else {
            return Err(Over(None));
        };
        self.heard = Instant::now();
        let answer = match said {
            Message::Text(text) => self.obey(text.as_str()).await,
            Message::Binary(_) => Err(Refusal::new(Code::InvalidArgument, "messages are text")),
            Message::Close(_) => return Err(Over(None)),
            Message::Ping(_) | Message::Pong(_) => Ok(None),
        };
        match answer {
            Ok(None) => Ok(()),
            Ok(Some(text)) => self.send(text.into()).await,
            Err(refusal) => {
                let told = json!({ "type": "error", "problem": Problem::from(&refusal) });
                self.send(told.to_string().into()).await
            }
        }
    }

    /// Does what was asked, all of it or nothing, and gives the confirmation.
    async fn obey(&mut self, text: &str) -> Result<Option<String>> {
        let said: Said = serde_json::from_str(text).map_err(|e| {
            Refusal::new(Code::InvalidArgument, format!("the message cannot be used: {e}"))
                .help("send {\"type\": \"subscribe\", \"metric_types\": […], \"events\": {\"after\": 0}}")
        })?;
        let (kind, add, drop) = match said {
            Said::Pong {} => return Ok(None),
            Said::Subscribe { metric_types, events } => {
                if let Some(wish) = events {
                    self.following = Some(follow(&self.stream, wish).await?);
                }
                ("subscription_confirmed", metric_types, Vec::new())
            }
            Said::Unsubscribe { metric_types, events } => {
                if events {
                    self.following = None;
                }
                ("unsubscription_confirmed", Vec::new(), metric_types)
            }
        };
        let subscriptions = self.stream.listeners.subscribe(&self.listener, &add, &drop);
        let after = self.following.as_ref().map(|following| following.after);
        let told = json!({ "type": kind, "subscriptions": subscriptions, "events": { "after": after } });
        Ok(Some(told.to_string()))
    }

    /// Sends some of the events that are due. The connection's own pace is the only bound that is needed: what is not
    /// sent yet stays in the log.
    async fn events(&mut self) -> std::result::Result<(), Over> {
        let Some(following) = &self.following else {
            return Ok(());
        };
        let due = match self.stream.tail.after(&self.stream.engine, following.after).await {
            Ok(due) => due,
            Err(refusal) => {
                tracing::warn!(error = %refusal, "the log could not be read for a connection");
                return Err(Over(Some((close_code::AGAIN, "the store cannot be read"))));
            }
        };
        for told in due {
            let takes = match &mut self.following {
                Some(following) => {
                    following.after = told.number();
                    following.types.takes_kind(told.kind())
                }
                None => return Ok(()),
            };
            if takes {
                self.send(told.text()).await?;
            }
        }
        Ok(())
    }

    /// Sends a measurement, and first how many were left out before it.
    async fn tell(&mut self, text: Utf8Bytes) -> std::result::Result<(), Over> {
        let dropped = self.listener.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let lagged = json!({ "type": "lagged", "dropped": dropped });
            self.send(lagged.to_string().into()).await?;
        }
        self.send(text).await
    }

    async fn beat(&mut self, peer: &Peer) -> std::result::Result<(), Over> {
        if self.heard.elapsed() > self.app.options.silence {
            return Err(Over(Some((close_code::POLICY, "nothing was heard for too long"))));
        }
        if self.app.auth.caller(&peer.headers, peer.address).await.is_err() {
            return Err(Over(Some((close_code::POLICY, "the token is good no longer"))));
        }
        let ping = json!({ "type": "ping", "timestamp": self.stream.engine.now().wall.to_string() });
        self.send(ping.to_string().into()).await
    }

    /// Who takes nothing for so long is gone.
    async fn send(&mut self, text: Utf8Bytes) -> std::result::Result<(), Over> {
        let sent = timeout(self.app.options.silence, self.ws.send(Message::Text(text))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over(None)),
        }
    }
}

async fn follow(stream: &Stream, wish: Wish) -> Result<Following> {
    let types = Types::new(&wish.types)?;
    let engine = &stream.engine;
    let last = engine.store.chain(&engine.project).await?.last.0;
    match wish.after {
        Some(after) if after > last => {
            let detail = format!("there is no event {after}; the last one is {last}");
            Err(Refusal::new(Code::InvalidArgument, detail))
        }
        after => Ok(Following {
            types,
            after: after.unwrap_or(last),
        }),
    }
}

/// Resolves when there are events to send; false when there will be none.
async fn news(last: &mut watch::Receiver<u64>, behind: bool) -> bool {
    behind || last.changed().await.is_ok()
}
