//! `[agents.NAME]`: the agents that this machine can call, and how.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability};
use domain::task::outside::Call;
use engine::execute::agent::Program;
use engine::worker;
use serde::Deserialize;
use toml::{Table, Value};

use super::{Origin, Setting, jobs, span};

/// A file's agent takes the place of one of the same name in a weaker file.
pub(crate) type Agents = BTreeMap<AgentName, Agent>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) program: Program,
    jobs: usize,
    capabilities: Vec<Capability>,
    timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    command: Option<Vec<String>>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    worktree: bool,
    jobs: Option<i64>,
    #[serde(default)]
    capabilities: Vec<String>,
    timeout: Option<String>,
}

impl Agent {
    /// An agent that is called so, as a command line names it.
    pub(crate) fn new(argv: Vec<String>, worktree: bool) -> Agent {
        Agent {
            program: Program::Command { argv, worktree },
            jobs: 1,
            capabilities: Vec::new(),
            timeout: None,
        }
    }

    /// A worker that calls it, and does nothing else.
    pub(crate) fn worker(&self, name: &AgentName, options: worker::Options) -> worker::Options {
        worker::Options {
            jobs: self.jobs,
            agent: Some(name.clone()),
            commands: false,
            program: Some(self.program.clone()),
            capabilities: self.capabilities.clone(),
            timeout: self.timeout.unwrap_or(options.timeout),
            ..options
        }
    }
}

impl Written {
    fn program(&self) -> Result<Program, &'static str> {
        match (self.command.clone(), self.url.clone()) {
            (Some(argv), None) if argv.first().is_some_and(|program| !program.is_empty()) => {
                if !self.headers.is_empty() {
                    return Err("`headers` belong to `url`");
                }
                let worktree = self.worktree;
                Ok(Program::Command { argv, worktree })
            }
            (Some(_), None) => Err("the command is empty"),
            (None, Some(url)) => {
                if self.worktree {
                    return Err("an endpoint works in no worktree");
                }
                let schemes = ["http://", "https://"];
                if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                    return Err("`url` begins with http:// or https://");
                }
                Ok(Program::Endpoint(Call {
                    url,
                    method: Some("POST".to_owned()),
                    headers: self.headers.clone(),
                    ..Call::default()
                }))
            }
            _ => Err("it has one of `command` and `url`"),
        }
    }
}

/// Takes the agents out of a file.
pub(super) fn take(table: &mut Table, path: &Path) -> Result<Agents, Refusal> {
    let Some(agents) = table.remove("agents") else {
        return Ok(Agents::new());
    };
    let wrong = |why: String| Refusal::new(Code::ConfigInvalid, format!("{}: {why}", path.display()));
    let Value::Table(agents) = agents else {
        return Err(wrong(
            "`agents` must be a table of agents, such as [agents.coder]".into(),
        ));
    };
    let read = |(name, value): (String, Value)| {
        let at = |why: String| {
            let help = "an agent has `command = [\"PROGRAM\", \"ARGUMENT\", …]` or `url`, and may have `worktree`, \
                        `headers`, `jobs`, `capabilities` and `timeout`";
            wrong(format!("[agents.{name}]: {why}")).help(help)
        };
        let of = |refusal: Refusal| at(refusal.detail);
        let written: Written = value
            .try_into()
            .map_err(|e: toml::de::Error| at(e.message().to_owned()))?;
        let program = written.program().map_err(|why| at(why.to_owned()))?;
        let capabilities = written.capabilities.iter().map(|name| Capability::new(name));
        let agent = Agent {
            program,
            jobs: written.jobs.map_or(Ok(1), jobs).map_err(of)?,
            capabilities: capabilities.collect::<Result<_, _>>().map_err(of)?,
            timeout: written.timeout.as_deref().map(span).transpose().map_err(of)?,
        };
        Ok((AgentName::new(&name).map_err(of)?, agent))
    };
    agents.into_iter().map(read).collect()
}

/// The agents as settings are shown.
pub(super) fn shown(agents: &Agents, path: &Path) -> impl Iterator<Item = (String, Setting)> {
    agents.iter().map(|(name, agent)| {
        let setting = Setting {
            value: Value::String(match &agent.program {
                Program::Command { argv, .. } => argv.join(" "),
                Program::Endpoint(call) => call.url.clone(),
            }),
            origin: Origin::File(path.to_owned()),
        };
        (format!("agents.{name}"), setting)
    })
}
