//! What it costs: workloads of the specification, measured in one run beside the raw limit of the same disk.
//!
//! In reading order: what is asked (`options`) and answered (`report`); the loop over all workloads (`run`);
//! what they share: the place for their files (`place`, on a server `space`), a store of their own (`bed`), the raw loops to compare
//! with (`raw`), statistics (`samples`), the machine (`machine`); the workloads themselves, one file per subject;
//! and, asked for by itself, many tasks through one server (`churn`).
//!
//! No figure is remembered from another run, and none is left out because it is bad.

mod bed;
mod churn;
mod lab;
mod machine;
mod options;
mod place;
mod raw;
mod report;
mod run;
mod samples;
mod space;
mod workloads;

pub use churn::{Churned, Slice, churn};
pub use machine::Machine;
pub use options::Options;
pub use report::{Report, Row, Target};
pub use run::{names, run};
