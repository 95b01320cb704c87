//! The registry of error codes: stable names that people search for and programs match on.
//!
//! One table holds code, kind, title, cause and cure. `bell explain CODE` prints an entry and
//! `docs/errors.md` is generated from the table.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plan::Faults;

/// What sort of answer an error is; it decides the exit status and, over HTTP, the status class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request was understood and the answer is no.
    Refused,
    /// The request itself is wrong: bad usage, bad input, an unknown id.
    Input,
    /// Nothing is wrong; something outside has to happen first.
    Waits,
    /// The store or server cannot be reached or used.
    Store,
    /// A defect of ours.
    Bug,
}

impl Kind {
    pub fn exit_status(self) -> u8 {
        match self {
            Kind::Refused | Kind::Bug => 1,
            Kind::Input => 2,
            Kind::Waits => 3,
            Kind::Store => 4,
        }
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $kind:ident $title:literal cause $cause:literal cure $cure:literal)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $name),* } }
            pub fn kind(self) -> Kind { match self { $(Code::$variant => Kind::$kind),* } }
            /// A short sentence that is the same for every occurrence.
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title),* } }
            pub fn cause(self) -> &'static str { match self { $(Code::$variant => $cause),* } }
            pub fn cure(self) -> &'static str { match self { $(Code::$variant => $cure),* } }
        }
    };
}

