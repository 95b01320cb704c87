//! Who asks: the bearer of a token, or the user of this machine while there is no token.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use desk::token::{Kept, Role, Secret};
use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::rule::Rule;
use domain::store::Result;
use engine::engine::Engine;
use rustc_hash::FxHashMap;
use subtle::ConstantTimeEq;

/// How long the tokens of the store are believed; a revoked one is good for no longer.
const BELIEVED: Duration = Duration::from_millis(900);
/// Wrong tokens that an address may send before it has to wait.
const FREE_FAILURES: u32 = 5;
/// The longest wait after wrong tokens.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond, the oldest failures are forgotten.
const REMEMBERED: usize = 10_000;

/// Who asks, and what for they may.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Arc<str>,
    pub(crate) role: Role,
    /// Those alone; all, when empty.
    pub(crate) projects: Arc<[Project]>,
}

impl Caller {
    /// Whoever asks what anybody may.
    pub(crate) fn nobody() -> Caller {
        Caller {
            actor: "user:nobody".into(),
            role: Role::Reader,
            projects: [].into(),
        }
    }

    pub(crate) fn needs(&self, role: Role) -> Result<()> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!(
            "this needs the role {}, and the token has {}",
            role.as_str(),
            self.role.as_str()
        );
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// Who has commands started on the server's machine, or its variables sent out, is as good as its user.
    pub(crate) fn may_keep(&self, rule: &Rule) -> Result<()> {
        match rule.action.uses_machine() {
            true => self.needs(Role::Admin).map_err(|refusal| {
                refusal.help(
                    "rules that start commands, or use variables, of the server's machine need a token with the role admin",
                )
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn sees(&self, project: &Project) -> Result<()> {
        if self.projects.is_empty() || self.projects.contains(project) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::Forbidden,
            format!("the token is not for project {project}"),
        ))
    }
}

#[derive(Debug)]
pub(crate) struct Auth {
    engine: Engine,
    known: Arc<Known>,
    failures: Mutex<FxHashMap<IpAddr, Failures>>,
}

type Tokens = Arc<[(String, Kept)]>;

/// The tokens of the store, and when they were asked for.
#[derive(Debug, Default)]
struct Known {
    tokens: Mutex<Option<(Tokens, Instant)>>,
    /// Held by whoever reads them anew.
    reading: tokio::sync::Mutex<()>,
}

impl Known {
    fn since(&self, believed: Duration) -> Option<Tokens> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = tokens.as_ref().filter(|(_, read)| read.elapsed() <= believed);
        fresh.map(|(tokens, _)| Arc::clone(tokens))
    }

    async fn read(&self, engine: &Engine, believed: Duration) -> Result<Tokens> {
        let _turn = self.reading.lock().await;
        if let Some(tokens) = self.since(believed) {
            return Ok(tokens);
        }
        let begun = Instant::now();
        let tokens: Tokens = desk::token::all(engine).await?.into();
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Arc::clone(&tokens), begun));
        Ok(tokens)
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// How long the next try has to wait, counted from the last one.
    fn wait(self) -> Duration {
        match self.count.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << over.min(6)).min(WAIT_MAX),
        }
    }
}

impl Auth {
    pub(crate) fn new(engine: Engine) -> Auth {
        Auth {
            engine,
            known: Arc::default(),
            failures: Mutex::default(),
        }
    }

