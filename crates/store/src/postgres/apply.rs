//! Writing one set: for each table one statement with all of its rows, sent without waiting for the one before.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use domain::book::{Book, Entry};
use domain::id::Seq;
use domain::store::CacheEntry;
use domain::task::lock::Mode;
use domain::task::record::{Place, Task};
use domain::task::spec::{Json, When};

use super::desk::Desk;
use super::fault::Sql;
use super::link::{Order, Param};
use super::rows::{self, SEQ};
use super::set::Part;
use super::table::Kind::{Bytes, Int, Text};
use super::table::{Column, Rows, delete, delete_by, insert, replace};
use crate::kernel::tx::{Gone, Name, NewRow, Remembered, WriteSet, place_in_line};
use crate::tables::split::{Rewrite, rewrite};

pub(super) const PLACE: &[Column] = &[("class", Int), ("rank", Int), ("at", Int), ("seq", Int)];
const SPOT: &[Column] = &[
    ("thing", Text),
    ("class", Int),
    ("run", Int),
    ("rank", Int),
    ("at", Int),
    ("seq", Int),
];
const EDGE: &[Column] = &[("parent", Int), ("child", Int)];
const HELD: &[Column] = &[("name", Text), ("seq", Int)];
const NAME: &[Column] = &[("key", Text), ("run", Int)];
const TIMER: &[Column] = &[("at", Int), ("seq", Int)];
const ASIDE: &[Column] = &[("state", Int), ("seq", Int)];
const KEY: &[Column] = &[("key", Text)];
const IDEM: &[Column] = &[("digest", Bytes), ("answer", Text), ("at", Int)];
const ENTRY: &[Column] = &[("book", Int), ("key", Text)];
const ENTRY_REST: &[Column] = &[("value", Text), ("due", Int)];
const RUN: &[Column] = &[("run", Int)];

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(super) static $name: LazyLock<String> = LazyLock::new(|| $text);)*
    };
}

statements! {
    LEASE_DELETE = delete("lease", SEQ);
    ENTER = insert("ready", &[PLACE, RUN]);
    LEAVE = delete_by("ready", PLACE, " AND seq > 0");
    PARK = insert("parked", &[SPOT]);
    UNPARK = delete("parked", SPOT);
    TIMER_SET = insert("timer", &[TIMER]);
    TIMER_CLEAR = delete("timer", TIMER);
    ASIDE_ENTER = insert("aside", &[ASIDE]);
    ASIDE_LEAVE = delete("aside", ASIDE);
    EDGE_WRITE = replace("edge", EDGE, &[("condition", Int)]);
    NAME_WRITE = replace("name", NAME, SEQ);
    HOLD = replace("held", HELD, &[("mode", Int)]);
    RELEASE = delete("held", SEQ);
    SETTLE_WRITE = replace("settle", SEQ, &[("dependent", Int)]);
    SETTLE_DELETE = delete("settle", SEQ);
    REMEMBER = replace("idem", KEY, IDEM);
    ENTRY_WRITE = replace("entry", ENTRY, ENTRY_REST);
    ENTRY_ERASE = delete("entry", ENTRY);
    TASK_GONE = delete("task", SEQ);
    BODY_GONE = delete("body", SEQ);
    OUTCOME_GONE = delete("outcome", SEQ);
    EDGES_GONE = delete("edge", &[("parent", Int)]);
    EDGE_GONE = delete("edge", EDGE);
    RUN_GONE = delete("run", &[("no", Int)]);
    ANSWER_GONE = delete("idem", KEY);
}

/// With the name of a task go those that older runs gave the same key.
pub(super) const NAME_GONE: &str = "DELETE FROM name WHERE ctid = ANY(ARRAY(SELECT p.place \
     FROM unnest($2::text[], $3::int8[], $4::int8[]) AS v(key, run, seq), \
     LATERAL (SELECT seq AS named FROM name WHERE project = $1::int4 AND key = v.key AND run = v.run OFFSET 0) n, \
     LATERAL (SELECT CASE WHEN n.named = v.seq THEN ctid END AS place FROM name \
     WHERE project = $1::int4 AND key = v.key AND run <= v.run OFFSET 0) p))";
