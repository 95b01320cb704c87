//! `[secrets]`: where the values of secrets are that tasks ask for by name.

use std::path::Path;

use domain::code::{Code, Refusal};
use engine::execute::secrets::{Secrets, Source};
use toml::{Table, Value};

use super::{Origin, Setting};

/// Takes the secrets out of a file.
pub(super) fn take(table: &mut Table, path: &Path) -> Result<Secrets, Refusal> {
    let Some(secrets) = table.remove("secrets") else {
        return Ok(Secrets::default());
    };
    let wrong = |why: &str| {
        let help = "write [secrets] with lines such as API_TOKEN = \"file:token.txt\" or API_TOKEN = \"env:OTHER_NAME\"; the \
                    value itself stands in no configuration";
        Refusal::new(Code::ConfigInvalid, format!("{}: {why}", path.display())).help(help)
    };
    let Value::Table(secrets) = secrets else {
        return Err(wrong("`secrets` must be a table"));
    };
    let read = |(name, value): (String, Value)| {
        let source = match value.as_str().and_then(|value| value.split_once(':')) {
            Some(("env", variable)) if !variable.is_empty() => Source::Env(variable.to_owned()),
            Some(("file", file)) if !file.is_empty() => {
                Source::File(path.parent().unwrap_or(Path::new(".")).join(file))
            }
            // What stands there may be the secret: it is not repeated.
            _ => {
                return Err(wrong(&format!(
                    "[secrets]: `{name}` says neither `env:NAME` nor `file:PATH`"
                )));
            }
        };
        Ok((name, source))
    };
    Ok(Secrets(secrets.into_iter().map(read).collect::<Result<_, _>>()?))
}

/// The secrets as settings are shown: where they are.
pub(super) fn shown(secrets: &Secrets, path: &Path) -> impl Iterator<Item = (String, Setting)> {
    secrets.0.iter().map(|(name, source)| {
        let setting = Setting {
            value: Value::String(match source {
                Source::Env(variable) => format!("env:{variable}"),
                Source::File(file) => format!("file:{}", file.display()),
            }),
            origin: Origin::File(path.to_owned()),
        };
        (format!("secrets.{name}"), setting)
    })
}