codes! {
    PlanSyntax "plan-syntax" Input "The plan is not well-formed"
        cause "The file cannot be read as YAML, JSON or TOML at the place shown."
        cure "Mend the text at that line and column; `bell plan check FILE` reads without running."
    PlanUnknownKey "plan-unknown-key" Input "The plan has a key that means nothing"
        cause "A key is misspelt or stands at the wrong level, so its value would be ignored."
        cure "Use the nearest name offered, or see `bell plan schema` for all of them."
    PlanMissingKey "plan-missing-key" Input "The plan lacks a needed key"
        cause "A section does not say what it must."
        cure "Add the key named in the message."
    PlanInvalidValue "plan-invalid-value" Input "A value in the plan cannot be used"
        cause "A value has the wrong type, is out of range, or contradicts a neighbour."
        cure "Write a value of the form that the message names."
    PlanDuplicate "plan-duplicate" Input "A name stands twice in the plan"
        cause "Two tasks, or two entries of one section, have the same key; the second would hide the first."
        cure "Rename one of them."
    PlanUnknownTask "plan-unknown-task" Input "The plan refers to a task that it does not have"
        cause "An entry of `after` names no task of this plan."
        cure "Use the nearest name offered, or add the task."
    PlanSelfEdge "plan-self-edge" Input "A task waits for itself"
        cause "An entry of `after` names the task it belongs to."
        cure "Remove that entry."
    PlanCycle "plan-cycle" Input "Tasks wait for each other in a circle"
        cause "Following `after` leads back to where it began, so none of these tasks could ever start."
        cure "Remove one of the edges on the path shown."
    PlanLimit "plan-limit" Input "The plan is over a limit"
        cause "A size or a count is above its bound."
        cure "Split the plan; the message names the limit."
    PlanNotText "plan-not-text" Input "The plan file is not text"
        cause "The file is not UTF-8, or holds binary data."
        cure "Save it as UTF-8 text."
    PlanUnreadable "plan-unreadable" Input "The plan file cannot be read"
        cause "It does not exist, is a folder, or may not be opened."
        cure "Check the path and its permissions."
    PlanFragment "plan-fragment" Input "A planner has proposed what cannot be used"
        cause "What takes the place of a failed task must be a plan of up to 50 tasks, within 32 KiB; an agent may not propose commands."
        cure "The message tells what is wrong; the planner is asked again. Mend it, then `bell task retry` its task."
    PlanUnsupported "plan-unsupported" Input "The plan asks for something this version does not do"
        cause "The key is part of the format, but the machinery behind it is not in this version; running on \
               would quietly skip it."
        cure "Remove the key, or use a version that has it. `bell plan check` and `bell plan graph` accept it."
    InvalidArgument "invalid-argument" Input "An argument cannot be used"
        cause "A value on the command line or in a request has the wrong form or is out of range."
        cure "See the message for the form, and `bell COMMAND --help`."
    TaskNotFound "task-not-found" Input "There is no such task"
        cause "No task of this project has that id or key."
        cure "`bell task list` shows the tasks; `--project` chooses another project."
    AmbiguousId "ambiguous-id" Input "The short form of an id fits more than one"
        cause "Ids may be shortened to their first characters, as long as only one in the project begins so."
        cure "Type more of the id; the message names what it could be."
    RunNotFound "run-not-found" Input "There is no such run"
        cause "No run of this project has that id."
        cure "`bell runs list` shows the runs; `--project` chooses another project."
    LockNotHeld "lock-not-held" Input "Nobody holds this lock"
        cause "No task of this project holds a lock of exactly that name now."
        cure "`bell lock list` shows the locks that are held; `--project` chooses another project."
    ScheduleNotFound "schedule-not-found" Input "There is no such schedule"
        cause "No schedule of this project has that name."
        cure "`bell schedule list` shows the schedules; `--project` chooses another project."
    ScheduleExists "schedule-exists" Input "A schedule with this name exists already"
        cause "Names of schedules are unique in a project."
        cure "Choose another name, or change the one that is there with `bell schedule edit NAME`."
    RuleNotFound "rule-not-found" Input "There is no such rule"
        cause "No rule of this project has that name."
        cure "`bell rule list` shows the rules; `--project` chooses another project."
    RuleExists "rule-exists" Input "A rule with this name exists already"
        cause "Names of rules are unique in a project."
        cure "Choose another name, or put the new one in its place with `--replace`."
    PoolNotFound "pool-not-found" Input "There is no such pool"
        cause "No pool of this project has that name, and none is built in."
        cure "`bell pool list` shows the pools; `bell pool set NAME` makes one."
    WorkerNotFound "worker-not-found" Input "There is no such worker here"
        cause "No living worker of this machine has that name; a worker is drained on its own machine."
        cure "`bell worker list` shows the workers."
    AgentNotFound "agent-not-found" Input "There is no such agent"
        cause "No agent of this project is registered under that name."
        cure "`bell agent list` shows the agents; `bell agent register NAME` registers one."
    AgentExists "agent-exists" Input "An agent with this name is registered already"
        cause "Names of agents are unique in a project."
        cure "Choose another name, or change the one that is there with `bell agent edit NAME`."
    TeamNotFound "team-not-found" Input "There is no such team"
        cause "No team of this project has that name, neither one that somebody has named nor one that was found."
        cure "`bell team list` shows the teams; `bell team set NAME --member AGENT` makes one."
    RegistryFull "registry-full" Refused "No more agents can be registered"
        cause "The project has as many agents as routing can keep in mind."
        cure "Deregister those that are gone: `bell agent list --stale` shows them."
    NoCapableAgent "no-capable-agent" Waits "No agent can do the task"
        cause "No registered agent has every capability that the task needs, or does its kind of work."
        cure "Register one that has: `bell agent register NAME --capability CAP`; `bell task why ID` shows what it needs."
    NoAvailableAgent "no-available-agent" Waits "No agent is free for the task"
        cause "Whoever could do it has as many tasks as it may have, or has not been heard of for a day."
        cure "Wait, raise a capacity with `bell agent edit NAME --capacity N`, or register another agent."
    TaskExists "task-exists" Input "A task with this id exists already"
        cause "Ids are unique in a project, and an id is never given away twice."
        cure "Choose another id, leave it out to get a fresh one, or repeat the call with the same \
              idempotency key."
    PrerequisiteNotFound "prerequisite-not-found" Input "A prerequisite does not exist"
        cause "The task would wait for an id that no task of this project has."
        cure "Create the prerequisite first, or correct the id."
    PrerequisiteFailed "prerequisite-failed" Refused "A prerequisite can no longer be met"
        cause "The task would wait for one that has already ended the other way, so it could never start."
        cure "Retry the prerequisite first, wait on `:failure` or `:finished`, or set \
              `on_upstream_failure: continue`."
    DependencyCycle "dependency-cycle" Input "The task would wait for itself"
        cause "Following its prerequisites leads back to the task."
        cure "Remove one of the edges on the path shown."
    LimitExceeded "limit-exceeded" Input "A limit is exceeded"
        cause "A count or size is above its bound."
        cure "Ask for less, or in parts; the message names the limit."
    InvalidTransition "invalid-transition" Refused "The task cannot make this move from its state"
        cause "Another process may have moved it meanwhile, or it has ended."
        cure "`bell task show ID` tells its state, `bell task history ID` how it came there."
    LeaseLost "lease-lost" Refused "The lease is no longer yours"
        cause "It expired, was handed back or taken away, and the task may already be with another worker."
        cure "Stop working on it. Renew in time: a lease tells when it expires, and progress renews it."
    TokenNeeded "token-needed" Input "The lease's token is needed"
        cause "The call is about a lease that this session does not hold."
        cure "Pass the `token` that the claim gave, or claim the task first."
    ToolNotFound "tool-not-found" Input "There is no such tool"
        cause "The set of tools that this session was started with has none of that name."
        cure "`tools/list` names them; `bell mcp --tools all` offers every one."
    IdempotencyConflict "idempotency-conflict" Refused "The idempotency key was used for something else"
        cause "The same key came with a different request."
        cure "Use one key for one request; repeat a request unchanged."
    RunChanged "run-changed" Refused "Another process has submitted the same plan meanwhile"
        cause "Two submissions of one plan met; this one was based on what the other has replaced."
        cure "Submit again: it continues what the other one has begun."
    EntryChanged "entry-changed" Refused "Somebody else has changed it meanwhile"
        cause "The change was based on what another process has replaced."
        cure "Look at it as it is now and repeat the change."
    ProjectMoved "project-moved" Refused "The project has moved to another store"
        cause "It was copied elsewhere, and this store has been closed for it."
        cure "Use the new store; `bell store check` names it."
    CurbNotFound "curb-not-found" Input "There is no such breaker, limit or budget"
        cause "None of this project has that name."
        cure "`bell breaker list`, `bell limit list` and `bell budget list` show what there is."
    TokenNotFound "token-not-found" Input "There is no such token"
        cause "No token has that name."
        cure "`bell token list` shows the tokens."
    TokenExists "token-exists" Input "A token with this name exists already"
        cause "Names of tokens are unique."
        cure "Choose another name, or revoke the one that is there."
    TokenRequired "token-required" Input "A server that others can reach needs a token"
        cause "The address is not one of this machine alone, and no token exists, so anybody could do anything."
        cure "`bell token create NAME --role admin` makes one; or listen on 127.0.0.1."
    Unauthorized "unauthorized" Store "The server does not know who asks"
        cause "The token is missing, wrong, revoked or expired."
        cure "Send `Authorization: Bearer TOKEN`; `bell token create` makes tokens."
    Forbidden "forbidden" Refused "The token may not do this"
        cause "Its role is below the one that the operation needs, or the request comes from a web page elsewhere."
        cure "Use a token with the role that the message names."
    TooManyRequests "too-many-requests" Store "Too much is asked at once"
        cause "Wrong tokens came from this address again and again, or the server is at its bound of open requests."
        cure "Wait as long as `Retry-After` says."
    RequestTooLarge "request-too-large" Input "The request is too large"
        cause "Its body or its header is above the server's bound."
        cure "Send it in parts."
    RequestTimeout "request-timeout" Store "The request took too long"
        cause "Its body did not arrive in time, the store did not answer in time, or what was asked takes long to compute."
        cure "Send it again, with the same idempotency key if it writes."
    RouteNotFound "route-not-found" Input "The server has no such address"
        cause "The path is misspelt, or belongs to another version."
        cure "`GET /v1/openapi.json` lists every operation."
    MethodNotAllowed "method-not-allowed" Input "The address does not take this method"
        cause "The path exists, but not with this method."
        cure "`Allow` names the methods that it takes."
    UnsupportedMedia "unsupported-media-type" Input "The body is of a type that is not read"
        cause "The header `Content-Type` names something else than JSON."
        cure "Send `Content-Type: application/json`."
    ServerUnreachable "server-unreachable" Store "The server cannot be reached"
        cause "Nothing answers at that address, or what answers is no Bellwether."
        cure "Check the URL, and that `bell serve` runs there."
    ServerLeaving "server-leaving" Store "The server takes its leave"
        cause "It was told to end: it lets what is under way end, and gives out no more leases."
        cure "Ask again in a moment: another server, or this one when it is back."
    ServerVersion "server-version" Store "Server and client do not understand each other"
        cause "They are of versions that are too far apart."
        cure "Use the same version on both sides."
    StoreNotFound "store-not-found" Store "There is no store here"
        cause "No `.bellwether` folder was found in this folder or above it, and this command creates none."
        cure "Run a plan or add a task first, or name a store with `--store`."
    StoreGone "store-gone" Store "The store is not there any more"
        cause "It was removed, replaced or emptied while this process had it open. Nothing was written since."
        cure "Put it back, or begin anew: `bell store check` tells what is there now."
    StoreUrl "store-url" Input "The store's URL cannot be used"
        cause "Its scheme is unknown or its form wrong."
        cure "Use `sqlite:PATH`, `postgres://HOST/DATABASE`, `redis://HOST` or `memory:`."
    StoreNotDatabase "store-not-database" Store "The file is not a Bellwether store"
        cause "It is not SQLite, was made by another program, or its first page is damaged."
        cure "Name another file with `--store`, or restore a backup; nothing was written to it."
    StoreReadOnly "store-read-only" Store "The store cannot be written"
        cause "The file or its folder is read-only for this user."
        cure "Change the permissions, or use another store."
    StoreLocked "store-locked" Store "Another program holds the store"
        cause "A foreign program keeps a lock on the file; processes of Bellwether queue and do not block \
               each other."
        cure "Close the other program (a database browser, a backup) and try again."
    StoreFull "store-full" Store "There is no room left for the store"
        cause "The disk is full, or a size limit is reached. Nothing of the refused change was written."
        cure "Make room; work goes on where it stopped."
    StoreNewer "store-newer" Store "The store was written by a newer version"
        cause "Its schema has a number that this binary does not know."
        cure "Use the newer binary. This one changed nothing."
    StoreCorrupt "store-corrupt" Store "The store is damaged"
        cause "What is read contradicts itself."
        cure "`bell store check` tells more; restore a backup from the `backups` folder beside the store."
    StoreNetwork "store-network" Store "The store lies on a network file system"
        cause "File locks and shared memory do not hold there, so several processes would damage the file."
        cure "Put the store on a local disk."
    StoreUnsuitable "store-unsuitable" Store "The server cannot keep a store"
        cause "It is too old, or set up so that it may throw away what it was given."
        cure "Change the server as the message says, or use another one."
    StoreVolatile "store-volatile" Store "The server may lose what it acknowledges"
        cause "Its persistence is weaker than the durability asked for."
        cure "Change the server, ask for less with the setting `durability`, or accept it with `--accept-volatile`."
    StoreDenied "store-denied" Store "The server refuses this user"
        cause "The password is wrong or missing, or the user may not do what a store needs."
        cure "Check the user and password in the store's URL, and the server's access list."
    StoreUnavailable "store-unavailable" Store "The store cannot be used now"
        cause "Reading or writing failed underneath."
        cure "Try again, and run `bell doctor`, which checks the surroundings; the message has the system's own words."
    ExecutorFailed "executor-failed" Refused "The command could not be started"
        cause "The program does not exist, may not be run, or its folder is missing."
        cure "Check the command and `cwd`."
    AuditBroken "audit-broken" Refused "The event log has been tampered with"
        cause "A digest does not follow from the event and its predecessor: an event was edited, removed or moved."
        cure "Treat everything after the named event as unproven and compare with a backup."
    StoreInconsistent "store-inconsistent" Refused "The store's own checks found a contradiction"
        cause "A counter, index or edge disagrees with the tasks; each finding is listed."
        cure "Restore a backup, and report it: this should never happen."
    ConfigInvalid "config-invalid" Input "The configuration cannot be used"
        cause "A configuration file or variable has a value of the wrong form."
        cure "`bell config show` tells where each value comes from."
    ForeignFolder "foreign-folder" Input "What was found here belongs to somebody else"
        cause "The nearest `.bellwether` folder or `bell.toml` is another user's. Its tasks and command lines would be carried out with your rights."
        cure "Name a store with --store, or list folders that you trust in the variable BELLWETHER_TRUST, separated by colons."
    Waiting "waiting" Waits "The run waits for something outside"
        cause "Nothing runs, and nothing can become ready without a person, an agent or a missing capability."
        cure "Each wait is printed with its cure; `--wait` stays until it is over."
    Internal "internal" Bug "A defect in Bellwether"
        cause "Something that should never happen did."
        cure "Report it with the message and what you did."
}

