//! From a path to a plan, or to all of its faults shown at their places.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use api::problem::Problem;
use domain::code::{Code, Refusal, nearest};
use domain::limits;
use domain::plan::{Fault, Faults, Format, Plan};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::table::one_line;
use crate::output::theme::{self, paint};

/// A plan and the absolute path of its file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) plan: Plan,
    pub(crate) path: PathBuf,
}

/// Reads a plan; `-` is stdin. Its faults have been told when this fails.
pub(crate) fn load(context: &Context, path: &Path) -> Result<Loaded> {
    load_text(context, path).map(|(loaded, _)| loaded)
}

/// The same for a plan that shall run. One that asks for what this version does not do is refused before anything is made for it.
pub(crate) fn load_to_run(context: &Context, path: &Path) -> Result<Loaded> {
    let loaded = load(context, path)?;
    match loaded.plan.unsupported.is_empty() {
        true => Ok(loaded),
        false => Err(Refusal::from(loaded.plan.unsupported).into()),
    }
}

/// As [`load`], with the text that it was read from.
pub(crate) fn load_text(context: &Context, path: &Path) -> Result<(Loaded, String)> {
    let bytes = read(path)?;
    let shown = shown(path);
    match domain::plan::read(&bytes, Format::of(path, &bytes), &shown) {
        Ok(plan) => {
            let path = match is_stdin(path) {
                true => place(&context.cwd.join(of_stdin(&plan))),
                false => place(&context.cwd.join(path)),
            };
            Ok((
                Loaded { plan, path },
                String::from_utf8_lossy(&bytes).into_owned(),
            ))
        }
        Err(faults) => {
            tell(context, &faults, &bytes)?;
            Err(Error::Told(Exit::USAGE))
        }
    }
}

/// What stands for the path of a plan that was piped in: the same for the same text only, so that plans without a name are not
/// taken for edits of each other.
fn of_stdin(plan: &Plan) -> String {
    let start: String = plan.digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("stdin-{start}")
}

/// One file has one path, however it was typed: by that a plan without a name is known again. A link to a plan is a plan of
/// its own, beside which its commands run.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, file.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => file.to_owned(),
    }
}

/// Tells all faults of a text at their places.
pub(crate) fn tell(context: &Context, faults: &Faults, bytes: &[u8]) -> Result<()> {
    match context.ui.json {
        true => context.ui.json_line(&Faulty::new(faults)),
        false => context.ui.note(&report(faults, &String::from_utf8_lossy(bytes))),
    }
}

/// How messages name a file.
pub(crate) fn shown(path: &Path) -> String {
    match is_stdin(path) {
        true => "<stdin>".to_owned(),
        false => path.display().to_string(),
    }
}

pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let refuse = |e: io::Error| {
        let missing = e.kind() == io::ErrorKind::NotFound;
        let refusal = Refusal::new(
            Code::PlanUnreadable,
            format!("{} cannot be read: {e}", path.display()),
        );
        match missing.then(|| sibling(path)).flatten() {
            Some(name) => refusal.help(format!("did you mean `{name}`?")),
            None => refusal,
        }
    };
    let mut bytes = Vec::new();
    let bound = limits::PLAN_BYTES + 1;
    match is_stdin(path) {
        true => io::stdin().take(bound).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes)),
    }
    .map_err(refuse)?;
    if bytes.len() as u64 > limits::PLAN_BYTES {
        let detail = format!("{} has more than {} bytes", path.display(), limits::PLAN_BYTES);
        return Err(Refusal::new(Code::PlanLimit, detail).into());
    }
    Ok(bytes)
}

/// The plan beside a missing one whose name is nearest.
fn sibling(missing: &Path) -> Option<String> {
    let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty());
    let plans = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let plans = plans.flatten().take(1_000).map(|entry| entry.path());
    let forms = ["yaml", "yml", "json", "toml"].map(OsStr::new);
    let names: Vec<String> = plans
        .filter(|path| path.extension().is_some_and(|form| forms.contains(&form)))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let wanted = missing.file_name()?.to_str()?;
    let name = nearest(wanted, names.iter().map(String::as_str))?;
    Some(missing.with_file_name(name).display().to_string())
}

