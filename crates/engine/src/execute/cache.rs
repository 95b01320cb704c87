//! The result cache: work whose declared inputs have not changed is not done again.
//!
//! The key covers the work itself, the declared files by content, the declared variables by value, the results of
//! the prerequisites, the inputs and the executor's version. What is not declared does not count, so a task
//! without `cache:` is never looked up.

use std::path::{Path, PathBuf};

use domain::task::spec::Cache;

use super::Job;
use crate::trace;

/// Changes when an executor starts to treat the same task differently.
const VERSION: &str = "1";

/// The content key of a job, or why it cannot be told (an unreadable file, a broken pattern): then the work
/// is simply done. Reads files: call it where blocking is allowed.
pub fn key(job: &Job, cache: &Cache) -> Result<[u8; 32], String> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |name: &str, bytes: &[u8]| {
        hasher
            .update(&(name.len() as u64).to_le_bytes())
            .update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    part("version", VERSION.as_bytes());
    // In which trace it is done changes nothing about the work.
    let mut env = job.spec.env.clone();
    env.remove(trace::VARIABLE);
    let work = serde_json::to_vec(&(&job.spec.work, &env)).map_err(|e| e.to_string())?;
    part("work", &work);
    part(
        "inputs",
        job.spec
            .inputs
            .as_ref()
            .map_or("", |inputs| inputs.get())
            .as_bytes(),
    );
    for name in &cache.env {
        let value = std::env::var_os(name).unwrap_or_default();
        part(name, value.as_encoded_bytes());
    }
    for upstream in &job.results {
        let result = upstream
            .outcome
            .as_ref()
            .and_then(|outcome| outcome.result.as_ref());
        let name = upstream
            .key
            .as_ref()
            .map_or_else(|| upstream.id.to_string(), ToString::to_string);
        part(&name, result.map_or("", |json| json.get()).as_bytes());
    }
    let folder = job.spec.cwd.as_deref().map_or(Path::new("."), Path::new);
    for path in files(folder, &cache.files)? {
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        let digest = digest(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        part(&name, digest.as_bytes());
    }
    Ok(*hasher.finalize().as_bytes())
}

fn files(folder: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, String> {
    let root = glob::Pattern::escape(&folder.to_string_lossy());
    let mut all = Vec::new();
    for pattern in patterns {
        let paths =
            glob::glob(&format!("{root}/{pattern}")).map_err(|e| format!("the pattern `{pattern}`: {e}"))?;
        for path in paths {
            let path = path.map_err(|e| e.to_string())?;
            if path.is_file() {
                all.push(path);
            }
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn digest(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize())
}
