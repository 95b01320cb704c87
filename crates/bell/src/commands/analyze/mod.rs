//! `bell analyze`

mod changed;
mod list;
mod picture;
mod plan;
mod text;
mod watch;

use std::path::{Path, PathBuf};

use ::analyze::cache::Cache;
use ::analyze::facts::Language;
use ::analyze::order::Order;
use ::analyze::report::Report;
use ::analyze::units::{Size, Units};
use ::analyze::{Glance, Ground, Options, Tree};
use clap::ValueEnum;
use domain::code::{Code, Refusal};
use domain::plan::Planned;
use domain::time::Timestamp;

use crate::commands::plan::file::{is_stdin, shown};
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;

/// Read a source tree: which file needs which, in what order to work on them, what a change touches
///
/// Python, JavaScript, TypeScript, Rust and Go are told by the names of files; ignore files are respected. With
/// --planned it reads a list of files that are not written yet: alone, or laid over the tree in PATH. With --plan it writes a plan
/// for `bell run`, a task for each file, package or component; with --submit it hands that plan in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell analyze
  bell analyze src --format svg > files.svg
  bell analyze --changed-since main
  bell analyze --plan check.yaml --by package > plan.json && bell run plan.json
  bell analyze --planned tasks.yaml
  bell analyze --planned tasks.yaml . --plan write.yaml --submit")]
pub(crate) struct Args {
    /// The folder to read [default: the present one; with --planned none]
    path: Option<PathBuf>,
    /// Count the files that this list plans, too; - reads stdin
    #[arg(long, value_name = "FILE")]
    planned: Option<PathBuf>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Read only these languages
    #[arg(long, value_name = "LANGUAGE", value_delimiter = ',', value_parser = language)]
    language: Vec<Language>,
    /// What is affected by changes since this commit, those not yet committed too
    #[arg(long, value_name = "REV")]
    changed_since: Option<String>,
    /// What is affected by a change of this file; may be given again
    #[arg(long, value_name = "FILE")]
    affected_by: Vec<PathBuf>,
    /// Write a plan: each task has this file's body
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["format", "watch"])]
    plan: Option<PathBuf>,
    /// Hand the plan in as a run instead of writing it
    #[arg(long, requires = "plan")]
    submit: bool,
    /// Begin a new run
    #[arg(long, requires = "submit")]
    new: bool,
    /// What one task, and one conflict, is about
    #[arg(long, value_enum, default_value_t = By::File)]
    by: By,
    /// Where the priorities of the plan's tasks come from
    #[arg(long, value_enum, default_value_t = plan::Priorities::CriticalPath, requires = "plan")]
    priorities: plan::Priorities,
    /// Parse everything anew and remember nothing
    #[arg(long)]
    no_cache: bool,
    /// Look again whenever a file changes, until interrupted
    #[arg(long)]
    watch: bool,
    /// Parse this many files at the same time [default: one for each processor]
    #[arg(long, short, value_name = "N", value_parser = crate::parse::jobs)]
    jobs: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Mermaid,
    Dot,
    Svg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// A file, or all files of one planned task
    File,
    /// What its language takes for a package
    Package,
    /// Files that all need each other
    Component,
}

