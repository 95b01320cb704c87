//! Lists of work on files that are planned and not written yet: the same text and the same faults as plans, with other keys.

use std::collections::HashMap;

use crate::code::Code;
use crate::id::Key as Name;
use crate::limits;
use crate::task::spec::check_text;

use super::at::{At, Findings, Key};
use super::fault::{Faults, Place};
use super::model::Format;
use super::node::{Node, Value, short};
use super::read::tree;
use super::schema;
use super::values::label;

/// Work that writes files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub title: String,
    pub description: Option<String>,
    /// At least one, from the top of the tree with `/` between parts; no two of one list are the same. The draft is of the first.
    pub files: Vec<String>,
    pub code: Option<String>,
}

#[derive(Debug, Default)]
struct Draft {
    title: Option<(String, Place)>,
    description: Option<String>,
    files: Vec<(String, Place)>,
    /// The key that the files stand under.
    listed: Option<String>,
    code: Option<String>,
}

const KEYS: &[Key<Draft>] = &[
    Key::new(
        "title",
        "What is to be done, in a line.",
        schema::label,
        |draft, at, found| {
            draft.title = label(at, found).map(|title| (title, at.place()));
        },
    ),
    Key::new(
        "description",
        "What is to be done, at length.",
        schema::text,
        |draft, at, found| draft.description = optional(at, found).filter(|text| !text.trim().is_empty()),
    ),
    Key::new(
        "files_to_generate",
        "The files that are written, the one of the draft first.",
        schema::texts,
        files,
    ),
    Key::new("files", "The same, in short.", schema::texts, files),
    Key::new(
        "code",
        "A first draft of the first file.",
        schema::text,
        |draft, at, found| draft.code = optional(at, found),
    ),
];

/// Reads such a list, alone or under `tasks`; `file` names it in messages. A title that names no file gets one in lower snake case,
/// with the extension that it ends in if that is `known` of its name, else Python's.
pub fn read_planned(
    bytes: &[u8],
    format: Format,
    file: &str,
    known: impl Fn(&str) -> bool,
) -> Result<Vec<Planned>, Faults> {
    let mut found = Findings::new(file, format);
    let mut planned = Vec::new();
    if let Some(root) = tree(bytes, format, &mut found.faults) {
        let mut paths = Paths::default();
        list(At::root(&root), &mut found, |at, found| {
            planned.extend(one(at, &known, &mut paths, found));
        });
        paths.refuse_folders(&mut found);
    }
    found.faults.sort();
    match found.faults.is_empty() {
        true => Ok(planned),
        false => Err(found.faults),
    }
}

fn list(at: At<'_>, found: &mut Findings, mut read: impl FnMut(At<'_>, &mut Findings)) {
    match &at.node.value {
        Value::Sequence(items) => all(at, items, found, &mut read),
        Value::Mapping(entries) => {
            let mut listed = false;
            for entry in entries {
                if entry.key != "tasks" {
                    let help = "beside `tasks`, a list, there is nothing".to_owned();
                    at.unknown_key(found, entry, help);
                    continue;
                }
                listed = true;
                let at = at.entry(entry);
                match &entry.node.value {
                    Value::Sequence(items) => all(at, items, found, &mut read),
                    _ => unexpected(at, found, "a list of tasks"),
                }
            }
            if !listed {
                at.missing(
                    found,
                    "has no tasks",
                    "add `tasks`, a list with a `title` in each",
                );
            }
        }
        _ => unexpected(at, found, "a list of tasks"),
    }
}

fn unexpected(at: At<'_>, found: &mut Findings, expected: &str) {
    let detail = format!("expected {expected}, found {}", at.node.describe());
    let help = "write for example `- { title: User model, files: [app/models.py], code: import config }`";
    at.wrong(found, detail, help);
}

fn all(at: At<'_>, items: &[Node<'_>], found: &mut Findings, read: &mut impl FnMut(At<'_>, &mut Findings)) {
    if items.len() > limits::BATCH_TASKS {
        let detail = format!("{} tasks, the limit is {}", items.len(), limits::BATCH_TASKS);
        let fault = at.fault(Code::PlanLimit, detail);
        found.faults.push(fault.help("plan it in parts"));
        return;
    }
    for (index, node) in items.iter().enumerate() {
        read(at.item(index, node), found);
    }
}

