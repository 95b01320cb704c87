//! Handing a project out in pieces, and taking it in; see [`domain::transfer`].

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::Event;
use domain::id::{Project, Seq};
use domain::limits::PAGE_MAX;
use domain::run::{Run, RunNo};
use domain::store::Result;
use domain::task::record::Task;
use domain::time::{Now, millis};
use domain::transfer::{Answer, Carried, Closed, MOVED, Next, Piece, Totals};
use rustc_hash::FxHashMap;

use super::lanes;
use super::names::Names;
use super::tx::{Head, NewRow, ProjectNo, Remembered, Tx, WriteSet};

/// Refuses to write to a project that is on its way.
pub(super) fn check_open(settings: &[Entry]) -> Result<()> {
    match closed_by(settings)? {
        None => Ok(()),
        Some(Closed::Leaving { to }) => Err(Refusal::new(
            Code::ProjectMoved,
            format!("the project has moved to {to}"),
        )),
        Some(Closed::Arriving { from }) => Err(Refusal::new(
            Code::ProjectMoved,
            format!("the project is arriving from {from}, and not all of it is here"),
        )
        .help("run `bell store copy` again until it says that it is done")),
    }
}

fn closed_by(settings: &[Entry]) -> Result<Option<Closed>> {
    let found = settings.iter().find(|entry| &*entry.key == MOVED);
    found.map(Entry::read).transpose()
}

fn closed(tx: &mut dyn Tx, project: ProjectNo) -> Result<Option<Closed>> {
    closed_by(&tx.entries(project, Book::Setting, &[MOVED.into()])?)
}

/// Closes a project for everything but its transfer, or opens it again.
pub fn close(tx: &mut dyn Tx, project: &Project, closed: Option<&Closed>) -> Result<()> {
    let no = tx.project(project, true)?.expect("the project was created");
    let head = tx.head(no)?;
    let mut writes = WriteSet::new(no, head);
    match closed {
        Some(closed) => {
            writes.head.1.books |= 1 << Book::Setting.number();
            if let Closed::Arriving { .. } = closed {
                // What an earlier try has left may be gone at the source by now.
                writes.erased = entries(tx, no)?;
                writes
                    .erased
                    .retain(|(book, key)| (*book, &**key) != (Book::Setting, MOVED));
            }
            writes.entries.push(Entry::new(Book::Setting, MOVED, closed));
        }
        None => writes.erased.push((Book::Setting, MOVED.into())),
    }
    tx.apply(&writes)
}

fn entries(tx: &mut dyn Tx, project: ProjectNo) -> Result<Vec<(Book, Arc<str>)>> {
    let mut found = Vec::new();
    for book in Book::ALL {
        let entries = tx.entry_page(project, book, "", usize::MAX)?;
        found.extend(entries.into_iter().map(|entry| (book, entry.key)));
    }
    Ok(found)
}

/// One piece of a project and where the next begins; `None` for a next when this was the last.
pub fn dump(tx: &mut dyn Tx, project: &Project, next: &Next) -> Result<(Piece, Option<Next>)> {
    let mut piece = Piece::default();
    let Some(no) = tx.project(project, false)? else {
        return Ok((piece, None));
    };
    let next = match next {
        Next::Runs(after) => {
            let end = tx.next_run(no)?.0;
            let last = end.min(after.saturating_add(1 + PAGE_MAX as u64));
            for run in after + 1..last {
                piece.runs.extend(tx.run(no, RunNo(run))?);
            }
            match last < end {
                true => Next::Runs(last - 1),
                false => Next::Tasks(Seq(0)),
            }
        }
        Next::Tasks(after) => {
            let end = tx.next_seq(no)?.0;
            let last = end.min(after.0.saturating_add(1 + PAGE_MAX as u64));
            let seqs: Vec<Seq> = (after.0 + 1..last).map(Seq).collect();
            piece.tasks = tasks(tx, no, &seqs)?;
            match last < end {
                true => Next::Tasks(Seq(last - 1)),
                false => Next::Answers(String::new()),
            }
        }
        Next::Answers(after) => {
            let page = tx.remembered_page(no, after, PAGE_MAX)?;
            let more = (page.len() == PAGE_MAX).then(|| page.last().map(|(key, _)| key.clone()));
            piece.answers = page
                .into_iter()
                .map(|(key, Remembered { digest, answer, at })| Answer {
                    key,
                    digest,
                    answer,
                    at,
                })
                .collect();
            match more.flatten() {
                Some(key) => Next::Answers(key),
                None => Next::Entries(1, String::new()),
            }
        }
        Next::Entries(number, after) => {
            let Some(book) = Book::from_number(*number) else {
                return Ok((piece, None));
            };
            piece.entries = tx.entry_page(no, book, after, PAGE_MAX)?;
            let last = piece.entries.last().filter(|_| piece.entries.len() == PAGE_MAX);
            let next = match last {
                Some(entry) => Next::Entries(*number, entry.key.to_string()),
                None => Next::Entries(number + 1, String::new()),
            };
            // What is said of the move itself stays where it is, and a leader leads where it is.
            piece
                .entries
                .retain(|entry| book != Book::Leader && (book, &*entry.key) != (Book::Setting, MOVED));
            // Classes may have other numbers there.
            for entry in piece.entries.iter_mut().filter(|_| book == Book::Gauge) {
                lanes::carry(entry)?;
            }
            next
        }
    };
    Ok((piece, Some(next)))
}

