//! Anchors: where the chain of a project stood, in a line that somebody keeps elsewhere.
//!
//! Who can rewrite the whole log and its head can forge both so that they fit each other; a log that no longer leads
//! through an anchor gives that away.

use std::fmt;
use std::str::FromStr;

use crate::code::{Code, Refusal};
use crate::event::{ChainHead, Digest};
use crate::id::{EventNo, Project};

/// Written as `bell-anchor:1:PROJECT:NUMBER:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub project: Project,
    pub head: ChainHead,
}

const FORM: &str = "bell-anchor:1";

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainHead { last, digest } = self.head;
        write!(f, "{FORM}:{}:{}:{digest}", self.project, last.0)
    }
}

impl FromStr for Anchor {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Anchor, Refusal> {
        let wrong = || {
            let shown: String = text.chars().take(120).collect();
            Refusal::new(
                Code::InvalidArgument,
                format!("`{}` is not an anchor", shown.escape_debug()),
            )
            .help(format!(
                "write {FORM}:PROJECT:NUMBER:DIGEST, as `bell audit anchor` prints it"
            ))
        };
        let rest = text.strip_prefix(FORM).and_then(|rest| rest.strip_prefix(':'));
        let mut parts = rest.ok_or_else(wrong)?.split(':');
        let (Some(project), Some(last), Some(digest), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Anchor {
            project: Project::new(project).map_err(|_| wrong())?,
            head: ChainHead {
                last: EventNo(last.parse().map_err(|_| wrong())?),
                digest: Digest::parse(digest).ok_or_else(wrong)?,
            },
        })
    }
}

/// The anchors in a text: one a line, beside empty lines and lines that begin with `#`.
pub fn anchors(text: &str) -> Result<Vec<Anchor>, Refusal> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_survive_printing() {
        let anchor = Anchor {
            project: Project::new("web-1.x").unwrap(),
            head: ChainHead {
                last: EventNo(42),
                digest: Digest::root(&Project::default()),
            },
        };
        let text = anchor.to_string();
        assert_eq!(text.parse::<Anchor>().unwrap(), anchor);
        assert_eq!(anchors(&format!("# kept\n\n {text} \n")).unwrap(), [anchor]);
        for bad in [
            String::new(),
            "bell-anchor:1:web:42".to_owned(),
            text.replace(":1:", ":2:"),
            text[..text.len() - 1].to_owned(),
            format!("{text}:x"),
            text.replace(":42:", ":-1:"),
            text.replace("web-1.x", "web/1"),
        ] {
            assert!(bad.parse::<Anchor>().is_err(), "{bad}");
        }
    }
}
