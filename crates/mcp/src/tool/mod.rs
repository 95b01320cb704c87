//! A tool: what it is called, takes and gives, and the function behind it. [`field`] declares and checks, [`args`] reads.

pub(crate) mod args;
pub(crate) mod field;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::code::{Code, Refusal, nearest};
use rmcp::model;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::session::Session;
use args::Args;
use field::Field;

/// An answer, or a refusal with what the tool adds to it.
pub(crate) type Answer = Result<Value, Refusal>;

pub(crate) type Work<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) sort: Sort,
    pub(crate) takes: &'static [Field],
    pub(crate) gives: &'static [Field],
    pub(crate) voice: Voice,
    pub(crate) run: for<'a> fn(&'a Session, Args, &'a Call) -> Work<'a>,
}

/// What calling a tool does to the store, and so who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Looks,
    /// Adds or moves tasks as an agent may; repeating it does no more.
    Settles,
    /// The same, but each call does it again.
    Works,
    /// Steers what others do, and may end it.
    Steers,
}

/// The shape of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A problem as everywhere else.
    Plain,
    /// With the text as `error` beside it.
    Classic,
    /// The same, and that nobody was found.
    Routing,
    /// With the sort of error as `error` and the text as `message`.
    Service,
}

/// Who may do what; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    Read,
    Work,
    Operate,
}

/// Which tools a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// What an agent that works needs.
    Core,
    /// The eighteen `orchestration_*` tools.
    Classic,
    /// Both, and everything else.
    All,
}

impl Set {
    pub const ALL: [Set; 3] = [Set::Core, Set::Classic, Set::All];

    pub fn as_str(self) -> &'static str {
        match self {
            Set::Core => "core",
            Set::Classic => "classic",
            Set::All => "all",
        }
    }

    pub fn parse(text: &str) -> Option<Set> {
        Set::ALL.into_iter().find(|set| set.as_str() == text)
    }

    pub(crate) fn tools(self) -> Vec<&'static Tool> {
        match self {
            Set::Core => crate::core::TOOLS.iter().collect(),
            Set::Classic => crate::classic::TOOLS.iter().collect(),
            Set::All => {
                let working = crate::core::TOOLS.iter().chain(crate::classic::TOOLS);
                working
                    .chain(crate::service::TOOLS)
                    .chain(crate::events::TOOLS)
                    .collect()
            }
        }
    }
}

impl Sort {
    pub(crate) fn needs(self) -> Rights {
        match self {
            Sort::Looks => Rights::Read,
            Sort::Settles | Sort::Works => Rights::Work,
            Sort::Steers => Rights::Operate,
        }
    }

    /// What a client may tell its user; only what differs from what it has to assume is said.
    fn hints(self) -> model::ToolAnnotations {
        let hints = model::ToolAnnotations::new();
        match self {
            Sort::Looks => hints.read_only(true),
            Sort::Settles => hints.destructive(false).idempotent(true),
            Sort::Works => hints.destructive(false),
            Sort::Steers => hints,
        }
    }
}

impl Tool {
    pub(crate) fn declared(&self) -> model::Tool {
        let takes = Arc::new(field::schema(self.takes, true));
        model::Tool::new(self.name, self.about, takes)
            .with_raw_output_schema(Arc::new(field::schema(self.gives, false)))
            .with_annotations(self.sort.hints())
    }

    pub(crate) async fn call(&self, session: &Session, mut given: Map<String, Value>, call: &Call) -> Answer {
        field::check(self.takes, &mut given)?;
        (self.run)(session, Args::new(given), call).await
    }
}

impl Voice {
    pub(crate) fn error(self, refusal: &Refusal) -> Value {
        let mut problem = json!(api::problem::Problem::from(refusal));
        match self {
            Voice::Plain => {}
            Voice::Classic => problem["error"] = json!(refusal.detail),
            Voice::Routing => {
                problem["error"] = json!(refusal.detail);
                problem["routed"] = json!(false);
            }
            Voice::Service => {
                problem["error"] = json!(sort_of_error(refusal.code));
                problem["message"] = json!(refusal.detail);
            }
        }
        problem
    }
}

/// The six names that the task queue service knows.
fn sort_of_error(code: Code) -> &'static str {
    use domain::code::Kind;
    match (code, code.kind()) {
        (Code::DependencyCycle | Code::PlanCycle, _) => "CircularDependencyError",
        (Code::TaskNotFound | Code::RunNotFound | Code::PrerequisiteNotFound, _) => "NotFoundError",
        (Code::ToolNotFound, _) => "UnknownTool",
        (_, Kind::Input) => "ValidationError",
        (_, Kind::Refused | Kind::Waits) => "TaskQueueError",
        (_, Kind::Store | Kind::Bug) => "InternalError",
    }
}

/// The "no" to a name that no tool of this session has.
pub(crate) fn unknown(name: &str, known: &[String]) -> Refusal {
    let refusal = Refusal::new(
        Code::ToolNotFound,
        format!("there is no tool `{}`", name.escape_debug()),
    );
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`tools/list` shows the tools; `bell mcp --tools all` offers every one"),
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
