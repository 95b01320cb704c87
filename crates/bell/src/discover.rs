//! Where the store is when nobody says: the nearest `.bellwether` folder, as git finds `.git`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use domain::code::{Code, Refusal};
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

/// Whose files are believed when nobody has named them. Tasks of a store and command lines of a settings file are carried out
/// with the rights of whoever finds them, so what anybody might have left in a folder above is not used.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    owners: Vec<u32>,
    folders: Vec<PathBuf>,
}

/// Folders, separated by colons, in which other people's files are believed.
const TRUST_VAR: &str = "BELLWETHER_TRUST";

impl Trust {
    /// This user, the superuser, and who became the superuser by `sudo`.
    pub(crate) fn of_process() -> Trust {
        let own = rustix::process::geteuid().as_raw();
        let before = std::env::var("SUDO_UID").ok().filter(|_| own == 0);
        let before = before.and_then(|uid| uid.parse().ok());
        Trust {
            owners: [own, 0].into_iter().chain(before).collect(),
            folders: std::env::var_os(TRUST_VAR)
                .map(|folders| std::env::split_paths(&folders).collect())
                .unwrap_or_default(),
        }
    }

    /// Refuses what belongs to somebody else, be it a link or what the link leads to.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Refusal> {
        let owner = |data: fs::Metadata| data.uid();
        let owners = [fs::symlink_metadata(path), fs::metadata(path)];
        let foreign = owners
            .into_iter()
            .filter_map(|data| data.ok().map(owner))
            .find(|owner| !self.owners.contains(owner));
        match foreign {
            Some(owner) if !self.folders.iter().any(|folder| path.starts_with(folder)) => {
                let detail = format!("{} belongs to the user with the number {owner}", path.display());
                let folder = path.parent().unwrap_or(path).display();
                let other = match path.file_name().is_some_and(|name| name == FOLDER) {
                    true => "name a store of yours with --store, or ",
                    false => "",
                };
                Err(Refusal::new(Code::ForeignFolder, detail).help(format!(
                    "{other}believe what lies there with {TRUST_VAR}={folder}"
                )))
            }
            _ => Ok(()),
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
    fn what_others_left_is_not_believed() {
        let temp = tempfile::tempdir().unwrap();
        let store = folder(&temp.path().join(FOLDER));
        let trust = |owners: &[u32], folders: &[&Path]| Trust {
            owners: owners.to_vec(),
            folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
        };
        assert!(Trust::of_process().check(&store).is_ok());
        let refusal = trust(&[u32::MAX], &[]).check(&store).unwrap_err();
        assert_eq!(refusal.code, Code::ForeignFolder);
        let root = temp.path().canonicalize().unwrap();
        assert!(trust(&[u32::MAX], &[&root]).check(&store).is_ok());
        let own = rustix::process::geteuid().as_raw();
        let link = root.join("link");
        std::os::unix::fs::symlink("/proc/self", &link).unwrap();
        assert!(trust(&[own], &[]).check(&link).is_ok());
        assert!(trust(&[own], &[]).check(&root.join("missing")).is_ok());
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
