//! What a change touches.

use crate::tree::Tree;

impl Tree {
    pub fn file(&self, path: &str) -> Option<u32> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path));
        at.ok().map(|at| at as u32)
    }

    /// The files themselves and all that need them, directly or through others, ascending.
    pub fn affected(&self, changed: &[u32]) -> Vec<u32> {
        let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); self.files.len()];
        for edge in &self.edges {
            dependents[edge.to as usize].push(edge.from);
        }
        let mut met = vec![false; self.files.len()];
        let mut open: Vec<u32> = changed.to_vec();
        while let Some(file) = open.pop() {
            if !std::mem::replace(&mut met[file as usize], true) {
                open.extend(&dependents[file as usize]);
            }
        }
        (0..)
            .zip(met)
            .filter(|(_, met)| *met)
            .map(|(file, _)| file)
            .collect()
    }
}
