//! A request with an `Idempotency-Key` is carried out once: its first answer is kept in the store, and told again.
//!
//! The key is reserved before anything is done and the answer is kept after it, each in a transaction of its own; what was begun is carried
//! out to its end even when its caller has gone. So a server that dies in between leaves a key of which nobody knows whether it has done
//! anything: that is said, and nothing is done twice. Where the store itself remembers the key, in the transaction that does the work,
//! nothing is kept here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::response::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use domain::book::{Book, Edit, Entry};
use domain::caught::caught;
use domain::code::{Code, Kind, Refusal};
use domain::store::Result;
use domain::time::Timestamp;
use engine::engine::Engine;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::frame::defect;

/// How an operation takes being asked again with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing: a key means nothing to it.
    Harmless,
    /// The store remembers the key with what it writes.
    Remembered,
    /// The first answer is kept here.
    Kept,
    /// It cannot be answered twice, and this is why: a key is refused.
    Refused(&'static str),
}

impl Repeat {
    pub(crate) fn takes_key(self) -> bool {
        matches!(self, Repeat::Remembered | Repeat::Kept)
    }
}

/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);
/// Bytes of one piece of an answer: written as a text it is at most twice as long, and an entry holds that.
const PIECE: usize = 256 * 1024;
/// Pieces of one answer; of a longer one only that it was given is kept.
const PIECES: usize = 64;
/// Old entries that go with each new one, so that there are never more than those of a day.
const SWEPT: usize = 64;
/// Between two looks at a request that is still under way.
const LOOK: Duration = Duration::from_millis(100);
/// Tells that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What is kept under a key.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Of the whole request, and who made it.
    digest: String,
    /// When it is certainly no longer under way.
    over: Timestamp,
    /// None while it is under way, or for ever when its server died.
    answer: Option<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    status: u16,
    kind: Option<String>,
    tag: Option<String>,
    /// In so many entries behind this one; none when it was too long to be kept.
    pieces: Option<usize>,
}

/// One request under its key.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    engine: Engine,
    /// Digests of fixed length, whatever was sent.
    key: Arc<str>,
    digest: String,
    /// How long a request may be under way.
    patience: Duration,
}

enum Found {
    Nothing(Option<Entry>),
    UnderWay,
    Answered(Response<Body>),
}

