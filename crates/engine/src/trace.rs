//! Where a task stands in a trace, by the W3C's Trace Context.
//!
//! Ids are computed, not carried: whoever knows a task knows the spans of its run, its own and those of its attempts. So a
//! worker far away and the server that tells of them agree without a word between them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::id::{Project, TaskId};
use domain::run::RunNo;

/// The variable of commands, and of a task's own environment: there it says in which trace the task was handed in.
pub const VARIABLE: &str = "TRACEPARENT";
/// The header of calls.
pub const HEADER: &str = "traceparent";

const SAMPLED: u8 = 1;

/// A span as others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: u128,
    pub span: u64,
    pub flags: u8,
}

/// What cannot be read is no context: the standard asks to go on without.
impl FromStr for Context {
    type Err = ();

    fn from_str(text: &str) -> Result<Context, ()> {
        let hex = |from: usize, to: usize| {
            let digits = text.get(from..to).ok_or(())?;
            let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            match digits.bytes().all(plain) {
                true => u128::from_str_radix(digits, 16).map_err(|_| ()),
                false => Err(()),
            }
        };
        let version = hex(0, 2)?;
        let ends = text.len() == 55 || version > 0 && text.as_bytes().get(55) == Some(&b'-');
        let parted = [2, 35, 52]
            .iter()
            .all(|at| text.as_bytes().get(*at) == Some(&b'-'));
        let (trace, span, flags) = (hex(3, 35)?, hex(36, 52)?, hex(53, 55)?);
        if version == 0xff || !ends || !parted || trace == 0 || span == 0 {
            return Err(());
        }
        Ok(Context {
            trace,
            span: span as u64,
            flags: flags as u8,
        })
    }
}

impl Context {
    /// Puts a task within the trace, unless its environment names one already.
    pub fn hold(self, env: &mut BTreeMap<String, String>) {
        env.entry(VARIABLE.to_owned()).or_insert_with(|| self.to_string());
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: u128,
    /// Of the run, else of whoever handed the task in from within a trace.
    pub parent: Option<u64>,
    /// Its own.
    pub span: u64,
    /// Where it was handed in, when that was said.
    pub outer: Option<Context>,
}

impl Place {
    pub fn of(project: &Project, task: &TaskId, run: Option<RunNo>, env: &BTreeMap<String, String>) -> Place {
        let outer: Option<Context> = env.get(VARIABLE).and_then(|text| text.parse().ok());
        let own = match run {
            Some(run) => id(project, "trace of run", &run.0.to_string()),
            None => id(project, "trace of task", &task.to_string()),
        };
        Place {
            trace: outer.map_or(own, |outer| outer.trace),
            parent: match run {
                Some(run) => Some(run_span(project, run)),
                None => outer.map(|outer| outer.span),
            },
            span: id(project, "task", &task.to_string()) as u64,
            outer,
        }
    }

    /// One attempt of the task.
    pub fn attempt(&self, project: &Project, task: &TaskId, number: u32) -> Context {
        Context {
            trace: self.trace,
            span: id(project, "attempt", &format!("{number} {task}")) as u64,
            flags: self.outer.map_or(SAMPLED, |outer| outer.flags),
        }
    }
}

pub fn run_span(project: &Project, run: RunNo) -> u64 {
    id(project, "run", &run.0.to_string()) as u64
}

/// Of a part of an attempt.
pub fn part_span(attempt: Context, what: &str) -> u64 {
    let bytes = blake3::hash(format!("{what} {attempt}").as_bytes());
    some(u128::from_le_bytes(first(&bytes))) as u64
}

fn id(project: &Project, what: &str, name: &str) -> u128 {
    let digest = blake3::hash(format!("{project} {what} {name}").as_bytes());
    some(u128::from_le_bytes(first(&digest)))
}

fn first(digest: &blake3::Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes
}

/// Nothing but zeros means that there is none; neither half may be so.
fn some(id: u128) -> u128 {
    id | 1 | 1 << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_as_the_standard_says() {
        let context: Context = TEXT.parse().unwrap();
        assert_eq!(context.to_string(), TEXT);
        assert_eq!((context.span, context.flags), (0x00f0_67aa_0ba9_02b7, 1));
        assert!(
            format!("cc{}-what-comes-later", &TEXT[2..])
                .parse::<Context>()
                .is_ok()
        );
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            &TEXT.to_uppercase(),
            &format!("{TEXT}-more"),
            &format!("ff{}", &TEXT[2..]),
            &format!("cc{}more", &TEXT[2..]),
            &TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &TEXT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &TEXT.replace("-01", "-0€"),
        ] {
            assert_eq!(bad.parse::<Context>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn whoever_knows_a_task_knows_its_spans() {
        let (project, task) = (Project::default(), TaskId::new("a").unwrap());
        let alone = Place::of(&project, &task, None, &BTreeMap::new());
        assert_eq!((alone.parent, alone.outer), (None, None));
        assert_eq!(alone, Place::of(&project, &task, None, &BTreeMap::new()));
        let first = alone.attempt(&project, &task, 1);
        assert_eq!((first.trace, first.flags), (alone.trace, 1));
        assert_ne!(first.span, alone.attempt(&project, &task, 2).span);
        assert_ne!(part_span(first, "lease"), part_span(first, "wait"));

        let env = BTreeMap::from([(VARIABLE.to_owned(), TEXT.replace("-01", "-00"))]);
        let outer: Context = env[VARIABLE].parse().unwrap();
        let told = Place::of(&project, &task, None, &env);
        assert_eq!((told.trace, told.parent), (outer.trace, Some(outer.span)));
        assert_eq!(told.attempt(&project, &task, 1).flags, 0);
        let run = RunNo(7);
        let within = Place::of(&project, &task, Some(run), &env);
        assert_eq!(
            (within.trace, within.parent),
            (outer.trace, Some(run_span(&project, run)))
        );
    }
}
