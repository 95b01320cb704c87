//! Reading what is first in line.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use domain::id::Seq;
use domain::limits;
use domain::run::RunNo;
use domain::task::record::{ClassNo, Place, Task};
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use super::cells::collect;
use super::fault::Sql;
use super::query::{self, bound};
use super::tx::{PgTx, no};
use crate::kernel::tx::ProjectNo;
use crate::tables::records;

impl PgTx<'_> {
    /// The best placed tasks of these classes.
    pub(super) fn first_in_line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Sql<Vec<Task>> {
        match classes {
            [class] => self.whole_line(project, run, *class, limit),
            _ => {
                let seqs = self.merged(project, run, classes, limit)?;
                self.load(no(project), &seqs)
            }
        }
    }

    /// The rows of one class and what there is to do, in one exchange: all of them are handed out but the few that are parked.
    fn whole_line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        class: ClassNo,
        limit: usize,
    ) -> Sql<Vec<Task>> {
        let (no, class, limit) = (self.desk(project)?.no, class.0 as i32, bound(limit));
        let found = match run {
            None => self.rows(&query::WHOLE_LINE, &[&no, &class, &limit])?,
            Some(run) => {
                let run = run.0 as i64;
                self.rows(&query::WHOLE_LINE_OF_RUN, &[&no, &class, &limit, &run])?
            }
        };
        let mut tasks = Vec::with_capacity(found.len());
        for (task, body) in collect(&found, |cells| {
            Ok((records::free_task(cells)?, records::body(cells)?))
        })? {
            self.bodies.insert(task.seq, body);
            tasks.push(task);
        }
        tasks.sort_unstable_by_key(Task::place);
        Ok(tasks)
    }

    /// One piece of the lines of these classes, each behind its own place.
    fn pieces(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        lines: &[(ClassNo, Place)],
        piece: usize,
    ) -> Sql<Vec<(ClassNo, Place)>> {
        let no = self.desk(project)?.no;
        let classes: Vec<i32> = lines.iter().map(|(class, _)| class.0 as i32).collect();
        let ranks: Vec<i32> = lines.iter().map(|(_, place)| place.rank).collect();
        let ats: Vec<i64> = lines.iter().map(|(_, place)| place.at.0).collect();
        let seqs: Vec<i64> = lines.iter().map(|(_, place)| place.seq.0 as i64).collect();
        let piece = bound(piece);
        let found = match run {
            None => self.rows(query::LINE, &[&no, &classes, &ranks, &ats, &seqs, &piece])?,
            Some(run) => {
                let run = run.0 as i64;
                self.rows(
                    query::LINE_OF_RUN,
                    &[&no, &classes, &ranks, &ats, &seqs, &piece, &run],
                )?
            }
        };
        collect(&found, |cells| {
            let class = cells.class_no()?;
            let place = Place {
                rank: cells.count()?,
                at: cells.time()?,
                seq: cells.seq()?,
            };
            Ok((class, place))
        })
    }

    /// A merge of one line per class, each read in pieces, so that nothing is read of a line beyond what is handed out
    /// and one piece.
    fn merged(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Sql<Vec<Seq>> {
        const BEFORE_ALL: Place = Place {
            rank: i32::MIN,
            at: Timestamp(i64::MIN),
            seq: Seq(0),
        };
        let piece = limit.min((limit / classes.len().max(1)).max(16));
        let begin: Vec<(ClassNo, Place)> = classes.iter().map(|class| (*class, BEFORE_ALL)).collect();
        let mut lines: FxHashMap<ClassNo, VecDeque<Place>> = FxHashMap::default();
        for (class, place) in self.pieces(project, run, &begin, piece)? {
            lines.entry(class).or_default().push_back(place);
        }
        let mut full: FxHashMap<ClassNo, bool> = lines
            .iter()
            .map(|(class, line)| (*class, line.len() == piece))
            .collect();
        let heads = lines
            .iter()
            .filter_map(|(class, line)| Some(Reverse((*line.front()?, *class))));
        let mut heads: BinaryHeap<_> = heads.collect();
        let mut found = Vec::with_capacity(limit.min(limits::CLAIM_MAX));
        while found.len() < limit
            && let Some(Reverse((place, class))) = heads.pop()
        {
            found.push(place.seq);
            let line = lines.entry(class).or_default();
            line.pop_front();
            if line.is_empty() && found.len() < limit && full.get(&class) == Some(&true) {
                let more = self.pieces(project, run, &[(class, place)], piece)?;
                full.insert(class, more.len() == piece);
                lines.insert(class, more.into_iter().map(|(_, place)| place).collect());
            }
            let next = lines.get(&class).and_then(|line| line.front());
            heads.extend(next.map(|place| Reverse((*place, class))));
        }
        Ok(found)
    }
}
