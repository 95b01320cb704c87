//! A plan over the units of a tree: one task for each, what is needed first.

use std::path::Path;

use domain::limits;
use serde_json::{Map, Value, json};

use crate::order::longest;
use crate::priority::by_keyword;
use crate::tree::{Planned, Tree};
use crate::units::{Size, Unit, Units};

/// Names of the variables that tell an attempt what it is for. A path is never spliced into a command.
pub const UNIT: &str = "BELL_UNIT";
pub const FILES: &str = "BELL_UNIT_FILES";
pub const DIGEST: &str = "BELL_UNIT_DIGEST";
pub const TITLE: &str = "BELL_UNIT_TITLE";
pub const DESCRIPTION: &str = "BELL_UNIT_DESCRIPTION";

/// Bytes of one variable; systems allow 128 KiB.
const VARIABLE_BYTES_MAX: usize = 96 * 1024;
/// Characters of a title that lists show.
const SUMMARY_CHARS_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priorities {
    /// High on the critical path.
    CriticalPath,
    /// By words in the names of files.
    Keywords,
    /// As the template has it.
    Template,
}

#[derive(Clone, Debug)]
pub struct Options<'a> {
    pub name: &'a str,
    /// The body that all tasks share.
    pub template: &'a Map<String, Value>,
    pub priorities: Priorities,
    /// Only these files, ascending; units without any are left out, but not the order that they make.
    pub only: Option<&'a [u32]>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` of the template has to be {1}")]
    Template(&'static str, &'static str),
    #[error("`{unit}` has {files} files, more than `{FILES}` can tell")]
    Files { unit: String, files: usize },
}

/// The plan as JSON, ready for `bell run`.
pub fn plan(tree: &Tree, units: &Units, options: &Options<'_>) -> Result<Value, Error> {
    let digests = units.digests(tree);
    let planned = units.planned(tree);
    let knot_of = units.order.knot_of(units.units.len());
    let chosen: Vec<bool> = units
        .units
        .iter()
        .map(|unit| {
            let only = |only: &[u32]| unit.files.iter().any(|file| only.binary_search(file).is_ok());
            options.only.is_none_or(only)
        })
        .collect();
    let among = units.among(&chosen);
    let mut critical = vec![false; among.units.len()];
    for place in longest(&among.dag) {
        critical[place as usize] = true;
    }
    let mut tasks = Map::new();
    for (place, number) in (0..).zip(&among.units) {
        let index = *number as usize;
        let about = About::new(tree, &units.units[index], &planned[index]);
        let mut body = options.template.clone();
        let knot = knot_of[index].map(|knot| units.order.knots[knot as usize].members[0]);
        let knot = knot.map(|first| units.units[first as usize].name.as_str());
        extend(
            &mut body,
            "locks",
            locks(units.size, about.unit, &about.files, knot),
        )?;
        let after = among.dag.prerequisites(place).iter();
        let after = after.map(|place| &units.units[among.units[*place as usize] as usize].name);
        extend(&mut body, "after", after.map(|name| json!(name)).collect())?;
        environment(&mut body, &about, &digests[index].to_hex())?;
        told(&mut body, &about);
        cached(&mut body, &about.files)?;
        body.entry("cwd").or_insert_with(|| json!(tree.root));
        let priority = match options.priorities {
            Priorities::Template => None,
            Priorities::CriticalPath => critical[place as usize].then(|| json!("high")),
            Priorities::Keywords => Some(json!(by_keyword(&about.words()).value())),
        };
        if let Some(priority) = priority {
            body.insert("priority".to_owned(), priority);
        }
        tasks.insert(about.unit.to_owned(), Value::Object(body));
    }
    Ok(json!({ "name": options.name, "tasks": tasks }))
}

/// What a task is about.
struct About<'a> {
    unit: &'a str,
    files: Vec<&'a str>,
    title: String,
    description: String,
    drafts: Map<String, Value>,
}

impl<'a> About<'a> {
    /// The files of a planned task stand in its order; where a unit has several, they are told one after the other.
    fn new(tree: &'a Tree, unit: &'a Unit, planned: &[u32]) -> About<'a> {
        let path = |file: &u32| tree.files[*file as usize].path.as_str();
        let tasks: Vec<&Planned> = planned.iter().map(|task| &tree.planned[*task as usize]).collect();
        let files = match tasks[..] {
            [task] if task.files.len() == unit.files.len() => &task.files,
            _ => &unit.files,
        };
        let titles: Vec<&str> = tasks.iter().map(|task| task.title.as_str()).collect();
        let descriptions = tasks.iter().filter_map(|task| task.description.as_deref());
        let draft = |task: &&Planned| Some((path(&task.files[0]).to_owned(), json!(task.draft.as_ref()?)));
        About {
            unit: &unit.name,
            files: files.iter().map(path).collect(),
            title: titles.join("\n"),
            description: descriptions.map(str::trim_end).collect::<Vec<_>>().join("\n\n"),
            drafts: tasks.iter().filter_map(draft).collect(),
        }
    }

    fn words(&self) -> String {
        format!("{} {} {}", self.title, self.description, self.files.join(" "))
    }
}

