//! The keys that say what a task does.

use crate::code::{Code, Refusal};
use crate::limits;
use crate::task::spec::{Stop, Verdict, Work, check_text};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::node::Value;
use super::schema;
use super::values::label;

impl Draft {
    pub(super) fn does(&mut self, key: &'static str, work: Option<Work>) {
        self.works.push(key);
        self.work = self.work.take().or(work);
    }
}

pub(super) fn run(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let work = match &at.node.value {
        Value::Sequence(items) if items.is_empty() => {
            at.wrong(found, "the list is empty", "name at least the program");
            None
        }
        Value::Sequence(_) => {
            let (mut argv, mut bytes) = (Vec::new(), 0);
            at.each(found, |at, found| {
                if let Some(text) = at.text(found) {
                    bytes += text.len() + 1;
                    at.accept(found, check_text("the argument", text));
                    argv.push(text.to_owned());
                }
            });
            if argv.first().is_some_and(|program| program.trim().is_empty()) {
                at.wrong(found, "the program is empty", "name a program");
            }
            if bytes > limits::TEXT_BYTES {
                let detail = format!(
                    "the arguments have {bytes} bytes, the limit is {}",
                    limits::TEXT_BYTES
                );
                at.wrong(found, detail, "put them into a file and name the file");
            }
            Some(Work::Argv(argv))
        }
        _ => at.content(found).map(Work::Shell),
    };
    draft.does("run", work);
}

pub(super) fn prompt(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    draft.does("prompt", at.content(found).map(Work::Prompt));
}

pub(super) fn handler(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    draft.does("handler", label(at, found).map(Work::Handler));
}

pub(super) fn breakpoint(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let Value::Mapping(entries) = &at.node.value else {
        draft.does("breakpoint", at.content(found).map(Work::Breakpoint));
        return;
    };
    let mut asked = (None, Stop::default());
    at.keys(found, "a text, or a mapping with `ask`", BREAKPOINT, &mut asked);
    if !entries.iter().any(|entry| entry.key == "ask") {
        at.missing(found, "does not say what it asks", "add `ask`");
    }
    let (ask, stop) = asked;
    draft.does("breakpoint", ask.map(Work::Breakpoint));
    draft.spec.stop = Some(stop).filter(|stop| *stop != Stop::default());
}

pub(super) const BREAKPOINT: &[Key<(Option<String>, Stop)>] = &[
    Key::new("ask", "What is asked.", schema::text, |asked, at, found| {
        asked.0 = at.content(found);
    }),
    Key::new("owner", "Who is to answer.", schema::label, |asked, at, found| {
        asked.1.owner = label(at, found);
    }),
    Key::new(
        "default",
        "The answer when the task's deadline passes without one: accept, reject, or a mapping with `answer`.",
        schema::verdict,
        |asked, at, found| {
            let mut verdict = Verdict {
                accept: true,
                answer: None,
            };
            if at.node.is_mapping() {
                at.keys(
                    found,
                    "accept, reject, or a mapping with `answer`",
                    VERDICT,
                    &mut verdict,
                );
            } else if let Some(accept) = at.word(found, "accept or reject", accepts) {
                verdict.accept = accept;
            }
            asked.1.default = Some(verdict);
        },
    ),
];

pub(super) const VERDICT: &[Key<Verdict>] = &[Key::new(
    "answer",
    "The answer, any value.",
    schema::any,
    |verdict, at, found| verdict.answer = at.json(found),
)];

fn accepts(text: &str) -> Result<bool, Refusal> {
    match text {
        "accept" => Ok(true),
        "reject" => Ok(false),
        _ => Err(Refusal::new(
            Code::InvalidArgument,
            format!("`{}` is neither accept nor reject", text.escape_debug()),
        )),
    }
}
