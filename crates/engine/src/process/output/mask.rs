//! Hiding secrets in what is kept.

use std::fmt;

use aho_corasick::{AhoCorasick, Input, Match, MatchKind};

/// What stands for a secret.
const HIDDEN: &[u8] = b"***";

/// Replaces pieces of text wherever they stand.
#[derive(Clone)]
pub struct Mask {
    finder: AhoCorasick,
    patterns: Vec<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// Nothing if there is nothing to hide.
    pub fn new(patterns: Vec<String>) -> Option<Mask> {
        if patterns.is_empty() {
            return None;
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)
            .ok()?;
        Some(Mask { finder, patterns })
    }

    pub fn text(&self, text: &str) -> String {
        let mut hidden = Vec::new();
        self.end(&mut text.as_bytes().to_vec(), &mut hidden);
        String::from_utf8_lossy(&hidden).into_owned()
    }

    /// Hides secrets in a piece of a stream. `held` is the end of what came before, which may be the beginning of one; it
    /// is kept from call to call, until [`Mask::end`].
    pub fn push(&self, piece: &[u8], held: &mut Vec<u8>, out: &mut Vec<u8>) {
        held.extend_from_slice(piece);
        let open = self.open(held).unwrap_or(held.len());
        let mut done = 0;
        // What begins behind `open` may yet be a part of something longer.
        while let Some(found) = self.next(held, done).filter(|found| found.start() < open) {
            out.extend_from_slice(&held[done..found.start()]);
            out.extend_from_slice(HIDDEN);
            done = found.end();
        }
        let end = open.max(done);
        out.extend_from_slice(&held[done..end]);
        held.drain(..end);
    }

    /// The same when nothing more will come.
    pub fn end(&self, held: &mut Vec<u8>, out: &mut Vec<u8>) {
        let mut done = 0;
        while let Some(found) = self.next(held, done) {
            out.extend_from_slice(&held[done..found.start()]);
            out.extend_from_slice(HIDDEN);
            done = found.end();
        }
        out.extend_from_slice(&held[done..]);
        held.clear();
    }

    fn next(&self, bytes: &[u8], from: usize) -> Option<Match> {
        self.finder.find(Input::new(bytes).range(from..))
    }

    /// Where at the end something begins that may become a secret.
    fn open(&self, bytes: &[u8]) -> Option<usize> {
        let longest = self.patterns.iter().map(String::len).max().unwrap_or(0);
        let from = bytes.len().saturating_sub(longest.saturating_sub(1));
        (from..bytes.len()).find(|start| {
            let rest = &bytes[*start..];
            let grows = |pattern: &String| pattern.len() > rest.len() && pattern.as_bytes().starts_with(rest);
            self.patterns.iter().any(grows)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(patterns: &[&str]) -> Mask {
        Mask::new(patterns.iter().map(ToString::to_string).collect()).unwrap()
    }

    #[test]
    fn the_longer_of_two_is_hidden_also_when_it_comes_in_pieces() {
        let mask = mask(&["abcd", "abcdefgh"]);
        let (mut held, mut out) = (Vec::new(), Vec::new());
        for piece in ["xab", "cd", "ef", "gh abcd", "!"] {
            mask.push(piece.as_bytes(), &mut held, &mut out);
        }
        mask.end(&mut held, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "x*** ***!");
    }

    proptest! {
        /// However a text is cut, the same is hidden as in one piece, and nothing of a secret is left.
        #[test]
        fn pieces_do_not_matter(
            text in proptest::collection::vec(prop_oneof!["abcd", "abcdef", "cdab", "[a-f ]{0,3}"], 0..12),
            cuts in proptest::collection::vec(1_usize..6, 1..40),
        ) {
            let mask = mask(&["abcd", "abcdef", "cdab"]);
            let text = text.concat();
            let (mut held, mut out) = (Vec::new(), Vec::new());
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                mask.push(piece, &mut held, &mut out);
                rest = left;
            }
            mask.end(&mut held, &mut out);
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(&out, &mask.text(&text));
            prop_assert!(!out.contains("abcd") && !out.contains("cdab"));
        }
    }
}
