//! What a transaction sees: what is stored, with what it has changed itself laid over it.

use domain::code::{Code, Refusal};
use domain::id::{Key, Project, Seq};
use domain::store::Result;
use domain::task::record::Task;
use rustc_hash::FxHashMap;

use super::base::Base;
use super::desk::Desk;
use super::fault::Fault;
use super::keys::{self, beyond, from};
use super::names::Names;
use super::own::Own;
use super::rows::Named;
use super::writer::Writer;
use crate::kernel::tx::{Group, ProjectNo};

pub(super) struct RedisTx<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) names: &'a mut Names,
    pub(super) own: &'a Own,
    pub(super) desks: Vec<Desk>,
    /// The project that was spoken of last.
    pub(super) current: usize,
    pub(super) broken: Option<Fault>,
}

impl<'a> RedisTx<'a> {
    pub(super) fn new(writer: &'a mut Writer, names: &'a mut Names, own: &'a Own) -> RedisTx<'a> {
        RedisTx {
            writer,
            names,
            own,
            desks: Vec::new(),
            current: 0,
            broken: None,
        }
    }

    /// The project's desk, opened if need be.
    pub(super) fn open(&mut self, name: &Project) -> Result<usize> {
        if let Some(at) = self.desks.iter().position(|desk| desk.project == *name) {
            return Ok(at);
        }
        let desk = self.writer.begin(name, self.desks.is_empty());
        let desk = self.got(desk)?;
        if let Some(first) = self.desks.first()
            && !self.writer.link.together(first.keys.tag(), desk.keys.tag())
        {
            return Err(Refusal::new(
                Code::StoreUnsuitable,
                "on a cluster each transaction is about one project",
            ));
        }
        self.desks.push(desk);
        Ok(self.desks.len() - 1)
    }

    /// Keeps what is wrong for whoever decides whether to try again.
    pub(super) fn got<T>(&mut self, found: std::result::Result<T, Fault>) -> Result<T> {
        found.map_err(|fault| match fault {
            Fault::Refused(refusal) => refusal,
            other => {
                let refusal = Refusal::new(Code::StoreUnavailable, "the transaction is interrupted");
                self.broken.get_or_insert(other);
                refusal
            }
        })
    }

    pub(super) fn desk(&self, project: ProjectNo) -> &Desk {
        &self.desks[project.0 as usize]
    }

    pub(super) fn desk_mut(&mut self, project: ProjectNo) -> &mut Desk {
        &mut self.desks[project.0 as usize]
    }

    /// Asks what is stored.
    pub(super) fn ask<T>(
        &mut self,
        project: ProjectNo,
        question: impl FnOnce(&mut Base<'_>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        let mut base = Base {
            keys: self.desks[project.0 as usize].keys.clone(),
            link: &mut self.writer.link,
        };
        let found = question(&mut base);
        self.got(found)
    }

    /// Rows by number where each is either touched or stored.
    pub(super) fn rows<T: Clone>(
        &mut self,
        project: ProjectNo,
        seqs: &[Seq],
        own: impl Fn(&Desk, Seq) -> Option<T>,
        question: impl FnOnce(&mut Base<'_>, &[Seq]) -> std::result::Result<Vec<(Seq, T)>, Fault>,
    ) -> Result<Vec<(Seq, T)>> {
        let desk = self.desk(project);
        let mut known: FxHashMap<Seq, T> = seqs
            .iter()
            .filter_map(|seq| Some((*seq, own(desk, *seq)?)))
            .collect();
        let last = desk.stored.as_ref().map_or(0, |head| head.last_seq.0);
        let unknown: Vec<Seq> = seqs
            .iter()
            .copied()
            .filter(|seq| !known.contains_key(seq) && seq.0 <= last)
            .collect();
        if !unknown.is_empty() {
            known.extend(self.ask(project, |base| question(base, &unknown))?);
        }
        let row = |seq: &Seq| known.get(seq).cloned().map(|row| (*seq, row));
        Ok(seqs.iter().filter_map(row).collect())
    }

    /// Tasks in line, and in the same exchange what there is to do: most of them are handed out.
    pub(super) fn with_bodies(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>> {
        let mut seen = Vec::new();
        let own = |desk: &Desk, seq| desk.rows.get(&seq).map(|row| row.now.clone());
        let rows = self.rows(project, seqs, own, |base, seqs| {
            let (tasks, bodies) = base.tasks_and_bodies(seqs)?;
            seen = bodies;
            Ok(tasks.into_iter().map(|task| (task.seq, task)).collect())
        })?;
        self.desk_mut(project).seen.extend(seen);
        Ok(rows.into_iter().map(|(_, task)| task).collect())
    }

    /// Numbers from a sorted set with a score up to `most`, as they are now.
    pub(super) fn up_to(
        &mut self,
        project: ProjectNo,
        key: &str,
        most: i64,
        limit: usize,
        of: impl Fn(&Task) -> Option<i64>,
    ) -> Result<Vec<Seq>> {
        let desk = self.desk(project);
        let key = desk.keys.of(key);
        let more = limit.saturating_add(desk.taken_out(|task| of(task).is_some()));
        let most_text = most.to_string();
        let stored = self.ask(project, |base| {
            base.scored(&key, b"-inf", most_text.as_bytes(), more)
        })?;
        let desk = self.desk(project);
        let untouched = stored.into_iter().filter(|(_, seq)| !desk.rows.contains_key(seq));
        let own = desk.put_in(|task| of(task).is_some_and(|score| score <= most));
        let own = own.filter_map(|task| Some((of(task)?, task.seq)));
        let mut all: Vec<(i64, Seq)> = untouched.chain(own).collect();
        all.sort_unstable();
        Ok(all.into_iter().take(limit).map(|(_, seq)| seq).collect())
    }

    /// Whom these keys name in the store, in the order asked.
    pub(super) fn stored_names(&mut self, project: ProjectNo, keys: &[Key]) -> Result<Vec<Option<Named>>> {
        if self.desk(project).stored.is_none() {
            return Ok(vec![None; keys.len()]);
        }
        self.ask(project, |base| base.named(keys))
    }

    pub(super) fn load_unsettled(&mut self, project: ProjectNo) -> Result<()> {
        if self.desk(project).unsettled.is_some() {
            return Ok(());
        }
        let some = self.desk(project).head.unsettled > 0;
        let all = if some {
            self.ask(project, |base| base.unsettled())?
        } else {
            Vec::new()
        };
        self.desk_mut(project).unsettled = Some(all.into_iter().collect());
        Ok(())
    }

    /// The best placed task of each group that is parked under this thing in the store and was not touched.
    pub(super) fn parked_heads(
        &mut self,
        project: ProjectNo,
        thing: &str,
        group: Option<Group>,
    ) -> Result<Vec<(Group, Seq)>> {
        let desk = self.desk(project);
        let touched = desk.taken_out(|task| task.parked_under().is_some_and(|under| **under == *thing));
        let (key, start) = (
            desk.keys.of("p"),
            match group {
                Some(group) => keys::parked_group(thing, group),
                None => keys::under(thing),
            },
        );
        let (mut at, end) = (from(&start), beyond(&start));
        let mut heads = Vec::new();
        loop {
            // There are at most as many touched ones in there, so a page without another is the last.
            let page = self.ask(project, |base| base.texts(&key, &at, &end, touched + 1))?;
            let mut found = None;
            for member in &page {
                let (_, group, seq) = keys::parked_of(member)?;
                if !self.desk(project).rows.contains_key(&seq) {
                    found = Some((group, seq));
                    break;
                }
            }
            let Some((group, seq)) = found else {
                return Ok(heads);
            };
            heads.push((group, seq));
            let behind = beyond(&keys::parked_group(thing, group));
            // That very text is the first that may belong to the next group.
            at = from(behind.get(1..).unwrap_or_default());
        }
    }

    /// Brings the classes that are stored into memory; how many there are.
    pub(super) fn load_names(&mut self, project: ProjectNo) -> Result<Option<u32>> {
        let desk = self.desk(project);
        let Some(head) = desk.stored.clone() else {
            return Ok(None);
        };
        let name = desk.project.clone();
        if !self.names.is_current(&name, &head) {
            let list = self.ask(project, |base| base.classes())?;
            self.names.keep(&name, &head, list);
        }
        Ok(Some(head.classes))
    }
}