pub(super) const LOG_GONE: &str = "DELETE FROM event WHERE project = $1 AND n > $2 AND n <= $3";

pub(super) const CACHE_WRITE: &str = "INSERT INTO cache (project, key, used, stored_at, expires_at, made_by, result) \
     VALUES ($1, $2, (SELECT coalesce(max(used), 0) + 1 FROM cache WHERE project = $1 AND used > 0), $3, $4, $5, $6) \
     ON CONFLICT (project, key) DO UPDATE SET used = excluded.used, stored_at = excluded.stored_at, \
     expires_at = excluded.expires_at, made_by = excluded.made_by, result = excluded.result";
pub(super) const CACHE_USE: &str = "UPDATE cache SET used = (SELECT max(used) + 1 FROM cache WHERE project = $1 \
     AND used > 0) WHERE project = $1 AND key = $2";
pub(super) const CACHE_SHRINK: &str = "DELETE FROM cache WHERE project = $1 AND key IN (SELECT key FROM cache \
     WHERE project = $1 AND used > 0 ORDER BY used LIMIT greatest(0, (SELECT count(*) FROM cache WHERE project = $1) - $2))";

/// Collects the orders of one set.
struct Orders<'a> {
    project: i32,
    /// What goes as one statement: each is about a table of its own, or about other rows of it.
    together: Vec<Part>,
    out: &'a mut Vec<Order>,
    /// Rows in all of them.
    rows: usize,
}

impl Orders<'_> {
    fn put(&mut self, sql: &'static LazyLock<String>, rows: Rows) -> Sql<()> {
        self.rows += rows.len();
        self.together.extend(rows.part(sql, self.project)?);
        Ok(())
    }

    /// As a statement of its own, behind what was put before.
    fn put_alone(&mut self, sql: &'static str, rows: Rows) -> Sql<()> {
        self.rows += rows.len();
        let part = rows.part(sql, self.project)?;
        self.out.extend(part.map(|part| Order::Write(vec![part])));
        Ok(())
    }
}

/// Brings the desk and the tables to what the set says; how many rows it writes.
pub(super) fn apply(desk: &mut Desk, writes: &WriteSet, out: &mut Vec<Order>) -> Sql<usize> {
    let mut orders = Orders {
        project: desk.no,
        together: Vec::new(),
        out,
        rows: 0,
    };
    create(&mut orders, &writes.new_tasks)?;
    edges(&mut orders, &writes.new_edges)?;
    change(&mut orders, &writes.tasks)?;
    let before = writes.tasks.iter().map(|(old, new)| (Some(old), new));
    let fresh = writes.new_tasks.iter().map(|row| (None, &row.task));
    shift(&mut orders, before.chain(fresh))?;
    let mut outcomes = rows::outcomes();
    for (seq, outcome) in &writes.outcomes {
        rows::new_outcome(&mut outcomes, *seq, outcome)?;
    }
    orders.put(&rows::OUTCOME_WRITE, outcomes)?;
    hold(&mut orders, &writes.released, &writes.acquired)?;
    orders.put_alone(&rows::RUN_INSERT, rows::new_runs(&writes.new_runs))?;
    orders.put(&rows::RUN_UPDATE, rows::changed_runs(&writes.runs))?;
    names(&mut orders, &writes.keys)?;
    let mut events = rows::events();
    writes
        .events
        .iter()
        .for_each(|event| rows::new_event(&mut events, event));
    orders.put(&rows::EVENT_INSERT, events)?;
    settle(&mut orders, &writes.settled)?;
    remember(&mut orders, &writes.remember)?;
    entries(&mut orders, &writes.entries, &writes.erased)?;
    let together = std::mem::take(&mut orders.together);
    if !together.is_empty() {
        orders.out.push(Order::Write(together));
    }
    take_out(&mut orders, &writes.gone)?;
    let written = orders.rows;
    if let Some(last) = writes.new_tasks.last() {
        desk.last_task = desk.last_task.max(last.task.seq.0);
    }
    for run in &writes.new_runs {
        desk.last_run = desk.last_run.max(run.no.0);
    }
    desk.unsettled |= writes.settled.iter().any(|(_, rest)| rest.is_some());
    desk.dirty |= written > 0 || desk.head != writes.head.1;
    desk.head = writes.head.1.clone();
    Ok(written)
}

