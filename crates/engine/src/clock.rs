//! The only place that reads clocks.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::time::{Now, Timestamp, millis};

pub trait Clock: Debug + Send + Sync {
    fn now(&self) -> Now;
}

/// The machine's clocks: wall time, and for leases the time since boot, which counts sleep and does not jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            wall: Timestamp(millis(wall)),
            mono: boot_ms(),
        }
    }
}

/// Milliseconds since the machine was booted, sleep included.
pub fn boot_ms() -> i64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(id);
    time.tv_sec
        .saturating_mul(1_000)
        .saturating_add(time.tv_nsec / 1_000_000)
}

/// A clock that stands still until it is moved: for tests and simulation.
#[derive(Debug)]
pub struct ManualClock(Mutex<Now>);

impl ManualClock {
    pub fn new(wall: Timestamp) -> ManualClock {
        ManualClock(Mutex::new(Now { wall, mono: 1_000 }))
    }

    pub fn advance(&self, span: Duration) {
        let mut now = self.lock();
        now.wall = now.wall.after(span);
        now.mono += millis(span);
    }

    /// Moves the wall clock alone, as an administrator or a time server does.
    pub fn jump(&self, ms: i64) {
        self.lock().wall.0 += ms;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.lock()
    }
}
