//! The only place that starts operating-system processes.
//!
//! A [`Launch`] says what to run; a [`Launcher`] starts it in a process group of its own and gives a
//! [`Running`], whose `wait` ends only when that whole group is known to be dead. What the command
//! prints goes to a bounded record on disk that any process may read meanwhile ([`output`]).
//! Three things keep a crash from leaving work running behind the store's back:
//! - the *mark*, `BELL_WORKER=<incarnation>` in the environment of everything a worker starts;
//! - the [`guard`], a helper process that ends the worker's groups when the worker dies or hangs;
//! - the [`presence`] lock, free only when worker and guard are both gone.
//!
//! Nothing here knows of tasks, leases or stores: callers bring paths, names and deadlines.

pub mod ask;
pub mod guard;
pub mod output;
pub mod presence;

mod clock;
mod exit;
mod group;
mod launch;
mod leash;
mod life;
mod mark;
mod procfs;
mod running;
mod strays;

pub use clock::since_boot;
pub use launch::{Cause, Launch, LaunchError, Launcher};
pub use mark::{LAUNCH_VAR, WORKER_VAR};
pub use running::{Control, Ended, How, Running};
