//! Every code of an error, with its cause and its cure.

use domain::code::Code;
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem;

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Page {
    pub code: Code,
    pub title: &'static str,
    pub cause: &'static str,
    pub cure: &'static str,
    pub exit_status: u8,
    /// Over HTTP.
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Pages {
    pub codes: Vec<Page>,
    pub count: usize,
}

impl From<Code> for Page {
    fn from(code: Code) -> Page {
        Page {
            code,
            title: code.title(),
            cause: code.cause(),
            cure: code.cure(),
            exit_status: code.kind().exit_status(),
            status: problem::status(code),
        }
    }
}

impl Pages {
    pub fn all() -> Pages {
        let codes: Vec<Page> = Code::ALL.iter().copied().map(Page::from).collect();
        Pages {
            count: codes.len(),
            codes,
        }
    }
}
