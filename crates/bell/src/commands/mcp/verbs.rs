//! Every command as a tool: its flags are the arguments, its JSON is the answer.
//!
//! Left out is what never ends, what belongs to the terminal or to the machine, and, unless it was allowed when the session
//! was started, whatever would let an agent choose a command that is run.

use std::any::TypeId;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use clap::{Arg, ArgAction, Command, Parser};
use domain::code::{Code, Refusal, nearest};
use engine::engine::Engine;
use mcp::{Extra, Offer, Rights};
use serde_json::{Map, Value, json};

use crate::app;
use crate::args::{self, Cli};
use crate::context::Context;
use crate::error::{Error, invalid};
use crate::exit::Exit;

/// What ends only when it is told to, and what is about this machine.
const LEFT_OUT: &[&str] = &[
    "run",
    "worker",
    "serve",
    "mcp",
    "bench",
    "completions",
    "prime",
    "config",
    "store",
    "doctor",
    "token",
];
/// What runs a command that its caller chooses.
const COMMANDS: &[&str] = &["submit", "rule add"];
/// Flags of no use here, or that never end; of commands, `run` is one as well.
const FLAGS: &[&str] = &["follow", "wait", "help", "version"];
const COMMAND_FLAGS: &[&str] = &["run", "env", "cwd"];
/// What reads the files of this machine.
const FILES: &[&str] = &["analyze"];
/// Flags that take a path or something else.
const PATHS: &[&str] = &["anchor"];
/// Last words of commands that change nothing.
const LOOKS: &[&str] = &[
    "list",
    "show",
    "why",
    "history",
    "logs",
    "status",
    "problems",
    "groups",
    "check",
    "graph",
    "simulate",
    "verify",
    "schema",
    "next",
    "explain",
    "events",
    "mine",
    "export",
    "advise",
    "conflicts",
];
/// Bytes of one answer.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

pub(in crate::commands) struct Verbs {
    context: Context,
    verbs: Vec<Verb>,
}

struct Verb {
    offer: Offer,
    /// The words of the command.
    path: Vec<String>,
    flags: Vec<Flag>,
}

struct Flag {
    /// As an argument of the tool.
    name: String,
    /// `None` for what stands by its place.
    long: Option<String>,
    sort: Sort,
    needed: bool,
    /// No file of this machine is read for it.
    far: bool,
    about: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Switch,
    One,
    Many,
}

impl Verbs {
    /// For whoever works on this machine.
    pub(in crate::commands) fn new(context: Context, may_run_commands: bool) -> Verbs {
        Verbs::with(
            context,
            Leave {
                may_run_commands,
                far: false,
            },
        )
    }

    /// For whoever is elsewhere: the files of this machine are none of theirs.
    pub(in crate::commands) fn far(context: Context) -> Verbs {
        Verbs::with(
            context,
            Leave {
                may_run_commands: false,
                far: true,
            },
        )
    }

    fn with(context: Context, leave: Leave) -> Verbs {
        let mut verbs = Vec::new();
        collect(&args::command(), &[], leave, &mut verbs);
        Verbs { context, verbs }
    }
}

/// What callers may do.
#[derive(Clone, Copy, Debug)]
struct Leave {
    may_run_commands: bool,
    /// They are on another machine.
    far: bool,
}

/// The commands that have none below them.
fn collect(command: &Command, path: &[String], leave: Leave, verbs: &mut Vec<Verb>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        let words = path.join(" ");
        let needs_file = || {
            sub.get_arguments()
                .any(|arg| arg.is_required_set() && names_file(arg))
        };
        if LEFT_OUT.contains(&path[0].as_str())
            || !leave.may_run_commands && COMMANDS.contains(&words.as_str())
            || leave.far && (needs_file() || FILES.contains(&path[0].as_str()))
        {
            continue;
        }
        if sub.has_subcommands() {
            collect(sub, &path, leave, verbs);
        } else {
            verbs.push(Verb::new(sub, path, leave));
        }
    }
}

impl Verb {
    fn new(command: &Command, path: Vec<String>, leave: Leave) -> Verb {
        let wanted = |arg: &&Arg| {
            let name = arg.get_id().as_str();
            // A schedule's plan file may hold commands; a plan that is only looked at stands by its place.
            let chooses = COMMAND_FLAGS.contains(&name) || name == "plan" && arg.get_long().is_some();
            let runs = chooses && !leave.may_run_commands || leave.far && names_file(arg);
            !(arg.is_hide_set() || arg.is_global_set() || FLAGS.contains(&name) || runs)
        };
        let flags = command.get_arguments().filter(wanted);
        let flags: Vec<Flag> = flags.map(|arg| Flag::new(arg, leave.far)).collect();
        let last = path.last().map_or("", String::as_str);
        let rights = match LOOKS.contains(&last) {
            true => Rights::Read,
            false => Rights::Operate,
        };
        let offer = Offer {
            name: format!("bell_{}", path.join("_").replace('-', "_")),
            about: command.get_about().map(ToString::to_string).unwrap_or_default(),
            takes: takes(&flags),
            rights,
        };
        Verb { offer, path, flags }
    }