    /// Tells who asks, or why nobody may.
    pub(crate) async fn caller(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Caller> {
        let tokens = self.tokens(BELIEVED).await?;
        match bearer(headers) {
            Some(secret) => {
                self.check_wait(peer.ip())?;
                let known = find(&tokens, &secret);
                // It may have been made a moment ago.
                let known = match known {
                    None => find(&self.tokens(Duration::ZERO).await?, &secret),
                    known => known,
                };
                self.bearer(known, peer.ip())
            }
            None if tokens.is_empty() && peer.ip().is_loopback() => {
                from_here(headers)?;
                Ok(Caller {
                    actor: Arc::clone(&self.engine.actor),
                    role: Role::Admin,
                    projects: [].into(),
                })
            }
            None => Err(Refusal::new(Code::Unauthorized, "no token was sent")
                .help("send `Authorization: Bearer TOKEN`; `bell token create` makes one")),
        }
    }

    fn bearer(&self, found: Option<(String, Kept)>, peer: IpAddr) -> Result<Caller> {
        let now = self.engine.now().wall;
        let Some((name, kept)) = found else {
            self.note_failure(peer);
            return Err(Refusal::new(
                Code::Unauthorized,
                "the token is not known, or was revoked",
            ));
        };
        if kept.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::new(
                Code::Unauthorized,
                format!("the token {name} has expired"),
            ));
        }
        self.lock().remove(&peer);
        Ok(Caller {
            actor: format!("user:{name}").into(),
            role: kept.role,
            projects: kept.projects.into(),
        })
    }

    /// The tokens of the store, read anew when they were read longer ago than `believed`. In half of that time they are read
    /// beside, so that nobody waits for them as long as there are requests.
    async fn tokens(&self, believed: Duration) -> Result<Tokens> {
        let Some(tokens) = self.known.since(believed) else {
            return self.known.read(&self.engine, believed).await;
        };
        if self.known.since(believed / 2).is_none() && self.known.reading.try_lock().is_ok() {
            let (known, engine) = (Arc::clone(&self.known), self.engine.clone());
            tokio::spawn(async move {
                if let Err(refusal) = known.read(&engine, believed / 2).await {
                    tracing::warn!(error = %refusal, "the tokens could not be read");
                }
            });
        }
        Ok(tokens)
    }

    fn check_wait(&self, peer: IpAddr) -> Result<()> {
        let failures = self.lock().get(&peer).copied();
        let left = failures.map(|failures| failures.wait().saturating_sub(failures.last.elapsed()));
        match left {
            Some(left) if !left.is_zero() => {
                let seconds = left.as_secs() + 1;
                let detail = format!("too many wrong tokens came from {peer}; wait {seconds} s");
                Err(Refusal::new(Code::TooManyRequests, detail))
            }
            _ => Ok(()),
        }
    }

    fn note_failure(&self, peer: IpAddr) {
        let mut failures = self.lock();
        if failures.len() >= REMEMBERED && !failures.contains_key(&peer) {
            failures.retain(|_, failures| failures.last.elapsed() < WAIT_MAX);
            if failures.len() >= REMEMBERED {
                failures.clear();
            }
        }
        let now = Instant::now();
        let entry = failures.entry(peer).or_insert(Failures { count: 0, last: now });
        if entry.last.elapsed() > WAIT_MAX {
            entry.count = 0;
        }
        (entry.count, entry.last) = (entry.count + 1, now);
        tracing::warn!(%peer, count = entry.count, "a wrong token was sent");
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<IpAddr, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares with every token, each in a time that does not depend on it.
fn find(tokens: &[(String, Kept)], secret: &Secret) -> Option<(String, Kept)> {
    let digest = secret.digest();
    let mut found = None;
    for token in tokens {
        if bool::from(token.1.digest.as_bytes().ct_eq(digest.as_bytes())) {
            found = Some(token);
        }
    }
    found.cloned()
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or("?");
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    // Anything that is there and is no token counts as a wrong one.
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        secret.trim()
    } else {
        ""
    };
    Some(Secret::new(secret))
}

/// Refuses what a web page elsewhere makes a browser of this machine send: another `Host` by a rebound name, or an
/// `Origin` that is not this server.
pub(crate) fn from_here(headers: &HeaderMap) -> Result<()> {
    for proxied in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"] {
        if headers.contains_key(proxied) {
            let detail =
                format!("`{proxied}` says that a proxy speaks for somebody else, and there is no token");
            return Err(Refusal::new(Code::Forbidden, detail)
                .help("`bell token create NAME --role operator` makes a token; then everybody needs one"));
        }
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let forbidden = |what: String| {
        Err(Refusal::new(Code::Forbidden, what)
            .help("address the server as 127.0.0.1 or localhost, or use a token"))
    };
    let host = text(header::HOST);
    if let Some(host) = host.filter(|host| !is_loopback(host)) {
        return forbidden(format!("`Host: {}` is not this machine", host.escape_debug()));
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.split_once("://").map(|(_, rest)| rest) != host => forbidden(format!(
            "a page of `{}` may not use this server",
            origin.escape_debug()
        )),
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| ((*name).parse().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_this_machine_is_from_here() {
        for host in ["127.0.0.1:7717", "localhost", "LOCALHOST:1", "[::1]:7717"] {
            assert!(from_here(&headers(&[("host", host)])).is_ok(), "{host}");
            let origin = format!("http://{host}");
            assert!(from_here(&headers(&[("host", host), ("origin", &origin)])).is_ok());
            assert!(from_here(&headers(&[("host", host), ("origin", "http://evil.example")])).is_err());
            assert!(from_here(&headers(&[("host", host), ("origin", "null")])).is_err());
        }
        for proxied in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"] {
            let headers: HeaderMap = [(
                proxied.to_lowercase().parse().unwrap(),
                "10.0.0.7".parse().unwrap(),
            )]
            .into_iter()
            .collect();
            let refusal = from_here(&headers).unwrap_err();
            assert!(refusal.help.unwrap().contains("token create"), "{proxied}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[::2]"] {
            assert!(from_here(&headers(&[("host", host)])).is_err(), "{host}");
        }
    }

    #[test]
    fn wrong_tokens_wait_longer_and_longer() {
        let wait = |count| {
            let last = Instant::now();
            Failures { count, last }.wait().as_secs()
        };
        assert_eq!(
            [wait(4), wait(5), wait(6), wait(10), wait(400)],
            [0, 1, 2, 32, 60]
        );
    }
}
