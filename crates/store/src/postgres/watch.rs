//! Noticing what other processes commit, and telling them what this one has.
//!
//! One connection does both: it listens on the store's channel, and when the writer has committed it says so there, at
//! most once in a few milliseconds and outside of the writer's own transactions, which would all queue for the one lock
//! behind notifications. A process may die, or lose this connection, between the two: after a second of silence the heads
//! are looked at. Behind a pooler sessions are not our own, so there nothing is listened to, and the heads are looked at
//! more often.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket, Statement};

use super::fault::{Fault, Sql};
use super::link::{Drive, Link, Place};
use crate::driver::Watch;

/// A wait is no longer than this.
const WAIT: Duration = Duration::from_secs(1);
/// After one commit was told, the next is told no sooner: a busy store wakes nobody more often than this.
const REST: Duration = Duration::from_millis(5);
/// How often the heads are looked at where nothing can be listened to.
const LOOK: Duration = Duration::from_millis(200);

const HEADS: &str = "SELECT (coalesce(sum(last_event + latest), 0) + count(*))::int8 FROM project";

/// The writer's word to the watch that it has committed something.
#[derive(Debug, Default)]
pub(super) struct Herald {
    word: Notify,
    commits: AtomicU64,
    /// How many of them others have been told of.
    told: AtomicU64,
}

impl Herald {
    pub(super) fn call(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.word.notify_one();
    }

    pub(super) fn is_behind(&self) -> bool {
        self.told.load(Ordering::Relaxed) < self.commits.load(Ordering::Relaxed)
    }
}

/// Tells others of a commit, which is worth no flush to disk.
pub(super) fn telling(schema: &str) -> String {
    format!(
        "SET LOCAL synchronous_commit = off; NOTIFY \"{}\"",
        channel(schema)
    )
}

fn channel(schema: &str) -> String {
    format!("bellwether:{schema}")
}

/// What the connection has heard.
#[derive(Debug, Default)]
struct Heard {
    commit: AtomicBool,
    over: AtomicBool,
    /// The number of our own session, which hears itself too.
    own: AtomicI32,
    word: Notify,
}

pub(super) struct PgWatch {
    place: Place,
    herald: Arc<Herald>,
    runtime: Option<Runtime>,
    live: Option<Live>,
    told: Option<Instant>,
    /// Instead of listening, behind a pooler.
    looks: Option<(Link, i64)>,
}

impl PgWatch {
    pub(super) fn new(place: &Place, herald: Arc<Herald>) -> PgWatch {
        let looks = place.pooled.then(|| {
            let settings = [
                ("statement_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "5s"),
            ];
            (Link::new(place.clone(), "BEGIN READ ONLY", &settings), -1)
        });
        PgWatch {
            place: place.clone(),
            herald,
            runtime: Builder::new_current_thread().enable_all().build().ok(),
            live: None,
            told: None,
            looks,
        }
    }

    fn look(&mut self) -> Option<bool> {
        let (link, seen) = self.looks.as_mut()?;
        std::thread::sleep(LOOK);
        let begin = [link.begin()];
        let found = link.ask(&begin, HEADS, &[]).and_then(|rows| {
            link.send(&[super::link::Order::RollBack])?;
            super::cells::first(&rows, |cells| cells.int())
        });
        match found {
            Ok(Some(sum)) => Some(std::mem::replace(seen, sum) != sum),
            _ => {
                std::thread::sleep(WAIT);
                Some(false)
            }
        }
    }

    /// Listens and speaks until a commit of another process is heard or seen, or the time is over. `true` too when the
    /// connection had to be made anew: nobody knows what was said meanwhile.
    async fn listen(&mut self) -> Sql<bool> {
        let live = match &mut self.live {
            Some(live) if !live.client.is_closed() => live,
            gone => {
                *gone = Some(Live::connect(&self.place).await?);
                return Ok(true);
            }
        };
        let end = tokio::time::Instant::now() + WAIT;
        loop {
            if live.heard.over.load(Ordering::Relaxed) {
                return Err(Fault::Lost("the connection is over".to_owned()));
            }
            if live.heard.commit.swap(false, Ordering::Relaxed) {
                return Ok(true);
            }
            tokio::select! {
                () = live.heard.word.notified() => {}
                () = self.herald.word.notified() => {
                    if let Some(told) = self.told {
                        tokio::time::sleep(REST.saturating_sub(told.elapsed())).await;
                    }
                    self.told = Some(Instant::now());
                    let commits = self.herald.commits.load(Ordering::Relaxed);
                    live.client.batch_execute(&telling(&self.place.schema)).await?;
                    self.herald.told.store(commits, Ordering::Relaxed);
                }
                () = tokio::time::sleep_until(end) => return live.look().await,
            }
        }
    }
}

/// The connection that listens.
struct Live {
    client: Client,
    heard: Arc<Heard>,
    heads: Statement,
    seen: i64,
}

impl Live {
    async fn connect(place: &Place) -> Sql<Live> {
        let heard = Arc::new(Heard::default());
        let client = place.connect(Listener(heard.clone())).await?;
        let own = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        heard.own.store(own.try_get(0)?, Ordering::Relaxed);
        let schema = &place.schema;
        let begin = format!("SET search_path = '{schema}'; LISTEN \"{}\"", channel(schema));
        client.batch_execute(&begin).await?;
        let heads = client.prepare(HEADS).await?;
        let mut live = Live {
            client,
            heard,
            heads,
            seen: 0,
        };
        live.look().await?;
        Ok(live)
    }

    /// Whether anybody has committed since the last look, ourselves included.
    async fn look(&mut self) -> Sql<bool> {
        let row = self.client.query_one(&self.heads, &[]).await?;
        let sum = row.try_get(0)?;
        Ok(std::mem::replace(&mut self.seen, sum) != sum)
    }
}

/// Keeps the connection going, and notes what it hears from others.
struct Listener(Arc<Heard>);

impl Drive for Listener {
    fn drive<S>(self, mut connection: Connection<Socket, S>)
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let heard = self.0;
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(said) = message {
                    heard.hear(said.process_id());
                }
            }
            heard.over.store(true, Ordering::Relaxed);
            heard.word.notify_one();
        });
    }
}

impl Heard {
    fn hear(&self, from: i32) {
        if from != self.own.load(Ordering::Relaxed) {
            self.commit.store(true, Ordering::Relaxed);
            self.word.notify_one();
        }
    }
}

impl Watch for PgWatch {
    fn wait(&mut self) -> bool {
        if let Some(changed) = self.look() {
            return changed;
        }
        let Some(runtime) = self.runtime.take() else {
            std::thread::sleep(WAIT);
            return false;
        };
        let heard = runtime.block_on(self.listen());
        self.runtime = Some(runtime);
        heard.unwrap_or_else(|fault| {
            tracing::debug!(?fault, "cannot listen to other processes");
            self.live = None;
            if self.herald.is_behind() {
                self.herald.word.notify_one();
            }
            std::thread::sleep(Duration::from_millis(200));
            false
        })
    }
}

impl Drop for PgWatch {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
