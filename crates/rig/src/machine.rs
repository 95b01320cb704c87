//! What is on this machine, and how it gets what is not.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

pub(crate) fn runs(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Installs a package of Debian's, without starting what it would start as a service.
pub(crate) fn install(package: &str) -> Result<()> {
    ensure!(
        rustix::process::getuid().is_root() && runs("apt-get"),
        "{package} is not installed, and only root on Debian gets it by itself: install it"
    );
    // Several tests may miss it at the same time, and the package manager does not wait for itself.
    let lock = std::fs::File::create(std::env::temp_dir().join("bellwether-packages.lock"))?;
    lock.lock()?;
    // A fresh machine knows no packages yet.
    for arguments in [&["update"][..], &["install", "-y", package]] {
        Command::new("apt-get")
            .args(arguments)
            .envs([("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
    }
    Ok(())
}