fn create(orders: &mut Orders<'_>, new: &[NewRow]) -> Sql<()> {
    let (mut tasks, mut bodies, mut leases) = (rows::new_tasks(), rows::bodies(), rows::leases());
    for NewRow { task, body } in new {
        rows::new_task(&mut tasks, task);
        rows::new_body(&mut bodies, task.seq, body);
        if let Some(lease) = &task.lease {
            rows::lease(&mut leases, task, lease);
        }
    }
    orders.put(&rows::TASK_INSERT, tasks)?;
    orders.put(&rows::BODY_INSERT, bodies)?;
    orders.put(&rows::LEASE_INSERT, leases)
}

fn change(orders: &mut Orders<'_>, changed: &[(Task, Task)]) -> Sql<()> {
    let mut gone = Rows::of(&[SEQ]);
    let (mut begun, mut renewed) = (rows::leases(), rows::leases());
    let (mut ended, mut all) = (rows::ended_tasks(), rows::changed_tasks());
    for (old, new) in changed {
        match (&old.lease, &new.lease) {
            (None, None) => {}
            (Some(_), None) => {
                gone.wide(new.seq.0);
            }
            (None, Some(lease)) => rows::lease(&mut begun, new, lease),
            (Some(_), Some(lease)) => rows::lease(&mut renewed, new, lease),
        }
        match rewrite(old, new) {
            Rewrite::Nothing => {}
            Rewrite::End => rows::ended_task(&mut ended, new),
            Rewrite::All => rows::changed_task(&mut all, new),
        }
    }
    orders.put(&LEASE_DELETE, gone)?;
    orders.put(&rows::LEASE_INSERT, begun)?;
    orders.put(&rows::LEASE_UPDATE, renewed)?;
    orders.put(&rows::TASK_END, ended)?;
    orders.put(&rows::TASK_UPDATE, all)
}

fn put_place(rows: &mut Rows, class: u32, place: Place) {
    rows.int(class).int(place.rank).int(place.at.0).wide(place.seq.0);
}