impl Once {
    /// `request` is everything that makes it this request and no other.
    pub(crate) fn new(engine: Engine, key: &str, request: &[&[u8]], patience: Duration) -> Once {
        let mut hasher = blake3::Hasher::new();
        for part in request {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Once {
            engine,
            key: blake3::hash(key.as_bytes()).to_hex().as_str().into(),
            digest: hasher.finalize().to_hex().to_string(),
            patience,
        }
    }

    /// Carries the work out, or answers as the first time. Who comes while the first is under way waits for its answer.
    pub(crate) async fn answer<F>(self, work: F) -> Result<Response<Body>>
    where
        F: Future<Output = Result<Response<Body>>> + Send + 'static,
    {
        let late = Instant::now() + self.patience;
        loop {
            match self.find().await? {
                Found::Answered(answer) => return Ok(answer),
                Found::UnderWay if Instant::now() >= late => {
                    return Err(conflict("is still being carried out").help("send it again later, unchanged"));
                }
                Found::UnderWay => tokio::time::sleep(LOOK).await,
                Found::Nothing(old) => match self.reserve(old.as_ref()).await {
                    Ok(()) => break,
                    // Somebody else was faster: its answer is the answer.
                    Err(refusal) if refusal.code == Code::EntryChanged => {}
                    Err(refusal) => return Err(refusal),
                },
            }
        }
        let carried = tokio::spawn(async move {
            let answered = caught(work).await;
            let answered = answered.unwrap_or_else(|panic| Err(defect(&*panic)));
            self.conclude(answered).await
        });
        carried
            .await
            .unwrap_or_else(|_| Err(Refusal::new(Code::Internal, "the answer was given up")))
    }

    async fn find(&self) -> Result<Found> {
        let now = self.engine.now().wall;
        let keys = [Arc::clone(&self.key)];
        let mut found = self.entries(&keys).await?;
        let Some(entry) = found.pop() else {
            return Ok(Found::Nothing(None));
        };
        if entry.due.is_some_and(|due| due <= now) {
            return Ok(Found::Nothing(Some(entry)));
        }
        let kept: Kept = entry.read()?;
        if kept.digest != self.digest {
            return Err(conflict("was used for another request, or by somebody else")
                .help("use one key for one request; repeat a request unchanged"));
        }
        match kept.answer {
            Some(told) => self.told(&told).await.map(Found::Answered),
            None if now < kept.over => Ok(Found::UnderWay),
            None => Err(
                conflict("was broken off: whether it has changed anything is not known").help(
                    "look at what it was about, and send it with a fresh key if it is still to be done",
                ),
            ),
        }
    }

    /// The answer as it was given.
    async fn told(&self, told: &Told) -> Result<Response<Body>> {
        let Some(pieces) = told.pieces else {
            return Err(
                conflict("has been carried out, and its answer was too long to be kept")
                    .help("look at what it was about"),
            );
        };
        let keys: Vec<Arc<str>> = (0..pieces).map(|piece| self.piece(piece)).collect();
        let mut body = String::new();
        for entry in self.entries(&keys).await? {
            body.push_str(&entry.read::<String>()?);
        }
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = StatusCode::from_u16(told.status).unwrap_or(StatusCode::OK);
        let headers = answer.headers_mut();
        for (name, value) in [(header::CONTENT_TYPE, &told.kind), (header::ETAG, &told.tag)] {
            if let Some(value) = value
                .as_deref()
                .and_then(|value| HeaderValue::try_from(value).ok())
            {
                headers.insert(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(answer)
    }

    /// Takes the key, and lets some go that are old.
    async fn reserve(&self, old: Option<&Entry>) -> Result<()> {
        let now = self.engine.now().wall;
        let kept = Kept {
            digest: self.digest.clone(),
            over: now.after(self.patience),
            answer: None,
        };
        let (store, project) = (&self.engine.store, &self.engine.project);
        let swept = store.entries_due(project, Book::Answer, now, SWEPT).await?;
        let mut edits: Vec<Edit> = swept
            .iter()
            .filter(|entry| entry.key != self.key)
            .map(|entry| Edit::remove(Book::Answer, &entry.key))
            .collect();
        edits.push(self.entry(&self.key, &kept, now).instead_of(old));
        self.write(edits).await
    }

    /// Keeps the answer. A refusal has changed nothing, so its key is free again; but not where it cannot tell.
    async fn conclude(&self, answered: Result<Response<Body>>) -> Result<Response<Body>> {
        let (answered, written) = match answered {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let bytes = to_bytes(body, usize::MAX)
                    .await
                    .map_err(|e| Refusal::new(Code::Internal, format!("an answer cannot be read: {e}")))?;
                let written = self.keep(&head, &bytes).await;
                (Ok(Response::from_parts(head, Body::from(bytes))), written)
            }
            Err(refusal) if is_unsure(refusal.code) => return Err(refusal),
            Err(refusal) => {
                let freed = self.write(vec![Edit::remove(Book::Answer, &self.key)]).await;
                (Err(refusal), freed)
            }
        };
        if let Err(refusal) = written {
            tracing::warn!(error = %refusal, "the answer to a request with a key could not be kept");
        }
        answered
    }

    async fn keep(&self, head: &Parts, body: &[u8]) -> Result<()> {
        let now = self.engine.now().wall;
        let pieces = std::str::from_utf8(body).ok().map(pieces);
        let pieces = pieces.filter(|pieces| pieces.len() <= PIECES);
        let text = |name: HeaderName| {
            let value = head.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let kept = Kept {
            digest: self.digest.clone(),
            over: now,
            answer: Some(Told {
                status: head.status.as_u16(),
                kind: text(header::CONTENT_TYPE),
                tag: text(header::ETAG),
                pieces: pieces.as_ref().map(Vec::len),
            }),
        };
        let mut edits = vec![self.entry(&self.key, &kept, now)];
        for (number, piece) in pieces.unwrap_or_default().into_iter().enumerate() {
            edits.push(self.entry(&self.piece(number), &piece, now));
        }
        self.write(edits).await
    }

    fn entry(&self, key: &str, value: &impl Serialize, now: Timestamp) -> Edit {
        Edit::put(Entry::new(Book::Answer, key, value).due(Some(now.after(KEPT))))
    }

    fn piece(&self, number: usize) -> Arc<str> {
        format!("{}.{number}", self.key).into()
    }

    async fn entries(&self, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        store.entries_of(project, Book::Answer, keys).await
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<()> {
        let engine = &self.engine;
        let actor = Arc::clone(&engine.actor);
        engine
            .store
            .edit(&engine.project, edits, actor, engine.now())
            .await
    }
}

/// Whether something may have been done all the same.
fn is_unsure(code: Code) -> bool {
    match code {
        Code::ServerLeaving | Code::TooManyRequests => false,
        code => matches!(code.kind(), Kind::Store | Kind::Bug),
    }
}

/// A text in pieces that end between characters.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(PIECE);
        let (piece, left) = rest.split_at(end);
        pieces.push(piece);
        rest = left;
    }
    pieces
}

fn conflict(what: &str) -> Refusal {
    Refusal::new(
        Code::IdempotencyConflict,
        format!("the request of this `Idempotency-Key` {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_its_characters() {
        let text = "€".repeat(PIECE);
        let cut = pieces(&text);
        assert!(cut.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        assert_eq!((cut.len(), cut.concat()), (4, text));
        assert!(pieces("").is_empty());
    }
}
