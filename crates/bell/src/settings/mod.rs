//! Settings: flag > environment > file > default, each value with its origin.
//!
//! `default.toml` is the registry: it lists every option with its type, default and description, and a name that
//! it does not have is refused wherever it stands. [`layers`] reads the sources, this file puts them together.

mod agents;
mod layers;
mod secrets;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::Durability;
use engine::execute::secrets::Secrets;
use engine::outside::{Outside, Policy};
use engine::worker;
use toml::Value;

pub(crate) use agents::{Agent, Agents};
pub(crate) use layers::Sources;

/// The annotated defaults, as `bell config defaults` prints them.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The values in force by dotted name; every option is there, and each was checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: BTreeMap<String, Setting>,
    agents: Agents,
    secrets: Secrets,
}

impl Settings {
    /// Puts the layers together. Everything wrong is found here, not when a value is used.
    pub(crate) fn resolve(sources: &Sources) -> Result<Settings, Refusal> {
        let mut settings = Settings {
            values: layers::defaults(),
            agents: Agents::default(),
            secrets: Secrets::default(),
        };
        let found = sources.layers(&settings.values)?;
        settings.values.extend(found.layers.into_iter().flatten());
        (settings.agents, settings.secrets) = (found.agents, found.secrets);
        settings.check()?;
        Ok(settings)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    pub(crate) fn is_default(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|setting| setting.origin == Origin::Default)
    }

    fn check(&self) -> Result<(), Refusal> {
        self.parsed("project", Project::new)?;
        self.parsed("durability", durability)?;
        self.parsed("color", colour)?;
        self.parsed("claim.ttl", span)?;
        self.parsed("run.jobs", |_| jobs(self.number("run.jobs")))?;
        self.parsed("http.allow", str::parse::<Policy>)?;
        for name in ["worker.lease", "worker.timeout", "worker.drain"] {
            self.parsed(name, span)?;
        }
        self.parsed("worker.heartbeat", |text| beat(text, self.span("worker.lease")))?;
        Ok(())
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let text = self.text(name);
        parse(text).map_err(|refusal| {
            let setting = &self.values[name];
            let detail = format!(
                "{name} = {} ({}): {}",
                shown(&setting.value),
                setting.origin,
                refusal.detail
            );
            Refusal {
                code: Code::ConfigInvalid,
                detail,
                help: refusal.help,
                faults: None,
            }
        })
    }

    /// The value of an option of the registry; empty for one that is no text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.values
            .get(name)
            .and_then(|setting| setting.value.as_str())
            .unwrap_or_default()
    }

    fn number(&self, name: &str) -> i64 {
        self.values
            .get(name)
            .and_then(|setting| setting.value.as_integer())
            .unwrap_or_default()
    }

    pub(crate) fn hints(&self) -> bool {
        self.values
            .get("hints")
            .and_then(|setting| setting.value.as_bool())
            .unwrap_or(true)
    }

    pub(crate) fn project(&self) -> Project {
        self.parsed("project", Project::new).unwrap_or_default()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.parsed("durability", durability).unwrap_or_default()
    }

    pub(crate) fn colour(&self) -> anstream::ColorChoice {
        self.parsed("color", colour).unwrap_or_default()
    }

    /// A store's URL, unless the nearest folder is meant.
    pub(crate) fn store(&self) -> Option<&str> {
        Some(self.text("store")).filter(|url| !url.is_empty())
    }

    /// The server to talk to instead of a store. Attempts inherit it as the store's URL.
    pub(crate) fn server(&self) -> Option<&str> {
        let by_flag = |setting: &Setting| matches!(setting.origin, Origin::Flag(_));
        let chosen = self.values.get("store").is_some_and(by_flag);
        let url = self.text("server");
        let url = if url.is_empty() || chosen {
            self.text("store")
        } else {
            url
        };
        Some(url).filter(|url| url.starts_with("http://") || url.starts_with("https://"))
    }

    /// What the server knows us by.
    pub(crate) fn token(&self) -> Option<client::Secret> {
        let token = Some(self.text("token")).filter(|token| !token.is_empty());
        token.map(client::Secret::new)
    }

    pub(crate) fn jobs(&self) -> usize {
        jobs(self.number("run.jobs")).unwrap_or(1)
    }

    /// The agents that this machine can call, by name.
    pub(crate) fn agents(&self) -> &Agents {
        &self.agents
    }

    /// How the web is called.
    pub(crate) fn outside(&self) -> Outside {
        Outside::new(self.parsed("http.allow", str::parse).unwrap_or_default())
    }

    /// Who is told of traces, if anybody is.
    pub(crate) fn collector(&self) -> Result<Option<server::Collector>, Refusal> {
        let Some(url) = self.collector_url() else {
            return Ok(None);
        };
        let headers = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        server::Collector::new(&url, &headers, self.text("trace.service")).map(Some)
    }

    fn collector_url(&self) -> Option<String> {
        let standard = || std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok();
        let set = Some(self.text("trace.endpoint").to_owned()).filter(|url| !url.is_empty());
        set.or_else(standard).filter(|url| !url.is_empty())
    }

    pub(crate) fn claim_ttl(&self) -> Duration {
        self.span("claim.ttl")
    }

    fn span(&self, name: &str) -> Duration {
        self.parsed(name, span).unwrap_or_default()
    }

    /// A worker as the settings want it.
    pub(crate) fn worker(&self) -> worker::Options {
        let lease = self.span("worker.lease");
        worker::Options {
            jobs: self.jobs(),
            lease,
            heartbeat: self
                .parsed("worker.heartbeat", |text| beat(text, lease))
                .unwrap_or(lease / 3),
            timeout: self.span("worker.timeout"),
            drain: self.span("worker.drain"),
            outside: self.outside(),
            secrets: self.secrets.clone(),
            traced: self.collector_url().is_some(),
            ..worker::Options::default()
        }
    }
}