/// Brings the tables that follow from tasks from the rows before to the rows after; `None` stands for no row yet.
fn shift<'t>(
    orders: &mut Orders<'_>,
    changes: impl Iterator<Item = (Option<&'t Task>, &'t Task)>,
) -> Sql<()> {
    let (mut leave, mut enter) = (Rows::of(&[PLACE]), Rows::of(&[PLACE, RUN]));
    let (mut unpark, mut park) = (Rows::of(&[SPOT]), Rows::of(&[SPOT]));
    let (mut clear, mut set) = (Rows::of(&[TIMER]), Rows::of(&[TIMER]));
    let (mut back, mut aside) = (Rows::of(&[ASIDE]), Rows::of(&[ASIDE]));
    for (old, new) in changes {
        let (was, is) = (old.and_then(place_in_line), place_in_line(new));
        if was != is {
            if let Some((class, place, _)) = was {
                put_place(&mut leave, class.0, place);
            }
            if let Some((class, place, run)) = is {
                put_place(&mut enter, class.0, place);
                enter.int_or(rows::run(run));
            }
        }
        let spot = |task: &Task| {
            let thing = task.parked_under()?.clone();
            Some((thing, task.class, rows::run(task.run).unwrap_or(0), task.place()))
        };
        let (was, is) = (old.and_then(spot), spot(new));
        if was != is {
            for (rows, spot) in [(&mut unpark, was), (&mut park, is)] {
                if let Some((thing, class, run, place)) = spot {
                    rows.text(&thing).int(class.0).int(run);
                    rows.int(place.rank).int(place.at.0).wide(place.seq.0);
                }
            }
        }
        let (was, is) = (old.and_then(|old| old.timer), new.timer);
        if was != is {
            for (rows, timer) in [(&mut clear, was), (&mut set, is)] {
                if let Some(at) = timer {
                    rows.int(at.0).wide(new.seq.0);
                }
            }
        }
        let state = |task: &Task| task.is_aside().then_some(task.state as u8);
        let (was, is) = (old.and_then(state), state(new));
        if was != is {
            for (rows, state) in [(&mut back, was), (&mut aside, is)] {
                if let Some(state) = state {
                    rows.int(state).wide(new.seq.0);
                }
            }
        }
    }
    orders.put(&LEAVE, leave)?;
    orders.put(&ENTER, enter)?;
    orders.put(&UNPARK, unpark)?;
    orders.put(&PARK, park)?;
    orders.put(&TIMER_CLEAR, clear)?;
    orders.put(&TIMER_SET, set)?;
    orders.put(&ASIDE_LEAVE, back)?;
    orders.put(&ASIDE_ENTER, aside)
}

/// One statement cannot replace a row twice: of equals the last one counts.
fn last_of<K: Ord, V>(items: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    items.collect()
}

fn edges(orders: &mut Orders<'_>, edges: &[(Seq, Seq, When)]) -> Sql<()> {
    let mut rows = Rows::of(&[EDGE, &[("condition", Int)]]);
    for ((parent, child), when) in last_of(edges.iter().map(|edge| ((edge.0, edge.1), edge.2))) {
        rows.wide(parent.0).wide(child.0).int(when as u8);
    }
    orders.put(&EDGE_WRITE, rows)
}

fn hold(orders: &mut Orders<'_>, released: &[Seq], acquired: &[(String, Seq, Mode)]) -> Sql<()> {
    let mut gone = Rows::of(&[SEQ]);
    for seq in released {
        gone.wide(seq.0);
    }
    orders.put_alone(&RELEASE, gone)?;
    let mut rows = Rows::of(&[HELD, &[("mode", Int)]]);
    for ((name, seq), mode) in last_of(acquired.iter().map(|(name, seq, mode)| ((name, *seq), *mode))) {
        rows.text(name).wide(seq.0).int(mode as u8);
    }
    orders.put_alone(&HOLD, rows)
}

fn names(orders: &mut Orders<'_>, keys: &[(Name, Seq)]) -> Sql<()> {
    let mut rows = Rows::of(&[NAME, SEQ]);
    let keys = keys.iter().map(|((run, key), seq)| ((key.as_str(), *run), *seq));
    for ((key, run), seq) in last_of(keys) {
        rows.text(key).int(rows::run(run).unwrap_or(0)).wide(seq.0);
    }
    orders.put(&NAME_WRITE, rows)
}

fn settle(orders: &mut Orders<'_>, settled: &[(Seq, Option<Seq>)]) -> Sql<()> {
    let mut rows = Rows::of(&[SEQ, &[("dependent", Int)]]);
    let mut done = Rows::of(&[SEQ]);
    for (seq, dependent) in last_of(settled.iter().copied()) {
        match dependent {
            Some(dependent) => {
                rows.wide(seq.0).wide(dependent.0);
            }
            None => {
                done.wide(seq.0);
            }
        }
    }
    orders.put_alone(&SETTLE_WRITE, rows)?;
    orders.put_alone(&SETTLE_DELETE, done)
}

