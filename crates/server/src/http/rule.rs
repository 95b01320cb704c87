//! What is done by itself when something happens, and what could not be done.

use api::ask;
use api::rule::{AddedRules, ChangedLetters, Letters, RemovedRule, Rule, Rules};
use axum::http::Method;
use desk::rule;
use domain::book::Book;
use domain::id::EventNo;
use domain::store::Result;

use crate::op::{Call, Op, get, post, send};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get(
            "/v1/rules",
            "listRules",
            "List the rules: what they wait for, what they do, and how far they are",
            list,
        ),
        post(
            "/v1/rules",
            "addRules",
            "Add rules, as a file of rules has them",
            add,
        ),
        get("/v1/rules/{name}", "showRule", "Show a rule", show).versioned(Book::Rule),
        send(
            Method::DELETE,
            "/v1/rules/{name}",
            "removeRule",
            "Remove a rule, with all that it still owes",
            remove,
        )
        .versioned(Book::Rule)
        .bodiless(),
        get(
            "/v1/rule-letters",
            "listRuleLetters",
            "List what rules could not do",
            letters,
        ),
        post(
            "/v1/rule-letters/retry",
            "retryRuleLetters",
            "Try again what rules could not do, with all tries",
            retry,
        ),
        post(
            "/v1/rule-letters/drop",
            "dropRuleLetters",
            "Throw away what rules could not do",
            drop_letters,
        ),
    ]
}

async fn list(call: Call, _: ask::Nothing) -> Result<Rules> {
    rule::list(&call.engine).await
}

async fn add(call: Call, asked: ask::Rules) -> Result<AddedRules> {
    let rules = rule::read(&call.engine, &asked)?;
    for (_, rule) in &rules {
        call.caller.may_keep(rule)?;
    }
    rule::add_read(&call.engine, rules, asked.after.map(EventNo), asked.replace).await
}

async fn show(call: Call, _: ask::Nothing) -> Result<Rule> {
    rule::show(&call.engine, &call.parsed()?).await
}

async fn remove(call: Call, _: ask::Nothing) -> Result<RemovedRule> {
    rule::remove(&call.engine, call.parsed()?).await
}

async fn letters(call: Call, asked: ask::RuleLetters) -> Result<Letters> {
    rule::letters(&call.engine, &asked).await
}

async fn retry(call: Call, asked: ask::WhichLetters) -> Result<ChangedLetters> {
    rule::retry_letters(&call.engine, &asked).await
}

async fn drop_letters(call: Call, asked: ask::WhichLetters) -> Result<ChangedLetters> {
    rule::drop_letters(&call.engine, &asked).await
}
