//! What a rule does.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::Way;
use super::filter::Filter;
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
            Action::Notify(_) => "notify",
            Action::Reprioritize(_) => "reprioritize",
            Action::Pause(_) => "pause",
            Action::Resume(_) => "resume",
            Action::Retry(_) => "retry",
        }
    }

    /// Whether it goes out of this system, where answers may take long.
    pub fn is_outside(&self) -> bool {
        matches!(self, Action::Webhook(_) | Action::Notify(_))
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
