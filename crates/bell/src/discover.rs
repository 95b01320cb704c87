//! Where the store is when nobody says: the nearest `.bellwether` folder, as git finds `.git`.

use std::fs;
use std::path::{Path, PathBuf};

use engine::home::FOLDER;

/// Where the search begins and where a new folder would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ground {
    /// The nearest `.bellwether` folder, if there is one.
    pub(crate) found: Option<PathBuf>,
    /// Where it is created when there is none.
    pub(crate) fresh: PathBuf,
}

impl Ground {
    /// Looks from `start` upwards. Inside a git worktree the search goes through its main checkout, so that all
    /// worktrees of a repository share one store.
    pub(crate) fn of(start: &Path) -> Ground {
        let (from, root) = match worktree(start) {
            Some((main, inside)) => (main.join(inside), main),
            None => (start.to_owned(), start.to_owned()),
        };
        let found = from
            .ancestors()
            .map(|dir| dir.join(FOLDER))
            .find(|dir| dir.is_dir());
        Ground {
            found,
            fresh: root.join(FOLDER),
        }
    }
}

/// The nearest file of this name, from `start` upwards.
pub(crate) fn upwards(start: &Path, name: &str) -> Option<PathBuf> {
    start
        .ancestors()
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// If `start` is inside a git worktree: the folder of its main checkout, and where inside it `start` would be.
fn worktree(start: &Path) -> Option<(PathBuf, PathBuf)> {
    let root = start.ancestors().find(|dir| dir.join(".git").exists())?;
    // In a worktree `.git` is a file that names the repository's folder for it. A submodule has one too, but
    // shares nothing with another checkout.
    let text = fs::read_to_string(root.join(".git")).ok()?;
    let git_dir = root.join(text.strip_prefix("gitdir:")?.trim());
    let common = fs::read_to_string(git_dir.join("commondir")).ok()?;
    let common = git_dir.join(common.trim()).canonicalize().ok()?;
    // A bare repository has no checkout to share.
    let main = (common.file_name()? == ".git").then(|| common.parent())??;
    let inside = start.strip_prefix(root).ok()?;
    Some((main.to_owned(), inside.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        path.canonicalize().unwrap()
    }

    #[test]
    fn the_nearest_folder_upwards_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let deep = folder(&temp.path().join("a/b/c"));
        assert_eq!(Ground::of(&deep).fresh, deep.join(FOLDER));
        let store = folder(&temp.path().join("a").join(FOLDER));
        assert_eq!(Ground::of(&deep).found, Some(store));
    }

    #[test]
    fn a_worktree_uses_the_folder_of_its_main_checkout() {
        let temp = tempfile::tempdir().unwrap();
        let main = folder(&temp.path().join("main"));
        let git = folder(&main.join(".git/worktrees/w"));
        fs::write(git.join("commondir"), "../..\n").unwrap();
        let tree = folder(&temp.path().join("elsewhere/w"));
        fs::write(tree.join(".git"), format!("gitdir: {}\n", git.display())).unwrap();
        let inside = folder(&tree.join("src"));

        let ground = Ground::of(&inside);
        assert_eq!((ground.found, ground.fresh), (None, main.join(FOLDER)));
        let store = folder(&main.join(FOLDER));
        assert_eq!(Ground::of(&inside).found, Some(store));
    }

    #[test]
    fn a_submodule_is_a_folder_like_any_other() {
        let temp = tempfile::tempdir().unwrap();
        let module = folder(&temp.path().join("main/module"));
        folder(&temp.path().join("main/.git/modules/module"));
        fs::write(module.join(".git"), "gitdir: ../.git/modules/module\n").unwrap();
        assert_eq!(Ground::of(&module).fresh, module.join(FOLDER));
    }
}
