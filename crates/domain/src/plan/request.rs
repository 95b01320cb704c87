//! Tasks by themselves, as programs send them: the keys of a task in a plan, and who it is.

use serde_json::{Value as Schema, json};

use crate::code::Code;
use crate::id::{Key as TaskKey, TaskId};
use crate::limits;
use crate::task::spec::{After, Spec, Work, check_text};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::fault::{Fault, Faults};
use super::keys::TASK;
use super::model::Format;
use super::node::{Node, Value};
use super::{json as json_text, schema as form, text};

/// A task that was asked for. Its prerequisites name tasks of the same request by key, else stored ones by id or key.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub id: Option<TaskId>,
    pub key: Option<TaskKey>,
    /// The task that it is a part of, by id or key.
    pub parent: Option<String>,
    pub spec: Spec,
    pub after: Vec<After>,
}

#[derive(Debug, Default)]
struct Who {
    id: Option<TaskId>,
    key: Option<TaskKey>,
    name: Option<String>,
    parent: Option<String>,
}

const WHO: &[Key<Who>] = &[
    Key::new(
        "id",
        "The task's id, unique in the project; a fresh one when absent.",
        || json!({ "type": "string", "minLength": 1, "maxLength": limits::ID_BYTES, "pattern": r"^[^\s-]\S*$" }),
        |who, at, found| {
            who.id = at
                .text(found)
                .and_then(|text| at.accept(found, TaskId::new(text)));
        },
    ),
    Key::new(
        "key",
        "Its name among the tasks of this request.",
        form::name,
        |who, at, found| {
            who.key = at.name(found);
        },
    ),
    Key::new(
        "name",
        "What people read; alone, it is also the prompt.",
        form::text,
        |who, at, found| {
            who.name = at.content(found);
        },
    ),
    Key::new(
        "parent",
        "The task that it is a part of.",
        form::name,
        |who, at, found| {
            who.parent = at.name::<TaskKey>(found).map(|key| key.to_string());
        },
    ),
];

/// Reads one task from a JSON object.
pub fn request(bytes: &[u8]) -> Result<Asked, Faults> {
    let (root, mut found) = parse(bytes)?;
    let asked = one(At::root(&root), &mut found);
    end(asked, found)
}

/// Reads `{"tasks": [...]}`, or one task alone; the flag tells which it was.
pub fn requests(bytes: &[u8], max: usize) -> Result<(Vec<Asked>, bool), Faults> {
    let (root, mut found) = parse(bytes)?;
    let at = At::root(&root);
    let Value::Mapping(entries) = &root.value else {
        at.unexpected(&mut found, "an object");
        return Err(found.faults);
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == "tasks") else {
        let asked = one(at, &mut found);
        return end(asked, found).map(|asked| (vec![asked], false));
    };
    for other in entries.iter().filter(|other| other.key != "tasks") {
        at.unknown_key(&mut found, other, "beside `tasks` there is nothing".to_owned());
    }
    let at = at.entry(entry);
    let Value::Sequence(items) = &entry.node.value else {
        at.unexpected(&mut found, "a list of tasks");
        return Err(found.faults);
    };
    if items.is_empty() || items.len() > max {
        let detail = format!("`tasks` has {} entries; send 1 to {max}", items.len());
        let fault = at.fault(Code::PlanLimit, detail);
        found.faults.push(fault.help("send them in parts"));
        return Err(found.faults);
    }
    let mut asked = Vec::with_capacity(items.len());
    for (index, node) in items.iter().enumerate() {
        asked.extend(one(at.item(index, node), &mut found));
    }
    end(Some(asked), found).map(|asked| (asked, true))
}

fn parse(bytes: &[u8]) -> Result<(Node<'_>, Findings), Faults> {
    let mut found = Findings::new("request", Format::Json);
    let text = match text::decode(bytes) {
        Ok(text) => text,
        Err(fault) => {
            found.faults.push(fault);
            return Err(found.faults);
        }
    };
    match json_text::read(text, &mut found.faults) {
        Some(root) => Ok((root, found)),
        None => Err(found.faults),
    }
}

fn end<T>(asked: Option<T>, mut found: Findings) -> Result<T, Faults> {
    if found.faults.is_empty() && !found.unsupported.is_empty() {
        return Err(found.unsupported);
    }
    match asked {
        Some(asked) if found.faults.is_empty() => Ok(asked),
        _ => {
            found.faults.sort();
            Err(found.faults)
        }
    }
}

