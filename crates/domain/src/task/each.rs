//! `for_each`: a task that is done for each item of a list. Carrying it out means leaving one subtask for each
//! item and completing with their results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::Refusal;
use crate::id::Key;
use crate::limits;
use crate::task::lock::Lock;
use crate::task::spec::{Json, Spec, Work, check_text};

/// The name of its executor, and the kind of such tasks.
pub const NAME: &str = "each";

/// What is done, and for what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Each {
    pub over: Over,
    /// What is done for each item; without a folder, which is the parent's.
    pub task: Spec,
}

/// Where the items come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    Items(Json),
    Result(Found),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Over::Items(items) => {
                let count = serde_json::from_str::<Vec<Value>>(items.get()).map_or(0, |items| items.len());
                write!(f, "{count} items")
            }
            Over::Result(Found { task, at: None }) => write!(f, "the result of {task}"),
            Over::Result(Found { task, at: Some(at) }) => write!(f, "{at} in the result of {task}"),
        }
    }
}

/// The list in the result of a prerequisite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub task: String,
    /// A JSON pointer to the list inside of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// An item up to this size travels in the environment, too.
const VARIABLE_BYTES: usize = 8 * 1024;
/// An item up to this size may name its subtask.
const LABEL_BYTES: usize = 120;

/// The places that are filled.
const ITEM: &str = "item";
const INDEX: &str = "index";

impl Found {
    /// The items in what the prerequisite ended with.
    pub fn items(&self, result: &Value) -> Result<Vec<Value>, String> {
        let from = &self.task;
        let (list, place) = match &self.at {
            Some(at) => {
                let list = result
                    .pointer(at)
                    .ok_or_else(|| format!("the result of `{from}` has nothing at `{at}`"))?;
                (list, format!("`{at}` in the result of `{from}`"))
            }
            None => (result, format!("the result of `{from}`")),
        };
        match list {
            Value::Array(items) => Ok(items.clone()),
            other => Err(format!(
                "{place} is {}, and for_each takes a list",
                describe(other)
            )),
        }
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) | Value::Number(_) => "a single value",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object (`at` names a list inside of it)",
    }
}

impl Each {
    /// The subtasks, in the order of the items: `KEY[ITEM]` where the items are short and all different, else
    /// `KEY[0]`, `KEY[1]` and so on. `{item}`, `{item.FIELD}` and `{index}` are filled in, but never in a line for the
    /// shell, which finds them in `BELL_ITEM` and `BELL_INDEX`.
    pub fn expand(&self, parent: &Spec, key: &str, items: &[Value]) -> Result<Vec<(Key, Spec)>, String> {
        if items.len() > limits::EACH_ITEMS {
            return Err(format!(
                "{} items are more than the limit of {}: let each be a part of the list",
                items.len(),
                limits::EACH_ITEMS
            ));
        }
        let labels = labels(items);
        let subtask = |index: usize, item: &Value| {
            let label = labels
                .as_ref()
                .map_or_else(|| index.to_string(), |all| all[index].clone());
            let key = Key::new(&format!("{key}[{label}]")).map_err(|e| e.to_string())?;
            let spec = Filler { item, index }.spec(&self.task, parent, &key);
            let spec = spec.map_err(|why| format!("item {index}: {why}"))?;
            Ok((key, spec))
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| subtask(index, item))
            .collect()
    }
}

/// What the items are called, if each has a name of its own.
fn labels(items: &[Value]) -> Option<Vec<String>> {
    let named = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let all = items.iter().map(named).collect::<Option<Vec<String>>>()?;
    let fits = |label: &String| label.len() <= LABEL_BYTES && Key::new(label).is_ok();
    let different = all.iter().collect::<BTreeSet<_>>().len() == all.len();
    (different && all.iter().all(fits)).then_some(all)
}

struct Filler<'a> {
    item: &'a Value,
    index: usize,
}

