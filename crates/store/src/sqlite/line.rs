//! Who stands in line, and who is parked beside it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use domain::id::Seq;
use domain::limits;
use domain::run::RunNo;
use domain::task::record::{ClassNo, Place, Task};
use domain::time::Timestamp;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::apply::Lazy;
use super::cells::{Binds, collect, first};
use super::fault::{Sql, corrupt};
use super::task;
use super::together::{Insertion, insertion};
use crate::kernel::tx::{Group, ProjectNo, place_in_line};
use crate::tables::records::{self, task_columns};

macro_rules! line {
    ($run:literal) => {
        concat!(
            "SELECT ",
            task_columns!(),
            " FROM ready r CROSS JOIN task t ON t.seq = r.seq WHERE r.project = ?1 AND r.class = ?2 ",
            $run,
            "AND (r.rank, r.at, r.seq) > (?3, ?4, ?5) ORDER BY r.rank, r.at, r.seq LIMIT ?6"
        )
    };
}

/// A task in line has no lease, so its row tells everything.
pub(super) const LINE: &str = line!("");
pub(super) const LINE_OF_RUN: &str = line!("AND r.run = ?7 ");
pub(super) const AHEAD: &str = "SELECT count(*) FROM (SELECT 1 FROM ready WHERE project = ?1 AND class = ?2 \
     AND (rank, at, seq) < (?3, ?4, ?5) LIMIT ?6)";
