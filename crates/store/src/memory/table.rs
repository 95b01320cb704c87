//! An ordered map that can undo.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Deref;

/// Reads go to the map itself. The two ways to write remember what they replaced, until the transaction ends.
#[derive(Debug)]
pub(super) struct Table<K, V = ()> {
    rows: BTreeMap<K, V>,
    replaced: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            rows: BTreeMap::new(),
            replaced: Vec::new(),
        }
    }
}

impl<K, V> Deref for Table<K, V> {
    type Target = BTreeMap<K, V>;
    fn deref(&self) -> &BTreeMap<K, V> {
        &self.rows
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    pub(super) fn put(&mut self, key: K, value: V) {
        let old = self.rows.insert(key.clone(), value);
        self.replaced.push((key, old));
    }

    pub(super) fn take(&mut self, key: &K) {
        if let Some((key, old)) = self.rows.remove_entry(key) {
            self.replaced.push((key, Some(old)));
        }
    }
}

/// What every table can do, whatever it holds.
pub(super) trait Undo {
    fn commit(&mut self);
    fn roll_back(&mut self);
}

impl<K: Ord, V> Undo for Table<K, V> {
    fn commit(&mut self) {
        self.replaced = Vec::new();
    }

    fn roll_back(&mut self) {
        for (key, old) in mem::take(&mut self.replaced).into_iter().rev() {
            match old {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_is_undone_in_reverse() {
        let mut table = Table::default();
        table.put(1, "one");
        table.put(2, "two");
        table.commit();
        table.put(1, "uno");
        table.take(&1);
        table.take(&7);
        table.put(3, "three");
        table.put(3, "tres");
        assert_eq!(table.keys().copied().collect::<Vec<_>>(), [2, 3]);
        table.roll_back();
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&1, &"one"), (&2, &"two")]);
        table.roll_back();
        assert_eq!(table.len(), 2);
    }
}