impl Code {
    pub fn parse(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// A code that a newer server knows and we do not is a defect to us.
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Code, D::Error> {
        let text = String::deserialize(d)?;
        Code::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no code")))
    }
}

/// A typed "no": which code, what exactly, and what to do about it.
///
/// `detail` is a lower-case fragment with the offending value and no full stop; `help` is one imperative line
/// that names the exact command or field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{detail}")]
pub struct Refusal {
    pub code: Code,
    pub detail: String,
    pub help: Option<String>,
    /// All that is wrong with a plan or a request, where the first of it is what `detail` says. It goes out with the refusal and
    /// is not kept with it.
    #[serde(skip)]
    pub faults: Option<Box<Faults>>,
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<String>) -> Refusal {
        Refusal {
            code,
            detail: detail.into(),
            help: None,
            faults: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.help = Some(help.into());
        self
    }

    /// What to do about it: its own help, else what cures its code wherever it occurs.
    pub fn cure(&self) -> &str {
        self.help.as_deref().unwrap_or(self.code.cure())
    }
}

/// The known name nearest to `given`, if one is near enough to be what was meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().min(given.len()) / 4)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_complete() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(
                code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{code}"
            );
            assert!(!code.title().ends_with('.'), "{code}: titles are no sentences");
            assert!(
                code.cause().ends_with('.') && code.cure().ends_with('.'),
                "{code}"
            );
        }
    }

    #[test]
    fn a_refusal_without_help_has_the_cure_of_its_code() {
        let refusal = Refusal::new(Code::StoreFull, "no room is left");
        assert_eq!(refusal.cure(), Code::StoreFull.cure());
        assert_eq!(refusal.help("empty the bin").cure(), "empty the bin");
    }

    #[test]
    fn typos_find_their_word() {
        assert_eq!(nearest("timout", ["timeout", "retry"]), Some("timeout"));
        assert_eq!(nearest("aftre", ["after", "agent"]), Some("after"));
        assert_eq!(nearest("zzz", ["after", "agent"]), None);
    }
}
