//! Budgets: tokens, money and seconds that tasks may use.
//!
//! What an attempt may use is reserved when it is leased, and what it did use is settled once when its lease ends.

use serde::{Deserialize, Serialize};

use crate::task::spec::Json;

/// What the name begins with under which tasks wait for a budget, and under which its account is kept; the scope follows.
pub const PREFIX: &str = "budget:";

/// The most of a unit that is counted: sums stay exact to the thousandth, and never become infinite.
pub const AMOUNT_MAX: f64 = 1e12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Tokens,
    Money,
    Seconds,
}

impl Unit {
    pub const ALL: [Unit; 3] = [Unit::Tokens, Unit::Money, Unit::Seconds];

    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Tokens => "tokens",
            Unit::Money => "money",
            Unit::Seconds => "seconds",
        }
    }
}

/// An amount of each unit that was used.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    #[serde(skip_serializing_if = "nothing")]
    pub tokens: f64,
    #[serde(skip_serializing_if = "nothing")]
    pub money: f64,
    #[serde(skip_serializing_if = "nothing")]
    pub seconds: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn nothing(amount: &f64) -> bool {
    *amount == 0.0
}

impl Usage {
    pub fn of(self, unit: Unit) -> f64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::Money => self.money,
            Unit::Seconds => self.seconds,
        }
    }

    fn at(&mut self, unit: Unit) -> &mut f64 {
        match unit {
            Unit::Tokens => &mut self.tokens,
            Unit::Money => &mut self.money,
            Unit::Seconds => &mut self.seconds,
        }
    }

    /// Up to [`AMOUNT_MAX`].
    pub fn add(&mut self, other: Usage) {
        for unit in Unit::ALL {
            *self.at(unit) = (self.of(unit) + other.of(unit)).min(AMOUNT_MAX);
        }
    }

    /// Never below zero: an amount that was taken back twice would be a gift.
    pub fn take(&mut self, other: Usage) {
        for unit in Unit::ALL {
            *self.at(unit) = (self.of(unit) - other.of(unit)).max(0.0);
        }
    }

    /// What an executor reports: `tokens` (or `input_tokens` and `output_tokens`), `money` (or `cost`, `cost_usd`),
    /// `seconds`. Anything else, and amounts that are no numbers or below zero, count nothing; none counts more than
    /// [`AMOUNT_MAX`].
    pub fn reported(report: &Json) -> Usage {
        let Ok(serde_json::Value::Object(report)) = serde_json::from_str(report.get()) else {
            return Usage::default();
        };
        let number = |name: &str| {
            let number = report.get(name)?.as_f64()?;
            (number.is_finite() && number >= 0.0).then_some(number.min(AMOUNT_MAX))
        };
        let parts = || Some(number("input_tokens").unwrap_or(0.0) + number("output_tokens").unwrap_or(0.0));
        let mut used = Usage::default();
        used.add(Usage {
            tokens: number("tokens").or_else(parts).unwrap_or(0.0),
            money: ["money", "cost", "cost_usd"]
                .into_iter()
                .find_map(number)
                .unwrap_or(0.0),
            seconds: number("seconds").unwrap_or(0.0),
        });
        used
    }
}

/// Amounts that may not be exceeded; units without one are free.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Cap {
    pub fn of(self, unit: Unit) -> Option<f64> {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::Money => self.money,
            Unit::Seconds => self.seconds,
        }
    }

    pub fn set(&mut self, unit: Unit, amount: f64) {
        match unit {
            Unit::Tokens => self.tokens = Some(amount),
            Unit::Money => self.money = Some(amount),
            Unit::Seconds => self.seconds = Some(amount),
        }
    }

    pub fn is_empty(self) -> bool {
        self == Cap::default()
    }
}

/// What a scope may use altogether.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// From here on, a person is asked once before more is begun.
    pub soft: Cap,
    /// Nothing is begun that could go beyond.
    pub hard: Cap,
}

/// The account of a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    pub spent: Usage,
    /// By attempts under way.
    pub reserved: Usage,
    /// A person has seen that the soft limit was passed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allowed: bool,
    /// The soft limit was passed and told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub warned: bool,
    /// The task that stands in the inbox for all that wait for this budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asking: Option<u64>,
}

/// Whether an attempt may begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Yes,
    /// When attempts under way use less than they have reserved.
    Later(Unit),
    /// Not before somebody raises the limit.
    No(Unit),
    /// The soft limit was passed, and nobody was asked yet.
    Ask(Unit),
    /// It is not known what the attempt may use, so nothing can be reserved under a hard limit.
    Unknown(Unit),
}

impl Account {
    /// Whether `need` fits; `None` for a unit of which nothing is known.
    pub fn answer(&self, budget: &Budget, need: Cap) -> Answer {
        let mut answer = Answer::Yes;
        for unit in Unit::ALL {
            if let Some(hard) = budget.hard.of(unit) {
                let Some(need) = need.of(unit) else {
                    return Answer::Unknown(unit);
                };
                let spent = self.spent.of(unit);
                if spent >= hard || spent + need > hard {
                    return Answer::No(unit);
                }
                if spent + self.reserved.of(unit) + need > hard && answer == Answer::Yes {
                    answer = Answer::Later(unit);
                }
            }
            let soft = budget.soft.of(unit);
            if soft.is_some_and(|soft| self.spent.of(unit) >= soft) && !self.allowed {
                return Answer::Ask(unit);
            }
        }
        answer
    }

    pub fn reserve(&mut self, amount: Usage) {
        self.reserved.add(amount);
    }

