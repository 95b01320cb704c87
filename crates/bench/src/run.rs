//! The loop over all workloads.

use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};

use crate::lab::Lab;
use crate::machine::Machine;
use crate::options::Options;
use crate::place::failed;
use crate::report::{Report, Row};
use crate::workloads::{ALL, Workload};

/// Every row there is, in the order of the report.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|workload| workload.rows.iter().copied())
}

/// Measures what `options` choose, telling on the way what is measured and how long it may still take.
pub async fn run(options: Options, progress: &mut dyn FnMut(&str)) -> Result<Report, Refusal> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|asked| fits(name, asked));
    let chosen: Vec<&Workload> = ALL
        .iter()
        .filter(|workload| workload.rows.iter().any(|name| wanted(name)))
        .collect();
    if chosen.is_empty() {
        let known: Vec<&str> = names().collect();
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("no row is named like `{}`", options.only.join("`, `")),
        )
        .help(format!("rows are {}", known.join(", "))));
    }
    let lab = Lab::open(&options)?;
    let durability = lab.keeps()?;
    let folder = lab.place.folder();
    let machine = Machine::look(folder).map_err(|e| failed(folder, &e))?;
    let mut clock = Eta::new(&chosen, lab.quick);
    let mut rows: Vec<Row> = Vec::new();
    for (at, workload) in chosen.iter().enumerate() {
        progress(&format!(
            "{}/{} {}, {}",
            at + 1,
            chosen.len(),
            workload.rows[0],
            clock.left()
        ));
        let measured = (workload.run)(&lab).await?;
        rows.extend(
            measured
                .into_iter()
                .filter(|row| wanted(row.name))
                .map(Row::judged),
        );
        clock.done(workload);
    }
    Ok(Report {
        machine,
        store: lab.place.name().to_owned(),
        durability,
        profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        quick: lab.quick,
        rows,
    })
}

/// A row's whole name stands for that row, anything else for every row that contains it.
fn fits(name: &str, asked: &str) -> bool {
    name == asked || (name.contains(asked) && names().all(|name| name != asked))
}

/// How long it may still take: the estimates of the workloads, corrected by how those so far turned out.
struct Eta {
    start: Instant,
    quick: bool,
    done: f64,
    all: f64,
}

impl Eta {
    fn new(chosen: &[&Workload], quick: bool) -> Eta {
        Eta {
            start: Instant::now(),
            quick,
            done: 0.0,
            all: chosen.iter().map(|workload| workload.seconds(quick)).sum(),
        }
    }

    fn done(&mut self, workload: &Workload) {
        self.done += workload.seconds(self.quick);
    }

    fn left(&self) -> String {
        let pace = match self.done {
            0.0 => 1.0,
            done => self.start.elapsed().as_secs_f64() / done,
        };
        let left = Duration::from_secs_f64(((self.all - self.done) * pace).max(1.0));
        format!("about {} s left", left.as_secs())
    }
}
