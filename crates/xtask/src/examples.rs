//! The plans of `examples/`, run with the binary just built, and what each of them promises.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::dist::executable;
use crate::machine;
use crate::repo::Repo;
use crate::step::{self, Outcome, Said, Tally, capture, cargo};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this one: the path below `examples/`.
    plan: Option<String>,
    /// Leave the slow ones out.
    #[arg(long)]
    quick: bool,
}

struct Example {
    /// Below `examples/`.
    plan: &'static str,
    slow: bool,
    /// What the machine must have.
    needs: fn() -> Result<()>,
    /// What `bell` is told first, in the folder of the plan.
    before: &'static [&'static [&'static str]],
    /// Tasks that complete, subtasks included. Nothing else is left at the end.
    completed: u64,
    /// What else it promises, given a finished run.
    promises: fn(&Run) -> Result<()>,
}

const EXAMPLES: &[Example] = &[
    Example {
        plan: "quickstart.yaml",
        slow: false,
        needs: || Ok(()),
        before: &[],
        completed: 5,
        promises: quickstart,
    },
    Example {
        plan: "pipeline/plan.yaml",
        slow: false,
        needs: || Ok(()),
        before: &[
            &["submit", "backlog.yaml"],
            &["rule", "add", "--file", "rules.yaml"],
        ],
        // Nine of the plan, four fixes, three tests together, the deployment.
        completed: 9 + 4 + 3 + 1,
        promises: pipeline,
    },
    Example {
        plan: "agents/plan.yaml",
        slow: false,
        needs: || Ok(()),
        before: &[],
        completed: 5,
        promises: agents,
    },
    Example {
        plan: "python-package/plan.yaml",
        slow: true,
        needs: machine::python,
        before: &[],
        // Ten of the plan itself, and one for each module of the package.
        completed: 10 + 33,
        promises: python_package,
    },
    Example {
        plan: "affected/plan.yaml",
        slow: true,
        needs: machine::python,
        before: &[],
        completed: 8,
        promises: affected,
    },
    Example {
        plan: "selfcheck.yaml",
        slow: true,
        needs: || Ok(()),
        before: &[],
        completed: 6,
        promises: |_| Ok(()),
    },
];

fn quickstart(run: &Run) -> Result<()> {
    let report = run.task("report")?;
    let counts = serde_json::json!({ "words": 9, "letters": 35, "vowels": 11 });
    ensure!(report["result"] == counts, "the report says {}", report["result"]);
    let attempts = run.task("vowels")?["attempts"].as_array().map_or(0, Vec::len);
    ensure!(attempts == 2, "`vowels` took {attempts} attempts");
    Ok(())
}

fn pipeline(run: &Run) -> Result<()> {
    let attempts =
        |key: &str| Ok::<_, anyhow::Error>(run.task(key)?["attempts"].as_array().map_or(0, Vec::len));
    for (key, expected) in [("qa-sum", 2), ("qa-max", 1), ("qa-rev", 3), ("qa-len", 2)] {
        let found = attempts(key)?;
        ensure!(
            found == expected,
            "`{key}` took {found} attempts, expected {expected}"
        );
    }
    let deployed = fs::read_dir(run.folder.join("deployed"))?.count();
    ensure!(deployed == 4, "{deployed} parts were deployed");
    for key in ["idea-one", "idea-two"] {
        let priority = &run.task(key)?["priority"];
        ensure!(*priority == 8, "the priority of `{key}` is {priority}");
    }
    Ok(())
}

fn agents(run: &Run) -> Result<()> {
    let review = run.task("review")?;
    ensure!(
        review["result"]["verdict"] == "keep",
        "the review says {}",
        review["result"]
    );
    let doer = &review["attempts"][0]["worker"];
    ensure!(doer == "reviewer", "{doer} did the review");
    Ok(())
}

fn python_package(run: &Run) -> Result<()> {
    let report = fs::read_to_string(run.folder.join("build/report.json")).context("build/report.json")?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(
        report["modules"] == 33,
        "{} modules were compiled",
        report["modules"]
    );
    ensure!(report["failed"] == 0, "{} tests failed", report["failed"]);
    let tests = report["tests"].as_u64().unwrap_or(0);
    ensure!(tests > 900, "only {tests} tests were run");
    Ok(())
}

fn affected(run: &Run) -> Result<()> {
    let report = run.task("report")?["result"].take();
    let checked = |round: &str| report["checked"][round].as_u64().unwrap_or(0);
    ensure!(
        checked("first") == report["components"],
        "the first round says {report}"
    );
    ensure!(checked("again") == 0, "the second round says {report}");
    ensure!(
        (1..checked("first")).contains(&checked("affected")),
        "after the change {} components were checked",
        checked("affected")
    );
    Ok(())
}

/// Lines shown of what a failed task printed.
const LOG_LINES: usize = 40;

/// An example that has been run.
struct Run {
    bell: PathBuf,
    store: String,
    /// Where the plan is.
    folder: PathBuf,
    plan: String,
    _temp: TempDir,
}

impl Run {
    /// Folders are copied, so that what they make is not left in the repository; single files run where they are.
    fn prepare(repo: &Repo, bell: &Path, example: &Example) -> Result<Run> {
        let temp = tempfile::tempdir()?;
        let (folder, plan) = match example.plan.split_once('/') {
            Some((folder, plan)) => {
                let copy = temp.path().join(folder);
                copy_folder(repo, &format!("examples/{folder}/"), &copy)?;
                (copy, plan)
            }
            None => (repo.path("examples"), example.plan),
        };
        Ok(Run {
            bell: bell.to_owned(),
            store: format!("sqlite:{}", temp.path().join("bell.db").display()),
            folder,
            plan: plan.to_owned(),
            _temp: temp,
        })
    }

