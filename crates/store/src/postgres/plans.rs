//! How the server goes about each statement: by keys, whatever it believes of the size of a table.

use std::fmt::Write;

use super::link::{Link, Order};
use super::read::READING;
use super::{Options, PgDriver, WRITING, apply, check, desk, names, query, rows};

/// Every statement of a writing session that goes over tables which grow.
fn statements() -> Vec<(&'static str, &'static str)> {
    macro_rules! all {
        ($($place:ident :: $name:ident),* $(,)?) => { vec![$((stringify!($name), &$place::$name)),*] };
    }
    all![
        apply::LEASE_DELETE,
        apply::ENTER,
        apply::LEAVE,
        apply::PARK,
        apply::UNPARK,
        apply::TIMER_SET,
        apply::TIMER_CLEAR,
        apply::ASIDE_ENTER,
        apply::ASIDE_LEAVE,
        apply::EDGE_WRITE,
        apply::NAME_WRITE,
        apply::HOLD,
        apply::RELEASE,
        apply::SETTLE_WRITE,
        apply::SETTLE_DELETE,
        apply::REMEMBER,
        apply::ENTRY_WRITE,
        apply::ENTRY_ERASE,
        apply::TASK_GONE,
        apply::BODY_GONE,
        apply::OUTCOME_GONE,
        apply::EDGES_GONE,
        apply::EDGE_GONE,
        apply::NAME_GONE,
        apply::RUN_GONE,
        apply::ANSWER_GONE,
        apply::LOG_GONE,
        apply::CACHE_WRITE,
        apply::CACHE_USE,
        desk::LOCK,
        desk::SAVE,
        names::CLASSES_AFTER,
        query::FIND,
        query::NAMED,
        query::TASKS,
        query::BODIES,
        query::OUTCOMES,
        query::CHILDREN,
        query::DEPENDENTS,
        query::MEMBERS,
        query::EVENT,
        query::LINE,
        query::LINE_OF_RUN,
        query::WHOLE_LINE,
        query::WHOLE_LINE_OF_RUN,
        query::AHEAD,
        query::PARKED_FIRST,
        query::PARKED_GROUPS,
        query::HOLDERS,
        query::HOLDERS_BETWEEN,
        query::HELD_BY,
        query::EXPIRED,
        query::DUE,
        query::UNSETTLED,
        query::REMEMBERED,
        query::REMEMBERED_PAGE,
        query::RUN_BY_NO,
        query::RUN_BY_ID,
        query::RUNS,
        query::RUNS_OF,
        query::ENTRIES,
        query::ENTRY_PAGE,
        query::ENTRIES_DUE,
        rows::TASK_INSERT,
        rows::TASK_UPDATE,
        rows::TASK_END,
        rows::LEASE_INSERT,
        rows::LEASE_UPDATE,
        rows::BODY_INSERT,
        rows::OUTCOME_WRITE,
        rows::EVENT_INSERT,
        rows::RUN_INSERT,
        rows::RUN_UPDATE,
    ]
}

/// The plan that is kept for the statement, for any parameters.
fn plan(link: &mut Link, sql: &str) -> String {
    let count = (1..40).take_while(|at| sql.contains(&format!("${at}"))).count();
    let nulls = vec!["NULL"; count].join(", ");
    let arguments = if count == 0 {
        String::new()
    } else {
        format!("({nulls})")
    };
    link.send(&[Order::Plain(format!("PREPARE p AS {sql}").into())])
        .unwrap();
    let found = link
        .ask_once(&[], &format!("EXPLAIN EXECUTE p{arguments}"), &[])
        .unwrap();
    link.send(&[Order::Plain("DEALLOCATE p".into())]).unwrap();
    let mut text = String::new();
    for row in found {
        writeln!(text, "{}", row.get::<_, &str>(0)).unwrap();
    }
    text
}

/// Whether some step reads rows only to leave them out, or a table from end to end.
fn is_wasteful(plan: &str) -> bool {
    let filters = |line: &str| line.trim().starts_with("Filter:");
    plan.contains("Seq Scan") || plan.contains("Sort") || plan.lines().any(filters)
}

/// A store of its own, and a session with these settings.
fn fresh(settings: &[(&str, &str)]) -> (String, PgDriver, Link) {
    let url = rig::postgres::fresh(&rig::postgres::shared());
    let options = Options {
        create: true,
        ..Options::default()
    };
    let driver = PgDriver::open(&url, &options).unwrap();
    let link = Link::new(driver.link.place.clone(), "BEGIN", settings);
    (url, driver, link)
}

#[test]
fn statements_go_by_keys() {
    let (url, driver, mut link) = fresh(&WRITING);
    let mut wrong = String::new();
    let fill = "INSERT INTO task SELECT 1, n, int8send(n), 1, n / 10, 1, 2, NULL, n, NULL, NULL, 0, 0, 5, 0, 0, NULL, 0, n, \
         NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, NULL FROM generate_series(1, 20000) n; \
         INSERT INTO ready SELECT 1, 1, 0, n, n, n % 7 FROM generate_series(1, 20000) n; \
         INSERT INTO lease SELECT 1, n, 3, NULL, n, NULL, n, 0, 'w', 1, 0, n, 0, NULL FROM generate_series(1, 20000) n; \
         INSERT INTO event SELECT 1, n, 0, 0, n, NULL, NULL, 0, '', '', NULL FROM generate_series(1, 20000) n";
    for state in [
        "ANALYZE task, ready, lease, event",
        fill,
        "ANALYZE task, ready, lease, event",
    ] {
        link.send(&[Order::Plain(state.into())]).unwrap();
        for (name, sql) in statements() {
            let plan = plan(&mut link, sql);
            if is_wasteful(&plan) {
                writeln!(wrong, "{name} after {state}:\n{sql}\n{plan}").unwrap();
            }
        }
    }
    drop(driver);
    assert!(wrong.is_empty(), "{wrong}");
    rig::postgres::sweep(&url);
}

/// A check that goes through one table for each row of another does not end in a large project.
#[test]
fn checks_go_through_each_table_once() {
    let (url, driver, mut link) = fresh(&READING);
    // As they are believed to be for a while after they have grown.
    let empty = Order::Plain("ANALYZE task, body, edge, ready, parked, aside, timer, held, lease".into());
    link.send(&[empty]).unwrap();
    link.send(&[link.begin(), Order::Plain(check::WHOLE.into())])
        .unwrap();
    let looped: Vec<String> = check::questions()
        .filter(|sql| plan(&mut link, sql).contains("Nested Loop"))
        .collect();
    link.send(&[Order::RollBack]).unwrap();
    drop(driver);
    assert!(looped.is_empty(), "{}", looped.join("\n"));
    rig::postgres::sweep(&url);
}