    /// What would be typed. Values stand behind `=` or behind `--`, so that none is taken for a flag.
    fn argv(&self, arguments: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
        let known = || self.flags.iter().map(|flag| flag.name.as_str());
        if let Some(unknown) = arguments.keys().find(|name| known().all(|known| known != *name)) {
            let refusal = invalid(format!("there is no argument `{}`", unknown.escape_debug()));
            return Err(match nearest(unknown, known()) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help(format!("known are {}", known().collect::<Vec<_>>().join(", "))),
            });
        }
        let mut argv = vec!["bell".to_owned()];
        argv.extend(self.path.iter().cloned());
        argv.push("--json".to_owned());
        let mut placed = Vec::new();
        for flag in &self.flags {
            let Some(value) = arguments.get(&flag.name).filter(|value| !value.is_null()) else {
                continue;
            };
            match (&flag.long, flag.texts(value)?) {
                (Some(long), texts) if flag.sort == Sort::Switch => {
                    argv.extend(texts.iter().map(|_| format!("--{long}")));
                }
                (Some(long), texts) => argv.extend(texts.iter().map(|text| format!("--{long}={text}"))),
                (None, texts) => placed.extend(texts),
            }
        }
        if !placed.is_empty() {
            argv.push("--".to_owned());
            argv.append(&mut placed);
        }
        Ok(argv)
    }
}

/// Whether its value is a path, or may be one.
fn names_file(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() || PATHS.contains(&arg.get_id().as_str())
}

impl Flag {
    fn new(arg: &Arg, far: bool) -> Flag {
        let sort = match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count => Sort::Switch,
            ArgAction::Append => Sort::Many,
            _ if arg.get_num_args().is_some_and(|count| count.max_values() > 1) => Sort::Many,
            _ => Sort::One,
        };
        let long = arg.get_long().map(str::to_owned);
        Flag {
            name: long.as_deref().unwrap_or(arg.get_id().as_str()).replace('-', "_"),
            long,
            sort,
            needed: arg.is_required_set(),
            far,
            about: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The value as it would be typed.
    fn texts(&self, value: &Value) -> Result<Vec<String>, Refusal> {
        let one = |value: &Value| match value {
            // Stdin is the client's.
            Value::String(text) if text == "-" => Err(self.wrong("`-` means stdin, which is not there")),
            Value::String(text) if self.far && text.starts_with('@') => {
                Err(self.wrong("files are not read for callers from elsewhere; write the value itself"))
            }
            Value::String(text) if text.contains('\0') => Err(self.wrong("a zero byte")),
            Value::String(text) => Ok(text.clone()),
            other => Ok(other.to_string()),
        };
        match (self.sort, value) {
            (Sort::Switch, Value::Bool(true)) => Ok(vec![String::new()]),
            (Sort::Switch, Value::Bool(false)) => Ok(Vec::new()),
            (Sort::Switch, _) => Err(self.wrong("pass true or false")),
            (Sort::Many, Value::Array(items)) => items.iter().map(one).collect(),
            (_, value) => Ok(vec![one(value)?]),
        }
    }

    fn wrong(&self, why: &str) -> Refusal {
        invalid(format!("`{}`: {why}", self.name))
    }

    fn schema(&self) -> Value {
        let mut schema = match self.sort {
            Sort::Switch => json!({ "type": "boolean" }),
            // A number or a document is as good as its text.
            Sort::One => json!({}),
            Sort::Many => json!({ "type": "array" }),
        };
        if !self.about.is_empty() {
            schema["description"] = json!(self.about);
        }
        schema
    }
}

fn takes(flags: &[Flag]) -> Map<String, Value> {
    let properties: Map<String, Value> = flags
        .iter()
        .map(|flag| (flag.name.clone(), flag.schema()))
        .collect();
    let needed: Vec<&str> = flags
        .iter()
        .filter(|flag| flag.needed)
        .map(|flag| flag.name.as_str())
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), json!(needed));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

#[async_trait]
impl Extra for Verbs {
    fn offers(&self) -> Vec<&Offer> {
        self.verbs.iter().map(|verb| &verb.offer).collect()
    }

    async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        engine: Engine,
    ) -> Result<Value, Refusal> {
        let verb = self.verbs.iter().find(|verb| verb.offer.name == tool);
        let verb =
            verb.ok_or_else(|| Refusal::new(Code::ToolNotFound, format!("there is no tool `{tool}`")))?;
        let cli = Cli::try_parse_from(verb.argv(&arguments)?).map_err(|error| args::refusal(&error))?;
        let command = cli.command.ok_or_else(|| invalid("no command"))?;
        let (context, kept) = self.context.within(engine);
        // Some commands bring a runtime of their own.
        let work = tokio::task::spawn_blocking(move || app::run(command, &context));
        let ended = work
            .await
            .map_err(|e| Refusal::new(Code::Internal, format!("{tool} met a defect: {e}")))?;
        let exit = match ended {
            Ok(exit) | Err(Error::Told(exit)) => exit,
            Err(Error::Refused(refusal)) => return Err(refusal),
            Err(Error::Closed | Error::Interrupted) => Exit::INTERRUPTED,
        };
        answer(&String::from_utf8_lossy(&kept.take()), exit)
    }
}

/// One document as it is, several as a list. That the answer is no is told beside it.
fn answer(said: &str, exit: Exit) -> Result<Value, Refusal> {
    if said.len() > ANSWER_MAX {
        let detail = format!("the answer has {} bytes, the limit is {ANSWER_MAX}", said.len());
        return Err(Refusal::new(Code::LimitExceeded, detail).help("ask for less: a limit, a filter"));
    }
    let documents = serde_json::Deserializer::from_str(said).into_iter::<Value>();
    let mut documents: Vec<Value> = documents
        .collect::<Result<_, _>>()
        .unwrap_or_else(|_| vec![json!({ "text": said })]);
    let mut answer = match (documents.len(), documents.pop()) {
        (1, Some(document @ Value::Object(_))) => document,
        (_, Some(last)) => {
            documents.push(last);
            json!({ "items": documents })
        }
        (_, None) => json!({}),
    };
    if exit != Exit::DONE {
        answer["exit"] = json!(exit.0);
    }
    Ok(answer)
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verbs")
            .field("verbs", &self.verbs.len())
            .finish_non_exhaustive()
    }
}