impl Filler<'_> {
    fn spec(&self, task: &Spec, parent: &Spec, key: &Key) -> Result<Spec, String> {
        let work = match &task.work {
            Work::Argv(argv) => Work::Argv(
                argv.iter()
                    .map(|argument| self.checked("an argument", argument))
                    .collect::<Result<_, _>>()?,
            ),
            Work::Prompt(text) => Work::Prompt(self.checked("the prompt", text)?),
            Work::Breakpoint(text) => Work::Breakpoint(self.checked("the question", text)?),
            Work::Http(json) => Work::Http(self.document(json)?),
            Work::Wait(json) => Work::Wait(self.document(json)?),
            work @ (Work::Shell(_) | Work::Handler(_) | Work::Each(_)) => work.clone(),
        };
        let inputs = match &task.inputs {
            Some(inputs) => self.document(inputs)?,
            None => Json::of(&serde_json::json!({ ITEM: self.item, INDEX: self.index })),
        };
        let mut spec = Spec {
            name: key.to_string(),
            work,
            env: self.environment(&task.env)?,
            cwd: parent.cwd.as_deref().map(|cwd| self.text(cwd)).transpose()?,
            inputs: Some(inputs),
            ..task.clone()
        };
        let mut locks: Vec<Lock> = Vec::new();
        for lock in &task.locks {
            let lock = Lock::new(&self.text(&lock.name)?, lock.mode).map_err(told)?;
            match locks.iter_mut().find(|held| held.name == lock.name) {
                Some(held) => held.mode = held.mode.min(lock.mode),
                None => locks.push(lock),
            }
        }
        locks.sort();
        spec.locks = locks;
        if let Some(concurrency) = &mut spec.concurrency {
            concurrency.key = self.text(&concurrency.key)?;
            if concurrency.key.len() > limits::KEY_BYTES || concurrency.key.chars().any(char::is_control) {
                return Err(format!(
                    "`{}` cannot be a key of `concurrency`",
                    concurrency.key.escape_debug()
                ));
            }
        }
        Ok(spec)
    }

    fn environment(&self, env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
        let mut filled = BTreeMap::new();
        for (name, value) in env {
            filled.insert(name.clone(), self.checked("a variable", value)?);
        }
        let item = text_of(self.item);
        if item.len() <= VARIABLE_BYTES && !item.contains('\0') {
            filled.insert("BELL_ITEM".into(), item);
        }
        filled.insert("BELL_INDEX".into(), self.index.to_string());
        Ok(filled)
    }

    fn checked(&self, what: &str, text: &str) -> Result<String, String> {
        let text = self.text(text)?;
        check_text(what, &text).map_err(told)?;
        Ok(text)
    }

    fn text(&self, template: &str) -> Result<String, String> {
        self.filled(template, text_of)
    }

    /// Fills every place; what is no place of ours stays as it is.
    fn filled(&self, template: &str, as_text: impl Fn(&Value) -> String) -> Result<String, String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            filled += before;
            match after.split_once('}').map(|(name, tail)| (self.value(name), tail)) {
                Some((Some(value), tail)) => {
                    filled += &as_text(&value?);
                    rest = tail;
                }
                _ => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled += rest;
        Ok(filled)
    }

    /// What a place stands for, if it is one.
    fn value(&self, name: &str) -> Option<Result<Value, String>> {
        if name == INDEX {
            return Some(Ok(self.index.into()));
        }
        let path = name.strip_prefix(ITEM)?;
        if path.is_empty() {
            return Some(Ok(self.item.clone()));
        }
        let found = path
            .strip_prefix('.')?
            .split('.')
            .try_fold(self.item, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                value => value.get(part),
            });
        Some(
            found
                .cloned()
                .ok_or_else(|| format!("it has no `{}`", &path[1..])),
        )
    }

    fn document(&self, json: &Json) -> Result<Json, String> {
        let value: Value = serde_json::from_str(json.get()).map_err(|e| e.to_string())?;
        Ok(Json::of(&self.within(value, false)?))
    }

    /// Text that is one place becomes the value itself. An item that goes into an address is escaped: it is a part of a
    /// path or a query, and cannot lead elsewhere.
    fn within(&self, value: Value, address: bool) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) if address => {
                Value::String(self.filled(&text, |value| escape(&text_of(value)))?)
            }
            Value::String(text) => {
                let place = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
                match place.and_then(|name| self.value(name)) {
                    Some(value) => value?,
                    None => Value::String(self.text(&text)?),
                }
            }
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.within(item, address))
                .collect::<Result<_, _>>()?,
            Value::Object(entries) => entries
                .into_iter()
                .map(|(name, value)| {
                    let value = self.within(value, name == "url")?;
                    Ok::<_, String>((name, value))
                })
                .collect::<Result<_, _>>()?,
            other => other,
        })
    }
}

fn told(refusal: Refusal) -> String {
    refusal.detail
}

