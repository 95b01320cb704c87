//! Tools that whoever starts a session adds to the set `all`.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use domain::code::Refusal;
use engine::engine::Engine;
use rmcp::model;
use serde_json::{Map, Value};

use crate::tool::Rights;

#[async_trait]
pub trait Extra: Debug + Send + Sync {
    fn offers(&self) -> Vec<&Offer>;

    /// Does what a tool of [`Extra::offers`] is for, in the name of the engine's actor. What `arguments` say is not yet
    /// checked. The answer is an object.
    async fn call(&self, tool: &str, arguments: Map<String, Value>, engine: Engine)
    -> Result<Value, Refusal>;
}

/// A tool as clients see it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub name: String,
    pub about: String,
    /// The schema of its arguments.
    pub takes: Map<String, Value>,
    /// What a caller must be allowed.
    pub rights: Rights,
}

impl Offer {
    pub(crate) fn declared(&self) -> model::Tool {
        let hints = match self.rights {
            Rights::Read => model::ToolAnnotations::new().read_only(true),
            Rights::Work | Rights::Operate => model::ToolAnnotations::new(),
        };
        model::Tool::new(
            self.name.clone(),
            self.about.clone(),
            Arc::new(self.takes.clone()),
        )
        .with_annotations(hints)
    }
}