    fn bell(&self, args: &[&str]) -> Result<Said> {
        let mut command = Command::new(&self.bell);
        command
            .current_dir(&self.folder)
            .env("PATH", self.path())
            .args(args)
            .args(["--json", "--store", &self.store]);
        capture(step::unmarked(&mut command))
    }

    /// Tasks find the `bell` that runs them first.
    fn path(&self) -> OsString {
        let own = self.bell.parent().map(Path::to_owned);
        let others = env::var_os("PATH").unwrap_or_default();
        let all = own.into_iter().chain(env::split_paths(&others));
        env::join_paths(all).unwrap_or(others)
    }

    /// The ends of what failed tasks printed.
    fn failures(&self, events: &str) -> String {
        let events = events
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut text = String::new();
        for event in events.filter(|event| event["type"] == "task.failed") {
            let key = event["key"].as_str().unwrap_or_default();
            text += &format!("{key}: {}\n", event["data"]["error"]);
            let said = self.bell(&["task", "logs", key]).map(|said| said.stdout);
            let logs: Value = serde_json::from_str(&said.unwrap_or_default()).unwrap_or_default();
            let output = logs["output"].as_str().unwrap_or_default();
            let from = output.lines().count().saturating_sub(LOG_LINES);
            output
                .lines()
                .skip(from)
                .for_each(|line| text += &format!("  {line}\n"));
        }
        text
    }

    /// The task object.
    fn task(&self, key: &str) -> Result<Value> {
        let said = self.bell(&["task", "show", key])?;
        ensure!(said.ok, "`bell task show {key}`: {}", said.stderr);
        Ok(serde_json::from_str(&said.stdout)?)
    }
}

fn copy_folder(repo: &Repo, prefix: &str, to: &Path) -> Result<()> {
    for file in repo.files.iter().filter(|file| file.path.starts_with(prefix)) {
        let target = to.join(&file.path[prefix.len()..]);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::write(target, &file.text)?;
    }
    Ok(())
}

/// Runs one example; every promise is one check.
fn check(repo: &Repo, bell: &Path, example: &Example) -> Result<Outcome> {
    (example.needs)()?;
    let run = Run::prepare(repo, bell, example)?;
    for args in example.before {
        succeeded(&run.bell(args)?)?;
    }
    let said = run.bell(&["run", &run.plan])?;
    let mut outcome = Outcome::default();
    let mut promise = |what: &str, kept: Result<()>| {
        outcome.tally.add(Tally::one(kept.is_ok()));
        if let Err(error) = kept {
            outcome.report += &format!("{}: {what}: {error:#}\n", example.plan);
        }
    };
    promise("it succeeds", succeeded(&said));
    promise("its tasks complete", completed(&said.stdout, example.completed));
    promise("its results", (example.promises)(&run));
    promise(
        "its log is sound",
        run.bell(&["audit", "verify"]).and_then(|said| succeeded(&said)),
    );
    promise(
        "its store is sound",
        run.bell(&["store", "check"]).and_then(|said| succeeded(&said)),
    );
    if outcome.tally.failed > 0 {
        outcome.report += &run.failures(&said.stdout);
    }
    Ok(outcome)
}

fn succeeded(said: &Said) -> Result<()> {
    ensure!(
        said.code == Some(0),
        "exit status {:?}: {}",
        said.code,
        said.stderr.trim_end()
    );
    Ok(())
}

/// The last line of `bell run --json` counts the tasks by their states.
fn completed(stdout: &str, expected: u64) -> Result<()> {
    let last = stdout.lines().last().context("`bell run` said nothing")?;
    let event: Value = serde_json::from_str(last)?;
    let counts = event["counts"]
        .as_object()
        .context("the last line has no counts")?;
    let of = |state: &str| counts.get(state).and_then(Value::as_u64).unwrap_or(0);
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    ensure!(
        of("completed") == expected && total == expected,
        "{} of {total} tasks completed, expected {expected}",
        of("completed")
    );
    Ok(())
}

/// Builds `bell` as the tests do, so that after them nothing is left to build, and returns its path.
pub(crate) fn build(repo: &Repo) -> Result<PathBuf> {
    let args = [
        "test",
        "--no-run",
        "--workspace",
        "--locked",
        "--message-format",
        "json",
    ];
    let said = capture(cargo(&repo.root).args(args))?;
    ensure!(said.ok, "cargo build failed:\n{}", said.stderr);
    executable(&said.stdout)
        .map(PathBuf::from)
        .context("cargo named no executable")
}

/// One step for each example.
pub(crate) fn steps(repo: &Repo, quick: bool, only: Option<&str>) -> Tally {
    let mut sum = Tally::default();
    let mut bell = None;
    sum.add(step::step("build", || {
        bell = Some(build(repo)?);
        Ok(Outcome {
            tally: Tally::one(true),
            ..Outcome::default()
        })
    }));
    let Some(bell) = bell else {
        return sum;
    };
    let wanted = |example: &&Example| only.map_or(!(quick && example.slow), |plan| example.plan == plan);
    for example in EXAMPLES.iter().filter(wanted) {
        sum.add(step::step(example.plan, || check(repo, &bell, example)));
    }
    sum
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let plan = options.plan.as_deref();
    let known = |plan: &str| EXAMPLES.iter().any(|example| example.plan == plan);
    if let Some(plan) = plan {
        let all: Vec<_> = EXAMPLES.iter().map(|example| example.plan).collect();
        ensure!(
            known(plan),
            "there is no example `{plan}`; there are {}",
            all.join(", ")
        );
    }
    Ok(steps(repo, options.quick, plan).failed == 0)
}
