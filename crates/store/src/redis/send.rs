//! A desk becomes the commands of one transaction.

use std::collections::BTreeMap;

use domain::store::Result;
use domain::task::lock::Mode;

use super::base::{edge, id_bytes};
use super::batch::Batch;
use super::desk::{Desk, Listing};
use super::gone;
use super::keys::{self, Keys, field, sorted};
use super::pack::corrupt;
use super::rows;

/// Where a listing stands on the server.
pub(super) struct Spot {
    pub(super) key: Vec<u8>,
    pub(super) member: Vec<u8>,
    /// `None` in a set without order.
    pub(super) score: Option<i64>,
}

pub(super) fn spot(keys: &Keys, listing: &Listing) -> Spot {
    let (key, score, member) = match listing {
        Listing::Line(class, place) => (
            keys.line(*class, None),
            Some(place.rank.into()),
            keys::place(place).to_vec(),
        ),
        Listing::RunLine(run, class, place) => (
            keys.line(*class, Some(*run)),
            Some(place.rank.into()),
            keys::place(place).to_vec(),
        ),
        Listing::Parked(thing, group, place) => (keys.of("p"), Some(0), keys::parked(thing, *group, place)),
        Listing::Timer(at, seq) => (keys.of("tm"), Some(at.0), sorted(seq.0).to_vec()),
        Listing::Expiry(at, seq) => (keys.of("x"), Some(*at), keys::long(*seq)),
        Listing::Worker(worker, seq) => (keys.worker(worker), None, field(seq.0)),
        Listing::Aside(state, seq) => (
            keys.aside(*state),
            Some(seq.0.cast_signed()),
            sorted(seq.0).to_vec(),
        ),
    };
    Spot { key, member, score }
}

/// Members by key.
type Members = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Members that enter and leave sets.
#[derive(Default)]
pub(super) struct Sets {
    /// Score and member, one after the other.
    enter: Members,
    leave: Members,
    enter_plain: Members,
    leave_plain: Members,
}

impl Sets {
    fn enter(&mut self, spot: Spot) {
        let Spot { key, member, score } = spot;
        match score {
            Some(score) => {
                let list = self.enter.entry(key).or_default();
                list.extend([score.to_string().into_bytes(), member]);
            }
            None => self.enter_plain.entry(key).or_default().push(member),
        }
    }

    /// Enters a set whose order is that of its members.
    fn enter_text(&mut self, key: Vec<u8>, member: Vec<u8>) {
        let score = Some(0);
        self.enter(Spot { key, member, score });
    }

    pub(super) fn leave(&mut self, spot: Spot) {
        let leave = match spot.score {
            Some(_) => &mut self.leave,
            None => &mut self.leave_plain,
        };
        leave.entry(spot.key).or_default().push(spot.member);
    }

    pub(super) fn leave_text(&mut self, key: Vec<u8>, member: Vec<u8>) {
        let score = Some(0);
        self.leave(Spot { key, member, score });
    }

    /// What leaves comes first.
    pub(super) fn send(&self, batch: &mut Batch) {
        let all: [(&[u8], &Members, usize); 4] = [
            (b"ZREM", &self.leave, 1),
            (b"SREM", &self.leave_plain, 1),
            (b"ZADD", &self.enter, 2),
            (b"SADD", &self.enter_plain, 1),
        ];
        for (command, sets, size) in all {
            for (key, members) in sets {
                batch.put_all(&[command, key], members, size);
            }
        }
    }
}

/// Everything but the head and the marker.
pub(super) fn commands(desk: &Desk, batch: &mut Batch) -> Result<()> {
    tasks(desk, batch);
    outcomes(desk, batch)?;
    edges(desk, batch);
    sets(desk, batch);
    runs(desk, batch)?;
    events(desk, batch);
    entries(desk, batch);
    cache(desk, batch);
    if !desk.gone.is_empty() {
        gone::take_out(desk, batch);
    }
    Ok(())
}

fn hash(desk: &Desk, batch: &mut Batch, name: &str, pairs: &[Vec<u8>]) {
    batch.put_all(&[b"HSET", &desk.keys.of(name)], pairs, 2);
}

