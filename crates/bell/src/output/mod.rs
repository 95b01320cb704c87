//! How answers reach people and programs: data on stdout, everything else on stderr.
//!
//! Text is made with its colours ([`theme`]) and loses them on the way out where they are not wanted, so nothing
//! else needs to know. [`table`] lays out rows, [`time`] says when, [`failure`] says why something failed, [`progress`]
//! shows a run while it happens.

pub(crate) mod failure;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod theme;
pub(crate) mod time;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::error::Result;

#[derive(Clone, Debug)]
pub(crate) struct Ui {
    pub(crate) json: bool,
    colour: ColorChoice,
    hints: bool,
    /// Where answers go instead of stdout.
    kept: Option<Kept>,
}

/// Answers that somebody in this process reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Everything so far.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
    }
}

impl Ui {
    pub(crate) fn new(json: bool, colour: ColorChoice, hints: bool) -> Ui {
        Ui {
            json,
            colour,
            hints: hints && !json,
            kept: None,
        }
    }

    /// For a program in this process, which finds the answers in `kept`.
    pub(crate) fn within(kept: Kept) -> Ui {
        Ui {
            kept: Some(kept),
            ..Ui::plain(true)
        }
    }

    /// For what must be said before settings are known.
    pub(crate) fn plain(json: bool) -> Ui {
        Ui::new(json, ColorChoice::Auto, false)
    }

    pub(crate) fn colours_stderr(&self) -> bool {
        let choice = AutoStream::new(io::stderr(), self.colour).current_choice();
        choice != ColorChoice::Never
    }

    /// An answer: the document for programs, or what people read of it.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<()> {
        if self.json {
            self.json(value)
        } else {
            self.text(&people(value))
        }
    }

    /// A document: laid out for eyes on a terminal, one line for programs.
    fn json(&self, value: &impl Serialize) -> Result<()> {
        let text = match io::stdout().is_terminal() {
            true => serde_json::to_string_pretty(value),
            false => serde_json::to_string(value),
        };
        self.line(&text.expect("our values serialise"))
    }

    /// One document of a stream, always on one line.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<()> {
        self.line(&serde_json::to_string(value).expect("our values serialise"))
    }

    pub(crate) fn line(&self, line: &str) -> Result<()> {
        self.text(&format!("{line}\n"))
    }

    /// Text on stdout, written at once.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        if let Some(kept) = &self.kept {
            kept.add(text.as_bytes());
            return Ok(());
        }
        let mut out = AutoStream::new(io::stdout().lock(), self.colour);
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Bytes on stdout as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if let Some(kept) = &self.kept {
            kept.add(bytes);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Text on stderr.
    pub(crate) fn note(&self, text: &str) -> Result<()> {
        AutoStream::new(io::stderr().lock(), self.colour).write_all(text.as_bytes())?;
        Ok(())
    }

    /// What one would usually do next.
    pub(crate) fn hint(&self, text: &str) -> Result<()> {
        if self.hints {
            self.note(&format!(
                "{}\n",
                theme::paint(theme::DIM, &format!("hint: {text}"))
            ))?;
        }
        Ok(())
    }

    /// Whether a question can be answered.
    pub(crate) fn can_ask(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question that Enter answers with no. Blocks on stdin.
    pub(crate) fn ask(&self, question: &str) -> Result<bool> {
        self.note(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Columns of the terminal behind a stream; `None` where lines may be as long as they like.
pub(crate) fn width(stream: impl AsFd) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let terminal = || {
        rustix::termios::tcgetwinsize(&stream)
            .ok()
            .map(|size| size.ws_col.into())
    };
    columns.or_else(terminal).filter(|width| *width > 0)
}
