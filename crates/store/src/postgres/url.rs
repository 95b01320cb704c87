//! What a URL asks for: `postgres://[USER[:PASSWORD]@]HOST[:PORT]/DB[?schema=NAME&sslmode=…&sslrootcert=FILE&poll=1]`.

use domain::code::{Code, Refusal, nearest};
use domain::store::Result;

/// The schema that keeps a store when the URL says none.
const SCHEMA: &str = "bellwether";
/// The longest name that PostgreSQL keeps whole.
const SCHEMA_BYTES: usize = 63;

const PARAMETERS: [&str; 5] = ["schema", "sslmode", "sslrootcert", "poll", "accept_volatile"];

/// Whether the connection is encrypted. There is nothing between: an encrypted connection to whoever answers is no
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    No,
    /// The server's certificate must be valid for its name.
    Verified,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// For the client library: without parameters.
    pub(super) server: String,
    pub(super) schema: String,
    /// `None` when the URL leaves it open.
    pub(super) tls: Option<Tls>,
    /// A file with the certificates to trust instead of the machine's.
    pub(super) roots: Option<String>,
    /// The server is behind a pooler that gives each transaction another session.
    pub(super) pooled: bool,
    pub(super) accept_volatile: bool,
    /// What people may see: neither password nor user.
    pub(super) shown: String,
}

pub(super) fn parse(url: &str) -> Result<Asked> {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let mut asked = Asked {
        server: server.to_owned(),
        schema: SCHEMA.to_owned(),
        tls: None,
        roots: None,
        pooled: false,
        accept_volatile: false,
        shown: String::new(),
    };
    let mut shown = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, "true"));
        match (name, value) {
            ("schema", value) => value.clone_into(&mut asked.schema),
            ("sslmode", "disable") => asked.tls = Some(Tls::No),
            ("sslmode", "require" | "verify-ca" | "verify-full") => asked.tls = Some(Tls::Verified),
            ("sslmode", other) => {
                return Err(Refusal::new(
                    Code::StoreUrl,
                    format!("`sslmode={}` is not offered", other.escape_debug()),
                )
                .help("use `sslmode=verify-full` or `sslmode=disable`"));
            }
            ("sslrootcert", file) if !file.is_empty() => asked.roots = Some(file.to_owned()),
            ("poll", value) => asked.pooled = flag(name, value)?,
            ("accept_volatile", value) => asked.accept_volatile = flag(name, value)?,
            (name, _) => return Err(unknown(name)),
        }
        shown.push(part);
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits = |name: &str| {
        name.len() <= SCHEMA_BYTES
            && name.chars().all(plain)
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && !name.starts_with("pg_")
    };
    if !fits(&asked.schema) {
        let detail = format!("`{}` cannot be a schema", asked.schema.escape_debug());
        return Err(Refusal::new(Code::StoreUrl, detail)
            .help("use at most 63 small letters, digits and `_`, a letter first"));
    }
    asked.shown = show(server, &shown);
    Ok(asked)
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(Refusal::new(
            Code::StoreUrl,
            format!("`{name}={}` says neither yes nor no", other.escape_debug()),
        )
        .help(format!("use `{name}=true` or leave it out"))),
    }
}

fn unknown(name: &str) -> Refusal {
    let detail = format!("`{}` is no parameter of this store", name.escape_debug());
    let help = match nearest(name, PARAMETERS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "there are {}",
            PARAMETERS.map(|name| format!("`{name}`")).join(", ")
        ),
    };
    Refusal::new(Code::StoreUrl, detail).help(help)
}

fn show(server: &str, parameters: &[&str]) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("postgres", server));
    // A password may hold an @ of its own.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let mut shown = format!("{scheme}://{place}");
    if !parameters.is_empty() {
        shown.push('?');
        shown += &parameters.join("&");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("postgres://localhost/db", "postgres://localhost/db"),
            ("postgres://ann:s3cr@t@h:1/db", "postgres://h:1/db"),
            (
                "postgresql://ann:s3c@h/db?schema=team_a&poll=1",
                "postgresql://h/db?schema=team_a&poll=1",
            ),
        ] {
            let asked = parse(url).unwrap();
            assert_eq!(asked.shown, shown);
            assert!(!asked.server.contains('?'));
        }
        assert_eq!(parse("postgres://h/d?schema=team_a").unwrap().schema, "team_a");
        let tls = |mode: &str| parse(&format!("postgres://h/d?sslmode={mode}")).unwrap().tls;
        assert_eq!(
            [tls("disable"), tls("require")],
            [Some(Tls::No), Some(Tls::Verified)]
        );
    }

    #[test]
    fn strange_parameters_are_refused() {
        for bad in [
            "schem=a",
            "schema=",
            "schema=A",
            "schema=a.b",
            "schema=pg_x",
            "sslmode=prefer",
            "poll=often",
        ] {
            let refusal = parse(&format!("postgres://h/d?{bad}")).unwrap_err();
            assert_eq!(refusal.code, Code::StoreUrl, "{bad}");
            assert!(refusal.help.is_some(), "{bad}");
        }
    }
}
