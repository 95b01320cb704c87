//! Which dead letters are meant.

use std::time::Duration;

use api::ask;
use api::time::Span;
use desk::find;
use domain::id::Kind;
use domain::task::state::Reason;
use engine::engine::Engine;

use crate::error::Result;
use crate::parse;

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Select {
    /// Only tasks of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// Only tasks that failed for this reason, such as exhausted, timeout or lost
    #[arg(long, value_parser = parse::reason)]
    reason: Option<Reason>,
    /// Only tasks with this signature, or the beginning of it; see `bell dlq groups`
    #[arg(long)]
    signature: Option<String>,
    /// Only tasks that failed longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    older_than: Option<Duration>,
    /// Only tasks of this run, or of the newest run of this plan
    #[arg(long)]
    run: Option<String>,
}

impl Select {
    /// Whether nothing is chosen.
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.signature, &self.run];
        texts.iter().all(|text| text.is_none())
            && self.kind.is_none()
            && self.reason.is_none()
            && self.older_than.is_none()
    }

    /// What is asked for; `run` is the id of the one that was typed.
    pub(super) async fn asked(self, engine: &Engine, limit: Option<usize>) -> Result<ask::Letters> {
        let run = match &self.run {
            Some(run) => Some(find::typed_run(engine, run).await?.id.to_string()),
            None => None,
        };
        Ok(ask::Letters {
            kind: self.kind,
            reason: self.reason,
            signature: self.signature,
            older_than: self.older_than.map(Span),
            run,
            limit,
        })
    }
}
