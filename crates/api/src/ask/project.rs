//! What is asked about a project as a whole: its rules, settings, signals, locks and age.

use std::collections::BTreeMap;

use domain::id::{Key, RuleName};
use domain::task::score::Profile;
use domain::task::spec::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CatchUp, Overlap};
use crate::time::{Moment, Span};

/// Rules, as a file of rules has them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Names with what they wait for and what they do.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub rules: Json,
    /// Put them in the place of rules of the same names, which go on where they are.
    #[serde(default)]
    pub replace: bool,
    /// Begin after the event with this number; with what happens from now on when absent.
    #[serde(default)]
    pub after: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleLetters {
    /// Only of this rule.
    #[schemars(with = "Option<String>")]
    pub rule: Option<RuleName>,
}

/// What a rule could not do: about one event or all, of one rule or all.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhichLetters {
    #[schemars(with = "Option<String>")]
    pub rule: Option<RuleName>,
    /// Only about the event with this number.
    pub event: Option<u64>,
    /// Of all rules.
    pub all: bool,
}

/// What a project keeps for all who work in it, by name; `null` sets back to the default.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, serde_json::Value>);

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Payload {
    /// Tasks that wait for the signal find it in their result.
    pub payload: Option<Json>,
}

/// A lock that is taken from whoever holds it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// As the list of locks writes it.
    pub name: String,
    /// The log keeps it.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// Do not wait until the holder has stopped: it is you who knows that it has.
    #[serde(default)]
    pub now: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// What ended longer ago than this.
    pub older: Span,
    /// Count what would go, and take nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// How far to look back.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Since {
    /// 24 h by default.
    pub since: Option<Span>,
}

/// A plan that is looked at.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// The plan as an object.
    pub plan: Option<Json>,
    /// The plan as the text of its file: YAML, JSON or TOML.
    pub text: Option<String>,
    /// The path of its file, for what is said about it.
    pub file: Option<String>,
}

/// A plan that is played through.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Simulate {
    /// The plan as an object.
    pub plan: Option<Json>,
    /// The plan as the text of its file: YAML, JSON or TOML.
    pub text: Option<String>,
    /// The path of its file: earlier runs from there are learned from.
    pub file: Option<String>,
    /// So many tasks at the same time, 10 by default.
    #[schemars(range(min = 1, max = 10_000))]
    pub workers: Option<usize>,
    /// These fail with every try.
    pub fail: Vec<Key>,
    /// These are taken for done.
    pub without: Vec<Key>,
    /// Play it through so many times, 100 by default; a large plan fewer times.
    #[schemars(range(min = 1, max = 1000))]
    pub samples: Option<usize>,
    /// The same numbers are drawn again, 1 by default.
    pub seed: Option<u64>,
    pub profile: Profile,
}

/// A plan about which something is to be proved.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Verify {
    /// The plan as an object.
    pub plan: Option<Json>,
    /// The plan as the text of its file: YAML, JSON or TOML.
    pub text: Option<String>,
    /// The path of its file, for what is said about it.
    pub file: Option<String>,
    /// What must never be: `TASK before TASK [and TASK]…`.
    #[schemars(length(max = 100))]
    pub never: Vec<String>,
}

/// What of a schedule is changed; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleEdit {
    pub cron: Option<String>,
    pub tz: Option<String>,
    pub every: Option<Span>,
    pub at: Option<Moment>,
    pub catch_up: Option<CatchUp>,
    pub overlap: Option<Overlap>,
    /// Hand this task in from now on.
    pub task: Option<Json>,
    /// Begin a run of this plan from now on.
    pub plan: Option<String>,
}
