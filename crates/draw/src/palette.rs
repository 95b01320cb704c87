//! What each status looks like: one row per status, read by every writer.

use crate::graph::Status;

/// The looks of one status.
#[derive(Debug)]
pub(crate) struct Look {
    /// Fill in DOT, by its X11 name.
    pub(crate) dot: &'static str,
    /// Fill and border in Mermaid.
    pub(crate) mermaid: (&'static str, &'static str),
    /// Colour in SVG on a light and on a dark page.
    pub(crate) svg: (&'static str, &'static str),
    /// Strokes of the sign inside the SVG dot, on a 16×16 square around the origin. The sign tells
    /// the status to who cannot tell the colours.
    pub(crate) sign: &'static str,
}

pub(crate) fn look(status: Status) -> Look {
    let row = |dot, mermaid, svg, sign| Look {
        dot,
        mermaid,
        svg,
        sign,
    };
    match status {
        Status::None => row(
            "white",
            ("#f6f8fa", "#8c959f"),
            ("#8c959f", "#6e7681"),
            "M-2.5 0h5",
        ),
        Status::Pending => row(
            "lightblue",
            ("#dbeefb", "#58a6d6"),
            ("#5aa9dd", "#58a6d6"),
            "M0-3.6V.4L2.6 2",
        ),
        Status::Blocked => row(
            "yellow",
            ("#fff5c2", "#d4a72c"),
            ("#d4a017", "#d9a928"),
            "M-3.4 0h6.8",
        ),
        Status::Ready => row(
            "lightgreen",
            ("#dcf7dc", "#6cc070"),
            ("#6fbf73", "#7bcf80"),
            "M-1.6-3.2L1.8 0-1.6 3.2",
        ),
        Status::Assigned => row(
            "paleturquoise",
            ("#d3f5f3", "#2aa198"),
            ("#2aa198", "#39b8ae"),
            "M-3.2 3.2c0-4 6.4-4 6.4 0M0-1.2v-2",
        ),
        Status::Running => row(
            "orange",
            ("#ffe3c7", "#e8790c"),
            ("#ee7d12", "#f0883e"),
            "M-1.4-2.7V2.7L2.9 0z",
        ),
        Status::Suspended => row(
            "lightslategray",
            ("#e2e6ee", "#66738c"),
            ("#66738c", "#8492ad"),
            "M-1.7-3v6M1.7-3v6",
        ),
        Status::Awaiting => row(
            "plum",
            ("#f1e3fb", "#9a5bd0"),
            ("#9a5bd0", "#b07be0"),
            "M0-3.6V.6M0 3.1v.3",
        ),
        Status::Retrying => row(
            "lightsalmon",
            ("#ffe1d6", "#d9653b"),
            ("#d9653b", "#e58058"),
            "M3.2-1.4A3.5 3.5 0 1 0 3.4 1M3.6-3.6v2.4H1.2",
        ),
        Status::Completed => row(
            "green",
            ("#d2f0d9", "#2a8f47"),
            ("#2a9d4e", "#3fb05f"),
            "M-3.2.2L-1 2.5 3.3-2.3",
        ),
        Status::Failed => row(
            "red",
            ("#ffd9d6", "#cf222e"),
            ("#d1242f", "#f0524c"),
            "M-2.6-2.6L2.6 2.6M2.6-2.6L-2.6 2.6",
        ),
        Status::Cancelled => row(
            "gray",
            ("#e4e7ea", "#6e7781"),
            ("#7d8590", "#7d8590"),
            "M-2.7 2.7L2.7-2.7",
        ),
        Status::Skipped => row(
            "gainsboro",
            ("#f0f2f4", "#a0a8b0"),
            ("#aab2ba", "#5c646d"),
            "M-3-2.6L-.4 0-3 2.6M.6-2.6L3.2 0 .6 2.6",
        ),
    }
}
