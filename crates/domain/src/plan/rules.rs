//! Files of rules: the same text and the same faults as plans, with other keys.

use std::collections::BTreeMap;

use crate::event::pattern::Pattern;
use crate::id::RuleName;
use crate::rule::{
    Action, Condition, DEPTH_DEFAULT, DEPTH_MAX, Filter, Notify, PATTERNS_MAX, Publish, Rule, Submit,
    Template, Way, Webhook,
};
use crate::schedule::Work;

use super::at::{At, Findings, Key};
use super::check::check;
use super::decode::decode;
use super::fault::Faults;
use super::model::Format;
use super::node::{Node, Value, to_json};
use super::{json, schema, text, toml, yaml};

/// Reads a file of rules. `file` names it in messages; `folder` is where its commands run.
pub fn read_rules(
    bytes: &[u8],
    format: Format,
    file: &str,
    folder: &str,
) -> Result<Vec<(RuleName, Rule)>, Faults> {
    let mut found = Findings::new(file, format);
    let root = match text::decode(bytes) {
        Ok(text) => match format {
            Format::Yaml => yaml::read(text, &mut found.faults),
            Format::Json => json::read(text, &mut found.faults),
            Format::Toml => toml::read(text, &mut found.faults),
        },
        Err(fault) => {
            found.faults.push(fault);
            None
        }
    };
    let mut rules = Vec::new();
    if let Some(root) = &root {
        let at = At::root(root);
        let mut place = Place {
            file,
            folder,
            format,
            rules: &mut rules,
        };
        place.file(at, &mut found);
    }
    found.faults.sort();
    match found.faults.is_empty() {
        true => Ok(rules),
        false => Err(found.faults),
    }
}

struct Place<'a> {
    file: &'a str,
    folder: &'a str,
    format: Format,
    rules: &'a mut Vec<(RuleName, Rule)>,
}

/// A rule while its keys are read.
#[derive(Debug)]
pub(super) struct Draft {
    on: Vec<Pattern>,
    when: Option<Condition>,
    depth: u32,
    folder: String,
    file: String,
    format: Format,
    /// The keys that say what is done; more than one is a fault.
    does: Vec<&'static str>,
    action: Option<Action>,
}

impl Draft {
    fn does(&mut self, key: &'static str, action: Option<Action>) {
        self.does.push(key);
        self.action = self.action.take().or(action);
    }
}

impl Place<'_> {
    fn file(&mut self, at: At<'_>, found: &mut Findings) {
        let Some(entries) = at.entries(found, "a mapping with `rules`") else {
            return;
        };
        let mut listed = false;
        for entry in entries {
            if entry.key != "rules" {
                at.unknown_key(found, entry, "a file of rules has only `rules`".to_owned());
                continue;
            }
            listed = true;
            let at = at.entry(entry);
            for rule in at
                .entries(found, "a mapping of names to rules")
                .unwrap_or_default()
            {
                self.rule(at.entry(rule), found);
            }
        }
        if !listed {
            at.missing(found, "has no rules", "add `rules`, a mapping of names to rules");
        }
    }

    fn rule(&mut self, at: At<'_>, found: &mut Findings) {
        let Some(name) = at.accept(found, RuleName::new(at.key())) else {
            return;
        };
        let mut draft = Draft {
            on: Vec::new(),
            when: None,
            depth: DEPTH_DEFAULT,
            folder: self.folder.to_owned(),
            file: self.file.to_owned(),
            format: self.format,
            does: Vec::new(),
            action: None,
        };
        let before = found.faults.count();
        at.keys(found, "a mapping with `on` and what is done", RULE, &mut draft);
        if found.faults.count() > before {
            return;
        }
        if draft.on.is_empty() {
            at.missing(
                found,
                "does not say what it is for",
                "add `on`, the type of an event",
            );
        }
        if draft.does.len() > 1 {
            let detail = format!("does several things: {}", draft.does.join(", "));
            at.wrong(found, detail, "make a rule of each");
        }
        match draft.action {
            Some(action) if draft.does.len() == 1 => {
                let (on, when, depth) = (draft.on, draft.when, draft.depth);
                self.rules.push((
                    name,
                    Rule {
                        on,
                        when,
                        action,
                        depth,
                    },
                ));
            }
            Some(_) => {}
            None => at.missing(found, "does nothing", "add for example `submit` or `webhook`"),
        }
    }
}

