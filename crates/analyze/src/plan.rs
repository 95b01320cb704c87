//! A plan over the units of a tree: one task for each, what is needed first.

use std::path::Path;

use domain::limits;
use serde_json::{Map, Value, json};

use crate::priority::by_keyword;
use crate::tree::Tree;
use crate::units::{Size, Units};

/// Names of the variables that tell an attempt what it is for. A path is never spliced into a command.
pub const UNIT: &str = "BELL_UNIT";
pub const FILES: &str = "BELL_UNIT_FILES";
pub const DIGEST: &str = "BELL_UNIT_DIGEST";

/// Bytes of `BELL_UNIT_FILES`; systems allow 128 KiB for one variable.
const FILES_BYTES_MAX: usize = 96 * 1024;

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
    /// Only these files; units without any are left out, and so are edges to them.
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
    let knot_of = units.order.knot_of(units.units.len());
    let mut critical = vec![false; units.units.len()];
    for unit in units.order.critical_path() {
        critical[unit as usize] = true;
    }
    let wanted: Vec<bool> = units
        .units
        .iter()
        .map(|unit| {
            let only = |only: &[u32]| unit.files.iter().any(|file| only.binary_search(file).is_ok());
            options.only.is_none_or(only)
        })
        .collect();
    let mut tasks = Map::new();
    for (number, unit) in units
        .units
        .iter()
        .enumerate()
        .filter(|(number, _)| wanted[*number])
    {
        let paths: Vec<&str> = unit
            .files
            .iter()
            .map(|file| tree.files[*file as usize].path.as_str())
            .collect();
        let mut body = options.template.clone();
        let knot = knot_of[number].map(|knot| units.order.knots[knot as usize].members[0]);
        let knot = knot.map(|first| units.units[first as usize].name.as_str());
        extend(&mut body, "locks", locks(units.size, &unit.name, &paths, knot))?;
        let after = units.order.dag.prerequisites(number as u32).iter();
        let after = after.filter(|needed| wanted[**needed as usize]);
        extend(
            &mut body,
            "after",
            after
                .map(|needed| json!(units.units[*needed as usize].name))
                .collect(),
        )?;
        environment(&mut body, &unit.name, &paths, &digests[number].to_hex())?;
        cached(&mut body, &paths)?;
        body.entry("cwd").or_insert_with(|| json!(tree.root));
        let priority = match options.priorities {
            Priorities::Template => None,
            Priorities::CriticalPath => critical[number].then(|| json!("high")),
            Priorities::Keywords => Some(json!(by_keyword(&paths.join(" ")).value())),
        };
        if let Some(priority) = priority {
            body.insert("priority".to_owned(), priority);
        }
        tasks.insert(unit.name.clone(), Value::Object(body));
    }
    Ok(json!({ "name": options.name, "tasks": tasks }))
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

fn environment(body: &mut Map<String, Value>, name: &str, paths: &[&str], digest: &str) -> Result<(), Error> {
    let files = paths.join("\n");
    if files.len() > FILES_BYTES_MAX {
        return Err(Error::Files {
            unit: name.to_owned(),
            files: paths.len(),
        });
    }
    let env = body.entry("env").or_insert_with(|| json!({}));
    let env = env.as_object_mut().ok_or(Error::Template("env", "a mapping"))?;
    env.insert(UNIT.to_owned(), json!(name));
    env.insert(FILES.to_owned(), json!(files));
    env.insert(DIGEST.to_owned(), json!(digest));
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

/// A name for the plan of a tree.
pub fn name(root: &Path) -> String {
    let folder = root
        .file_name()
        .map_or_else(|| "tree".into(), |name| name.to_string_lossy());
    format!("analyze {folder}")
}