/// Agents and people see no environment: they get their input. So does whoever writes planned files.
fn told(body: &mut Map<String, Value>, about: &About<'_>) {
    let is_planned = !about.title.is_empty();
    if is_planned && about.title.chars().count() <= SUMMARY_CHARS_MAX {
        body.entry("summary").or_insert_with(|| json!(about.title));
    }
    if body.contains_key("inputs") || !is_planned && !body.contains_key("prompt") {
        return;
    }
    let mut inputs = json!({ "unit": about.unit, "files": about.files });
    if is_planned {
        inputs["title"] = json!(about.title);
        if !about.description.is_empty() {
            inputs["description"] = json!(about.description);
        }
        let drafts = json!(about.drafts);
        let length = inputs.to_string().len() + drafts.to_string().len();
        if !about.drafts.is_empty() && length < limits::TEXT_BYTES {
            inputs["drafts"] = drafts;
        }
    }
    body.insert("inputs".to_owned(), inputs);
}

/// Adds to a list of the template, which may be missing.
fn extend(body: &mut Map<String, Value>, key: &'static str, more: Vec<Value>) -> Result<(), Error> {
    let list = body.entry(key).or_insert_with(|| json!([]));
    let list = list.as_array_mut().ok_or(Error::Template(key, "a list"))?;
    list.extend(more);
    if list.is_empty() {
        body.remove(key);
    }
    Ok(())
}

/// The files, or the folder where they are too many, and the name that a knot's members share.
fn locks(size: Size, name: &str, paths: &[&str], knot: Option<&str>) -> Vec<Value> {
    let knot = knot.map(|first| json!(format!("knot:{first}")));
    let few = paths.len() < limits::LOCKS / 2;
    let own: Vec<Value> = match size {
        _ if few => paths.iter().map(|path| json!(format!("path:{path}"))).collect(),
        Size::Package => vec![json!(format!("path:{name}"))],
        Size::File | Size::Component => vec![json!(format!("knot:{name}"))],
    };
    own.into_iter().chain(knot).collect()
}

fn environment(body: &mut Map<String, Value>, about: &About<'_>, digest: &str) -> Result<(), Error> {
    let files = about.files.join("\n");
    if files.len() > VARIABLE_BYTES_MAX {
        return Err(Error::Files {
            unit: about.unit.to_owned(),
            files: about.files.len(),
        });
    }
    let env = body.entry("env").or_insert_with(|| json!({}));
    let env = env.as_object_mut().ok_or(Error::Template("env", "a mapping"))?;
    env.insert(UNIT.to_owned(), json!(about.unit));
    env.insert(FILES.to_owned(), json!(files));
    env.insert(DIGEST.to_owned(), json!(digest));
    // What is too long for the environment is in the input.
    for (name, text) in [(TITLE, &about.title), (DESCRIPTION, &about.description)] {
        if !about.title.is_empty() && text.len() <= VARIABLE_BYTES_MAX {
            env.insert(name.to_owned(), json!(text));
        }
    }
    Ok(())
}

/// A template that asks for the cache gets it by content: its files as they are when the task runs, and through
/// the digest among its variables everything they need.
fn cached(body: &mut Map<String, Value>, paths: &[&str]) -> Result<(), Error> {
    let Some(cache) = body.get_mut("cache") else {
        return Ok(());
    };
    let cache = cache
        .as_object_mut()
        .ok_or(Error::Template("cache", "a mapping"))?;
    let files = cache.entry("files").or_insert_with(|| json!([]));
    let files = files
        .as_array_mut()
        .ok_or(Error::Template("cache.files", "a list"))?;
    files.extend(paths.iter().map(|path| json!(escaped(path))));
    Ok(())
}

/// A path as a pattern that means just it.
fn escaped(path: &str) -> String {
    let escape = |c: char| match c {
        '*' | '?' | '[' | ']' => format!("[{c}]"),
        c => c.to_string(),
    };
    path.chars().map(escape).collect()
}

/// A name for what is made of a tree: of another folder, list or template it is another plan.
pub fn name(root: &Path, list: Option<&Path>, template: &Path) -> String {
    let file = |path: &Path| match path.file_name() {
        Some(name) if name != "-" => name.to_string_lossy().into_owned(),
        _ => "stdin".to_owned(),
    };
    let list = list.map_or_else(String::new, |list| format!(" of {}", file(list)));
    let name = format!("analyze {}{list} with {}", root.display(), file(template));
    let name = name.replace(char::is_control, "?");
    match name.len() <= limits::KEY_BYTES {
        true => name,
        false => format!("analyze {}", blake3::hash(name.as_bytes()).to_hex()),
    }
}
