//! What a URL asks for: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB][?prefix=NAME&accept_volatile=true]`.

use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::Result;

/// The name under which a server keeps a store when the URL says none.
const PREFIX: &str = "bell";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// For the client library: without parameters of ours.
    pub(super) server: String,
    pub(super) prefix: String,
    pub(super) accept_volatile: bool,
    /// What people may see: neither password nor user.
    pub(super) shown: String,
}

pub(super) fn parse(url: &str) -> Result<Asked> {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let mut prefix = PREFIX.to_owned();
    let mut accept_volatile = false;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=').unwrap_or((part, "true")) {
            ("prefix", name) => prefix = name.to_owned(),
            ("accept_volatile", "true" | "1") => accept_volatile = true,
            ("accept_volatile", "false" | "0") => accept_volatile = false,
            (name, _) => {
                let detail = format!("`{}` is no parameter of this store", name.escape_debug());
                return Err(Refusal::new(Code::StoreUrl, detail)
                    .help("there are `prefix=NAME` and `accept_volatile=true`"));
            }
        }
    }
    // The same letters as in the name of a project, so that keys can be read.
    if Project::new(&prefix).is_err() {
        let detail = format!("`{}` cannot be a prefix", prefix.escape_debug());
        return Err(Refusal::new(Code::StoreUrl, detail).help("use letters, digits, `_`, `-` and `.`"));
    }
    let shown = shown(server, &prefix, accept_volatile);
    Ok(Asked {
        server: server.to_owned(),
        prefix,
        accept_volatile,
        shown,
    })
}

fn shown(server: &str, prefix: &str, accept_volatile: bool) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("redis", server));
    // A password may hold an @ of its own.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let mut shown = format!("{scheme}://{place}");
    let prefixed = (prefix != PREFIX).then(|| format!("prefix={prefix}"));
    let volatile = accept_volatile.then(|| "accept_volatile=true".to_owned());
    for (part, mark) in prefixed.into_iter().chain(volatile).zip(['?', '&']) {
        shown.push(mark);
        shown += &part;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("redis://localhost", "redis://localhost"),
            ("redis://:s3cr@t@host:1/2", "redis://host:1/2"),
            ("rediss://ann:s3cret@host?prefix=a", "rediss://host?prefix=a"),
            (
                "redis://u:s3c@h?accept_volatile=1&prefix=x.y",
                "redis://h?prefix=x.y&accept_volatile=true",
            ),
        ] {
            let asked = parse(url).unwrap();
            assert_eq!(asked.shown, shown);
            assert!(!asked.server.contains('?'));
        }
    }

    #[test]
    fn strange_parameters_are_refused() {
        for bad in [
            "redis://h?prefx=a",
            "redis://h?prefix=",
            "redis://h?prefix={a}",
            "redis://h?accept_volatile=no",
        ] {
            assert_eq!(parse(bad).unwrap_err().code, Code::StoreUrl, "{bad}");
        }
    }
}