fn one(at: At<'_>, found: &mut Findings) -> Option<Asked> {
    let entries = at.entries(found, "an object")?;
    let (mut who, mut draft) = (Who::default(), Draft::new());
    for entry in entries {
        let at = at.entry(entry);
        if let Some(key) = WHO.iter().find(|key| key.name == entry.key) {
            at.read(key, &mut who, found);
        } else if let Some(key) = TASK.iter().find(|key| key.name == entry.key) {
            at.read(key, &mut draft, found);
        } else {
            let known = WHO
                .iter()
                .map(|key| key.name)
                .chain(TASK.iter().map(|key| key.name));
            let help = match super::near::near(&entry.key, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`GET /v1/openapi.json` tells every key".to_owned(),
            };
            let detail = format!("unknown key `{at}`");
            found.faults.push(
                Fault::new(Code::PlanUnknownKey, at.key_place, detail)
                    .help(help)
                    .at(at),
            );
        }
    }
    let name = who.name.or_else(|| who.key.as_ref().map(ToString::to_string));
    let Some(name) = name.or_else(|| who.id.as_ref().map(ToString::to_string)) else {
        let fault = at.fault(Code::PlanMissingKey, "the task has no name");
        found.faults.push(fault.help("add `name`"));
        return None;
    };
    if let Err(refusal) = check_text("the name", &name) {
        at.refused(found, refusal);
    }
    // Who says no more than a name asks for it to be done.
    if draft.works.is_empty() {
        draft.does("prompt", Some(Work::Prompt(name.clone())));
    }
    draft.check_work(at, found);
    draft.check_end(at, found);
    let (after, _) = draft.collapse(at, found);
    let fresh = Spec::new(&name, draft.work?);
    let spec = Spec {
        name: fresh.name,
        kind: draft.kind.unwrap_or(fresh.kind),
        work: fresh.work,
        ..draft.spec
    };
    Some(Asked {
        id: who.id,
        key: who.key,
        parent: who.parent,
        spec,
        after,
    })
}

/// What a task in a request may be, as JSON Schema; `$defs` are those of [`super::schema()`].
pub fn schema() -> Schema {
    let mut task = form::object(TASK, &[]);
    let who = form::object(WHO, &[]);
    if let (Some(all), Some(who)) = (task["properties"].as_object_mut(), who["properties"].as_object()) {
        all.extend(who.clone());
    }
    task["anyOf"] = json!([{ "required": ["name"] }, { "required": ["key"] }, { "required": ["id"] }]);
    task
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::spec::When;

    fn faults(text: &str) -> String {
        request(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_name_alone_is_a_prompt() {
        let asked = request(br#"{"name": "review the diff", "needs": ["review"]}"#).unwrap();
        assert_eq!(asked.spec.work, Work::Prompt("review the diff".into()));
        assert_eq!(asked.spec.name, "review the diff");
        assert_eq!(asked.spec.needs.len(), 1);
    }

    #[test]
    fn a_batch_names_its_tasks_by_key() {
        let text = r#"{"tasks": [{"key": "a", "run": "true"}, {"key": "b", "run": ["x", "y"],
            "after": [{"task": "a", "when": "finished"}], "priority": "high", "parent": "p", "id": "B"}]}"#;
        let (asked, many) = requests(text.as_bytes(), 10).unwrap();
        assert!(many);
        assert_eq!(asked[1].after[0].when, When::Finished);
        assert_eq!(asked[1].id, Some(TaskId::new("B").unwrap()));
        assert_eq!(asked[1].parent.as_deref(), Some("p"));
        assert!(requests(text.as_bytes(), 1).is_err());
        assert!(requests(br#"{"tasks": []}"#, 1).is_err());
    }

    #[test]
    fn every_fault_has_its_place_and_cure() {
        for (text, expected) in [
            ("{}", "request:1:1: the task has no name (help: add `name`)"),
            (
                r#"{"name": "a", "aftr": []}"#,
                "request:1:15: unknown key `aftr` (help: did you mean `after`?)",
            ),
            (
                "[]",
                "request:1:1: the plan: expected an object, found a list (help: see `bell plan schema` for the form of every key)",
            ),
        ] {
            assert_eq!(faults(text), expected, "{text}");
        }
        assert!(faults(r#"{"name": "a", "timeout": "soon"}"#).contains("`timeout`"));
        assert!(faults(r#"{"name": "a", "run": "x", "prompt": "y"}"#).contains("more than one kind of work"));
        assert!(faults("{").contains("request:1:"));
    }

    #[test]
    fn the_schema_names_every_key() {
        let schema = schema();
        let known = schema["properties"].as_object().unwrap();
        assert_eq!(known.len(), TASK.len() + WHO.len());
    }
}
