//! What commands work with: settings, output, and on demand the store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::id::{EventNo, Project, Seq, Token};
use domain::store::Store;
use domain::task::spec::Json;
use domain::time::Now;
use engine::clock::{Clock, SystemClock};
use engine::engine::Engine;
use engine::home::{DATABASE, Home};
use engine::process::output;
use engine::trace;
use store::Scheme;

use crate::args::Globals;
use crate::discover::{Ground, Trust, upwards};
use crate::error::Result;
use crate::output::{Kept, Ui};
use crate::settings::{Settings, Sources, files};

#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) ui: Ui,
    pub(crate) cwd: PathBuf,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    pub(crate) accept_volatile: bool,
    ground: Ground,
    /// Flags that are settings.
    flags: Vec<(&'static str, &'static str, String)>,
    /// The store that is open already.
    given: Option<Engine>,
}

/// Whether a command may bring a store into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Existing,
    Create,
}

impl Context {
    pub(crate) fn new(globals: &Globals) -> Result<Context> {
        let cwd = std::env::current_dir()
            .map_err(|e| Refusal::new(Code::InvalidArgument, format!("this folder cannot be used: {e}")))?;
        let ground = Ground::of(&cwd);
        let flags = globals.flags();
        let settings = resolve(&cwd, &ground, &flags)?;
        let ui = Ui::new(
            globals.json,
            settings.colour(),
            settings.hints() && !globals.quiet,
        );
        Ok(Context {
            settings,
            ui,
            cwd,
            quiet: globals.quiet,
            verbose: globals.verbose,
            accept_volatile: globals.accept_volatile,
            ground,
            flags,
            given: None,
        })
    }

    /// The settings as they stand now.
    pub(crate) fn resolve(&self) -> std::result::Result<Settings, Refusal> {
        resolve(&self.cwd, &self.ground, &self.flags)
    }

    /// The same for a command that is run inside this process, on a store that is open: what it answers is kept.
    pub(crate) fn within(&self, engine: Engine) -> (Context, Kept) {
        let kept = Kept::default();
        let context = Context {
            ui: Ui::within(kept.clone()),
            given: Some(engine),
            ..self.clone()
        };
        (context, kept)
    }

    pub(crate) fn now(&self) -> Now {
        SystemClock.now()
    }

    /// The folder of the store in force, whether or not it exists, and its URL. Paths are absolute, so that the
    /// attempts of tasks find the store from wherever they run.
    pub(crate) fn place(&self) -> Result<(PathBuf, String)> {
        if let Some(url) = self.settings.server() {
            return Ok((shared_home(url), url.to_owned()));
        }
        let Some(url) = self.settings.store() else {
            if let Some(found) = &self.ground.found {
                Trust::of_process().check(found)?;
            }
            let folder = self.ground.folder().clone();
            let url = format!("sqlite:{}", folder.join(DATABASE).display());
            return Ok((folder, url));
        };
        match store::scheme(url)? {
            Scheme::Memory => {
                let folder = std::env::temp_dir().join(format!("bellwether-{}", std::process::id()));
                Ok((folder, url.to_owned()))
            }
            Scheme::Sqlite(path) => {
                let path = self.cwd.join(path);
                let folder = path.parent().map_or_else(|| self.cwd.clone(), Path::to_owned);
                Ok((folder, format!("sqlite:{}", path.display())))
            }
            Scheme::Postgres(url) | Scheme::Redis(url) => Ok((shared_home(url), url.to_owned())),
        }
    }

    /// Whether a store was named or found; one that was named may still be out of reach.
    pub(crate) fn has_store(&self) -> bool {
        self.settings.store().is_some() || self.ground.found.is_some()
    }

    /// The folder of this project that exists, if any.
    pub(crate) fn home_folder(&self) -> Option<&Path> {
        self.ground.found.as_deref()
    }

    /// Opens the store that exists.
    pub(crate) async fn engine(&self) -> Result<Engine> {
        self.open(Access::Existing).await
    }

    pub(crate) async fn open(&self, access: Access) -> Result<Engine> {
        if let Some(engine) = &self.given {
            return Ok(engine.clone());
        }
        let (folder, url) = self.place()?;
        if self.settings.server().is_some() {
            return self.far(folder, &url).await;
        }
        let chosen = self.settings.store().is_some();
        if !chosen && self.ground.found.is_none() {
            match access {
                Access::Existing => return Err(self.no_store().into()),
                Access::Create => self.create_folder(&folder)?,
            }
        }
        Ok(Engine {
            store: self.open_or_make(&folder, &url, access)?,
            project: self.settings.project(),
            clock: Arc::new(SystemClock),
            home: Home::new(folder),
            actor: actor(),
        })
    }

    /// A store that has to be made is made where that is allowed, and told of: a slip in its name would otherwise begin another queue
    /// without a word.
    fn open_or_make(&self, folder: &Path, url: &str, access: Access) -> Result<Arc<dyn Store>> {
        let open = |create| {
            let options = store::Options {
                durability: self.settings.durability(),
                create,
                accept_volatile: self.accept_volatile,
            };
            store::open(url, options)
        };
        match open(false) {
            Err(refusal) if refusal.code == Code::StoreNotFound && access == Access::Create => {}
            opened => return Ok(opened?),
        }
        let made = open(true)?;
        if !self.quiet {
            self.ui.note(&match self.settings.store() {
                None => format!("created a store in {}\n", folder.display()),
                Some(_) => format!("created the store {}\n", made.info().url),
            })?;
        }
        Ok(made)
    }

