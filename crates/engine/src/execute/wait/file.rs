//! Files that match a glob and have come to rest.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use domain::task::record::Failure;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Files told of in the result.
const TOLD: usize = 100;
/// Files that are watched for a change.
const WATCHED: usize = 10_000;

/// A file as it was: its size, and when it was last written.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

pub(super) async fn find(folder: PathBuf, glob: &str, stable: Duration) -> Result<Value, Failure> {
    let mut last: Option<(Seen, Instant)> = None;
    loop {
        let seen = look(&folder, glob).await?;
        let since = match last.take() {
            Some((before, since)) if before == seen => since,
            _ => Instant::now(),
        };
        if !seen.is_empty() && since.elapsed() >= stable {
            return Ok(found(&seen));
        }
        last = Some((seen, since));
        tokio::time::sleep(LOOK.min(stable.max(Duration::from_millis(50)))).await;
    }
}

async fn look(folder: &Path, glob: &str) -> Result<Seen, Failure> {
    let pattern = match Path::new(glob).is_absolute() {
        true => glob.to_owned(),
        false => format!("{}/{glob}", glob::Pattern::escape(&folder.to_string_lossy())),
    };
    let seen = tokio::task::spawn_blocking(move || {
        let paths = glob::glob(&pattern).map_err(|e| Failure {
            message: format!("the glob `{pattern}`: {e}"),
            class: Some("validation".into()),
            exit: None,
        })?;
        let file = |path: PathBuf| {
            let about = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
            Some((path, about.len(), about.modified().ok()))
        };
        // What may not be read is as good as not there.
        Ok(paths.flatten().filter_map(file).take(WATCHED).collect::<Seen>())
    });
    seen.await
        .unwrap_or_else(|e| Err(Failure::new(format!("looking for files failed: {e}"))))
}

fn found(seen: &Seen) -> Value {
    let files: Vec<_> = seen.iter().take(TOLD).map(|(path, ..)| path).collect();
    json!({ "files": files, "count": seen.len() })
}