pub(super) static ENTER: Insertion =
    insertion!("INSERT INTO ready (project, class, rank, at, seq, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
pub(super) const LEAVE: &str =
    "DELETE FROM ready WHERE project = ?1 AND class = ?2 AND rank = ?3 AND at = ?4 AND seq = ?5";
/// One walk instead of a search for each of them.
pub(super) const LEAVE_FRONT: &str =
    "DELETE FROM ready WHERE project = ?1 AND class = ?2 AND (rank, at, seq) <= (?3, ?4, ?5)";
pub(super) const LEAVE_FRONT_OF_RUN: &str = "DELETE FROM ready WHERE project = ?1 AND class = ?2 \
     AND (rank, at, seq) <= (?3, ?4, ?5) AND run = ?6";

pub(super) const PARKED_FIRST: &str = "SELECT seq FROM parked WHERE project = ?1 AND thing = ?2 AND class = ?3 \
     AND run = ?4 ORDER BY rank, at, seq LIMIT 1";
pub(super) const PARKED_NEXT_GROUP: &str = "SELECT class, run, seq FROM parked WHERE project = ?1 AND thing = ?2 \
     AND (class, run) > (?3, ?4) ORDER BY class, run, rank, at, seq LIMIT 1";
pub(super) const PARK: &str = "INSERT INTO parked (project, thing, class, run, rank, at, seq) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const UNPARK: &str = "DELETE FROM parked WHERE project = ?1 AND thing = ?2 AND class = ?3 AND run = ?4 \
     AND rank = ?5 AND at = ?6 AND seq = ?7";

const BEFORE_ALL: Place = Place {
    rank: i32::MIN,
    at: Timestamp(i64::MIN),
    seq: Seq(0),
};

/// Who stood first in the line of one class when it was read, best place first.
#[derive(Debug)]
pub(super) struct Front {
    class: ClassNo,
    run: Option<RunNo>,
    places: Vec<Place>,
}

impl Front {
    /// The fronts that a reading of [`line`] has shown.
    pub(super) fn of(run: Option<RunNo>, found: &[Task]) -> Vec<Front> {
        let mut fronts: Vec<Front> = Vec::new();
        for task in found {
            let at = match fronts.iter().position(|front| front.class == task.class) {
                Some(at) => at,
                None => {
                    let (class, places) = (task.class, Vec::with_capacity(found.len()));
                    fronts.push(Front { class, run, places });
                    fronts.len() - 1
                }
            };
            fronts[at].places.push(task.place());
        }
        fronts
    }
}

/// The best placed `limit` tasks of these classes: a merge of one line per class, each read in pieces, so that
/// nothing is read of a line beyond what is handed out and one piece.
pub(super) fn line(
    conn: &Connection,
    project: ProjectNo,
    run: Option<RunNo>,
    classes: &[ClassNo],
    limit: usize,
) -> Sql<Vec<Task>> {
    let piece = limit.min((limit / classes.len().max(1)).max(16));
    let mut lines = Vec::with_capacity(classes.len());
    let mut heads = BinaryHeap::new();
    for class in classes {
        let mut line = Line {
            project,
            run,
            class: *class,
            piece,
            buffer: VecDeque::new(),
            next: Some(BEFORE_ALL),
        };
        if let Some(place) = line.head(conn)? {
            heads.push(Reverse((place, lines.len())));
            lines.push(line);
        }
    }
    let mut found = Vec::with_capacity(limit.min(limits::CLAIM_MAX));
    while found.len() < limit
        && let Some(Reverse((_, at))) = heads.pop()
    {
        found.extend(lines[at].buffer.pop_front());
        if found.len() < limit
            && let Some(place) = lines[at].head(conn)?
        {
            heads.push(Reverse((place, at)));
        }
    }
    Ok(found)
}

/// What is left of one class.
struct Line {
    project: ProjectNo,
    run: Option<RunNo>,
    class: ClassNo,
    piece: usize,
    buffer: VecDeque<Task>,
    /// Behind which place the next piece begins; `None` after the last piece.
    next: Option<Place>,
}

impl Line {
    fn head(&mut self, conn: &Connection) -> Sql<Option<Place>> {
        if self.buffer.is_empty()
            && let Some(after) = self.next
        {
            self.buffer = self.read(conn, after)?.into();
            let full = self.buffer.len() == self.piece;
            self.next = self.buffer.back().map(Task::place).filter(|_| full);
        }
        Ok(self.buffer.front().map(Task::place))
    }

    fn read(&self, conn: &Connection, after: Place) -> Sql<Vec<Task>> {
        let sql = if self.run.is_some() { LINE_OF_RUN } else { LINE };
        let mut statement = conn.prepare_cached(sql)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(self.project)?.put(self.class.0)?;
        put_place(&mut binds, after)?.put(self.piece as i64)?;
        if self.run.is_some() {
            binds.run_or(self.run)?;
        }
        collect(binds, |cells| records::free_task(cells))
    }
}

fn put_place<'b, 's, 'c>(binds: &'b mut Binds<'s, 'c>, place: Place) -> Sql<&'b mut Binds<'s, 'c>> {
    binds.put(place.rank)?.time(place.at)?.seq(place.seq)
}

/// How many tasks of one class stand before this place, counting at most `limit`.
pub(super) fn ahead(
    conn: &Connection,
    project: ProjectNo,
    class: ClassNo,
    place: Place,
    limit: usize,
) -> Sql<usize> {
    let mut statement = conn.prepare_cached(AHEAD)?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?.put(class.0)?;
    put_place(&mut binds, place)?.put(i64::try_from(limit).unwrap_or(i64::MAX))?;
    Ok(first(binds, |cells| cells.count())?.unwrap_or(0))
}

/// The best placed task of one group under this thing, or of each.
pub(super) fn parked(
    conn: &Connection,
    project: ProjectNo,
    thing: &str,
    group: Option<Group>,
) -> Sql<Vec<Task>> {
    let mut seqs = Vec::new();
    if let Some((class, run)) = group {
        let mut statement = conn.prepare_cached(PARKED_FIRST)?;
        let mut binds = Binds::of(&mut statement);
        binds
            .project(project)?
            .put(thing)?
            .put(class.0)?
            .put(run_key(run))?;
        seqs.extend(first(binds, |cells| cells.seq())?);
    } else {
        let mut statement = conn.prepare_cached(PARKED_NEXT_GROUP)?;
        let mut last = (0, -1);
        loop {
            let mut binds = Binds::of(&mut statement);
            binds.project(project)?.put(thing)?.put(last.0)?.put(last.1)?;
            match first(binds, |cells| Ok(((cells.int()?, cells.int()?), cells.seq()?)))? {
                Some((group, seq)) => {
                    seqs.push(seq);
                    last = group;
                }
                None => break,
            }
        }
    }
    task::load_free(conn, seqs)
}

