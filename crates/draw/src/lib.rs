//! Draws graphs of tasks or files as Mermaid, DOT, JSON and self-contained SVG.
//!
//! In goes a [`Graph`], out comes text: no files, no clocks, no randomness, so the same graph always
//! gives the same bytes. What a task is or how a critical path is found is not known here; callers
//! say which nodes and edges are critical, conditional or part of a cycle.
//!
//! Reading order: [`Graph`], then the writers (`mermaid`, `dot`, `json`, `svg`), then what the last of
//! them stands on: `scene` (what is drawn), `fold` (large graphs made small) and `layout` (where).

mod graph;
mod palette;
mod text;

mod dot;
mod json;
mod mermaid;

mod fold;
mod layout;
mod scene;
mod svg;

pub use dot::dot;
pub use graph::{Cluster, Edge, Graph, Node, Status, Style};
pub use json::json;
pub use mermaid::mermaid;
pub use svg::svg;