fn tasks(tx: &mut dyn Tx, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Carried>> {
    let rows = tx.tasks(project, seqs)?;
    let seqs: Vec<Seq> = rows.iter().map(|task| task.seq).collect();
    let mut bodies: FxHashMap<_, _> = tx.bodies(project, &seqs)?.into_iter().collect();
    let mut outcomes: FxHashMap<_, _> = tx.outcomes(project, &seqs)?.into_iter().collect();
    let unsettled: FxHashMap<_, _> = tx.unsettled(project, usize::MAX)?.into_iter().collect();
    let classes = tx.classes(project)?;
    let mut carried = Vec::with_capacity(rows.len());
    for task in rows {
        let seq = task.seq;
        let missing =
            |what: &str| Refusal::new(Code::StoreCorrupt, format!("task {} has no {what}", task.id));
        let class = classes.iter().find(|(no, _)| *no == task.class);
        let class = class.ok_or_else(|| missing("class"))?.1.clone();
        let body = bodies.remove(&seq).ok_or_else(|| missing("body"))?;
        let dependents = match task.dependents {
            0 => Vec::new(),
            _ => tx.dependents(project, seq, Seq(0), usize::MAX)?,
        };
        let holds = match task.guarded && task.lease.is_some() {
            true => tx.held_by(project, seq)?,
            false => Vec::new(),
        };
        carried.push(Carried {
            class,
            body,
            outcome: outcomes.remove(&seq),
            dependents,
            holds,
            settled: unsettled.get(&seq).copied(),
            task,
        });
    }
    Ok(carried)
}

/// What a project keeps about itself.
pub fn totals(tx: &mut dyn Tx, project: &Project) -> Result<Option<Totals>> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(None);
    };
    let head = tx.head(no)?;
    Ok(Some(Totals {
        chain: head.chain,
        counts: head.counts,
        dead_letters: head.dead_letters,
        score_sum: head.score_sum,
        max_depth: head.max_depth,
        newest: head.newest,
        // Each store closes its own.
        books: head.books | 1 << Book::Setting.number(),
    }))
}

/// Takes a piece in, leaving out what is here already. With `totals` everything has arrived, and they become the head.
pub fn load(
    tx: &mut dyn Tx,
    project: &Project,
    piece: &Piece,
    totals: Option<&Totals>,
    now: Now,
) -> Result<()> {
    let now = tx.now(now)?;
    let no = tx.project(project, true)?.expect("the project was created");
    if !matches!(closed(tx, no)?, Some(Closed::Arriving { .. })) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("project {project} is open here; nothing can arrive in it"),
        ));
    }
    let mut writes = WriteSet::new(no, tx.head(no)?);
    take_runs(tx, &mut writes, &piece.runs)?;
    take_tasks(tx, &mut writes, &piece.tasks, now)?;
    let answers = piece.answers.iter().cloned();
    writes.remember = answers.map(remembered).collect();
    writes.entries.clone_from(&piece.entries);
    for entry in &writes.entries {
        writes.head.1.books |= 1 << entry.book.number();
    }
    take_events(&mut writes, &piece.events);
    if let Some(totals) = totals {
        become_whole(&mut writes.head.1, totals)?;
    }
    if !writes.is_empty() {
        tx.apply(&writes)?;
    }
    Ok(())
}

