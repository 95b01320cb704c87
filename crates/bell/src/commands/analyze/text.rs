//! What people read of a report.

use analyze::report::{Named, Report};
use analyze::tree::Origin;

use crate::output::table::{Table, one_line};
use crate::output::theme::{self, paint};

/// Lines of one list; `--json` has all of them.
const LINES: usize = 10;

/// `head` says what was read.
pub(super) fn people(report: &Report<'_>, head: &str) -> String {
    let statistics = &report.statistics;
    let languages = report
        .languages
        .iter()
        .map(|count| format!("{} {}", count.language, count.files));
    let languages = languages.collect::<Vec<_>>().join(", ");
    let mut text = format!("{}: ", paint(theme::BOLD, &one_line(head)));
    if statistics.total_files == 0 {
        return text + "no files\n";
    }
    text += &format!(
        "{} ({languages}), {}{}, {} for each file\n",
        counted(statistics.total_files, "file", "files"),
        planned(report),
        counted(statistics.total_dependencies, "dependency", "dependencies"),
        statistics.avg_dependencies_per_file,
    );
    text += &format!(
        "{}, the widest of {}; {} parsed, {} known from before\n",
        counted(report.batches.len(), "batch", "batches"),
        counted(statistics.max_parallelism, "file", "files"),
        statistics.parsed,
        statistics.known,
    );
    if let Some(affected) = &report.affected {
        let changed = affected.changed.len();
        let files = counted(affected.files.len(), "file", "files");
        let head = format!("affected by {changed} changed: {files}");
        text += &list(
            &head,
            &affected.files.iter().map(ToString::to_string).collect::<Vec<_>>(),
        );
        return text;
    }
    text += &most("NEEDED BY", &statistics.most_required_files);
    text += &most("NEEDS", &statistics.most_dependent_files);
    let head = format!(
        "critical path: {}",
        counted(statistics.critical_path_length, "file", "files")
    );
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
    let packages = of(Origin::Package).map(|external| {
        let files = counted(external.files, "file", "files");
        format!("{} ({files})", external.name)
    });
    let count = counted(of(Origin::Package).count(), "package", "packages");
    let head = format!("needs from outside: {count}");
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

fn planned(report: &Report<'_>) -> String {
    let files: usize = report.planned.iter().map(|task| task.files.len()).sum();
    let which = match files {
        0 => return String::new(),
        all if all == report.statistics.total_files => "all".to_owned(),
        some => format!("{some} of them"),
    };
    let tasks = counted(report.planned.len(), "task", "tasks");
    format!("{which} to be written by {tasks}, ")
}

pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
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