/// Text as it is, everything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::task::lock::Mode;

    fn each(task: Spec) -> Each {
        Each {
            over: Over::Items(Json::of(&json!([]))),
            task,
        }
    }

    fn expanded(task: Spec, items: &Value) -> Vec<(Key, Spec)> {
        let parent = Spec {
            cwd: Some("/work".into()),
            ..Spec::new("build", Work::Each(Json::of(&json!(null))))
        };
        each(task)
            .expand(&parent, "build", items.as_array().unwrap())
            .unwrap()
    }

    fn argv(words: &[&str]) -> Spec {
        Spec::new(
            "build",
            Work::Argv(words.iter().map(ToString::to_string).collect()),
        )
    }

    #[test]
    fn places_are_filled_outside_of_shell_lines() {
        let all = expanded(
            argv(&["make", "-C", "{item.dir}", "{item.tags.0}-{index}", "{other} {"]),
            &json!([
                { "dir": "a b; rm -rf /", "tags": ["x"] }
            ]),
        );
        let (key, spec) = &all[0];
        assert_eq!(key.as_str(), "build[0]");
        assert_eq!(
            spec.work,
            Work::Argv(
                ["make", "-C", "a b; rm -rf /", "x-0", "{other} {"]
                    .map(String::from)
                    .into()
            )
        );
        assert_eq!(
            (spec.cwd.as_deref(), &spec.env["BELL_INDEX"][..]),
            (Some("/work"), "0")
        );
        let shell = expanded(
            Spec::new("build", Work::Shell("echo {item}".into())),
            &json!(["$(id)"]),
        );
        assert_eq!(shell[0].1.work, Work::Shell("echo {item}".into()));
        assert_eq!(shell[0].1.env["BELL_ITEM"], "$(id)");
    }

    #[test]
    fn items_name_their_tasks_where_all_of_them_can() {
        let keys = |items: Value| -> Vec<String> {
            expanded(argv(&["true"]), &items)
                .iter()
                .map(|(key, _)| key.to_string())
                .collect()
        };
        assert_eq!(
            keys(json!(["eu", "us", 3])),
            ["build[eu]", "build[us]", "build[3]"]
        );
        assert_eq!(keys(json!(["eu", "eu"])), ["build[0]", "build[1]"]);
        assert_eq!(keys(json!(["eu", "a b"])), ["build[0]", "build[1]"]);
        assert_eq!(keys(json!(["eu", "x".repeat(121)])), ["build[0]", "build[1]"]);
        assert_eq!(keys(json!([])), [""; 0]);
    }

    #[test]
    fn documents_keep_their_types_and_addresses_stay_where_they_lead() {
        let call = json!({ "url": "https://example.org/{item}?n={index}", "body": { "all": "{item}", "n": "{index}" } });
        let all = expanded(
            Spec::new("build", Work::Http(Json::of(&call))),
            &json!(["../x?y", "b"]),
        );
        let Work::Http(filled) = &all[0].1.work else {
            panic!("{:?}", all[0].1.work)
        };
        let filled: Value = serde_json::from_str(filled.get()).unwrap();
        assert_eq!(filled["url"], "https://example.org/..%2Fx%3Fy?n=0");
        assert_eq!(filled["body"], json!({ "all": "../x?y", "n": 0 }));
        let inputs: Value = serde_json::from_str(all[1].1.inputs.as_ref().unwrap().get()).unwrap();
        assert_eq!(inputs, json!({ "item": "b", "index": 1 }));
    }

    #[test]
    fn locks_and_limits_go_by_item() {
        let task = Spec {
            locks: vec![Lock::new("path:src/{item}", Mode::Exclusive).unwrap()],
            concurrency: Some(crate::task::spec::Concurrency {
                key: "tenant-{item}".into(),
                limit: 2,
                rate: None,
            }),
            ..argv(&["true"])
        };
        let all = expanded(task.clone(), &json!(["b"]));
        assert_eq!(all[0].1.locks[0].name, "path:src/b");
        assert_eq!(all[0].1.concurrency.as_ref().unwrap().key, "tenant-b");
        let parent = Spec::new("build", Work::Shell(String::new()));
        let refused = each(task).expand(&parent, "build", &[json!("ok"), json!("../../etc")]);
        assert!(refused.unwrap_err().starts_with("item 1: "));
    }

    #[test]
    fn what_is_no_list_is_said() {
        let found = |at: Option<&str>| Found {
            task: "scan".into(),
            at: at.map(str::to_owned),
        };
        let result = json!({ "files": ["a"], "count": 1 });
        assert_eq!(found(Some("/files")).items(&result), Ok(vec![json!("a")]));
        let why = found(None).items(&result).unwrap_err();
        assert!(why.contains("an object (`at` names a list"), "{why}");
        let why = found(Some("/count")).items(&result).unwrap_err();
        assert_eq!(
            why,
            "`/count` in the result of `scan` is a single value, and for_each takes a list"
        );
        let why = found(Some("/none")).items(&result).unwrap_err();
        assert_eq!(why, "the result of `scan` has nothing at `/none`");
        let many = vec![json!(1); limits::EACH_ITEMS + 1];
        let parent = Spec::new("build", Work::Shell(String::new()));
        assert!(each(argv(&["true"])).expand(&parent, "build", &many).is_err());
        let why = each(argv(&["{item.name}"]))
            .expand(&parent, "build", &[json!({})])
            .unwrap_err();
        assert_eq!(why, "item 0: it has no `name`");
    }
}
