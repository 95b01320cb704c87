//! A folder of its own with the real binary in it, and the one place where ids and times are redacted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: i32,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Said {
        Said::at_the_end(command.output().unwrap())
    }

    /// Of a child that has ended, and whose output was kept.
    pub(crate) fn at_the_end(output: Output) -> Said {
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            exit: output.status.code().unwrap_or(-1),
        }
    }
}

/// A test that fails leaves no process behind that works in its folder.
impl Drop for Bench {
    fn drop(&mut self) {
        let Ok(folder) = self.dir.path().canonicalize() else {
            return;
        };
        if !std::thread::panicking() {
            return;
        }
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let number = process.file_name().to_string_lossy().parse();
            let number = number.ok().and_then(rustix::process::Pid::from_raw);
            let works_there =
                std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder));
            if let Some(number) = number.filter(|_| works_there) {
                let _ = rustix::process::kill_process(number, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bell"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        let foreign = |name: &str| name.starts_with("BELL") || matches!(name, "NO_COLOR" | "COLUMNS");
        for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        command.env("USER", "ann");
        command
    }

    pub(crate) fn bell(&self, args: &[&str]) -> Said {
        Said::of(&mut self.command(args))
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The answer to a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.bell(&[args, &["--json"]].concat());
        assert_eq!(said.exit, 0, "{args:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", said.out))
    }

    /// The problem that a command answers with.
    #[track_caller]
    pub(crate) fn problem(&self, args: &[&str]) -> (String, i32) {
        let said = self.bell(&[args, &["--json"]].concat());
        let problem: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {said:?}"));
        (problem["code"].as_str().unwrap().to_owned(), said.exit)
    }

    /// What people see: exit status, stdout, and stderr after `--`.
    pub(crate) fn shown(&self, args: &[&str]) -> String {
        let said = self.bell(args);
        let err = if said.err.is_empty() {
            String::new()
        } else {
            format!("-- stderr\n{}", said.err)
        };
        redact(&format!("exit {}\n{}{err}", said.exit, said.out), &self.path())
    }
}

/// The first claimed lease: id and token.
pub(crate) fn lease(claimed: &Value) -> (String, String) {
    let lease = &claimed["leases"][0];
    let text = |name: &str| {
        lease[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {claimed}"))
            .to_owned()
    };
    (text("task"), text("token"))
}

/// Ids, tokens, times, spans and paths become words, so that the rest can be compared.
pub(crate) fn redact(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "DIR");
    let mut redacted: Vec<String> = Vec::new();
    for line in text.lines() {
        let words = line.split(' ').map(word);
        let mut line = words.collect::<Vec<_>>().join(" ").trim_end().to_owned();
        // How wide a span is, and whether anything is just now, depends on how fast the machine is.
        line = line.replace("SPAN ago", "SPAN");
        while line.contains("  SPAN") {
            line = line.replace("  SPAN", " SPAN");
        }
        redacted.push(line);
    }
    redacted.join("\n") + "\n"
}

fn word(word: &str) -> String {
    let core = word.trim_matches(|c: char| "(),`:;.".contains(c));
    let hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = core.split('-').collect();
    let is_uuid = core.len() == 36 && parts.len() == 5 && parts.iter().all(|part| hex(part));
    let dots: Vec<&str> = core.split('.').collect();
    let is_token = dots.len() == 3 && dots[2].len() == 16 && dots.iter().all(|part| hex(part));
    let is_time = core.len() == 24 && core.ends_with('Z') && core.contains('T');
    let is_clock = core.len() == 8 && core.split(':').count() == 3 && core.split(':').all(hex);
    let digits = core.trim_end_matches(['s', 'm', 'h', 'd']);
    let is_span = digits.len() < core.len()
        && !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let name = match () {
        () if is_uuid => "UUID",
        () if is_token => "TOKEN",
        () if is_time => "TIME",
        () if is_clock => "CLOCK",
        () if is_span => "SPAN",
        () if core == "now" => "SPAN",
        () => return word.to_owned(),
    };
    word.replacen(core, name, 1)
}
