//! What people read of a report.

use analyze::report::{Named, Report};
use analyze::tree::Origin;

use crate::output::table::{Table, one_line};
use crate::output::theme::{self, paint};

/// Lines of one list; `--json` has all of them.
const LINES: usize = 10;

pub(super) fn people(report: &Report<'_>) -> String {
    let statistics = &report.statistics;
    let languages = report
        .languages
        .iter()
        .map(|count| format!("{} {}", count.language, count.files));
    let mut text = format!(
        "{}: {} files ({}), {} dependencies, {} for each file\n",
        paint(theme::BOLD, &one_line(&report.root)),
        statistics.total_files,
        languages.collect::<Vec<_>>().join(", "),
        statistics.total_dependencies,
        statistics.avg_dependencies_per_file,
    );
    text += &format!(
        "{} batches, the widest of {} files; {} files parsed, {} known from before\n",
        report.batches.len(),
        statistics.max_parallelism,
        statistics.parsed,
        statistics.known,
    );
    if let Some(affected) = &report.affected {
        let changed = affected.changed.len();
        let head = format!("affected by {changed} changed: {} files", affected.files.len());
        text += &list(
            &head,
            &affected.files.iter().map(ToString::to_string).collect::<Vec<_>>(),
        );
        return text;
    }
    text += &most("NEEDED BY", &statistics.most_required_files);
    text += &most("NEEDS", &statistics.most_dependent_files);
    let head = format!("critical path: {} files", statistics.critical_path_length);
    text += &list(
        &head,
        &statistics
            .critical_path
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    );
    text += &circles(report);
    let conflicts = report.conflicts.iter().map(|conflict| {
        format!(
            "{}: {} units, {} pairs kept apart by a lock",
            conflict.component,
            conflict.units.len(),
            conflict.pairs
        )
    });
    text += &list("conflicts", &conflicts.collect::<Vec<_>>());
    let of = |origin: Origin| {
        report
            .externals
            .iter()
            .filter(move |external| external.origin == origin)
    };
    let packages =
        of(Origin::Package).map(|external| format!("{} ({} files)", external.name, external.files));
    let head = format!("needs from outside: {} packages", of(Origin::Package).count());
    text += &list(&head, &packages.collect::<Vec<_>>());
    let missing =
        of(Origin::Missing).map(|external| format!("{}:{} {}", external.first, external.line, external.name));
    text += &list("not found", &missing.collect::<Vec<_>>());
    let faults = report.faults.iter().map(|fault| {
        format!(
            "{}:{} {}: {}",
            fault.file, fault.line, fault.problem, fault.detail
        )
    });
    text += &list("read with faults", &faults.collect::<Vec<_>>());
    text + &list("notes", &report.notes)
}

fn circles(report: &Report<'_>) -> String {
    let mut text = String::new();
    for cycle in report.cycles.iter().take(LINES) {
        let count = cycle.cuts.len();
        let head = format!(
            "circle of {} files, in order after {count} {}",
            cycle.files.len(),
            if count == 1 { "cut" } else { "cuts" }
        );
        let cuts = cycle
            .cuts
            .iter()
            .map(|cut| format!("{} -> {}: {}", cut.from, cut.to, cut.why));
        text += &list(&head, &cuts.collect::<Vec<_>>());
    }
    if report.cycles.len() > LINES {
        text += &format!("and {} more circles\n", report.cycles.len() - LINES);
    }
    text
}

fn most(column: &'static str, files: &[Named<'_>]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["FILE", if column == "NEEDS" { ">NEEDS" } else { ">NEEDED BY" }]);
    for named in files {
        table.row([named.file.into(), named.count.to_string().into()]);
    }
    format!("\n{}", table.render())
}

/// Nothing, if there is nothing in the list.
fn list(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let more = lines.len().saturating_sub(LINES);
    let mut text = format!("\n{}\n", paint(theme::BOLD, head));
    for line in lines.iter().take(LINES) {
        text += &format!("  {}\n", one_line(line));
    }
    if more > 0 {
        text += &format!("  and {more} more\n");
    }
    text
}
