//! Plans: text in, a plan or all of its faults out. Nothing here reads a file.
//!
//! In reading order: bytes become text (`text`), text a tree of values with their places (`yaml`, `json`, `toml`
//! → `node`), the tree tasks (`decode` and `draft` by the tables of `keys`), tasks a checked [`Plan`] (`check`).
//! [`requests`] reads tasks by themselves, as programs send them, [`read_planned`] lists of files that are not written yet. [`analyse`] tells what the plan will be like, [`schema()`] what a plan may be.

mod analysis;
mod at;
mod check;
mod core_schema;
mod decode;
mod draft;
mod each;
mod fault;
mod holds;
mod json;
mod keys;
mod model;
mod near;
mod node;
mod outside;
mod planned;
mod planner;
mod read;
mod request;
mod retry;
mod rules;
mod scalar;
mod schema;
mod text;
mod toml;
mod values;
mod verify;
mod work;
mod yaml;

pub use analysis::{Analysis, Report, analyse, durations, median};
pub use fault::{FAULTS_MAX, Fault, Faults, Place, Warning};
pub use model::{Format, Plan, PlanTask};
pub use planned::{Planned, read_planned};
pub use planner::fragment;
pub use read::{body, read};
pub use request::{Asked, request, requests, schema as request_schema};
pub use rules::read_rules;
pub use schema::schema;
pub use verify::{Happening, Never, Verdict, What, asks, unreachable, verify};
