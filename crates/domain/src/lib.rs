//! What is true and what may happen: no IO, no clock, no randomness.
