//! Curbs: breakers, limits and budgets, each with its settings and where it stands.

use domain::curb::Scope;
use domain::curb::breaker::{self, Settings, State};
use domain::curb::budget::{Account, Budget, Usage};
use domain::curb::limit::{Limit, Used};
use domain::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Breakers {
    pub count: usize,
    pub breakers: Vec<Breaker>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Breaker {
    pub name: Scope,
    pub state: State,
    /// While open.
    pub until: Option<Time>,
    pub why: Option<String>,
    /// In per cent, over the results that it looks at.
    pub error_rate: f64,
    pub success_rate: f64,
    pub window_size: usize,
    pub consecutive_failures: u32,
    pub consecutive_successes: u32,
    pub total_failures: u64,
    pub total_successes: u64,
    pub times_opened: u64,
    pub times_half_opened: u64,
    pub last_state_change: Option<Time>,
    pub settings: Settings,
}

impl Breaker {
    pub fn new(name: Scope, settings: Settings, state: &breaker::Breaker) -> Breaker {
        let percent = |share: f64| (share * 10_000.0).round() / 100.0;
        let error_rate = percent(state.error_rate());
        Breaker {
            name,
            state: state.state,
            until: state.until.map(Time),
            why: state.why.clone(),
            error_rate,
            success_rate: if state.window_size() == 0 {
                100.0
            } else {
                100.0 - error_rate
            },
            window_size: state.window_size(),
            consecutive_failures: state.failures,
            consecutive_successes: state.successes,
            total_failures: state.total_failures,
            total_successes: state.total_successes,
            times_opened: state.times_opened,
            times_half_opened: state.times_half_opened,
            last_state_change: state.changed_at.map(Time),
            settings,
        }
    }
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Limits {
    pub count: usize,
    pub limits: Vec<LimitShown>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct LimitShown {
    pub name: Scope,
    pub limit: Limit,
    /// Attempts under way.
    pub held: u32,
    /// Whether another may begin now.
    pub open: bool,
}

impl LimitShown {
    pub fn new(name: Scope, limit: Limit, used: &Used, now: Now) -> LimitShown {
        LimitShown {
            name,
            held: used.held,
            open: used.room(&limit, now) > 0,
            limit,
        }
    }
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Budgets {
    pub count: usize,
    pub budgets: Vec<BudgetShown>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct BudgetShown {
    pub name: Scope,
    pub budget: Budget,
    pub spent: Usage,
    pub reserved: Usage,
    /// A soft limit was passed, and nobody has said yet that more may be used.
    pub asks: bool,
}

impl BudgetShown {
    pub fn new(name: Scope, budget: Budget, account: &Account) -> BudgetShown {
        BudgetShown {
            name,
            budget,
            spent: account.spent,
            reserved: account.reserved,
            asks: account.warned && !account.allowed,
        }
    }
}
