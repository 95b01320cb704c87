//! Versions of what is kept under a name, as `ETag` tells them, and changes that are only made while one holds.
//!
//! The version is a digest of the document in the store. A condition is not looked at and then hoped for: it goes along with the
//! change (`guard`), into the same transaction.

mod guard;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use domain::book::Book;
use domain::code::{Code, Refusal};
use domain::curb::Scope;
use domain::store::{Result, Store};
use domain::task::spec::Json;
use engine::engine::Engine;

use guard::Guarded;

/// Documents that are versioned together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versioned {
    pub(crate) book: Book,
    /// Their keys; the name in the path when there is none.
    pub(crate) keys: &'static [&'static str],
}

type Documents = BTreeMap<Arc<str>, Option<Json>>;

/// The documents of a request: as they were when it came, and as it has written them.
#[derive(Debug)]
pub(crate) struct Version {
    book: Book,
    documents: Arc<Mutex<Documents>>,
}

impl Version {
    /// Looks at what a request is about.
    pub(crate) async fn of(engine: &Engine, versioned: Versioned, name: &str) -> Result<Version> {
        let keys: Vec<Arc<str>> = match versioned.keys {
            [] => vec![match versioned.book {
                // It may be written in several ways.
                Book::Breaker | Book::Limit | Book::Budget => name.parse::<Scope>()?.to_string().into(),
                _ => name.into(),
            }],
            keys => keys.iter().map(|key| Arc::from(*key)).collect(),
        };
        let found = engine
            .store
            .entries_of(&engine.project, versioned.book, &keys)
            .await?;
        let mut documents: Documents = keys.into_iter().map(|key| (key, None)).collect();
        for entry in found {
            documents.insert(entry.key, Some(entry.value));
        }
        Ok(Version {
            book: versioned.book,
            documents: Arc::new(Mutex::new(documents)),
        })
    }

    /// Refuses a change whose conditions do not hold.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<()> {
        let tag = self.tag();
        let named = |name: HeaderName| {
            let values = headers.get_all(name).iter();
            let mut texts = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
            texts.any(|text| match text.trim() {
                "*" => tag.is_some(),
                text => tag.as_deref() == Some(text),
            })
        };
        if headers.contains_key(header::IF_MATCH) && !named(header::IF_MATCH) {
            return Err(changed("it is not what `If-Match` names any longer"));
        }
        if named(header::IF_NONE_MATCH) {
            return Err(changed(
                "`If-None-Match` asks for something that is not there, and it is",
            ));
        }
        Ok(())
    }

    /// The engine with a store that changes these documents only while they are as they were seen. Without a condition, who
    /// has looked again since goes by what it has seen itself.
    pub(crate) fn guard(&self, engine: Engine, is_conditional: bool) -> Engine {
        let store: Arc<dyn Store> = Arc::new(Guarded {
            store: Arc::clone(&engine.store),
            book: self.book,
            is_conditional,
            documents: Arc::clone(&self.documents),
        });
        Engine { store, ..engine }
    }

    /// None of what is not there.
    fn tag(&self) -> Option<String> {
        let documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if documents.len() == 1 && documents.values().all(Option::is_none) {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        for (key, value) in documents.iter() {
            let value = value.as_ref().map_or("", Json::get);
            hasher
                .update(&(key.len() as u64).to_le_bytes())
                .update(key.as_bytes());
            hasher
                .update(&(value.len() as u64).to_le_bytes())
                .update(value.as_bytes());
        }
        Some(format!("\"{}\"", &hasher.finalize().to_hex()[..16]))
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.tag()?).ok()
    }
}

/// Whether a request makes what it does depend on a version.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH)
}

fn changed(detail: &str) -> Refusal {
    Refusal::new(Code::EntryChanged, detail).help("look at it as it is now: its `ETag` is its version")
}
