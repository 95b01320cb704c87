//! Looking again whenever something changes.

use std::path::Path;
use std::time::Duration;

use analyze::cache::Cache;
use analyze::tree::{Edge, External, Planned};
use analyze::{Glance, Tree};

use super::{Args, list};
use crate::commands::plan::file::{is_stdin, read};
use crate::context::Context;
use crate::error::{Error, Result, invalid};

/// How often the tree is looked at: its times and sizes, and no more than those of what has not changed.
const EVERY: Duration = Duration::from_millis(500);
/// Of a large tree that takes longer; between two looks there is this many times as long a rest.
const REST: u32 = 9;

pub(super) fn watch(args: &Args, context: &Context, cache: &mut Cache) -> Result {
    if args.planned.as_deref().is_some_and(is_stdin) {
        let refusal = invalid("what is read from stdin cannot be watched");
        return Err(refusal.help("name a file with `--planned`").into());
    }
    if cache.is_none() {
        *cache = Cache::in_memory();
    }
    let mut glance = Glance::default();
    let mut last: Option<Told> = None;
    let mut listed = Listed::default();
    loop {
        let began = context.now();
        if !glance.is_same() && listed.read(context, args.planned.as_deref())? {
            let tree = args.read(&listed.tasks, cache, Some((&mut glance, began.wall)))?;
            if let Some(list) = &args.planned {
                glance.also(list);
            }
            let told = Told::of(&tree);
            if last.as_ref() != Some(&told) {
                args.answer(context, &tree)?;
                last = Some(told);
            }
        }
        let took = Duration::from_millis(u64::try_from(context.now().mono - began.mono).unwrap_or(0));
        std::thread::sleep(EVERY.max(took * REST));
    }
}

/// All that an answer is made of.
#[derive(PartialEq)]
struct Told {
    files: Vec<(String, [u8; 32])>,
    edges: Vec<Edge>,
    externals: Vec<External>,
    planned: Vec<Planned>,
    notes: Vec<String>,
}

impl Told {
    fn of(tree: &Tree) -> Told {
        let files = tree.files.iter();
        Told {
            files: files.map(|file| (file.path.clone(), file.digest)).collect(),
            edges: tree.edges.clone(),
            externals: tree.externals.clone(),
            planned: tree.planned.clone(),
            notes: tree.notes.clone(),
        }
    }
}

/// The list as it could be read last.
#[derive(Default)]
struct Listed {
    bytes: Option<Vec<u8>>,
    tasks: Vec<domain::plan::Planned>,
    sound: bool,
}

impl Listed {
    /// Reads it again; whether it can be used. While somebody edits it its faults are told, once, and the watch goes on.
    fn read(&mut self, context: &Context, file: Option<&Path>) -> Result<bool> {
        let Some(file) = file else { return Ok(true) };
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(error) if self.bytes.is_none() => return Err(error),
            // Editors that replace a file leave a moment without it.
            Err(_) => return Ok(false),
        };
        if self.bytes.as_ref() == Some(&bytes) {
            return Ok(self.sound);
        }
        let first = self.bytes.is_none();
        let parsed = list::parse(context, file, &bytes);
        self.bytes = Some(bytes);
        self.sound = parsed.is_ok();
        match parsed {
            Ok(tasks) => self.tasks = tasks,
            Err(Error::Told(_)) if !first => {}
            Err(error) => return Err(error),
        }
        Ok(self.sound)
    }
}
