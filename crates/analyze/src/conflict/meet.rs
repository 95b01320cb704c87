//! The places where tasks meet.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Kind;
use super::apart::{Asked, Member};
use super::touch::{Place, Touch};
use crate::resolve::ancestors;
use crate::tree::Tree;

/// The tasks at each path that somebody names, with those at folders around it; and those with a lock of each name.
pub(super) fn places(touches: &[Vec<Touch>]) -> Vec<Asked> {
    let mut paths: FxHashMap<&str, Vec<Member>> = FxHashMap::default();
    let mut names: FxHashMap<&str, Vec<Member>> = FxHashMap::default();
    for (task, touch) in all(touches) {
        let member = Member::new(task, touch);
        match &touch.place {
            Place::Path(path) => paths.entry(path).or_default().push(member),
            Place::Name(name) => names.entry(name).or_default().push(member),
        }
    }
    let mut asked: Vec<Asked> = Vec::new();
    for (path, at) in &paths {
        let mut around: Vec<Member> = Vec::new();
        if !path.is_empty() {
            around.extend(ancestors(path).filter_map(|folder| paths.get(folder)).flatten());
        }
        let here: FxHashSet<u32> = at.iter().map(|member| member.task).collect();
        around.retain(|member| !here.contains(&member.task));
        let component = if path.is_empty() { "." } else { path };
        asked.push(Asked::new(Kind::Same, component, at.clone(), around));
    }
    let named = names.into_iter();
    asked.extend(named.map(|(name, at)| Asked::new(Kind::Same, name, at, Vec::new())));
    asked.retain(Asked::is_worth_it);
    asked.sort_by(|a, b| a.component.cmp(&b.component));
    asked
}

/// Tasks at different files of one circle, and tasks at a file and at one that it needs.
pub(super) fn files(touches: &[Vec<Touch>], tree: &Tree) -> Vec<Asked> {
    let mut paths: FxHashMap<&str, Vec<Member>> = FxHashMap::default();
    for (task, touch) in all(touches) {
        if let Place::Path(path) = &touch.place {
            paths.entry(path).or_default().push(Member::new(task, touch));
        }
    }
    // Of each file the nearest place that somebody names.
    let nearest: Vec<Option<&str>> = tree
        .files
        .iter()
        .map(|file| {
            let up = std::iter::once(file.path.as_str()).chain(ancestors(&file.path));
            { up }.find(|path| paths.contains_key(path))
        })
        .collect();
    let order = tree.order();
    let knot_of = order.knot_of(tree.files.len());
    let mut asked = circles(&paths, &nearest, tree, &order.knots);

    let mut needs: FxHashMap<&str, FxHashSet<&str>> = FxHashMap::default();
    for edge in tree.edges.iter().filter(|edge| edge.kind.orders()) {
        let (from, to) = (edge.from as usize, edge.to as usize);
        let circle = knot_of[from].is_some() && knot_of[from] == knot_of[to];
        if let (false, Some(from), Some(to)) = (circle, nearest[from], nearest[to])
            && !within(from, to)
            && !within(to, from)
        {
            needs.entry(to).or_default().insert(from);
        }
    }
    for (to, from) in needs {
        let at: Vec<Member> = paths[to].iter().copied().filter(|member| member.writes).collect();
        let here: FxHashSet<u32> = at.iter().map(|member| member.task).collect();
        let mut from: Vec<Member> = from.into_iter().flat_map(|path| &paths[path]).copied().collect();
        from.sort_by_key(|member| member.task);
        from.dedup_by_key(|member| member.task);
        from.retain(|member| !here.contains(&member.task));
        asked.push(Asked::new(Kind::Needs, to, at, from));
    }
    asked.retain(Asked::is_worth_it);
    asked.sort_by(|a, b| (a.kind, &a.component).cmp(&(b.kind, &b.component)));
    asked
}

fn circles(
    paths: &FxHashMap<&str, Vec<Member>>,
    nearest: &[Option<&str>],
    tree: &Tree,
    knots: &[crate::cycle::Knot],
) -> Vec<Asked> {
    let circle = |knot: &crate::cycle::Knot| {
        let mut places: Vec<&str> = knot
            .members
            .iter()
            .filter_map(|file| nearest[*file as usize])
            .collect();
        places.sort_unstable();
        places.dedup();
        let mut at: Vec<Member> = Vec::new();
        for (number, place) in (0..).zip(&places) {
            at.extend(paths[place].iter().map(|member| Member {
                part: number,
                ..*member
            }));
        }
        let first = &tree.files[knot.members[0] as usize].path;
        Asked::new(Kind::Circle, first, at, Vec::new())
    };
    knots.iter().map(circle).collect()
}

fn all(touches: &[Vec<Touch>]) -> impl Iterator<Item = (u32, &Touch)> {
    let numbered = (0..).zip(touches);
    numbered.flat_map(|(task, touches)| touches.iter().map(move |touch| (task, touch)))
}

fn within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
