//! Tokens: who may do what over the wire. Only their digests are kept.

use std::fmt;

use api::token::{Made, Token, Tokens};
use domain::book::{Book, Edit, Entry, Expect};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::id::Project;
use domain::limits::PAGE_MAX;
use domain::store::Result;
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::ids;
use serde::{Deserialize, Serialize};

pub use api::token::Role;

/// What is kept of a token, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub role: Role,
    /// BLAKE3 of the whole token. It is random, so that nothing slower is needed.
    pub digest: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Those projects alone; all, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Project>,
}

/// What a program sends; it prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Secrets begin so, that scanners of source code find them.
const PREFIX: &str = "bell_";

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    fn fresh() -> Secret {
        let hex: String = ids::secret().iter().map(|byte| format!("{byte:02x}")).collect();
        Secret(format!("{PREFIX}{hex}"))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex().to_string()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Tokens belong to the whole store; they are kept with the project that every store has.
fn home(engine: &Engine) -> Engine {
    Engine {
        project: Project::default(),
        ..engine.clone()
    }
}

/// Makes a token. Its secret is in the answer and nowhere else.
pub async fn create(engine: &Engine, asked: api::ask::Token) -> Result<Made> {
    let engine = home(engine);
    let now = engine.now().wall;
    let secret = Secret::fresh();
    let kept = Kept {
        role: asked.role,
        digest: secret.digest(),
        created_at: now,
        expires_at: asked.expires.map(|moment| moment.0.resolve(now)),
        projects: asked.projects,
    };
    let name = asked.name.as_str();
    let data = serde_json::json!({ "token": name, "role": kept.role });
    let edit = Edit::put(Entry::new(Book::Token, name, &kept))
        .expecting(Expect::Nothing)
        .with_event(Kind::TokenCreated, &data);
    let (store, project) = (&engine.store, &engine.project);
    let edited = store.edit(project, vec![edit], engine.actor.clone(), engine.now());
    edited.await.map_err(|refusal| match refusal.code {
        Code::EntryChanged => Refusal::new(Code::TokenExists, format!("there is a token `{name}` already"))
            .help(format!(
                "choose another name, or `bell token revoke {name}` first"
            )),
        _ => refusal,
    })?;
    Ok(Made {
        token: shown(name, &kept, now),
        secret: secret.expose().to_owned(),
    })
}

pub async fn list(engine: &Engine) -> Result<Tokens> {
    let now = engine.now().wall;
    let kept = all(engine).await?;
    let tokens: Vec<Token> = kept.iter().map(|(name, kept)| shown(name, kept, now)).collect();
    Ok(Tokens {
        count: tokens.len(),
        tokens,
    })
}

/// Takes a token away. Servers that are up refuse it within a second.
pub async fn revoke(engine: &Engine, name: &str) -> Result<Token> {
    let kept = all(engine).await?;
    let Some((_, found)) = kept.iter().find(|(known, _)| known == name) else {
        let refusal = Refusal::new(
            Code::TokenNotFound,
            format!("there is no token `{}`", name.escape_debug()),
        );
        return Err(
            match nearest(name, kept.iter().map(|(known, _)| known.as_str())) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help("`bell token list` shows the tokens"),
            },
        );
    };
    let engine = home(engine);
    let data = serde_json::json!({ "token": name });
    let edit = Edit::remove(Book::Token, name).with_event(Kind::TokenRevoked, &data);
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, vec![edit], engine.actor.clone(), engine.now())
        .await?;
    Ok(shown(name, found, engine.now().wall))
}

/// Every token with its name, for whoever checks them.
pub async fn all(engine: &Engine) -> Result<Vec<(String, Kept)>> {
    let engine = home(engine);
    let mut found = Vec::new();
    loop {
        let after = found
            .last()
            .map_or("", |(name, _): &(String, Kept)| name.as_str());
        let page = engine
            .store
            .entries(&engine.project, Book::Token, after, PAGE_MAX)
            .await?;
        let last = page.len() < PAGE_MAX;
        for entry in &page {
            found.push((entry.key.to_string(), entry.read()?));
        }
        if last {
            return Ok(found);
        }
    }
}

fn shown(name: &str, kept: &Kept, now: Timestamp) -> Token {
    Token {
        name: name.to_owned(),
        role: kept.role,
        projects: kept.projects.clone(),
        created_at: kept.created_at.into(),
        expires_at: kept.expires_at.map(Into::into),
        expired: kept.expires_at.is_some_and(|at| at <= now),
    }
}
