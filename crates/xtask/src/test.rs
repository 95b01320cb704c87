//! Everything that must hold before a change lands, quickest first. A step that fails does not hide the others: one
//! run tells all there is to mend.

use std::process::Command;

use anyhow::Result;

use crate::repo::Repo;
use crate::servers::Servers;
use crate::step::{Outcome, Tally, capture, cargo, step};
use crate::{docs, examples, machine, mcp, service, tidy};

pub(crate) fn run(repo: &Repo, quick: bool) -> Result<bool> {
    let mut sum = Tally::default();
    sum.add(step("format", || {
        check(cargo(&repo.root).args(["fmt", "--all", "--", "--check", "-l"]))
    }));
    sum.add(step("tidy", || Ok(tidy::outcome(repo))));
    sum.add(step("docs", || docs::outcome(repo)));
    machine::component("clippy");
    let clippy = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    sum.add(step("clippy", || check(cargo(&repo.root).args(clippy))));
    sum.add(step("tests", || tests(repo)));
    let doctests = ["test", "--workspace", "--locked", "--no-fail-fast", "--doc"];
    sum.add(step("doc tests", || libtest(cargo(&repo.root).args(doctests))));
    sum.add(examples::steps(repo, quick, None));
    if !quick {
        sum.add(mcp::steps(repo));
        sum.add(service::steps(repo));
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(sum.failed == 0)
}

/// A program that only says yes or no.
fn check(command: &mut Command) -> Result<Outcome> {
    let said = capture(command)?;
    Ok(Outcome {
        tally: Tally::one(said.ok),
        report: said.all(),
        note: None,
    })
}

/// Unit and integration tests, with nextest where it is installed.
fn tests(repo: &Repo) -> Result<Outcome> {
    let servers = Servers::start()?;
    let cargo = |root| {
        let mut command = cargo(root);
        command.envs(servers.variables());
        command
    };
    let nextest = capture(cargo(&repo.root).args(["nextest", "--version"])).is_ok_and(|said| said.ok);
    if !nextest {
        let args = [
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
        ];
        return libtest(cargo(&repo.root).args(args));
    }
    let args = [
        "nextest",
        "run",
        "--cargo-quiet",
        "--status-level",
        "fail",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--no-tests",
        "pass",
    ];
    let said = capture(cargo(&repo.root).args(args))?;
    Ok(counted(nextest_tally(&said.stderr), said.ok, said.all()))
}

fn libtest(command: &mut Command) -> Result<Outcome> {
    let said = capture(command)?;
    Ok(counted(libtest_tally(&said.stdout), said.ok, said.all()))
}

/// A runner that failed without counting a failure did not get as far as its tests: that is one failure.
fn counted(mut tally: Tally, ok: bool, report: String) -> Outcome {
    if !ok && tally.failed == 0 {
        tally.failed = 1;
    }
    Outcome {
        tally,
        report,
        note: None,
    }
}

/// Sums lines like `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
fn libtest_tally(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines().filter(|line| line.starts_with("test result: ")) {
        sum.add(Tally {
            passed: number_before(line, " passed").unwrap_or(0),
            failed: number_before(line, " failed").unwrap_or(0),
            skipped: number_before(line, " ignored").unwrap_or(0),
        });
    }
    sum
}

/// Reads `Summary [ 0.1s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 2 skipped`. Whatever ran and
/// did not pass has failed, by whatever name.
fn nextest_tally(output: &str) -> Tally {
    let summary = output.lines().rev().find(|line| line.contains("Summary ["));
    let Some(line) = summary else {
        return Tally::default();
    };
    let run = number_before(line, " tests run").or_else(|| number_before(line, " test run"));
    let passed = number_before(line, " passed").unwrap_or(0);
    Tally {
        passed,
        failed: run.unwrap_or(passed).saturating_sub(passed),
        skipped: number_before(line, " skipped").unwrap_or(0),
    }
}

fn number_before(line: &str, word: &str) -> Option<u64> {
    let head = &line[..line.find(word)?];
    let digits = head.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn libtest_lines_are_summed() {
        let output = "running 2 tests\n\
            test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(libtest_tally(output), tally(12, 1, 2));
    }

    #[test]
    fn nextest_counts_what_ran_and_did_not_pass() {
        let line = |rest: &str| format!("  Summary [   0.034s] {rest}\n");
        assert_eq!(
            nextest_tally(&line("1 test run: 1 passed, 0 skipped")),
            tally(1, 0, 0)
        );
        assert_eq!(
            nextest_tally(&line(
                "12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped"
            )),
            tally(10, 2, 3)
        );
        assert_eq!(nextest_tally("error: could not compile"), tally(0, 0, 0));
    }

    #[test]
    fn a_runner_that_breaks_is_a_failure() {
        assert_eq!(
            counted(tally(3, 0, 0), false, String::new()).tally,
            tally(3, 1, 0)
        );
        assert_eq!(
            counted(tally(3, 2, 0), false, String::new()).tally,
            tally(3, 2, 0)
        );
        assert_eq!(counted(tally(3, 0, 1), true, String::new()).tally, tally(3, 0, 1));
    }
}
