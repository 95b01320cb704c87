//! The sources of settings, each read into a flat map of known names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use domain::code::{Code, Refusal, nearest};
use toml::{Table, Value};

use engine::execute::secrets::Secrets;

use super::agents::{self, Agents};
use super::secrets;
use super::{DEFAULTS, Origin, Setting, shown};

pub(crate) type Layer = BTreeMap<String, Setting>;

/// What there is to read beside the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// From the weakest to the strongest.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// Option, flag and value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// Chooses an `[env.NAME]` table of the files.
const ENVIRONMENT: &str = "BELLWETHER_ENV";
const PREFIX: &str = "BELLWETHER_";
/// The one option with a variable of its own, since it is typed by hand in a hurry.
const LOG: (&str, &str) = ("log", "BELL_LOG");

pub(super) fn defaults() -> Layer {
    let table: Table = DEFAULTS
        .parse()
        .expect("the embedded defaults are TOML; a test reads them");
    flat(&table, &Origin::Default)
}

/// What all sources say.
pub(super) struct Found {
    pub(super) layers: Vec<Layer>,
    pub(super) agents: Agents,
    pub(super) secrets: Secrets,
}

impl Sources {
    /// From the weakest to the strongest.
    pub(super) fn layers(&self, known: &Layer) -> Result<Found, Refusal> {
        let mut layers = Vec::new();
        let (mut named_agents, mut named_secrets) = (Agents::new(), Secrets::default());
        let environment = self.variable(ENVIRONMENT);
        let mut chosen = environment.is_none();
        for path in &self.files {
            let mut table = read(path)?;
            let named = named_environments(&mut table, path)?;
            let own_agents = agents::take(&mut table, path)?;
            let own_secrets = secrets::take(&mut table, path)?;
            layers.push(checked(flat(&table, &Origin::File(path.clone())), known)?);
            layers.push(agents::shown(&own_agents, path).collect());
            layers.push(secrets::shown(&own_secrets, path).collect());
            named_agents.extend(own_agents);
            named_secrets.0.extend(own_secrets.0);
            if let Some(Value::Table(table)) = environment.as_ref().and_then(|name| named.get(name)) {
                chosen = true;
                layers.push(checked(flat(table, &Origin::File(path.clone())), known)?);
            }
        }
        if let (false, Some(name)) = (chosen, environment) {
            let detail = format!("{ENVIRONMENT} = {name}: no configuration file has a table [env.{name}]");
            return Err(Refusal::new(Code::ConfigInvalid, detail));
        }
        layers.push(self.variables_layer(known)?);
        layers.push(self.flags_layer(known)?);
        Ok(Found {
            layers,
            agents: named_agents,
            secrets: named_secrets,
        })
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(known, _)| known.as_os_str() == name);
        found
            .map(|(_, value)| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
    }

    fn variables_layer(&self, known: &Layer) -> Result<Layer, Refusal> {
        let mut layer = Layer::new();
        for (name, setting) in known {
            let variable = variable_of(name);
            if let Some(text) = self.variable(&variable) {
                let origin = Origin::Variable(variable);
                layer.insert(name.clone(), typed(name, &text, origin, &setting.value)?);
            }
        }
        Ok(layer)
    }

    fn flags_layer(&self, known: &Layer) -> Result<Layer, Refusal> {
        let flags = self.flags.iter().map(|(name, flag, text)| {
            let setting = typed(name, text, Origin::Flag(flag), &known[*name].value)?;
            Ok(((*name).to_owned(), setting))
        });
        flags.collect()
    }
}

/// The variable that sets an option.
pub(crate) fn variable_of(name: &str) -> String {
    if name == LOG.0 {
        return LOG.1.to_owned();
    }
    format!("{PREFIX}{}", name.to_uppercase().replace('.', "_"))
}

fn read(path: &Path) -> Result<Table, Refusal> {
    let wrong = |why: String| Refusal::new(Code::ConfigInvalid, format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    text.parse().map_err(|e: toml::de::Error| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        wrong(format!("line {line}: {}", e.message()))
    })
}

fn named_environments(table: &mut Table, path: &Path) -> Result<Table, Refusal> {
    match table.remove("env") {
        None => Ok(Table::new()),
        Some(Value::Table(named)) => Ok(named),
        Some(_) => Err(Refusal::new(
            Code::ConfigInvalid,
            format!(
                "{}: `env` must be a table of environments, such as [env.staging]",
                path.display()
            ),
        )),
    }
}

/// Dotted names in the place of nested tables.
fn flat(table: &Table, origin: &Origin) -> Layer {
    let mut layer = Layer::new();
    let mut rest: Vec<(String, &Table)> = vec![(String::new(), table)];
    while let Some((prefix, table)) = rest.pop() {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            match value {
                Value::Table(inner) => rest.push((format!("{name}."), inner)),
                value => {
                    let setting = Setting {
                        value: value.clone(),
                        origin: origin.clone(),
                    };
                    layer.insert(name, setting);
                }
            }
        }
    }
    layer
}

/// Refuses names that mean nothing and values of another type.
fn checked(layer: Layer, known: &Layer) -> Result<Layer, Refusal> {
    for (name, setting) in &layer {
        let Some(default) = known.get(name) else {
            let detail = format!("{}: there is no option `{name}`", setting.origin);
            let refusal = Refusal::new(Code::ConfigInvalid, detail);
            if name.starts_with("order.") || name == "retry" {
                return Err(refusal.help("the project keeps it for all: `bell config set`"));
            }
            return Err(match nearest(name, known.keys().map(String::as_str)) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help("`bell config defaults` lists every option"),
            });
        };
        if !setting.value.same_type(&default.value) {
            let detail = format!(
                "{}: `{name}` takes a value of type {}, not {}",
                setting.origin,
                default.value.type_str(),
                shown(&setting.value)
            );
            return Err(Refusal::new(Code::ConfigInvalid, detail));
        }
    }
    Ok(layer)
}

/// A text as the type that the option has.
fn typed(name: &str, text: &str, origin: Origin, default: &Value) -> Result<Setting, Refusal> {
    let value = match default {
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Boolean(_) => match text.trim() {
            "1" | "true" | "yes" | "on" => Some(Value::Boolean(true)),
            "0" | "false" | "no" | "off" => Some(Value::Boolean(false)),
            _ => None,
        },
        _ => Some(Value::String(text.to_owned())),
    };
    match value {
        Some(value) => Ok(Setting { value, origin }),
        None => {
            let detail = format!(
                "{origin}: `{name}` takes a value of type {}, not `{text}`",
                default.type_str()
            );
            Err(Refusal::new(Code::ConfigInvalid, detail))
        }
    }
}