fn remember(orders: &mut Orders<'_>, remember: &[(String, Remembered)]) -> Sql<()> {
    let mut rows = Rows::of(&[KEY, IDEM]);
    for (key, seen) in last_of(remember.iter().map(|(key, seen)| (key, seen))) {
        rows.text(key)
            .bytes(&seen.digest)
            .text(&seen.answer)
            .int(seen.at.0);
    }
    orders.put(&REMEMBER, rows)
}

fn entries(orders: &mut Orders<'_>, entries: &[Entry], erased: &[(Book, Arc<str>)]) -> Sql<()> {
    let mut gone = Rows::of(&[ENTRY]);
    for (book, key) in erased {
        gone.int(book.number()).text(key);
    }
    orders.put_alone(&ENTRY_ERASE, gone)?;
    let mut rows = Rows::of(&[ENTRY, ENTRY_REST]);
    for entry in entries {
        rows.int(entry.book.number()).text(&entry.key);
        rows.text(entry.value.get()).int_or(rows::time(entry.due));
    }
    orders.put_alone(&ENTRY_WRITE, rows)
}

fn take_out(orders: &mut Orders<'_>, gone: &Gone) -> Sql<()> {
    let seqs = || {
        let mut rows = Rows::of(&[SEQ]);
        for (task, _) in &gone.tasks {
            rows.wide(task.seq.0);
        }
        rows
    };
    for sql in [&BODY_GONE, &OUTCOME_GONE, &EDGES_GONE, &TASK_GONE] {
        orders.put_alone(sql, seqs())?;
    }
    let mut back = Rows::of(&[ASIDE]);
    let mut named = Rows::of(&[NAME, SEQ]);
    for (task, key) in &gone.tasks {
        if task.is_aside() {
            back.int(task.state as u8).wide(task.seq.0);
        }
        if let Some(key) = key {
            let run = rows::run(task.run).unwrap_or(0);
            named.text(key.as_str()).int(run).wide(task.seq.0);
        }
    }
    orders.put_alone(&ASIDE_LEAVE, back)?;
    orders.put_alone(NAME_GONE, named)?;
    let mut edges = Rows::of(&[EDGE]);
    for (on, dependent) in &gone.edges {
        edges.wide(on.0).wide(dependent.0);
    }
    orders.put_alone(&EDGE_GONE, edges)?;
    let mut runs = Rows::of(&[&[("no", Int)]]);
    for run in &gone.runs {
        runs.wide(run.no.0);
    }
    orders.put_alone(&RUN_GONE, runs)?;
    let mut answers = Rows::of(&[KEY]);
    for key in &gone.answers {
        answers.text(key);
    }
    orders.put_alone(&ANSWER_GONE, answers)?;
    if let Some((last, first)) = gone.log {
        let params: Vec<Param> = vec![
            Box::new(orders.project),
            Box::new(first.0 as i64),
            Box::new(last.0 as i64),
        ];
        orders.rows += 1;
        orders.out.push(Order::write(LOG_GONE, params));
    }
    Ok(())
}

/// Stores an entry as the one used last, after noting uses since then; drops what is beyond `bound`.
pub(super) fn cache_put(
    project: i32,
    used: Vec<[u8; 32]>,
    entry: &CacheEntry,
    bound: usize,
    out: &mut Vec<Order>,
) {
    for key in used {
        let params: Vec<Param> = vec![Box::new(project), Box::new(key.to_vec())];
        out.push(Order::write(CACHE_USE, params));
    }
    let params: Vec<Param> = vec![
        Box::new(project),
        Box::new(entry.key.to_vec()),
        Box::new(entry.stored_at.0),
        Box::new(rows::time(entry.expires_at)),
        Box::new(rows::id_bytes(&entry.made_by)),
        Box::new(entry.result.as_ref().map(|result| Json::get(result).to_owned())),
    ];
    out.push(Order::write(CACHE_WRITE, params));
    let params: Vec<Param> = vec![
        Box::new(project),
        Box::new(i64::try_from(bound).unwrap_or(i64::MAX)),
    ];
    out.push(Order::write(CACHE_SHRINK, params));
}