fn one(at: At<'_>, known: impl Fn(&str) -> bool, paths: &mut Paths, found: &mut Findings) -> Option<Planned> {
    if !at.node.is_mapping() {
        unexpected(at, found, "a mapping with a `title`");
        return None;
    }
    let (mut draft, before) = (Draft::default(), found.faults.count());
    at.keys(found, "a mapping", KEYS, &mut draft);
    let Some((title, place)) = draft.title else {
        if found.faults.count() == before {
            at.missing(found, "has no title", "add `title`");
        }
        return None;
    };
    if draft.files.is_empty() && found.faults.count() == before {
        match called(&title, known) {
            Some(file) => draft.files.push((file, place)),
            None => {
                let detail = format!("no file can be named after `{}`", short(&title));
                at.wrong(found, detail, "add `files`, a list of paths");
            }
        }
    }
    let mut files: Vec<String> = Vec::with_capacity(draft.files.len());
    for (path, place) in draft.files {
        // Said twice by one task, it is meant once.
        if !files.contains(&path) && paths.add(&path, place, at, found) {
            files.push(path);
        }
    }
    (!files.is_empty()).then_some(Planned {
        title,
        description: draft.description,
        files,
        code: draft.code,
    })
}

/// A text that may be left out, as `null` too.
fn optional(at: At<'_>, found: &mut Findings) -> Option<String> {
    if at.node.is_null() {
        return None;
    }
    let text = at.text(found)?;
    at.accept(found, check_text("the text", text))?;
    Some(text.to_owned())
}

fn files(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    if let Some(other) = draft.listed.replace(at.key().to_owned()) {
        let detail = format!("`{}` and `{other}` are two names of one key", at.key());
        at.wrong(found, detail, "remove one of them");
        return;
    }
    if !at.node.is_null() {
        at.each(found, |at, found| {
            draft.files.extend(path(at, found).map(|path| (path, at.place())));
        });
    }
}

/// A path inside the tree, without the parts that mean nothing.
fn path(at: At<'_>, found: &mut Findings) -> Option<String> {
    let text = at.text(found)?;
    let wrong = match () {
        () if text.trim().is_empty() => "is empty",
        () if text.starts_with('/') => "is an absolute path",
        () if text.split('/').any(|part| part == "..") => "leads upwards",
        () if text.ends_with('/') => "is a folder",
        () if text.chars().any(char::is_control) => "has control characters",
        () => {
            let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
            let path = parts.collect::<Vec<_>>().join("/");
            if !path.is_empty() {
                // Tasks are named after them.
                at.accept(found, Name::new(&path))?;
                return Some(path);
            }
            "is a folder"
        }
    };
    let help = "name a file by its path from the top of the tree, such as `app/models.py`";
    at.wrong(found, format!("`{}` {wrong}", short(text)), help);
    None
}

/// The file that a title stands for.
fn called(title: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let title = title.trim().to_lowercase();
    let (stem, extension) = match title.rsplit_once('.') {
        Some((stem, extension)) if known(&title) => (stem, extension),
        _ => (title.as_str(), "py"),
    };
    let words = stem.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| format!("{}.{extension}", words.join("_")))
}

/// Where each file was planned first.
#[derive(Debug, Default)]
struct Paths(HashMap<String, Place>);

impl Paths {
    fn add(&mut self, path: &str, place: Place, at: At<'_>, found: &mut Findings) -> bool {
        match self.0.get(path) {
            Some(first) => {
                let detail = format!("`{}` is planned twice, first at {first}", short(path));
                let mut fault = at.fault(Code::PlanDuplicate, detail);
                fault.place = Some(place);
                found
                    .faults
                    .push(fault.help("let one task write it, or name another file"));
                false
            }
            None => {
                self.0.insert(path.to_owned(), place);
                true
            }
        }
    }

