//! `bell analyze`

mod changed;
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
use ::analyze::{Options, Tree};
use clap::ValueEnum;
use domain::code::{Code, Refusal};

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Read a source tree: which file needs which, in what order to work on them, what a change touches
///
/// Python, JavaScript, TypeScript, Rust and Go are told by the names of files; ignore files are respected. With
/// --plan it writes a plan for `bell run`, a task for each file, package or component.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell analyze
  bell analyze src --format svg > files.svg
  bell analyze --changed-since main
  bell analyze --plan check.yaml --by package > plan.json && bell run plan.json")]
pub(crate) struct Args {
    /// The folder to read
    #[arg(default_value = ".")]
    path: PathBuf,
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
    File,
    Package,
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
        let mut cache = match self.no_cache {
            true => Cache::none(),
            false => remembered(context, &self.path),
        };
        if self.watch {
            return watch::watch(&self, context, &mut cache);
        }
        self.answer(context, &mut cache)
    }

    fn answer(&self, context: &Context, cache: &mut Cache) -> Result {
        let tree = self.read(cache)?;
        let changed = self.changed(&tree)?;
        let affected = changed.as_deref().map(|changed| tree.affected(changed));
        let units = Units::new(&tree, self.by.size());
        if let Some(template) = &self.plan {
            let wanted = plan::Wanted {
                priorities: self.priorities,
                only: affected.as_deref(),
            };
            return plan::write(context, &tree, &units, template, &wanted);
        }
        let order = tree.order();
        let format = if context.ui.json {
            Format::Json
        } else {
            self.format
        };
        if !matches!(format, Format::Text | Format::Json) {
            return picture::write(context, &tree, &order, affected.as_deref(), format);
        }
        let report = report(&tree, &order, &units, changed.as_deref());
        match format {
            Format::Json => context.ui.json_line(&report)?,
            _ => context.ui.text(&text::people(&report))?,
        }
        Ok(Exit::DONE)
    }

    fn read(&self, cache: &mut Cache) -> Result<Tree> {
        let languages = if self.language.is_empty() {
            Language::ALL.to_vec()
        } else {
            self.language.clone()
        };
        let threads = self.jobs.unwrap_or_else(processors);
        look(&self.path, &Options { languages, threads }, cache)
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
    look(path, &options, &mut remembered(context, path))
}

fn look(path: &Path, options: &Options, cache: &mut Cache) -> Result<Tree> {
    let tree = ::analyze::analyse(path, options, cache).map_err(|error| {
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
