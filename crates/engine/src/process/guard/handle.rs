use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, PipeWriter, Write};
use std::iter::repeat_n;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SUBCOMMAND;
use super::wire::News;
use crate::process::clock::since_boot;
use crate::process::exit::Exit;
use crate::process::group::Group;
use crate::process::mark::{LAUNCH_VAR, WORKER_VAR};
use crate::process::presence::Presence;

/// A guard that cannot run is not tried more often than this.
const RESTART_EVERY: Duration = Duration::from_secs(1);
/// How much longer than its grace a guard may take to end what is left.
const STOP_SLACK: Duration = Duration::from_secs(12);

/// The worker's side of its guard; cheap to clone. A guard that died or no longer listens is
/// replaced by the next call while any group lives, and the new one told of all of them.
#[derive(Clone, Debug)]
pub struct Guard {
    post: Arc<Mutex<Post>>,
    incarnation: Arc<str>,
}

#[derive(Debug)]
struct Post {
    exe: PathBuf,
    incarnation: Arc<str>,
    grace: Duration,
    presence: File,
    /// How many launches are under way.
    starting: usize,
    groups: BTreeSet<Group>,
    /// Those that lived when a guard did not take news any more: it may have ended them.
    doubted: BTreeSet<Group>,
    until: Option<Duration>,
    helper: Option<Helper>,
    started: Instant,
}

#[derive(Debug)]
struct Helper {
    child: Child,
    pipe: PipeWriter,
}

impl Guard {
    /// Starts the guard of the worker that this presence belongs to. `exe` is this program; on Linux
    /// `/proc/self/exe` stays right when the file is replaced by an upgrade. `grace` is what groups get
    /// between `TERM` and `KILL`.
    pub fn start(exe: &Path, presence: &Presence, grace: Duration) -> io::Result<Self> {
        let incarnation: Arc<str> = presence.incarnation().into();
        let mut post = Post {
            exe: exe.to_owned(),
            incarnation: incarnation.clone(),
            grace,
            presence: presence.share()?,
            starting: 0,
            groups: BTreeSet::new(),
            doubted: BTreeSet::new(),
            until: None,
            helper: None,
            started: Instant::now(),
        };
        post.helper = Some(post.start()?);
        Ok(Self {
            post: Arc::new(Mutex::new(post)),
            incarnation,
        })
    }

    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// Says that the worker's leases hold until this time since boot (see
    /// [`since_boot`](crate::process::since_boot)). Once it passes while a group lives, the guard ends
    /// all of them; without a first renewal it only waits for the worker's end. Renew before a launch.
    pub fn renew(&self, until: Duration) {
        let mut post = self.post();
        post.until = Some(until);
        post.tell(News::Renewed(until));
    }

    /// Whether the last renewal still holds, or none was ever made.
    pub fn is_renewed(&self) -> bool {
        self.post().until.is_none_or(|until| until > since_boot())
    }

    /// The process that guards now, if any.
    pub fn pid(&self) -> Option<u32> {
        self.post().helper.as_ref().map(|helper| helper.child.id())
    }

    /// Lets the guard end what is still marked, and waits for it to be gone. A later launch would start
    /// a new one.
    pub async fn stop(&self) {
        let (helper, limit) = {
            let mut post = self.post();
            (post.helper.take(), post.grace * 2 + STOP_SLACK)
        };
        let Some(Helper { mut child, pipe }) = helper else {
            return;
        };
        drop(pipe);
        if let Ok(mut exit) = Exit::of(rustix::process::Pid::from_child(&child)) {
            let _ = tokio::time::timeout(limit, exit.wait()).await;
        }
        dismiss(&mut child);
    }

    /// Comes before every launch, so that a worker stopped in the middle of one is not taken for idle.
    pub(in crate::process) fn starting(&self) {
        let mut post = self.post();
        post.starting += 1;
        post.tell(News::Starting);
    }

    pub(in crate::process) fn not_started(&self) {
        let mut post = self.post();
        post.starting -= 1;
        post.tell(News::NotStarted);
    }

    pub(in crate::process) fn started(&self, group: Group) {
        let mut post = self.post();
        post.starting -= 1;
        post.groups.insert(group);
        post.tell(News::Started(group));
    }

    /// Returns whether the guard may have ended it.
    pub(in crate::process) fn ended(&self, group: Group) -> bool {
        let mut post = self.post();
        post.groups.remove(&group);
        let heard = post.tell(News::Ended(group));
        post.doubted.remove(&group) || !heard
    }

    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    /// A guard that does not take news any more has died, is stopped, or has begun to end our groups
    /// because we seemed to hang. We do not, so it goes, and with it its pipe, whose mere end would
    /// be an order. Returns false when that is what was found.
    fn tell(&mut self, news: News) -> bool {
        let mut heard = true;
        if let Some(helper) = &mut self.helper
            && helper.pipe.write_all(news.to_string().as_bytes()).is_err()
        {
            dismiss(&mut helper.child);
            self.helper = None;
            self.doubted.extend(&self.groups);
            heard = false;
        }
        let is_needed = self.helper.is_none() && (self.starting > 0 || !self.groups.is_empty());
        if is_needed && self.started.elapsed() >= RESTART_EVERY {
            self.restart();
        }
        heard
    }

    fn restart(&mut self) {
        self.started = Instant::now();
        match self.start() {
            Ok(helper) => {
                tracing::warn!(incarnation = %self.incarnation, "the guard was replaced");
                self.helper = Some(helper);
            }
            Err(error) => tracing::error!(incarnation = %self.incarnation, %error, "there is no guard"),
        }
    }

    /// The pipe does not block: a guard that is stopped must not stop the worker. In the environment
    /// of the guard there is no mark, not even that of a worker around us, whose guard would else end
    /// ours before its work is done.
    fn start(&self) -> io::Result<Helper> {
        let (reader, mut pipe) = io::pipe()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let child = Command::new(&self.exe)
            .arg(SUBCOMMAND)
            .arg(&*self.incarnation)
            .arg(self.grace.as_millis().to_string())
            .env_remove(WORKER_VAR)
            .env_remove(LAUNCH_VAR)
            .current_dir("/")
            .process_group(0)
            .stdin(reader)
            .stdout(self.presence.try_clone()?)
            .stderr(Stdio::null())
            .spawn()?;
        let groups = self.groups.iter().map(|group| News::Started(*group));
        let starting = repeat_n(News::Starting, self.starting);
        for news in groups.chain(starting).chain(self.until.map(News::Renewed)) {
            let _ = pipe.write_all(news.to_string().as_bytes()); // If this fails, so will what follows.
        }
        Ok(Helper { child, pipe })
    }
}

fn dismiss(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