    /// What is a file cannot hold others.
    fn refuse_folders(&self, found: &mut Findings) {
        let inside = |path: &str| {
            let ends = path.match_indices('/').map(|(end, _)| end);
            { ends }.find_map(|end| self.0.get_key_value(&path[..end]))
        };
        for (path, place) in &self.0 {
            if let Some((file, first)) = inside(path) {
                let detail = format!(
                    "`{}` lies in `{}`, a file that is planned at {first}",
                    short(path),
                    short(file)
                );
                let fault = super::fault::Fault::new(Code::PlanInvalidValue, *place, detail);
                found
                    .faults
                    .push(fault.help("a file and a folder cannot have the same name"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Planned>, Faults> {
        let known = |name: &str| name.ends_with(".ts") || name.ends_with(".py");
        read_planned(text.as_bytes(), Format::Yaml, "list", known)
    }

    fn faults(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    // proves: SPEC 5.1
    #[test]
    fn the_primary_file_is_the_first_or_called_by_the_title() {
        for (task, file) in [
            ("{ title: User model }", "user_model.py"),
            (
                "{ title: 'Build the API (v2.0)', files: [] }",
                "build_the_api_v2_0.py",
            ),
            ("{ title: Auth Service.ts, files: null }", "auth_service.ts"),
            ("{ title: x, files: ./a//b.go }", "a/b.go"),
            ("{ title: x, files_to_generate: [b.js, a.js, b.js] }", "b.js a.js"),
        ] {
            let planned = read(&format!("[{task}]")).unwrap();
            assert_eq!(planned[0].files.join(" "), file);
            assert_eq!(read(&format!("tasks: [{task}]")).unwrap(), planned);
        }
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn texts_may_be_left_out() {
        let planned =
            read("- { title: a, description: null, code: }\n- { title: b, description: ' ', code: '' }")
                .unwrap();
        assert_eq!((&planned[0].description, &planned[0].code), (&None, &None));
        assert_eq!(
            (&planned[1].description, planned[1].code.as_deref()),
            (&None, Some(""))
        );
    }

    #[test]
    fn each_fault_has_its_place_and_cure() {
        insta::assert_snapshot!(faults("- { title: a, fils: x.py }\n- { files: x.py }\n- b"), @r"
        list:1:15: unknown key `fils` in task number 1 (help: did you mean `files`?)
        list:2:3: task number 2 has no title (help: add `title`)
        list:3:3: task number 3: expected a mapping with a `title`, found the text `b` (help: write for example `- { title: User model, files: [app/models.py], code: import config }`)
        ");
        insta::assert_snapshot!(faults("- { title: a, files: [/etc/x.py, ../x.py, a/../x.py, a/, .] }"), @r"
        list:1:23: `files[0]` of task number 1: `/etc/x.py` is an absolute path (help: name a file by its path from the top of the tree, such as `app/models.py`)
        list:1:34: `files[1]` of task number 1: `../x.py` leads upwards (help: name a file by its path from the top of the tree, such as `app/models.py`)
        list:1:43: `files[2]` of task number 1: `a/../x.py` leads upwards (help: name a file by its path from the top of the tree, such as `app/models.py`)
        list:1:54: `files[3]` of task number 1: `a/` is a folder (help: name a file by its path from the top of the tree, such as `app/models.py`)
        list:1:58: `files[4]` of task number 1: `.` is a folder (help: name a file by its path from the top of the tree, such as `app/models.py`)
        ");
        insta::assert_snapshot!(faults("- { title: a, files: \"x\\0.py\" }\n- { title: b, files: \"x\\n.py\" }"), @r"
        list:1:22: `files` of task number 1: `x\0.py` has control characters (help: name a file by its path from the top of the tree, such as `app/models.py`)
        list:2:22: `files` of task number 2: `x\n.py` has control characters (help: name a file by its path from the top of the tree, such as `app/models.py`)
        ");
        insta::assert_snapshot!(faults("- { title: x, files: [a.py] }\n- { title: A.py }\n- { title: y, files: [a.py/b.py] }"), @r"
        list:2:12: `a.py` is planned twice, first at 1:23 (help: let one task write it, or name another file)
        list:3:23: `a.py/b.py` lies in `a.py`, a file that is planned at 1:23 (help: a file and a folder cannot have the same name)
        ");
        insta::assert_snapshot!(faults("- { title: a, files: x.py, files_to_generate: y.py }\n- { title: '!' }"), @r"
        list:1:47: `files_to_generate` of task number 1: `files_to_generate` and `files` are two names of one key (help: remove one of them)
        list:2:3: task number 2: no file can be named after `!` (help: add `files`, a list of paths)
        ");
        insta::assert_snapshot!(faults("tasks: { a: { title: a } }"), @"list:1:8: `tasks`: expected a list of tasks, found a mapping (help: write for example `- { title: User model, files: [app/models.py], code: import config }`)");
        insta::assert_snapshot!(faults("task: []"), @r"
        list:1:1: unknown key `task` in the plan (help: beside `tasks`, a list, there is nothing)
        list:1:1: the plan has no tasks (help: add `tasks`, a list with a `title` in each)
        ");
        insta::assert_snapshot!(faults(""), @"list:1:1: the plan: expected a list of tasks, found nothing (help: write for example `- { title: User model, files: [app/models.py], code: import config }`)");
    }
}
