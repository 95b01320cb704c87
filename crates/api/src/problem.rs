//! Every "no", in the one shape of RFC 9457.

use domain::code::{Code, Kind, Refusal};
use domain::plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Problem {
    /// A URN made of the code; it names the problem and leads nowhere.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable; `bell explain CODE` tells cause and cure.
    pub code: Code,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What it was this time.
    pub detail: String,
    /// The HTTP status.
    pub status: u16,
    /// What to do about it.
    pub help: Option<String>,
    /// What a plan, or a request that is read like one, is called in what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// All that is wrong with it, the first of which `detail` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<Fault>>,
    /// How many more were found and not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<usize>,
}

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Fault {
    pub code: Code,
    /// From 1, as is the column; null where it belongs to no place.
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The way through the plan, such as `tasks.test.after[0]`.
    pub path: String,
    pub detail: String,
    pub help: Option<String>,
}

impl From<&plan::Fault> for Fault {
    fn from(fault: &plan::Fault) -> Fault {
        Fault {
            code: fault.code,
            line: fault.place.map(|place| place.line),
            column: fault.place.map(|place| place.column),
            path: fault.path.clone(),
            detail: fault.detail.clone(),
            help: fault.help.clone(),
        }
    }
}

/// What a problem from elsewhere has to be for us to pass it on.
#[derive(Debug, Deserialize)]
pub struct Told {
    code: Code,
    detail: String,
    help: Option<String>,
}

impl From<Told> for Refusal {
    fn from(told: Told) -> Refusal {
        Refusal {
            code: told.code,
            detail: told.detail,
            help: told.help,
            faults: None,
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Problem {
        let (code, faults) = (refusal.code, refusal.faults.as_deref());
        Problem {
            kind: format!("urn:bellwether:problem:{code}"),
            code,
            title: code.title(),
            detail: refusal.detail.clone(),
            status: status(code),
            help: Some(refusal.cure().to_owned()),
            file: faults.map(|faults| faults.file.clone()),
            faults: faults.map(|faults| faults.faults.iter().map(Fault::from).collect()),
            more: faults.map(|faults| faults.more),
        }
    }
}

pub fn status(code: Code) -> u16 {
    match (code, code.kind()) {
        (Code::Unauthorized, _) => 401,
        (Code::Forbidden, _) => 403,
        (
            Code::TaskNotFound
            | Code::RunNotFound
            | Code::ScheduleNotFound
            | Code::RuleNotFound
            | Code::AgentNotFound
            | Code::TeamNotFound
            | Code::PoolNotFound
            | Code::WorkerNotFound
            | Code::CurbNotFound
            | Code::TokenNotFound
            | Code::RouteNotFound,
            _,
        ) => 404,
        (Code::MethodNotAllowed, _) => 405,
        (Code::RequestTimeout, _) => 408,
        (
            Code::TaskExists
            | Code::ScheduleExists
            | Code::RuleExists
            | Code::AgentExists
            | Code::TokenExists,
            _,
        ) => 409,
        (Code::RequestTooLarge, _) => 413,
        (Code::UnsupportedMedia, _) => 415,
        (Code::TooManyRequests, _) => 429,
        (_, Kind::Input) => 400,
        (_, Kind::Refused | Kind::Waits) => 409,
        (_, Kind::Store) => 503,
        (_, Kind::Bug) => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_fields_of_the_rfc() {
        let refusal = Refusal::new(Code::TaskNotFound, "project default has no task x").help("look again");
        assert_eq!(
            serde_json::to_string(&Problem::from(&refusal)).unwrap(),
            concat!(
                r#"{"type":"urn:bellwether:problem:task-not-found","code":"task-not-found","#,
                r#""title":"There is no such task","detail":"project default has no task x","#,
                r#""status":404,"help":"look again"}"#
            )
        );
    }
}