fn tasks(desk: &Desk, batch: &mut Batch) {
    let mut seqs: Vec<_> = desk.rows.keys().copied().collect();
    seqs.sort_unstable();
    let (mut rows, mut ids, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    let mut in_runs: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for seq in seqs {
        let row = &desk.rows[&seq];
        if row.stored.as_ref() != Some(&row.now) {
            rows.extend([field(seq.0), rows::pack_task(&row.now)]);
        }
        if row.stored.is_none() {
            ids.extend([id_bytes(&row.now.id), field(seq.0)]);
            if let Some(run) = row.now.run {
                in_runs.entry(run).or_default().push(field(seq.0));
            }
        }
        if let Some(body) = desk.bodies.get(&seq) {
            bodies.extend([field(seq.0), rows::pack_body(body)]);
        }
    }
    hash(desk, batch, "t", &rows);
    hash(desk, batch, "i", &ids);
    hash(desk, batch, "b", &bodies);
    for (run, seqs) in in_runs {
        batch.put_all(&[b"RPUSH", &desk.keys.run_tasks(run)], &seqs, 1);
    }
    let mut named = Vec::new();
    for (key, task) in &desk.named {
        named.extend([key.as_str().as_bytes().to_vec(), rows::pack_named(*task)]);
    }
    hash(desk, batch, "n", &named);
}

fn outcomes(desk: &Desk, batch: &mut Batch) -> Result<()> {
    let mut pairs = Vec::new();
    for (seq, outcome) in &desk.outcomes {
        pairs.extend([field(seq.0), rows::pack_outcome(outcome)?]);
    }
    hash(desk, batch, "o", &pairs);
    Ok(())
}

fn edges(desk: &Desk, batch: &mut Batch) {
    let mut of: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for ((parent, child), when) in &desk.edges {
        let list = of.entry(*parent).or_default();
        list.extend([field(child.0), edge(*child, *when)]);
    }
    for (parent, edges) in of {
        batch.put_all(&[b"ZADD", &desk.keys.dependents(parent)], &edges, 2);
    }
}

fn sets(desk: &Desk, batch: &mut Batch) {
    let mut sets = Sets::default();
    for (seq, row) in &desk.rows {
        let before = row.stored.as_ref().map(Listing::of).unwrap_or_default();
        let after = Listing::of(&row.now);
        let spots_beside = |listings: &[Listing], others: &[Listing]| -> Vec<Spot> {
            let alone = listings.iter().filter(|listing| !others.contains(listing));
            alone.map(|listing| spot(&desk.keys, listing)).collect()
        };
        let entered = spots_beside(&after, &before);
        for left in spots_beside(&before, &after) {
            // With another score it enters where it was.
            let same = |spot: &Spot| spot.key == left.key && spot.member == left.member;
            if !entered.iter().any(same) {
                sets.leave(left);
            }
        }
        for spot in entered {
            sets.enter(spot);
        }
        if let (None, Some(parent)) = (&row.stored, row.now.parent) {
            sets.enter_text(desk.keys.of("g"), keys::child(parent, *seq));
        }
    }
    for ((name, seq), hold) in &desk.holders {
        let spots = |mode: Mode| {
            [
                ("hs", keys::holder(name, *seq, mode)),
                ("hd", keys::held(*seq, name, mode)),
            ]
        };
        if hold.stored == hold.now {
            continue;
        }
        for (key, member) in hold.stored.into_iter().flat_map(spots) {
            sets.leave_text(desk.keys.of(key), member);
        }
        for (key, member) in hold.now.into_iter().flat_map(spots) {
            sets.enter_text(desk.keys.of(key), member);
        }
    }
    for key in desk.remembered.keys() {
        sets.enter_text(desk.keys.of("mo"), key.clone().into_bytes());
    }
    for (no, _) in &desk.new_runs {
        if let Some(run) = desk.runs.get(no) {
            sets.enter_text(desk.keys.of("rp"), keys::plan_run(&run.plan, *no));
        }
    }
    sets.send(batch);
}

fn runs(desk: &Desk, batch: &mut Batch) -> Result<()> {
    let (mut runs, mut ids, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for (no, run) in &desk.runs {
        runs.extend([field(no.0), rows::pack_run(run)]);
    }
    for (no, id) in &desk.new_runs {
        ids.extend([id.0.as_bytes().to_vec(), field(no.0)]);
    }
    for (no, class) in &desk.classes {
        classes.extend([field(no.0.into()), serde_json::to_vec(class).map_err(corrupt)?]);
    }
    hash(desk, batch, "r", &runs);
    hash(desk, batch, "ri", &ids);
    hash(desk, batch, "c", &classes);
    let (mut open, mut settled) = (Vec::new(), Vec::new());
    for seq in &desk.resettled {
        match desk.unsettled.as_ref().and_then(|all| all.get(seq)) {
            Some(last) => open.extend([field(seq.0), field(last.0)]),
            None => settled.push(field(seq.0)),
        }
    }
    hash(desk, batch, "u", &open);
    batch.put_all(&[b"HDEL", &desk.keys.of("u")], &settled, 1);
    Ok(())
}

fn events(desk: &Desk, batch: &mut Batch) {
    let events: Vec<_> = desk.events.iter().map(rows::pack_event).collect();
    batch.put_all(&[b"RPUSH", &desk.keys.of("e")], &events, 1);
    let mut answers = Vec::new();
    for (key, remembered) in &desk.remembered {
        answers.extend([key.clone().into_bytes(), rows::pack_remembered(remembered)]);
    }
    hash(desk, batch, "m", &answers);
}

fn entries(desk: &Desk, batch: &mut Batch) {
    for ((book, key), entry) in &desk.entries {
        let [values, order, due] = ["bk", "bo", "bd"].map(|kind| desk.keys.book(kind, *book));
        let name = key.as_bytes();
        let Some(entry) = entry else {
            batch.put(&[b"HDEL", &values, name]);
            batch.put(&[b"ZREM", &order, name]);
            batch.put(&[b"ZREM", &due, name]);
            continue;
        };
        batch.put(&[b"HSET", &values, name, &rows::pack_entry(entry)]);
        batch.put(&[b"ZADD", &order, b"0", name]);
        match entry.due {
            Some(at) => batch.put(&[b"ZADD", &due, at.0.to_string().as_bytes(), name]),
            None => batch.put(&[b"ZREM", &due, name]),
        };
    }
}

fn cache(desk: &Desk, batch: &mut Batch) {
    for (entry, used) in &desk.cached {
        batch.put(&[b"HSET", &desk.keys.of("q"), &entry.key, &rows::pack_cached(entry)]);
        let used = used.to_string();
        batch.put(&[b"ZADD", &desk.keys.of("qu"), used.as_bytes(), &entry.key]);
    }
    batch.put_all(&[b"HDEL", &desk.keys.of("q")], &desk.outdated, 1);
    batch.put_all(&[b"ZREM", &desk.keys.of("qu")], &desk.outdated, 1);
}
