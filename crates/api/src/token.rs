//! Tokens: who may do what over the wire.

use domain::id::Project;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What the bearer of a token may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything.
    #[serde(alias = "read")]
    Reader,
    /// Take tasks and end them, and add prompts.
    #[serde(alias = "work")]
    Worker,
    /// Add any work, and change what is there.
    #[serde(alias = "operate")]
    Operator,
    /// Make and revoke tokens, close and move projects.
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Reader, Role::Worker, Role::Operator, Role::Admin];

    /// The role of that name, or of what it lets do: `read`, `work`, `operate`.
    pub fn named(text: &str) -> Option<Role> {
        let is_meant = |role: &Role| text == role.as_str() || text == role.verb();
        Role::ALL.into_iter().find(is_meant)
    }

    fn verb(self) -> &'static str {
        match self {
            Role::Reader => "read",
            Role::Worker => "work",
            Role::Operator => "operate",
            Role::Admin => "admin",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Worker => "worker",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Tokens {
    pub tokens: Vec<Token>,
    pub count: usize,
}

/// A token, never its secret.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// Those alone; all, when empty.
    pub projects: Vec<Project>,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub expired: bool,
}

/// A fresh token.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Made {
    pub token: Token,
    /// Shown this once: only its digest is kept.
    pub secret: String,
}
