//! Draws graphs as Mermaid, DOT, JSON and self-contained SVG.
