//! `bell mcp`

pub(super) mod verbs;

use std::sync::Arc;
use std::time::Duration;

use domain::id::{AgentName, Capability};
use mcp::{Rights, Set, Setup, stdio};

use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Serve tools to an agent over stdin and stdout (Model Context Protocol)
///
/// An MCP client starts it and talks to it; logs go to stderr. The session renews the leases of what it handed out. When
/// it ends they run out after their time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell mcp --tools core --agent ann --capability python
  bell mcp --tools all --store sqlite:/srv/bell/bell.db")]
pub(crate) struct Args {
    /// Offer these tools: core, classic or all
    #[arg(long, value_name = "SET", default_value = "classic", value_parser = set)]
    tools: Set,
    /// Work under this agent's name [default: one made from the client's]
    #[arg(long, value_name = "NAME", value_parser = parse::name::<AgentName>)]
    agent: Option<AgentName>,
    /// Offer this capability with every claim
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    capability: Vec<Capability>,
    /// Let a lease last this long without a renewal [default: the setting claim.ttl]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    ttl: Option<Duration>,
    /// Let agents choose commands that are run: offers `run` and `submit` among the tools of `all`
    #[arg(long)]
    allow_commands: bool,
    /// Offer only tools that look
    #[arg(long)]
    read_only: bool,
}

pub(super) fn set(text: &str) -> std::result::Result<Set, String> {
    Set::parse(text).ok_or_else(|| "write core, classic or all".to_owned())
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        // A defect in one call is told to its caller; the session goes on.
        std::panic::set_hook(Box::new(|info| tracing::error!("{info}")));
        let setup = Setup {
            engine: context.open(Access::Create).await?,
            tools: self.tools,
            agent: self.agent,
            capabilities: self.capability,
            ttl: self.ttl.unwrap_or(context.settings.claim_ttl()),
            extra: Some(Arc::new(verbs::Verbs::new(context.clone(), self.allow_commands))),
            rights: match self.read_only {
                true => Rights::Read,
                false => Rights::Operate,
            },
        };
        stdio::serve(setup).await?;
        Ok(Exit::DONE)
    }
}