const RULE: &[Key<Draft>] = &[
    Key::new(
        "on",
        "Types of events; any of them.",
        schema::texts,
        |draft, at, found| {
            at.each(found, |at, found| {
                let pattern = at.text(found).map(str::parse);
                draft
                    .on
                    .extend(pattern.and_then(|pattern| at.accept(found, pattern)));
            });
            if draft.on.len() > PATTERNS_MAX {
                let detail = format!("{} patterns; the limit is {PATTERNS_MAX}", draft.on.len());
                at.wrong(found, detail, "use `*`, or make several rules");
            }
        },
    ),
    Key::new(
        "if",
        "What must hold besides.",
        schema::text,
        |draft, at, found| {
            let condition = at.text(found).map(str::parse);
            draft.when = condition.and_then(|condition| at.accept(found, condition));
        },
    ),
    Key::new(
        "depth",
        "Rules in a row, at most.",
        schema::count,
        |draft, at, found| {
            let depth = at.whole(found, 1, i64::from(DEPTH_MAX));
            draft.depth = depth
                .and_then(|depth| u32::try_from(depth).ok())
                .unwrap_or(DEPTH_DEFAULT);
        },
    ),
    Key::new("submit", "Tasks to hand in.", schema::mapping, submit),
    Key::new("webhook", "A URL to send the event to.", schema::text, webhook),
    Key::new("publish", "A message to a broker.", schema::mapping, publish),
    Key::new("notify", "A command to start.", schema::run, notify),
    Key::new(
        "reprioritize",
        "FILTER to PRIORITY.",
        schema::text,
        |draft, at, found| {
            let parsed = at.text(found).map(str::parse);
            let action = parsed.and_then(|parsed| at.accept(found, parsed));
            draft.does("reprioritize", action.map(Action::Reprioritize));
        },
    ),
    Key::new(
        "pause",
        "Which tasks are suspended.",
        schema::text,
        |draft, at, found| {
            let action = filter(at, found).map(Action::Pause);
            draft.does("pause", action);
        },
    ),
    Key::new(
        "resume",
        "Which tasks are resumed.",
        schema::text,
        |draft, at, found| {
            let action = filter(at, found).map(Action::Resume);
            draft.does("resume", action);
        },
    ),
    Key::new(
        "retry",
        "Which failed tasks get another go.",
        schema::text,
        |draft, at, found| {
            let action = filter(at, found).map(Action::Retry);
            draft.does("retry", action);
        },
    ),
];

fn filter(at: At<'_>, found: &mut Findings) -> Option<Filter> {
    let parsed = at.text(found).map(str::parse)?;
    at.accept(found, parsed)
}

/// `tasks` and `defaults` as in a plan, and `with`.
fn submit(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let Some(entries) = at.entries(found, "a mapping with `tasks`") else {
        return draft.does("submit", None);
    };
    let mut with = BTreeMap::new();
    let mut plan = Vec::new();
    for entry in entries {
        match &*entry.key {
            "with" => variables(at.entry(entry), found, &mut with),
            "tasks" | "defaults" => plan.push(entry.clone()),
            _ => at.unknown_key(found, entry, "known are tasks, defaults, with".to_owned()),
        }
    }
    let node = Node {
        place: at.place(),
        value: Value::Mapping(plan),
    };
    let text = match to_json(&node) {
        Ok(text) => text,
        Err(fault) => return found.faults.push(fault),
    };
    let mut inner = Findings::new(&draft.file, draft.format);
    let (head, tasks) = decode(node, &mut inner);
    let faults = match check(head, tasks, inner) {
        Ok(plan) => plan.unsupported,
        Err(faults) => faults,
    };
    found.faults.more += faults.more;
    faults
        .faults
        .into_iter()
        .for_each(|fault| found.faults.push(fault));
    let file = draft.file.clone();
    let work = Work::Plan {
        file: std::path::Path::new(&draft.folder)
            .join(file)
            .display()
            .to_string(),
        text,
    };
    draft.does("submit", Some(Action::Submit(Submit { work, with })));
}

fn variables(at: At<'_>, found: &mut Findings, with: &mut BTreeMap<String, Way>) {
    for entry in at
        .entries(found, "a mapping of variables to facts")
        .unwrap_or_default()
    {
        let at = at.entry(entry);
        if at.key().is_empty() || at.key().contains(['=', '\0']) {
            at.wrong(found, "this is no name of a variable", "use a name without `=`");
        }
        let way = at.text(found).map(str::parse);
        if let Some(way) = way.and_then(|way| at.accept(found, way)) {
            with.insert(at.key().to_owned(), way);
        }
    }
}

