use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since the machine was booted, sleep included: no wall-clock jump touches it,
/// and all processes of one machine agree on it.
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