fn take_runs(tx: &mut dyn Tx, writes: &mut WriteSet, runs: &[Run]) -> Result<()> {
    for run in runs {
        match tx.run(writes.project, run.no)? {
            None => writes.new_runs.push(run.clone()),
            Some(known) if known.id == run.id => writes.runs.push(run.clone()),
            Some(_) => return Err(taken("run", run.no.0)),
        }
    }
    Ok(())
}

/// Tasks with all that hangs on them. Those that an earlier try has brought become what they are at the source by now.
fn take_tasks(tx: &mut dyn Tx, writes: &mut WriteSet, tasks: &[Carried], now: Now) -> Result<()> {
    let no = writes.project;
    let seqs: Vec<Seq> = tasks.iter().map(|carried| carried.task.seq).collect();
    let known = tx.tasks(no, &seqs)?.into_iter();
    let mut known: FxHashMap<Seq, Task> = known.map(|task| (task.seq, task)).collect();
    let mut names = Names::default();
    for carried in tasks {
        let mut task = carried.task.clone();
        task.class = tx.class(no, &carried.class)?;
        if let Some(lease) = &mut task.lease {
            // Clocks differ from store to store: whoever has it gets its whole time again.
            lease.expires = now.mono.saturating_add(millis(lease.ttl));
        }
        let seq = task.seq;
        names.ask(&task, carried.body.key.clone())?;
        match known.remove(&seq) {
            Some(known) if known.id != task.id => return Err(taken("task", seq.0)),
            Some(known) => {
                writes.released.push(seq);
                if carried.settled.is_none() {
                    writes.settled.push((seq, None));
                }
                if known != task {
                    writes.tasks.push((known, task));
                }
            }
            None => writes.new_tasks.push(NewRow {
                task,
                body: carried.body.clone(),
            }),
        }
        let dependents = carried.dependents.iter();
        let edges = dependents.map(|(on, when)| (seq, *on, *when));
        writes.new_edges.extend(edges);
        let outcome = carried.outcome.clone();
        writes.outcomes.extend(outcome.map(|outcome| (seq, outcome)));
        let held = carried.holds.iter().cloned();
        writes.acquired.extend(held.map(|(name, mode)| (name, seq, mode)));
        let settled = carried.settled;
        writes.settled.extend(settled.map(|last| (seq, Some(last))));
    }
    writes.keys = names.give(tx, no)?;
    writes.new_edges.sort_unstable();
    Ok(())
}

/// The log behind what is here of it.
fn take_events(writes: &mut WriteSet, events: &[Event]) {
    let chain = &mut writes.head.1.chain;
    let news = events.iter().filter(|event| event.no > chain.last).cloned();
    writes.events = news.collect();
    if let Some(event) = writes.events.last() {
        chain.last = event.no;
        chain.digest = event.digest;
    }
}

fn remembered(answer: Answer) -> (String, Remembered) {
    let Answer {
        key,
        digest,
        answer,
        at,
    } = answer;
    (key, Remembered { digest, answer, at })
}

/// The head of the source, once its log has arrived to the end.
fn become_whole(head: &mut Head, totals: &Totals) -> Result<()> {
    if head.chain != totals.chain {
        let (here, there) = (head.chain.last.0, totals.chain.last.0);
        let detail = format!("its log ends at {here}, and that of its source at {there}");
        return Err(Refusal::new(Code::StoreCorrupt, detail));
    }
    head.counts = totals.counts;
    head.dead_letters = totals.dead_letters;
    head.score_sum = totals.score_sum;
    head.max_depth = totals.max_depth;
    head.newest = totals.newest;
    head.books |= totals.books;
    Ok(())
}

fn taken(what: &str, number: u64) -> Refusal {
    Refusal::new(
        Code::InvalidArgument,
        format!("the number of {what} {number} is taken here"),
    )
    .help("copy into a store of its own: numbers are part of the chain and cannot change")
}