fn webhook(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut hook = None;
    match &at.node.value {
        Value::Mapping(entries) => {
            let mut parts = Parts::default();
            at.keys(found, "a mapping with `url`", WEBHOOK, &mut parts);
            if !entries.iter().any(|entry| entry.key == "url") {
                at.missing(found, "has no `url`", "add `url`");
            }
            if let Some(mut parsed) = parts.url.and_then(|url| at.accept(found, Webhook::new(&url))) {
                parsed.headers = parts.headers;
                parsed.timeout = parts.timeout.unwrap_or(parsed.timeout);
                hook = Some(parsed);
            }
        }
        _ => {
            let parsed = at.text(found).map(Webhook::new);
            hook = parsed.and_then(|parsed| at.accept(found, parsed));
        }
    }
    draft.does("webhook", hook.map(Action::Webhook));
}

#[derive(Debug, Default)]
struct Parts {
    url: Option<String>,
    headers: BTreeMap<String, String>,
    timeout: Option<u64>,
}

const WEBHOOK: &[Key<Parts>] = &[
    Key::new("url", "Where to.", schema::text, |parts, at, found| {
        parts.url = at.text(found).map(str::to_owned);
    }),
    Key::new("headers", "Headers by name.", schema::env, |parts, at, found| {
        for entry in at.entries(found, "a mapping of headers").unwrap_or_default() {
            let at = at.entry(entry);
            if let Some(value) = at.scalar(found, "text") {
                parts.headers.insert(at.key().to_owned(), value.to_owned());
            }
        }
    }),
    Key::new("timeout", "Of one try.", schema::duration, |parts, at, found| {
        parts.timeout = timeout(at, found);
    }),
];

fn timeout(at: At<'_>, found: &mut Findings) -> Option<u64> {
    let span = at.positive(found);
    if span.is_some_and(|span| span > Webhook::TIMEOUT_MAX) {
        at.wrong(found, "this is too long", "wait for a minute at the most");
    }
    span.map(|span| span.as_millis() as u64)
}

fn publish(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut parts = Sent::default();
    at.keys(
        found,
        "a mapping with `url` and `routing_key`",
        PUBLISH,
        &mut parts,
    );
    if let Value::Mapping(entries) = &at.node.value {
        for key in ["url", "routing_key"] {
            if !entries.iter().any(|entry| &*entry.key == key) {
                at.missing(found, format!("has no `{key}`"), &format!("add `{key}`"));
            }
        }
    }
    let (Some(url), Some(key)) = (parts.url, parts.routing_key) else {
        return draft.does("publish", None);
    };
    let publish = at.accept(found, Publish::new(&url, &parts.exchange, key));
    let publish = publish.map(|publish| Publish {
        mandatory: parts.mandatory.unwrap_or(publish.mandatory),
        timeout: parts.timeout.unwrap_or(publish.timeout),
        ..publish
    });
    draft.does("publish", publish.map(Action::Publish));
}

#[derive(Debug, Default)]
struct Sent {
    url: Option<String>,
    exchange: String,
    routing_key: Option<Template>,
    mandatory: Option<bool>,
    timeout: Option<u64>,
}

const PUBLISH: &[Key<Sent>] = &[
    Key::new("url", "The broker.", schema::text, |parts, at, found| {
        parts.url = at.text(found).map(str::to_owned);
    }),
    Key::new(
        "exchange",
        "The broker's own if not said.",
        schema::text,
        |parts, at, found| {
            parts.exchange = at.text(found).map(str::to_owned).unwrap_or_default();
        },
    ),
    Key::new(
        "routing_key",
        "With facts in braces.",
        schema::text,
        |parts, at, found| {
            let key = at.text(found).map(str::parse);
            parts.routing_key = key.and_then(|key| at.accept(found, key));
        },
    ),
    Key::new(
        "mandatory",
        "Whether it has failed when no queue takes it.",
        schema::flag,
        |parts, at, found| parts.mandatory = at.flag(found),
    ),
    Key::new("timeout", "Of one try.", schema::duration, |parts, at, found| {
        parts.timeout = timeout(at, found);
    }),
];

fn notify(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let cwd = draft.folder.clone();
    let action = match &at.node.value {
        Value::Sequence(_) => {
            let mut argv = Vec::new();
            at.each(found, |at, found| argv.extend(at.text(found).map(str::to_owned)));
            if argv.first().is_none_or(|program| program.trim().is_empty()) {
                at.wrong(found, "the program is empty", "name at least the program");
            }
            Some(Notify { argv, cwd })
        }
        _ => at.content(found).map(|line| Notify::shell(&line, &cwd)),
    };
    draft.does("notify", action.map(Action::Notify));
}