    /// The store of this machine, if there is one: for what is better with it and goes without.
    pub(crate) async fn near(&self) -> Option<Engine> {
        let is_far = self.settings.server().is_some()
            || self
                .settings
                .store()
                .is_some_and(|url| !matches!(store::scheme(url), Ok(Scheme::Sqlite(_))));
        if self.given.is_none() && (is_far || !self.has_store()) {
            return None;
        }
        self.engine().await.ok()
    }

    /// The store behind a server; what belongs to this machine stays in `folder`.
    async fn far(&self, folder: PathBuf, url: &str) -> Result<Engine> {
        let project = self.settings.project();
        let (link, home) = (self.link(url)?, Home::of_copies(folder));
        let remote = client::Remote::open(link, &project).await?;
        Ok(Engine {
            store: Arc::new(
                remote
                    .with_output(reader(home.clone()))
                    .with_results(Arc::new(Results {
                        home: home.clone(),
                        swept: Mutex::default(),
                    })),
            ),
            project,
            clock: Arc::new(SystemClock),
            home,
            actor: actor(),
        })
    }

    pub(crate) fn link(&self, url: &str) -> Result<client::Link> {
        Ok(client::Link::new(url, self.settings.token())?)
    }

    /// The trace from within which the command was called, as `TRACEPARENT` says it. One that cannot be read counts for nothing, as
    /// the standard asks. What another process asks of this one was not called from here.
    pub(crate) fn trace(&self) -> Result<Option<trace::Context>> {
        let told = std::env::var(trace::VARIABLE)
            .ok()
            .filter(|text| !text.is_empty());
        let Some(told) = told.filter(|_| self.given.is_none()) else {
            return Ok(None);
        };
        let context = told.parse().ok();
        if context.is_none() {
            self.ui.hint(&format!(
                "{} is no W3C traceparent and was ignored: {}",
                trace::VARIABLE,
                told.chars().take(80).collect::<String>().escape_debug()
            ))?;
        }
        Ok(context)
    }

    fn no_store(&self) -> Refusal {
        Refusal::new(
            Code::StoreNotFound,
            format!(
                "neither {} nor a folder above it has a .bellwether folder",
                self.cwd.display()
            ),
        )
        .help("`bell task add NAME` or `bell run PLAN` makes one here; --store URL names another")
    }

    /// Makes the folder, out of sight of version control.
    fn create_folder(&self, folder: &Path) -> Result<()> {
        let failed = |e: std::io::Error| {
            Refusal::new(
                Code::StoreReadOnly,
                format!("{} cannot be made: {e}", folder.display()),
            )
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        std::fs::write(folder.join(".gitignore"), "*\n").map_err(failed)?;
        Ok(())
    }
}

fn resolve(
    cwd: &Path,
    ground: &Ground,
    flags: &[(&'static str, &'static str, String)],
) -> std::result::Result<Settings, Refusal> {
    let trust = Trust::of_process();
    let team = upwards(cwd, "bell.toml");
    team.iter().try_for_each(|file| trust.check(file))?;
    // A store that cannot be believed is refused where it is used; its settings never count.
    let machine = ground.found.as_deref();
    let machine = machine.filter(|folder| trust.check(folder).is_ok());
    Settings::resolve(&Sources {
        files: files(team, machine),
        variables: std::env::vars_os().collect(),
        flags: flags.to_vec(),
    })
}

/// Where this machine keeps results that are too large for a store.
#[derive(Debug)]
struct Results {
    home: Home,
    swept: Mutex<Option<Instant>>,
}

/// No attempt lasts longer: its lease does not.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
const SWEEP: Duration = Duration::from_secs(3_600);

impl Results {
    /// Copies are for attempts; the server keeps what is meant.
    fn sweep(&self, project: &Project) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|at| at.elapsed() > SWEEP) {
            *swept = Some(Instant::now());
            self.home.forget_copies(project, KEPT);
        }
    }
}

impl client::Aside for Results {
    fn whole(&self, project: &Project, result: &Json) -> Option<Json> {
        self.sweep(project);
        let whole = self.home.whole(project, result);
        whole.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "a large result cannot be read");
            None
        })
    }

    fn keep(&self, project: &Project, task: Seq, result: &Json) -> Option<Json> {
        // No lease has this number: those that work here name theirs otherwise.
        let (fence, secret) = (EventNo(0), 0);
        let token = Token {
            seq: task,
            fence,
            secret,
        };
        self.sweep(project);
        let kept = self.home.set_aside(project, token, result);
        kept.inspect_err(|e| tracing::warn!(error = %e, "a large result cannot be kept"))
            .ok()
    }
}

/// How what attempts print on this machine is read.
fn reader(home: Home) -> Arc<client::Reader> {
    Arc::new(move |project, seq, attempt, from| {
        let read = output::read_from(&home.output(project, seq, attempt), from);
        let read = read.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "the output of an attempt cannot be read");
            output::Output {
                end: from,
                ..output::Output::default()
            }
        });
        client::Printed {
            bytes: read.bytes,
            dropped: read.dropped,
            end: read.end,
        }
    })
}

/// Where this machine keeps the files of a store that is elsewhere. Processes that name the store alike share it.
fn shared_home(url: &str) -> PathBuf {
    let server = url.rsplit_once('@').map_or(url, |(_, server)| server);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = server.chars().map(plain).collect();
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty());
    let state = state.map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    state
        .unwrap_or_else(std::env::temp_dir)
        .join("bellwether")
        .join(name)
}

impl Ground {
    fn folder(&self) -> &PathBuf {
        self.found.as_ref().unwrap_or(&self.fresh)
    }
}

/// Who acts, as events name it.
pub(crate) fn actor() -> Arc<str> {
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("user:{name}").into()
}
