//! JSON Schemas of the words of this crate, for descriptions of interfaces.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::code::Code;
use crate::curb::{self, Scope};
use crate::id::{
    AgentName, Capability, EventNo, Key, Kind, PoolName, Project, RunId, ScheduleName, TaskId, TeamName,
    Token, WorkerId,
};
use crate::limits;
use crate::run::{Counts, RunState};
use crate::task::lock::Mode;
use crate::task::spec::{Json, Priority, Source, When};
use crate::task::state::{Reason, State};

macro_rules! schemas {
    ($($type:ty = $name:literal $schema:expr;)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schemas! {
    Project = "Project" plain();
    PoolName = "PoolName" plain();
    Key = "Key" name(limits::KEY_BYTES);
    Kind = "Kind" name(limits::NAME_BYTES);
    Capability = "Capability" name(limits::NAME_BYTES);
    AgentName = "AgentName" name(limits::NAME_BYTES);
    TeamName = "TeamName" name(limits::NAME_BYTES);
    ScheduleName = "ScheduleName" name(limits::NAME_BYTES);
    WorkerId = "WorkerId" name(limits::KEY_BYTES);
    TaskId = "TaskId" name(limits::ID_BYTES);
    Scope = "Scope" name(limits::KEY_BYTES);
    RunId = "RunId" json_schema!({ "type": "string", "format": "uuid" });
    Token = "LeaseToken" json_schema!({ "type": "string", "pattern": r"^[0-9a-f]{1,16}\.[0-9a-f]{1,16}\.[0-9a-f]{1,16}$" });
    EventNo = "EventNo" json_schema!({ "type": "integer", "minimum": 0 });
    Priority = "Priority" json_schema!({ "type": "integer", "minimum": 0, "maximum": 10 });
    Json = "Json" json_schema!({});
    Code = "Code" words(Code::ALL.iter().map(|code| code.as_str()));
    State = "State" words(State::ALL.into_iter().map(State::as_str));
    Reason = "Reason" words(Reason::ALL.iter().map(|reason| reason.as_str()));
    Source = "Source" words(Source::ALL.iter().map(|source| source.as_str()));
    When = "When" words(When::ALL.iter().map(|when| when.as_str()));
    Mode = "Mode" words(["exclusive", "shared"]);
    RunState = "RunState" words(RunState::ALL.into_iter().map(RunState::as_str));
    curb::breaker::State = "BreakerState" words(["closed", "open", "half_open"]);
    Counts = "Counts" counts();
}

fn plain() -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_.][A-Za-z0-9_.-]*$", "maxLength": limits::NAME_BYTES })
}

fn name(bytes: usize) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": bytes, "pattern": r"^[^\s-]\S*$" })
}

fn words(words: impl IntoIterator<Item = &'static str>) -> Schema {
    json_schema!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn counts() -> Schema {
    let names: Vec<_> = State::ALL.into_iter().map(State::as_str).collect();
    let each = names.iter().map(|name| {
        (
            (*name).to_owned(),
            serde_json::json!({ "type": "integer", "minimum": 0 }),
        )
    });
    let properties: serde_json::Map<_, _> = each.collect();
    json_schema!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}
