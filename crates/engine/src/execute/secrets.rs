//! Secrets of tasks: read when an attempt begins, handed to its program as variables, and hidden in everything that
//! Bellwether keeps of it. The store knows their names only.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use domain::limits;
use domain::task::record::Failure;

use crate::process::output::Mask;

/// Anything shorter cannot be told from ordinary text.
const SHORTEST: usize = 4;

/// Where the secrets of this machine are, by the name of the variable that tasks ask for. Others are variables of the
/// worker by the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, Source>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the worker.
    Env(String),
    /// A file, without the end of its last line.
    File(PathBuf),
}

/// The values for one attempt. Nothing prints them.
#[derive(Clone, Default)]
pub struct Values(Vec<(String, String)>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Secrets {
    /// Reads what a task asks for.
    pub fn read(&self, names: &[String]) -> Result<Values, Failure> {
        let read = |name: &String| self.one(name).map(|value| (name.clone(), value));
        names.iter().map(read).collect::<Result<_, _>>().map(Values)
    }

    fn one(&self, name: &str) -> Result<String, Failure> {
        let refused = |class: &str, why: String| Failure {
            class: Some(class.into()),
            ..Failure::new(why)
        };
        let (value, place) = match self.0.get(name) {
            Some(Source::File(path)) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    let why = format!("the secret `{name}` cannot be read from {}: {e}", path.display());
                    refused("not found", why)
                })?;
                (
                    Some(text.trim_end_matches(['\n', '\r']).to_owned()),
                    path.display().to_string(),
                )
            }
            Some(Source::Env(variable)) => (std::env::var(variable).ok(), format!("the variable {variable}")),
            None => (std::env::var(name).ok(), format!("the variable {name}")),
        };
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| {
            let why = format!(
                "the secret `{name}` is not known to this worker: {place} is empty; set it, or say under [secrets] in \
                 bell.toml where it is"
            );
            refused("not found", why)
        })?;
        if value.len() < SHORTEST {
            let why = format!("the secret `{name}` has less than {SHORTEST} bytes and could not be hidden");
            return Err(refused("validation", why));
        }
        if value.len() > limits::SECRET_BYTES || value.contains('\0') {
            let why = format!(
                "the secret `{name}` is no text of at most {} bytes, as a variable must be",
                limits::SECRET_BYTES
            );
            return Err(refused("validation", why));
        }
        Ok(value)
    }

    /// Variables of the worker that only those attempts see that ask for them.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|(name, source)| {
            let from = match source {
                Source::Env(variable) => Some(variable),
                Source::File(_) => None,
            };
            from.into_iter().chain([name])
        })
    }
}

impl Values {
    /// As variables of the program.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().cloned()
    }

    /// What hides them; nothing if there are none.
    pub fn mask(&self) -> Option<Mask> {
        let mut patterns = Vec::new();
        // Whoever prints a key of several lines prints it line by line; and what goes into JSON is escaped.
        let lines = self.0.iter().flat_map(|(_, value)| value.lines());
        for line in lines.map(str::trim).filter(|line| line.len() >= SHORTEST) {
            let escaped = serde_json::Value::from(line).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            if escaped != line {
                patterns.push(escaped.to_owned());
            }
            patterns.push(line.to_owned());
        }
        Mask::new(patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        let values = secrets.iter().map(|value| ("S".to_owned(), (*value).to_owned()));
        Values(values.collect()).mask().unwrap()
    }

    #[test]
    fn secrets_are_hidden_line_by_line_and_in_json() {
        let mask = mask(&["hunter22", "-----BEGIN\nline one\nx\n-----END", "quo\"te\\d"]);
        assert_eq!(mask.text("pw=hunter22, hunter2"), "pw=***, hunter2");
        assert_eq!(mask.text("-----BEGIN\nline one\nx\n-----END"), "***\n***\nx\n***");
        assert_eq!(mask.text(r#"{"a":"quo\"te\\d"}"#), r#"{"a":"***"}"#);
    }

    #[test]
    fn what_is_missing_short_or_no_text_is_said() {
        let secrets = Secrets::default();
        let failure = secrets.read(&["BELL_TEST_NO_SUCH_SECRET".into()]).unwrap_err();
        assert!(
            failure
                .message
                .contains("the variable BELL_TEST_NO_SUCH_SECRET is empty"),
            "{failure:?}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc\n").unwrap();
        let secrets = Secrets([("S".to_owned(), Source::File(file.path().to_owned()))].into());
        let failure = secrets.read(&["S".into()]).unwrap_err();
        assert!(failure.message.contains("less than 4 bytes"), "{failure:?}");
        std::fs::write(file.path(), "abcd\r\n").unwrap();
        let values = secrets.read(&["S".into()]).unwrap();
        assert_eq!(
            values.variables().collect::<Vec<_>>(),
            [("S".to_owned(), "abcd".to_owned())]
        );
        assert_eq!(format!("{values:?}"), "[\"S\"]");
    }
}
