//! Workers, and the pools that some of them work for.

use domain::id::{Kind, PoolName, WorkerId};
use domain::pool;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Workers {
    pub workers: Vec<Worker>,
    pub count: usize,
}

/// A worker of this machine, or whoever else holds leases.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Worker {
    pub worker: WorkerId,
    /// It is a living process of this machine; the fields from `pid` on are known of those alone.
    pub here: bool,
    /// Tasks that it has leased.
    pub leases: usize,
    /// It does the periodic duties of the project.
    pub leads: bool,
    pub pid: Option<u64>,
    pub pool: Option<String>,
    pub run: Option<String>,
    pub jobs: Option<u64>,
    pub started_at: Option<String>,
}

/// What was told to end when its attempts have ended.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Drained {
    pub worker: WorkerId,
    pub pid: u64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Pools {
    pub pools: Vec<Pool>,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Pool {
    pub name: PoolName,
    /// Any, when empty.
    pub kinds: Vec<Kind>,
    pub min: usize,
    pub max: usize,
    pub up: usize,
    pub down: usize,
    /// Seconds.
    pub interval: f64,
    pub fixed: bool,
    /// Nobody has set it: these are the values it comes with.
    pub preset: bool,
    /// Over all workers that are not known to be dead.
    pub slots: usize,
    pub busy: usize,
    /// Busy slots of all; `null` without any.
    pub utilisation: Option<f64>,
    /// No worker of it is missing.
    pub healthy: bool,
    pub workers: Vec<Crew>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Crew {
    pub worker: WorkerId,
    pub slots: usize,
    pub busy: usize,
    pub ups: u64,
    pub downs: u64,
    /// `null` for a worker of another machine that holds no lease.
    pub alive: Option<bool>,
}

impl Pool {
    pub fn new(name: PoolName, pool: &pool::Pool, preset: bool, workers: Vec<Crew>) -> Pool {
        let there = || workers.iter().filter(|crew| crew.alive != Some(false));
        let slots = there().map(|crew| crew.slots).sum();
        let busy = there().map(|crew| crew.busy).sum();
        Pool {
            name,
            kinds: pool.kinds.clone(),
            min: pool.min,
            max: pool.max,
            up: pool.up,
            down: pool.down,
            interval: pool.interval().as_secs_f64(),
            fixed: pool.is_fixed(),
            preset,
            slots,
            busy,
            utilisation: (slots > 0).then(|| (busy as f64 / slots as f64 * 1_000.0).round() / 1_000.0),
            healthy: workers.iter().all(|crew| crew.alive != Some(false)),
            workers,
        }
    }
}

/// How a worker has ended.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Ended {
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: SPEC 5.6
    #[test]
    fn a_pool_with_a_dead_worker_is_not_healthy_and_does_not_count_its_slots() {
        let crew = |name: &str, busy, alive| Crew {
            worker: WorkerId::new(name).unwrap(),
            slots: 4,
            busy,
            ups: 2,
            downs: 0,
            alive,
        };
        let pool = |crews| Pool::new(PoolName::new("p").unwrap(), &pool::Pool::default(), false, crews);
        let well = pool(vec![crew("a", 1, Some(true)), crew("b", 2, None)]);
        assert_eq!(
            (well.slots, well.utilisation, well.healthy),
            (8, Some(0.375), true)
        );
        let missing = pool(vec![crew("a", 1, Some(true)), crew("b", 2, Some(false))]);
        assert_eq!(
            (missing.slots, missing.utilisation, missing.healthy),
            (4, Some(0.25), false)
        );
        assert_eq!(pool(Vec::new()).utilisation, None);
    }
}