    pub fn settle(&mut self, reserved: Usage, used: Usage) {
        self.reserved.take(reserved);
        self.spent.add(used);
    }

    /// A unit whose soft limit is passed for the first time.
    pub fn warn(&mut self, budget: &Budget) -> Option<Unit> {
        let passed = |unit: &Unit| {
            budget
                .soft
                .of(*unit)
                .is_some_and(|soft| self.spent.of(*unit) >= soft)
        };
        let unit = Unit::ALL.into_iter().find(passed)?;
        (!std::mem::replace(&mut self.warned, true)).then_some(unit)
    }
}

/// What attempts of a kind have used lately, for those that name no cap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habit {
    recent: Vec<Usage>,
    at: usize,
}

/// Attempts that a habit remembers.
const REMEMBERED: usize = 40;

impl Habit {
    pub fn learn(&mut self, used: Usage) {
        if self.recent.len() < REMEMBERED {
            self.recent.push(used);
        } else {
            self.recent[self.at % REMEMBERED] = used;
        }
        self.at = (self.at + 1) % REMEMBERED;
    }

    /// The amount that 95 of 100 stay within (nearest rank), once there is anything to go by.
    pub fn p95(&self, unit: Unit) -> Option<f64> {
        let mut amounts: Vec<f64> = self.recent.iter().map(|used| used.of(unit)).collect();
        amounts.sort_by(f64::total_cmp);
        let rank = (amounts.len() as f64 * 0.95).ceil() as usize;
        amounts.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: DESIGN 8
    #[test]
    fn whatever_is_reported_can_be_kept_and_read_again() {
        let numbers = [0.0, 1.5, 1e12, 1.7e308, f64::MAX];
        for (one, other) in numbers
            .into_iter()
            .flat_map(|one| numbers.map(|other| (one, other)))
        {
            let report = serde_json::json!({ "input_tokens": one, "output_tokens": other, "money": one, "seconds": other });
            let used = Usage::reported(&Json::of(&report));
            let (mut account, mut habit) = (Account::default(), Habit::default());
            for _ in 0..3 {
                account.reserve(used);
                account.settle(used, used);
                habit.learn(used);
            }
            let text = serde_json::to_string(&(account, &habit)).unwrap();
            let kept: (Account, Habit) = serde_json::from_str(&text).unwrap();
            assert_eq!(kept, (account, habit), "{text}");
        }
    }

    fn tokens(amount: f64) -> Usage {
        Usage {
            tokens: amount,
            ..Usage::default()
        }
    }

    fn cap(amount: f64) -> Cap {
        Cap {
            tokens: Some(amount),
            ..Cap::default()
        }
    }

    // proves: DESIGN 8
    #[test]
    fn what_is_reserved_cannot_be_spent_twice() {
        let budget = Budget {
            hard: cap(100.0),
            ..Budget::default()
        };
        let mut account = Account::default();
        assert_eq!(account.answer(&budget, cap(101.0)), Answer::No(Unit::Tokens));
        assert_eq!(
            account.answer(&budget, Cap::default()),
            Answer::Unknown(Unit::Tokens)
        );
        account.reserve(tokens(60.0));
        assert_eq!(account.answer(&budget, cap(40.0)), Answer::Yes);
        assert_eq!(account.answer(&budget, cap(41.0)), Answer::Later(Unit::Tokens));
        account.settle(tokens(60.0), tokens(10.0));
        assert_eq!(account.answer(&budget, cap(90.0)), Answer::Yes);
        assert_eq!(account.answer(&budget, cap(91.0)), Answer::No(Unit::Tokens));
        account.settle(tokens(60.0), tokens(90.0));
        assert_eq!(account.reserved, Usage::default());
        assert_eq!(
            account.answer(&budget, cap(0.0)),
            Answer::No(Unit::Tokens),
            "used up"
        );
    }

    #[test]
    fn a_soft_limit_asks_once() {
        let budget = Budget {
            soft: cap(50.0),
            hard: cap(100.0),
        };
        let mut account = Account::default();
        assert_eq!(account.warn(&budget), None);
        account.settle(Usage::default(), tokens(50.0));
        assert_eq!(account.warn(&budget), Some(Unit::Tokens));
        assert_eq!(account.warn(&budget), None);
        assert_eq!(account.answer(&budget, cap(1.0)), Answer::Ask(Unit::Tokens));
        account.allowed = true;
        assert_eq!(account.answer(&budget, cap(1.0)), Answer::Yes);
    }

    #[test]
    fn reports_are_read_by_their_usual_names() {
        let read = |text: &str| Usage::reported(&Json::parse(text).unwrap());
        assert_eq!(read(r#"{"tokens": 5, "cost": 0.5}"#).money, 0.5);
        assert_eq!(read(r#"{"input_tokens": 5, "output_tokens": 7}"#), tokens(12.0));
        assert_eq!(
            read(r#"{"tokens": -5, "money": "much", "x": 1}"#),
            Usage::default()
        );
        assert_eq!(read("[1]"), Usage::default());
    }

    #[test]
    fn habits_follow_the_latest() {
        let mut habit = Habit::default();
        assert_eq!(habit.p95(Unit::Tokens), None);
        (1..=20).for_each(|n| habit.learn(tokens(f64::from(n))));
        assert_eq!(habit.p95(Unit::Tokens), Some(19.0));
        (0..REMEMBERED).for_each(|_| habit.learn(tokens(7.0)));
        assert_eq!(habit.p95(Unit::Tokens), Some(7.0));
    }
}