fn run_key(run: Option<RunNo>) -> i64 {
    run.map_or(0, |no| no.0 as i64)
}

// ---- writing ----

/// Brings the two tables from the rows before to the rows after; `None` stands for no row yet. `fronts` were read in this
/// transaction, and nothing was written since.
pub(super) fn shift<'t>(
    conn: &Connection,
    project: ProjectNo,
    fronts: &[Front],
    changes: impl Iterator<Item = (Option<&'t Task>, &'t Task)> + Clone,
) -> Sql<()> {
    let moved = changes
        .clone()
        .map(|(old, new)| (old.and_then(place_in_line), place_in_line(new)))
        .filter(|(old, new)| old != new);
    let mut leaving: FxHashMap<Seq, (ClassNo, Place)> = moved
        .clone()
        .filter_map(|(old, _)| old)
        .map(|(class, place, _)| (place.seq, (class, place)))
        .collect();
    for front in fronts {
        leave_front(conn, project, front, &mut leaving)?;
    }
    let mut rest: Vec<(ClassNo, Place)> = leaving.into_values().collect();
    rest.sort_unstable();
    let mut leave = Lazy::new(conn, LEAVE);
    for (class, place) in rest {
        let mut binds = leave.bind()?;
        binds.project(project)?.put(class.0)?;
        put_place(&mut binds, place)?.run()?;
    }
    let entering: Vec<_> = moved.filter_map(|(_, new)| new).collect();
    ENTER.all(conn, &entering, |binds, (class, place, run)| {
        binds.project(project)?.put(class.0)?;
        put_place(binds, *place)?.run_or(*run)?;
        Ok(())
    })?;
    for (old, new) in changes {
        if new.parked_under().or(old.and_then(Task::parked_under)).is_some() {
            repark(conn, project, old, new)?;
        }
    }
    Ok(())
}

/// Takes those out that leave together from the front of a line.
fn leave_front(
    conn: &Connection,
    project: ProjectNo,
    front: &Front,
    leaving: &mut FxHashMap<Seq, (ClassNo, Place)>,
) -> Sql<()> {
    let leaves = |place: &&Place| leaving.get(&place.seq) == Some(&(front.class, **place));
    let count = front.places.iter().take_while(leaves).count();
    if count < 2 {
        return Ok(());
    }
    let places = &front.places[..count];
    let sql = match front.run {
        Some(_) => LEAVE_FRONT_OF_RUN,
        None => LEAVE_FRONT,
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?.put(front.class.0)?;
    put_place(&mut binds, places[count - 1])?;
    if front.run.is_some() {
        binds.run_or(front.run)?;
    }
    let gone = binds.run()?;
    if gone != count {
        return Err(corrupt(format!(
            "{gone} tasks stood in line before the {count} that were found there"
        )));
    }
    for place in places {
        leaving.remove(&place.seq);
    }
    Ok(())
}

fn repark(conn: &Connection, project: ProjectNo, old: Option<&Task>, new: &Task) -> Sql<()> {
    let spot = |task: &Task| {
        let thing = task.parked_under()?.clone();
        Some((thing, task.class, run_key(task.run), task.place()))
    };
    let (old, new) = (old.and_then(spot), spot(new));
    if old == new {
        return Ok(());
    }
    for (sql, spot) in [(UNPARK, old), (PARK, new)] {
        if let Some((thing, class, run, place)) = spot {
            let mut statement = conn.prepare_cached(sql)?;
            let mut binds = Binds::of(&mut statement);
            binds.project(project)?.put(&*thing)?.put(class.0)?.put(run)?;
            put_place(&mut binds, place)?.run()?;
        }
    }
    Ok(())
}
