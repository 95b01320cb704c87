//! Rules, and what they owe.

use domain::event::pattern::Pattern;
use domain::id::{EventNo, RuleName};
use domain::rule;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Rule {
    #[schemars(with = "String")]
    pub name: RuleName,
    /// Types of events, any of them.
    #[schemars(with = "Vec<String>")]
    pub on: Vec<Pattern>,
    #[serde(rename = "if")]
    #[schemars(with = "Option<String>")]
    pub when: Option<rule::Condition>,
    /// `submit`, `webhook` and so on, with what belongs to it under the same name.
    pub does: &'static str,
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub action: rule::Action,
    pub depth: u32,
    /// The last event it has read.
    pub after: EventNo,
    /// Events that it has not read yet.
    pub lag: u64,
    /// What it owes to events that it has read.
    pub pending: usize,
    /// What has failed for good.
    pub letters: usize,
    pub fired: u64,
    pub failed: u64,
    /// Failures of everything that it did, in percent.
    pub failure_rate: Option<f64>,
    pub last: Option<Time>,
}

impl Rule {
    pub fn new(name: &RuleName, rule: &rule::Rule, standing: &rule::Standing) -> Rule {
        let all = standing.fired + standing.failed;
        let rate = standing.failed as f64 * 10_000.0 / all.max(1) as f64;
        Rule {
            name: name.clone(),
            on: rule.on.clone(),
            when: rule.when.clone(),
            does: rule.action.name(),
            action: without_secrets(&rule.action),
            depth: rule.depth,
            after: standing.after,
            lag: 0,
            pending: 0,
            letters: 0,
            fired: standing.fired,
            failed: standing.failed,
            failure_rate: (all > 0).then(|| rate.round() / 100.0),
            last: standing.last.map(Time),
        }
    }
}

/// Headers often hold what lets the caller in.
fn without_secrets(action: &rule::Action) -> rule::Action {
    let mut action = action.clone();
    if let rule::Action::Webhook(hook) = &mut action {
        hook.headers
            .values_mut()
            .for_each(|value| *value = "***".to_owned());
    }
    action
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Letters {
    pub letters: Vec<Letter>,
    pub count: usize,
}

/// What a rule could not do about an event.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Letter {
    #[schemars(with = "String")]
    pub rule: RuleName,
    pub event: EventNo,
    /// When the event was read.
    pub since: Time,
    pub tries: u32,
    pub error: Option<String>,
}

impl From<&rule::Delivery> for Letter {
    fn from(delivery: &rule::Delivery) -> Letter {
        Letter {
            rule: delivery.rule.clone(),
            event: delivery.event,
            since: Time(delivery.since),
            tries: delivery.tries,
            error: delivery.error.clone(),
        }
    }
}

/// What `rule add` did to each rule.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct AddedRules {
    #[schemars(with = "Vec<String>")]
    pub added: Vec<RuleName>,
    #[schemars(with = "Vec<String>")]
    pub replaced: Vec<RuleName>,
    #[schemars(with = "Vec<String>")]
    pub unchanged: Vec<RuleName>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct RemovedRule {
    #[schemars(with = "String")]
    pub removed: RuleName,
    /// What it owed, or had failed with, and is gone with it.
    pub dropped: usize,
}

/// Letters that are tried again, or were thrown away.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct ChangedLetters {
    pub count: usize,
}

#[cfg(test)]
mod tests {
    use domain::rule::Standing;

    use super::*;

    #[test]
    fn a_rule_is_flat_and_keeps_what_is_secret() {
        let stored =
            r#"{"on":["run.*"],"webhook":{"url":"https://x.org","headers":{"authorization":"abc"}}}"#;
        let standing = Standing {
            after: EventNo(7),
            fired: 3,
            failed: 1,
            last: None,
        };
        let rule = Rule::new(
            &RuleName::new("r").unwrap(),
            &serde_json::from_str(stored).unwrap(),
            &standing,
        );
        assert_eq!(
            serde_json::to_string(&rule).unwrap(),
            concat!(
                r#"{"name":"r","on":["run.*"],"if":null,"does":"webhook","#,
                r#""webhook":{"url":"https://x.org","headers":{"authorization":"***"},"timeout":10000},"#,
                r#""depth":20,"after":7,"lag":0,"pending":0,"letters":0,"fired":3,"failed":1,"failure_rate":25.0,"last":null}"#
            )
        );
    }
}