fn language(text: &str) -> std::result::Result<Language, String> {
    let known = Language::ALL.map(Language::as_str);
    let found = Language::ALL
        .into_iter()
        .find(|language| language.as_str() == text);
    found.ok_or_else(|| format!("no such language; known are {}", known.join(", ")))
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let from_stdin = |file: &Option<PathBuf>| file.as_deref().is_some_and(is_stdin);
        if from_stdin(&self.plan) && from_stdin(&self.planned) {
            let refusal = invalid("list and template cannot both be read from stdin");
            return Err(refusal.help("name a file for one of them").into());
        }
        let mut cache = match self.no_cache || !self.is_over() {
            true => Cache::none(),
            false => remembered(context, self.root()),
        };
        if self.watch {
            return watch::watch(&self, context, &mut cache);
        }
        let planned = match &self.planned {
            Some(file) => list::load(context, file)?,
            None => Vec::new(),
        };
        let tree = self.read(&planned, &mut cache, None)?;
        self.answer(context, &tree)
    }

    fn answer(&self, context: &Context, tree: &Tree) -> Result {
        let changed = self.changed(tree)?;
        let affected = changed.as_deref().map(|changed| tree.affected(changed));
        let units = Units::new(tree, self.by.size());
        if let Some(template) = &self.plan {
            let only = match self.planned {
                Some(_) => Some(written(tree, affected.as_deref())),
                None => affected,
            };
            let wanted = plan::Wanted {
                template,
                list: self.planned.as_deref(),
                priorities: self.priorities,
                only: only.as_deref(),
            };
            let made = plan::make(context, tree, &units, &wanted)?;
            return match self.submit {
                true => plan::submit(context, tree, made, self.new),
                false => plan::write(context, &made),
            };
        }
        let order = tree.order();
        let format = if context.ui.json {
            Format::Json
        } else {
            self.format
        };
        if !matches!(format, Format::Text | Format::Json) {
            return picture::write(context, tree, &order, affected.as_deref(), format);
        }
        let report = report(tree, &order, &units, changed.as_deref());
        match format {
            Format::Json => context.ui.json_line(&report)?,
            _ => context.ui.text(&text::people(&report, &self.head(tree)))?,
        }
        Ok(Exit::DONE)
    }

    /// Whether what is there counts.
    fn is_over(&self) -> bool {
        self.path.is_some() || self.planned.is_none()
    }

    fn root(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("."))
    }

    /// What people are told about.
    fn head(&self, tree: &Tree) -> String {
        match &self.planned {
            Some(list) if !self.is_over() => shown(list),
            _ => tree.root.display().to_string(),
        }
    }

    fn read(
        &self,
        planned: &[Planned],
        cache: &mut Cache,
        glance: Option<(&mut Glance, Timestamp)>,
    ) -> Result<Tree> {
        let languages = if self.language.is_empty() {
            Language::ALL.to_vec()
        } else {
            self.language.clone()
        };
        let threads = self.jobs.unwrap_or_else(processors);
        let ground = Ground {
            root: self.root(),
            there: self.is_over(),
            planned,
        };
        look(&ground, &Options { languages, threads }, cache, glance)
    }

    fn changed(&self, tree: &Tree) -> Result<Option<Vec<u32>>> {
        if self.changed_since.is_none() && self.affected_by.is_empty() {
            return Ok(None);
        }
        let mut changed = match &self.changed_since {
            Some(revision) => changed::since(tree, revision)?,
            None => Vec::new(),
        };
        for file in &self.affected_by {
            changed.push(changed::named(tree, file)?);
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(Some(changed))
    }
}

/// The tree below a folder, whatever its languages.
pub(super) fn tree(context: &Context, path: &Path) -> Result<Tree> {
    let options = Options {
        languages: Language::ALL.to_vec(),
        threads: processors(),
    };
    look(&Ground::of(path), &options, &mut remembered(context, path), None)
}

fn look(
    ground: &Ground<'_>,
    options: &Options,
    cache: &mut Cache,
    glance: Option<(&mut Glance, Timestamp)>,
) -> Result<Tree> {
    let tree = ::analyze::look(ground, options, cache, glance).map_err(|error| {
        let refusal = Refusal::new(Code::InvalidArgument, error.to_string());
        refusal.help("name a folder that can be read")
    })?;
    // Without what was remembered the next look takes longer, and that is all.
    if let Err(error) = cache.save() {
        tracing::warn!("what was read cannot be kept: {error}");
    }
    Ok(tree)
}

/// In the project's folder, one file for each tree that is looked at; without such a folder nothing is kept.
fn remembered(context: &Context, path: &Path) -> Cache {
    match (context.home_folder(), path.canonicalize().ok()) {
        (Some(home), Some(root)) => {
            let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
            Cache::open(&home.join("analyze").join(&name[..16]))
        }
        _ => Cache::none(),
    }
}

/// The files that are planned, of these if only some count.
fn written(tree: &Tree, of: Option<&[u32]>) -> Vec<u32> {
    let planned = tree.planned.iter().flat_map(|task| &task.files).copied();
    let counts = |file: &u32| of.is_none_or(|of| of.binary_search(file).is_ok());
    let mut files: Vec<u32> = planned.filter(counts).collect();
    files.sort_unstable();
    files
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn report<'a>(tree: &'a Tree, order: &Order, units: &'a Units, changed: Option<&[u32]>) -> Report<'a> {
    let mut report = Report::new(tree, order, units);
    if let Some(changed) = changed {
        report.affected(tree, changed);
    }
    report
}

impl By {
    fn size(self) -> Size {
        match self {
            By::File => Size::File,
            By::Package => Size::Package,
            By::Component => Size::Component,
        }
    }
}