/// The first fault as a problem, with all of them beside it.
#[derive(Debug, Serialize)]
struct Faulty<'a> {
    #[serde(rename = "type")]
    kind: String,
    code: Code,
    title: &'static str,
    detail: String,
    status: u16,
    help: Option<String>,
    file: &'a str,
    faults: &'a [Fault],
    /// How many more were found and not kept.
    more: usize,
}

impl Faulty<'_> {
    fn new(faults: &Faults) -> Faulty<'_> {
        let problem = Problem::from(&Refusal::from(faults.clone()));
        Faulty {
            kind: problem.kind,
            code: problem.code,
            title: problem.title,
            detail: problem.detail,
            status: problem.status,
            help: problem.help,
            file: &faults.file,
            faults: &faults.faults,
            more: faults.more,
        }
    }
}

/// Every fault with its place in the text and a caret under it.
fn report(faults: &Faults, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let each = faults.faults.iter().map(|fault| one(&faults.file, fault, &lines));
    let mut told = each.collect::<Vec<_>>().join("\n");
    if faults.more > 0 {
        told += &format!("\nand {} more\n", faults.more);
    }
    told
}

fn one(file: &str, fault: &Fault, lines: &[&str]) -> String {
    let mut text = format!(
        "{} {}\n",
        paint(theme::BAD, &format!("error[{}]:", fault.code)),
        fault.detail
    );
    let place = fault.place.map_or_else(String::new, |place| format!(":{place}"));
    let gutter = fault.place.map_or(1, |place| place.line.to_string().len());
    text += &format!("{:gutter$}{} {file}{place}\n", "", paint(theme::DIM, "-->"));
    if let Some(place) = fault.place
        && let Some(line) = lines.get(place.line as usize - 1)
    {
        let bar = paint(theme::DIM, "|");
        let (shown, before) = excerpt(line, place.column as usize - 1);
        text += &format!("{} {bar} {shown}\n", paint(theme::DIM, &place.line.to_string()));
        text += &format!("{:gutter$} {bar} {:before$}{}\n", "", "", paint(theme::BAD, "^"));
    }
    if let Some(help) = &fault.help {
        text += &format!("{} {help}\n", paint(theme::GOOD, "help:"));
    }
    text
}

/// Columns of a line that are shown around a place.
const EXCERPT: usize = 90;

/// The part of a line around a column, and how many columns of it stand before that one.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let chars: Vec<char> = line.chars().collect();
    let column = column.min(chars.len());
    let from = if chars.len() > EXCERPT {
        column.saturating_sub(EXCERPT / 2)
    } else {
        0
    };
    let to = chars.len().min(from + EXCERPT);
    let part = |from: usize, to: usize| one_line(&chars[from..to].iter().collect::<String>());
    let before = part(from, column);
    let lead = if from > 0 { "…" } else { "" };
    let tail = if to < chars.len() { "…" } else { "" };
    (
        format!("{lead}{}{tail}", part(from, to)),
        lead.width() + before.width(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(plan: &str) -> String {
        let faults = domain::plan::read(plan.as_bytes(), Format::Yaml, "plan.yaml").unwrap_err();
        anstream::adapter::strip_str(&report(&faults, plan)).to_string()
    }

    #[test]
    fn a_fault_is_shown_where_it_stands() {
        insta::assert_snapshot!(told("tasks:\n  lint: { run: x, aftre: [a] }\n"), @r"
        error[plan-unknown-key]: unknown key `aftre` in task `lint`
         --> plan.yaml:2:19
        2 |   lint: { run: x, aftre: [a] }
          |                   ^
        help: did you mean `after`?
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}x{}", "a".repeat(200), "b".repeat(200));
        let (shown, before) = excerpt(&line, 200);
        assert_eq!(shown.chars().nth(before), Some('x'));
        assert!(shown.starts_with('…') && shown.ends_with('…'));
        assert_eq!(excerpt("\tx", 1), (" x".to_owned(), 1));
        assert_eq!(excerpt("", 5), (String::new(), 0));
    }
}
