//! What a rule does.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::Way;
use super::filter::Filter;
use super::template::Template;
use crate::code::{Code, Refusal};
use crate::limits;
use crate::schedule::Work;
use crate::task::spec::Priority;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Hands work in, into the run of the event.
    Submit(Submit),
    /// Sends the event to a URL.
    Webhook(Webhook),
    /// Sends the event to a broker.
    Publish(Publish),
    /// Starts a command of the operator's, where the rules are carried out.
    Notify(Notify),
    Reprioritize(Prioritize),
    /// Suspends tasks that nobody works on.
    Pause(Filter),
    Resume(Filter),
    /// Another go for failed tasks.
    Retry(Filter),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submit {
    pub work: Work,
    /// Variables that the tasks get, each with the fact that it is set to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, Way>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Of one try, in milliseconds.
    #[serde(default = "Webhook::default_timeout")]
    pub timeout: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// `env:NAME`, or an address without a password.
    pub url: String,
    /// The exchange of the broker's own when empty: then the routing key names a queue.
    #[serde(default)]
    pub exchange: String,
    pub routing_key: Template,
    /// A message that no queue takes has failed.
    #[serde(default = "yes")]
    pub mandatory: bool,
    /// Of one try, in milliseconds.
    #[serde(default = "Webhook::default_timeout")]
    pub timeout: u64,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    pub argv: Vec<String>,
    pub cwd: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prioritize {
    pub tasks: Filter,
    pub to: Priority,
}

impl Action {
    pub fn name(&self) -> &'static str {
        match self {
            Action::Submit(_) => "submit",
            Action::Webhook(_) => "webhook",
            Action::Publish(_) => "publish",
            Action::Notify(_) => "notify",
            Action::Reprioritize(_) => "reprioritize",
            Action::Pause(_) => "pause",
            Action::Resume(_) => "resume",
            Action::Retry(_) => "retry",
        }
    }

    /// Whether it starts a command on the machine that carries it out, or uses a variable of it.
    pub fn uses_machine(&self) -> bool {
        let variable = |value: &str| value.starts_with("env:");
        match self {
            Action::Notify(_) => true,
            Action::Webhook(hook) => hook.headers.values().any(|value| variable(value)),
            Action::Publish(publish) => variable(&publish.url),
            _ => false,
        }
    }

    /// Whether it goes out of this system, where answers may take long.
    pub fn is_outside(&self) -> bool {
        matches!(self, Action::Webhook(_) | Action::Publish(_) | Action::Notify(_))
    }
}

impl Webhook {
    /// Who calls is not kept waiting for longer.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

    fn default_timeout() -> u64 {
        10_000
    }

    pub fn new(url: &str) -> Result<Webhook, Refusal> {
        Ok(Webhook {
            url: check_url(url)?,
            headers: BTreeMap::new(),
            timeout: Webhook::default_timeout(),
        })
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout).min(Webhook::TIMEOUT_MAX)
    }
}

impl Publish {
    /// What AMQP calls a short string.
    pub const NAME_BYTES: usize = 255;

    pub fn new(url: &str, exchange: &str, routing_key: Template) -> Result<Publish, Refusal> {
        Ok(Publish {
            url: check_broker(url)?,
            exchange: check_exchange(exchange)?,
            routing_key,
            mandatory: true,
            timeout: Webhook::default_timeout(),
        })
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout).min(Webhook::TIMEOUT_MAX)
    }
}

impl Notify {
    /// A line for the shell.
    pub fn shell(line: &str, cwd: &str) -> Notify {
        Notify {
            argv: vec!["sh".into(), "-c".into(), line.into()],
            cwd: cwd.to_owned(),
        }
    }
}

/// `FILTER to PRIORITY`.
impl FromStr for Prioritize {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Prioritize, Refusal> {
        let Some((tasks, to)) = text.rsplit_once(" to ") else {
            let detail = format!("`{}` does not say which priority", text.escape_debug());
            let refusal = Refusal::new(Code::InvalidArgument, detail);
            return Err(refusal.help("write for example `kind=dev run=same to low`"));
        };
        Ok(Prioritize {
            tasks: tasks.parse()?,
            to: Priority::parse(to)?,
        })
    }
}

/// An address of the web, as far as it can be told without looking.
pub(crate) fn check_url(url: &str) -> Result<String, Refusal> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let plain = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']);
    let clean = !url.chars().any(|c| c.is_whitespace() || c.is_control());
    if rest.is_some_and(plain) && clean && url.len() <= limits::URL_BYTES {
        return Ok(url.to_owned());
    }
    let shown: String = url.chars().take(80).collect();
    let detail = format!("`{}` is no address of the web", shown.escape_debug());
    Err(Refusal::new(Code::InvalidArgument, detail).help("write https://HOST/… or http://HOST/…"))
}

/// The name of an exchange, as far as brokers take it.
fn check_exchange(name: &str) -> Result<String, Refusal> {
    if name.len() <= Publish::NAME_BYTES && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    let detail = format!("`{}` is no name of an exchange", shown.escape_debug());
    let help = format!("use up to {} bytes without line breaks", Publish::NAME_BYTES);
    Err(Refusal::new(Code::InvalidArgument, detail).help(help))
}

/// A broker's address, or the variable that holds it. What is stored is read by many, so it has no password.
fn check_broker(url: &str) -> Result<String, Refusal> {
    let wrong = |detail: &str| Err(Refusal::new(Code::InvalidArgument, detail));
    if let Some(name) = url.strip_prefix("env:") {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.is_empty() && name.len() <= Publish::NAME_BYTES && name.chars().all(plain) {
            return Ok(url.to_owned());
        }
        return wrong("this names no variable")
            .map_err(|refusal| refusal.help("write for example env:AMQP_URL"));
    }
    let rest = url
        .strip_prefix("amqps://")
        .or_else(|| url.strip_prefix("amqp://"));
    let place = rest.and_then(|rest| rest.split(['/', '?']).next());
    let (user, host) = place.map_or(("", ""), |place| place.rsplit_once('@').unwrap_or(("", place)));
    if user.contains(':') {
        // It is not shown either: an error may end up in a log.
        return wrong("the address has a password, and rules are stored for all to read").map_err(
            |refusal| refusal.help("put the address into a variable of the worker's and write env:NAME"),
        );
    }
    let clean = !url.chars().any(|c| c.is_whitespace() || c.is_control());
    if !host.is_empty() && !host.starts_with(':') && clean && url.len() <= limits::URL_BYTES {
        return Ok(url.to_owned());
    }
    let shown: String = url.chars().take(80).collect();
    let detail = format!("`{}` is no address of a broker", shown.escape_debug());
    wrong(&detail).map_err(|refusal| refusal.help("write env:NAME, amqps://HOST/VHOST or amqp://HOST/VHOST"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_named_without_their_password() {
        for good in [
            "env:AMQP_URL",
            "amqps://mq.example.org/jobs",
            "amqp://guest@[::1]:5672",
        ] {
            assert_eq!(check_broker(good).unwrap(), good);
        }
        for bad in [
            "",
            "env:",
            "env:A B",
            "http://x",
            "amqp://",
            "amqp:///x",
            "amqp://a b",
        ] {
            assert_eq!(
                check_broker(bad).unwrap_err().code,
                Code::InvalidArgument,
                "{bad}"
            );
        }
        let refusal = check_broker("amqp://ann:sesame@mq.example.org").unwrap_err();
        assert!(!refusal.detail.contains("sesame") && refusal.help.unwrap().contains("env:"));
        assert!(check_exchange(&"x".repeat(256)).is_err() && check_exchange("").is_ok());
    }
}