fn wrong(detail: &str, help: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, detail).help(help)
}

fn durability(text: &str) -> Result<Durability, Refusal> {
    match text {
        "full" => Ok(Durability::Full),
        "relaxed" => Ok(Durability::Relaxed),
        _ => Err(wrong("no such durability", "write full or relaxed")),
    }
}

fn colour(text: &str) -> Result<anstream::ColorChoice, Refusal> {
    match text {
        "auto" => Ok(anstream::ColorChoice::Auto),
        "always" => Ok(anstream::ColorChoice::Always),
        "never" => Ok(anstream::ColorChoice::Never),
        _ => Err(wrong("no such choice", "write auto, always or never")),
    }
}

fn span(text: &str) -> Result<Duration, Refusal> {
    let span = domain::time::parse_duration(text).map_err(|why| Refusal::new(Code::ConfigInvalid, why))?;
    if span < Duration::from_secs(1) {
        return Err(wrong("shorter than a second", "write a duration of at least 1s"));
    }
    Ok(span)
}

/// A renewal that is late once must not cost the lease.
fn beat(text: &str, lease: Duration) -> Result<Duration, Refusal> {
    const LEAST: Duration = Duration::from_millis(100);
    let beat = domain::time::parse_duration(text).map_err(|why| Refusal::new(Code::ConfigInvalid, why))?;
    match (LEAST..=lease / 2).contains(&beat) {
        true => Ok(beat),
        false => Err(wrong(
            "out of range",
            "write at least 100ms, and at most half of worker.lease",
        )),
    }
}

/// More than this many processes at once is a typing error.
pub(crate) const JOBS_MAX: usize = 10_000;

fn jobs(number: i64) -> Result<usize, Refusal> {
    let number = usize::try_from(number)
        .ok()
        .filter(|number| (1..=JOBS_MAX).contains(number));
    number.ok_or_else(|| wrong("out of range", &format!("write a number from 1 to {JOBS_MAX}")))
}

/// The text of a value without the secrets that URLs carry.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => without_password(text),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(is) => is.to_string(),
        value => format!("a {}", value.type_str()),
    }
}

/// `scheme://user:password@host` with stars in the place of the password.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find('/').map_or(rest, |end| &rest[..end]);
    let Some((user, _)) = authority
        .rsplit_once('@')
        .and_then(|(login, _)| login.split_once(':'))
    else {
        return url.to_owned();
    };
    let at = authority.rfind('@').unwrap_or(0);
    format!("{scheme}://{user}:***{}", &rest[at..])
}

/// Where configuration files may lie, from the weakest: the user's, the team's, this machine's.
pub(crate) fn files(team: Option<PathBuf>, store_folder: Option<&Path>) -> Vec<PathBuf> {
    let user = user_folder().map(|dir| dir.join("config.toml"));
    let machine = store_folder.map(|dir| dir.join("config.toml"));
    let lying = |file: &PathBuf| file.is_file();
    let user = user.filter(lying);
    user.into_iter()
        .chain(team)
        .chain(machine.filter(lying))
        .collect()
}

fn user_folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(config.join("bellwether"))
}

#[cfg(test)]
mod tests;
